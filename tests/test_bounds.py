"""Work plus where the rest went gives all cycles: in records, tables and CSV, memory or not."""

from __future__ import annotations

import csv
import io
import json
from itertools import islice, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparqsim
from sparqsim.array.timing import supported_dataflows
from sparqsim.base.errors import InputError
from sparqsim.memory import load_accelerator
from sparqsim.pe.registry import designs
from sparqsim.results.report import Report

DATAFLOWS = ("os", "ws", "is")
COUPLINGS = ("lockstep", "elastic:1", "elastic:2")
#: Designs are tried in so many parts: those that are alike stand beside each other in the list.
PARTS = 4
MEMORIES = ("", "edge", "starved.toml")
STARVED = """
[array]
rows = 4
cols = 3

[dram]
bandwidth_bytes_per_cycle = 0.5
latency_cycles = 9
"""


@pytest.fixture(scope="module")
def memories(tmp_path_factory):
    """Memory systems by name: none, one that ships, one that is slower than any array."""
    path = tmp_path_factory.mktemp("memories") / "starved.toml"
    path.write_text(STARVED)
    return {
        "": None,
        "edge": load_accelerator("edge").memory,
        "starved.toml": load_accelerator(str(path)).memory,
    }


def trace():
    rng = np.random.default_rng(11)
    sparse = rng.integers(0, 256, (7, 13)) * (rng.random((7, 13)) < 0.6)
    layers = [
        ("ragged", sparse.astype(np.uint8), rng.integers(-128, 128, (13, 5))),
        ("tiny", sparse[:1, :2].astype(np.uint8), rng.integers(-128, 128, (2, 1))),
    ]
    return sparqsim.Trace(
        [sparqsim.Layer.from_gemm(name, x, w.astype(np.int8)) for name, x, w in layers]
    )


def parts_of(measured):
    """Work and where the rest went, as a document has it: a list of every part, none named here."""
    bounds = measured["bounds"]
    return [bounds["work_cycles"], *bounds["gap_cycles"].values()]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_parts_add_up_for_every_design(dataflow, memory, part, memories):
    stalls, compared = 0, 0
    chosen = list(islice(designs().items(), part, None, PARTS))
    for coupling, overlap, (name, design) in product(COUPLINGS, (False, True), chosen):
        if dataflow not in supported_dataflows(design):
            continue
        array = sparqsim.ArrayConfig(4, 3, dataflow, coupling=coupling, overlap=overlap)
        report = json.loads(
            sparqsim.simulate(trace(), name, array, memory=memories[memory]).to_json()
        )
        for measured in (*report["layers"], report["totals"]):
            assert sum(parts_of(measured)) == measured["cycles"]["total"], (name, coupling, overlap)
            assert min(parts_of(measured)) >= 0
            assert (
                measured["bounds"]["gap_cycles"]["memory_stall"]
                == measured["cycles"]["memory_stall"]
            )
            stalls += measured["cycles"]["memory_stall"]
            compared += 1
    assert compared >= 3 * 6
    assert (stalls > 0) == (memory != "")


@given(
    st.tuples(*[st.integers(1, 17)] * 3), st.tuples(*[st.integers(1, 5)] * 2), st.integers(0, 99)
)
def test_parts_add_up_for_any_shape(shape, sides, seed):
    (m, k, n), rng = shape, np.random.default_rng(seed)
    x, w = rng.integers(0, 256, (m, k)), rng.integers(-128, 128, (k, n))
    layer = sparqsim.Layer.from_gemm("l", x.astype(np.uint8), w.astype(np.int8))
    array = sparqsim.ArrayConfig(*sides, DATAFLOWS[seed % 3], overlap=bool(seed % 2))
    memory = load_accelerator("edge").memory
    report = sparqsim.simulate(sparqsim.Trace([layer]), "sparq-exact", array, memory=memory)
    document = json.loads(report.to_json())
    assert sum(parts_of(document["totals"])) == document["totals"]["cycles"]["total"]


def rows_below(text, title):
    """The rows of a table of figures, by their first word."""
    table = text.partition(title)[2].partition("\n\n")[0]
    lines = [line.split() for line in table.splitlines()]
    return [line for line in lines if len(line) > 1 and line[-1].replace(",", "").isdigit()]


@pytest.mark.parametrize("config", [(), ("--config", "edge")])
@pytest.mark.parametrize("width", ["80", "200"])
def test_the_printed_table_adds_up(config, width, run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    trace().save(tmp_path / "t.safetensors")
    ended = run("simulate", tmp_path / "t.safetensors", "--pe", "sparq-exact", *config)
    rows = rows_below(ended.out, "work + where the rest went")
    assert [row[0] for row in rows] == ["ragged", "tiny", "total"]
    for _, cycles, _, *parts in rows:
        assert sum(int(part.replace(",", "")) for part in parts) == int(cycles.replace(",", ""))


def test_csv_adds_up(run, tmp_path):
    trace().save(tmp_path / "t.safetensors")
    arguments = ("--pe", "sparq-exact", "--config", "edge", "--format", "csv")
    out = run("simulate", tmp_path / "t.safetensors", *arguments).out
    gap = ("ragged_tiles", "fill_drain", "pe_waiting", "memory_stall")
    parts = ("bounds_work_cycles", *(f"bounds_gap_cycles_{part}" for part in gap))
    for row in csv.DictReader(io.StringIO(out)):
        assert sum(int(row[part]) for part in parts) == int(row["cycles_total"])


def test_a_report_whose_parts_do_not_add_up_is_refused(memories):
    report = sparqsim.simulate(trace(), "sparq-5opt", memory=memories["edge"])
    document = json.loads(report.to_json())
    document["layers"][0]["bounds"]["gap_cycles"]["pe_waiting"] += 1
    with pytest.raises(InputError, match=r"layers\[0\].*work_cycles \+ the parts of gap_cycles"):
        Report.from_json(json.dumps(document))


def test_gaps_of_older_files_get_their_memory_stall():
    text = (Path(__file__).parent / "formats" / "report-1.json").read_text()
    document = json.loads(text)
    for measured in (*document["layers"], document["totals"]):
        assert measured["bounds"]["gap"].pop("memory_stall") > 0
    assert Report.from_json(json.dumps(document)) == Report.from_json(text)
