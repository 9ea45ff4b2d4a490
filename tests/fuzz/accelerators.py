"""Accelerator files in TOML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _mutate import toml_mutations
from _sound import trace_bytes

COMMANDS = (("simulate", "{folder}/t.safetensors", "--pe", "mac-8b8b", "--config", "{file}"),)
LINES = (
    'name = "made"',
    'storage = "raw"',
    "output_bits = 8",
    "psum_bits = 32",
    'loop_order = "auto"',
    "[array]",
    "rows = 2",
    "cols = 3",
    'dataflow = "os"',
    'coupling = "lockstep"',
    "overlap = false",
    "[dram]",
    "bandwidth_bytes_per_cycle = 2.5",
    "latency_cycles = 10",
    "burst_bytes = 64",
    "request_bytes = 4096",
    'arbitration = "fifo"',
    "[activations]",
    "size_kib = 64",
    "port_bytes_per_cycle = 8",
)


def prepare(folder: Path) -> None:
    (folder / "t.safetensors").write_bytes(trace_bytes())


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    yield from toml_mutations(LINES, ".toml", seed, count)
