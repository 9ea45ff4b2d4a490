"""What surrounds the array: DRAM channel, scratchpads, stored formats, loop order.

Frozen, checked when made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any

from sparqsim.array.config import ArrayConfig, plain
from sparqsim.base.errors import InputError, nearest, shown
from sparqsim.base.parse import LONGEST_NAME, name_fault

ARBITRATIONS = ("fifo", "round-robin", "in-order")
STORAGES = ("raw", "windowed", "windowed-pair")
ORDERS = ("auto", "auto-cycles", "nmk", "mnk", "nkm", "knm", "mkn", "kmn")
LARGEST = 1 << 40
#: Stands for 'no limit' where the kernels need an integer.
UNLIMITED = 1 << 62


def whole(low: int, high: int, default: int) -> Any:
    """Return a field that holds an integer from `low` to `high`."""
    return field(default=default, metadata={"whole": (low, high)})


def decimal(default: float) -> Any:
    """Return a field that holds a number above 0, taken to a thousandth, or inf: no limit."""
    return field(default=default, metadata={"decimal": True})


def name_of(default: str) -> Any:
    """Return a field that holds a name: see `sparqsim.base.parse.name_fault`."""
    return field(default=default, metadata={"name": True})


def one_of(choices: tuple[str, ...]) -> Any:
    """Return a field that holds one of `choices`, the first by default."""
    return field(default=choices[0], metadata={"choices": choices})


@dataclass(frozen=True)
class CheckedConfig:
    """Checks every field against its metadata.

    Raises
    ------
    InputError
        Naming the key, the value and what is accepted.
    """

    def __post_init__(self) -> None:
        for key in fields(self):
            object.__setattr__(self, key.name, plain(getattr(self, key.name)))
            expected = _expected(key.metadata, getattr(self, key.name))
            if expected:
                value = shown(getattr(self, key.name))
                raise InputError(f"{key.name}={value}: expected {expected}")


def _expected(rules: Any, value: object) -> str:
    """Return what a field with these rules accepts if `value` is not that, else ''."""
    if "whole" in rules:
        low, high = rules["whole"]
        return (
            ""
            if type(value) is int and low <= value <= high
            else f"an integer from {low} to {high}"
        )
    if "decimal" in rules:
        return "" if _is_decimal(value) else f"a number from 0.001 to {LARGEST}, or inf"
    if "name" in rules and (not isinstance(value, str) or name_fault(value)):
        return f"text of 1 to {LONGEST_NAME} printable characters"
    if "choices" in rules and value not in rules["choices"]:
        return f"one of {', '.join(rules['choices'])}{nearest(str(value), rules['choices'])}"
    return ""


def _is_decimal(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (value == math.inf or 0.001 <= value <= LARGEST)
    )


def rate(bytes_per_cycle: float) -> tuple[int, int]:
    """Return (bytes, cycles): so many bytes in at most 1000 cycles; (UNLIMITED, 1) for inf."""
    if bytes_per_cycle == math.inf:
        return UNLIMITED, 1
    nearest_fraction = Fraction(str(bytes_per_cycle)).limit_denominator(1000)
    return nearest_fraction.numerator, nearest_fraction.denominator


@dataclass(frozen=True)
class DramConfig(CheckedConfig):
    """One DRAM channel, shared by all streams.

    Parameters
    ----------
    bandwidth_bytes_per_cycle : number
        inf: transfers take no time and never wait for each other.
    latency_cycles : int
        From the end of a read request on the channel to its data in the scratchpad; later requests
        follow without waiting for it. Writes are posted: they take no latency.
    burst_bytes : int
        A request is moved in whole bursts.
    request_bytes : int
        A transfer is cut into requests of at most so many bytes, a multiple of `burst_bytes`; the
        channel is given to one request at a time.
    arbitration : {'fifo', 'round-robin', 'in-order'}
        Which waiting request is next: the one that waits longest (ties: activations, weights,
        outputs); the next DMA engine in turn; or the order of the program, waiting for its turn
        even if others are ready.
    """

    bandwidth_bytes_per_cycle: float = decimal(math.inf)
    latency_cycles: int = whole(0, 1_000_000, 0)
    burst_bytes: int = whole(1, 65_536, 64)
    request_bytes: int = whole(1, 1 << 30, 4096)
    arbitration: str = one_of(ARBITRATIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.request_bytes % self.burst_bytes:
            raise InputError(
                f"request_bytes={self.request_bytes}: expected a multiple of "
                f"burst_bytes={self.burst_bytes}"
            )


@dataclass(frozen=True)
class ScratchpadConfig(CheckedConfig):
    """A double-buffered scratchpad: two halves of size_kib / 2.

    Each half has one port to the array and one to its DMA engine. `port_bytes_per_cycle`: what each
    port moves.
    """

    size_kib: float = decimal(math.inf)
    port_bytes_per_cycle: float = decimal(math.inf)

    @property
    def half_bytes(self) -> int:
        """Bytes that one half holds."""
        return UNLIMITED if self.size_kib == math.inf else int(Fraction(str(self.size_kib)) * 512)


@dataclass(frozen=True)
class GatherConfig(CheckedConfig):
    """A gather unit: it fetches rows of an embedding table over the DRAM channel and pools them.

    Parameters
    ----------
    outstanding : int
        Rows that are on their way at once: each has a buffer, from its request until the lanes have
        read it out.
    lanes : int
        Elements that are dequantised and added to the pooled vector in a cycle.
    page_bytes : int
        Bytes of a DRAM page, whole bursts; 0: row buffers are not modelled.
    banks : int
        Each has one open page; page p lies in bank p modulo `banks`.
    page_miss_cycles : int
        From the request until a page is open that was not; other banks transfer meanwhile.
    clock_mhz : number
        Of the unit, for rates per second; inf: not known, rates are per cycle alone.
    """

    outstanding: int = whole(1, 65_536, 16)
    lanes: int = whole(1, 65_536, 16)
    page_bytes: int = whole(0, 1 << 30, 0)
    banks: int = whole(1, 65_536, 1)
    page_miss_cycles: int = whole(0, 1_000_000, 0)
    clock_mhz: float = decimal(math.inf)


@dataclass(frozen=True)
class MemoryConfig(CheckedConfig):
    """The memory system around the array.

    Parameters
    ----------
    name : str
        Shown in reports.
    dram : DramConfig
    activations, weights, outputs : ScratchpadConfig
    storage : {'raw', 'windowed', 'windowed-pair'}
        How SPARQ designs find their activations in memory: 8 bits each, trimmed at the array's
        edge; trimmed, with shift code and one mux bit per activation; or trimmed with one mux bit
        per pair.
    output_bits, psum_bits : int
        Bits of a finished output, and of a partial sum that is kept or spilled.
    loop_order : str
        Loops over tiles, outermost first ('nmk': columns of W, then rows of X, then K). 'auto': of
        the dataflow's orders, that of the fewest DRAM bytes (without those that only fill bursts),
        on equal bytes that of fewer cycles. 'auto-cycles': that of the fewest cycles.
    """

    name: str = name_of("memory")
    dram: DramConfig = field(default_factory=DramConfig)
    activations: ScratchpadConfig = field(default_factory=ScratchpadConfig)
    weights: ScratchpadConfig = field(default_factory=ScratchpadConfig)
    outputs: ScratchpadConfig = field(default_factory=ScratchpadConfig)
    storage: str = one_of(STORAGES)
    output_bits: int = whole(1, 64, 8)
    psum_bits: int = whole(1, 64, 32)
    loop_order: str = one_of(ORDERS)


@dataclass(frozen=True)
class Accelerator:
    """What an accelerator file says.

    `remarks`: what of an imported file was ignored or means something else here.

    Raises
    ------
    InputError
        For DRAM pages that bursts do not fill: a burst would lie in two.
    """

    memory: MemoryConfig
    array: ArrayConfig | None = None
    remarks: tuple[str, ...] = ()
    gather: GatherConfig = field(default_factory=GatherConfig)

    def __post_init__(self) -> None:
        page_bytes, burst_bytes = self.gather.page_bytes, self.memory.dram.burst_bytes
        if page_bytes % burst_bytes:
            raise InputError(
                f"gather.page_bytes={page_bytes}: expected 0, or a multiple of "
                f"dram.burst_bytes={burst_bytes}"
            )
