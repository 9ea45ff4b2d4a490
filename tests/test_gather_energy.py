"""Actions and energies of gathers, counted byte by byte from what the page says."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sparqsim import InputError
from sparqsim.cost.memory import FOLDER, load_memory
from sparqsim.engine.gather import Asked, gather
from sparqsim.gather.lookups import Lookups
from sparqsim.gather.table import Table
from sparqsim.memory.accelerator import parse_accelerator
from sparqsim.results.gather_report import GatherReport

HEIGHT = 23
ROW_BYTES = {
    "fp32": lambda d: 4 * d,
    "fp16": lambda d: 2 * d,
    "int8": lambda d: d + 8,
    "int4": lambda d: (d + 1) // 2 + 4,
    "codebook4": lambda d: (d + 1) // 2 + 32,
}


def words(name: str) -> tuple[Fraction, Fraction, Fraction]:
    """Return pJ of a bit of DRAM read, of buffers read and of buffers written, by the file."""
    table = json.loads((FOLDER / f"{name}.json").read_text())
    return tuple(
        Fraction(str(table[memory][key])) / table[memory]["word_bits"]
        for memory, key in (("dram", "read_pj"), ("sram", "read_pj"), ("sram", "write_pj"))
    )


def made(burst: int, width: int, rows: list[int], page: int, energy: str | None) -> GatherReport:
    """Gather from a table of N(0, 1)."""
    values = np.random.default_rng(burst).normal(size=(HEIGHT, width)).astype(np.float32)
    settings = (
        f"[dram]\nburst_bytes = {burst}\nrequest_bytes = {burst}\nbandwidth_bytes_per_cycle = 8\n"
        f"[gather]\npage_bytes = {page}\nbanks = 3\npage_miss_cycles = 5"
    )
    asked = Asked(
        Table(values, "made", "0" * 64, "float32"),
        Lookups(np.array(rows), np.array([0]), "rows"),
        parse_accelerator(settings, "a.toml"),
        energy=None if energy is None else load_memory(energy),
    )
    return gather(asked)


@pytest.mark.parametrize("seed", range(8))
def test_every_byte_is_counted_and_paid_for(seed):
    random = np.random.default_rng(seed)
    burst, width = int(random.choice([16, 32, 64, 100])), int(random.integers(1, 80))
    rows, name = random.integers(0, HEIGHT, 60).tolist(), ("45nm", "28nm", "22nm")[seed % 3]
    page = burst * int(random.integers(1, 5))
    report = made(burst, width, rows, page, name)
    dram, read, write = words(name)
    for entry in report.entries:
        row_bytes = ROW_BYTES[entry.format](width)
        stride = row_bytes if entry.layout == "packed" else -(-row_bytes // burst) * burst
        moved, opened, opens = 0, {}, 0
        for row in rows:
            touched = {byte // burst for byte in range(row * stride, row * stride + row_bytes)}
            moved += burst * len(touched)
            for in_page in sorted({each * burst // page for each in touched}):
                opens += opened.get(in_page % 3) != in_page
                opened[in_page % 3] = in_page
        counts = {each: action.count for each, action in entry.actions.items()}
        assert counts == {
            "memory.rows.dram_read": 60 * row_bytes,
            "memory.rows.dram_write": 0,
            "memory.rows.burst_padding": moved - 60 * row_bytes,
            "memory.rows.sram_read": 60 * row_bytes,
            "memory.rows.sram_write": 60 * row_bytes,
            "gather.requests": 60,
            "gather.page_opens": opens,
            "gather.dequantised": 60 * width,
        }
        energy = entry.energy_pj
        assert energy.dram == pytest.approx(float(8 * moved * dram), rel=1e-12)
        of_buffers = float(8 * 60 * row_bytes * (read + write))
        assert energy.row_buffers == pytest.approx(of_buffers, rel=1e-12)
        assert energy.total == energy.dram + energy.row_buffers
        assert entry.energy_per_lookup_pj() == energy.total / 60
    assert GatherReport.from_json(report.to_json()) == report


def test_64_elements_in_bursts_of_64_bytes():
    """4, 2 and 1 bursts at 8 pJ a bit; 256, 72 and 36 bytes through buffers of 58.6 pJ a word."""
    report = made(64, 64, [3], 0, "45nm")
    found = {name: report.entry(name, "padded").energy_pj for name in ("fp32", "int8", "int4")}
    assert [each.dram for each in found.values()] == [16384, 8192, 4096]
    assert [each.row_buffers for each in found.values()] == pytest.approx([1875.2, 527.4, 263.7])


def test_energy_is_absent_unless_asked_for():
    report = made(64, 8, [1, 2], 0, None)
    assert report.energy is None
    assert report.entries[0].energy_per_lookup_pj() is None
    assert '"energy' not in report.to_json()
    assert not [name for name in report.flat_rows()[0] if name.startswith("energy")]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("actions", "memory.rows.dram_read", "count"), 7, "expected those of its bursts (memory"),
        (("actions", "gather.requests", "count"), 7, "expected those of its bursts (gather.req"),
        (("energy_pj", "dram"), 1.0, "entries[0].energy_pj: expected"),
        (("bursts",), 1, "entries[0].bounds: expected"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(path, value, said):
    document = json.loads(made(64, 40, [1, 2, 3], 0, "45nm").to_json())
    place = document["entries"][0]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError) as error:
        GatherReport.from_json(json.dumps(document), "g.json")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def table(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    np.save("table.npy", np.random.default_rng(1).normal(size=(HEIGHT, 16)))
    return "table.npy"


def test_the_command_shows_and_writes_them(table, run):
    words = ("gather", table, "--indices", "zipf:1", "--lookups", "50", "--format", "int4")
    ended = run(*words, "--memory-energy", "28nm", "--actions", "-o", "g.json")
    shown = " ".join(ended.out.split())
    assert "Energy of gathers: whole bursts, and row buffers" in shown
    assert "Actions that cost energy, of 50 requests" in shown
    assert "16.9 pJ" in shown  # a word of the table, with its source
    assert "ANT @bc84067" in shown
    assert "Not counted: dequantising" in shown
    (row, _) = csv.DictReader(io.StringIO(run(*words, "--format", "csv").out))
    assert row["actions_gather_dequantised"] == "800"
    entry = GatherReport.load("g.json").entries[0]
    assert entry.energy_pj.dram == 50 * 64 * 64  # a burst each, 8 bits a byte, 8 pJ a bit
    assert Path("g.json").read_text().count('"energy_pj"') == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--memory-energy", "46nm"), "memory energies '46nm': no file, and none that ship"),
        (("--memory-energy", "table.npy"), "table.npy: "),
        (("--format", "csv,int4"), "--format 'csv,int4': csv says how the result is printed"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(table, refused, given, said):
    assert said in refused("gather", table, "--indices", "zipf:1", *given)
