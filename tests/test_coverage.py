"""What is not simulated, for how many inputs, and how to compare: said wherever cycles stand."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparqsim
from sparqsim.analysis.bandwidth import BandwidthCurves
from sparqsim.networks.trials import measured_coverage
from sparqsim.results.comparison import Comparison
from sparqsim.results.report import Report
from sparqsim.trace.coverage import Coverage, LeftOut

FORMATS = ("table", "json", "csv", "markdown")
#: Multiply-accumulates of the one layer of `partial_trace`.
SIMULATED_MACS = 6 * 8 * 4
LEFT_OUT_MACS = (100, 176)
SHARE = sum(LEFT_OUT_MACS) / (SIMULATED_MACS + sum(LEFT_OUT_MACS))
COMMANDS = {
    "simulate": ("--pe", "smt-sa-2t"),
    "compare": ("--pe", "smt-sa-2t"),
    "bandwidth": ("--pe", "smt-sa-2t", "--config", "edge", "--bandwidths", "1"),
}


def layer():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (6, 8)).astype(np.uint8)
    return sparqsim.Layer.from_gemm("fc", x, rng.integers(-128, 128, (8, 4)).astype(np.int8))


def trace_with(provenance):
    return sparqsim.Trace([layer()], network="made", provenance=provenance)


def partial_coverage(*macs):
    left_out = tuple(
        LeftOut(name=f"attention{number}", reason="a product in one call", macs=count)
        for number, count in enumerate(macs)
    )
    return Coverage(inputs=3, left_out=left_out)


@pytest.fixture
def partial_path(tmp_path):
    """A trace of three inputs that leaves out two operations."""
    path = tmp_path / "partial.safetensors"
    trace_with(partial_coverage(*LEFT_OUT_MACS).entry()).save(path)
    return path


def csv_rows(text):
    return list(csv.DictReader(io.StringIO(text)))


# What a trace says of itself -------------------------------------------------------------------


def test_a_report_carries_what_its_trace_says():
    report = sparqsim.simulate(trace_with(partial_coverage(*LEFT_OUT_MACS).entry()), "mac-8b8b")
    assert report.provenance.coverage == partial_coverage(*LEFT_OUT_MACS)
    assert report.macs_left_out_share == SHARE
    assert report.cycles_per_input == report.cycles.total / 3
    assert Report.from_json(report.to_json()) == report


@given(st.integers(1, 10**9), st.lists(st.integers(0, 10**9), max_size=4))
def test_the_share_left_out_is_of_all_macs_of_the_network(macs, left_out):
    coverage = partial_coverage(*left_out)
    assert coverage.share_left_out(macs) == sum(left_out) / (macs + sum(left_out))
    assert partial_coverage(*left_out, None).share_left_out(macs) is None


def test_a_trace_that_says_nothing_is_not_called_whole():
    nothing = Coverage()
    assert nothing.share_left_out(10) is None
    assert nothing.per_input(10) is None
    assert nothing.scope() == "All layers of the trace"
    assert any("does not say" in note for note in nothing.notes(10))
    assert Coverage(inputs=1).share_left_out(10) == 0
    assert Coverage(inputs=1).scope() == "Whole network"
    assert partial_coverage(0).scope() == "Simulated part of the network"


def test_unknown_macs_give_a_lower_bound():
    macs = 75
    assert "at least 25.0 % of" in partial_coverage(25, None).left_out_text(macs)
    assert "an unknown share" in partial_coverage(None).left_out_text(macs)
    assert partial_coverage(1).left_out_text(10**6).startswith("0.0001 %")


def test_of_many_operations_the_first_few_are_named():
    names = partial_coverage(*range(1, 8)).names()
    assert names == "attention0, attention1, attention2, attention3 and 3 more"


@pytest.mark.parametrize(
    ("provenance", "inputs", "names"),
    [
        ({"pictures": 4, "skipped": ["attn", "head"]}, 4, ["attn", "head"]),
        ({"skipped": {"attn": "in one call"}}, None, ["attn"]),
        ({"pictures": "holiday", "skipped": "none"}, None, []),
        ({"pictures": True, "skipped": [1]}, None, []),
        ({"pictures": 0}, None, []),
        ({"pictures": 4, "coverage": {"inputs": 2, "left_out": []}}, 2, []),
    ],
)
def test_older_traces_are_read_as_far_as_they_say_it(provenance, inputs, names):
    coverage = Coverage.of(provenance)
    assert coverage.inputs == inputs
    assert [operation.name for operation in coverage.left_out] == names
    assert all(operation.macs is None for operation in coverage.left_out)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"inputs": 0}, "inputs"),
        ({"inputs": "three"}, "inputs"),
        ({"left_out": [{"name": "a", "reason": "r", "macs": -1}]}, "left_out[0].macs"),
        ({"pictures": 3}, "pictures"),
        ("all of it", "coverage"),
    ],
)
def test_a_coverage_that_is_none_is_a_fault_of_the_file(entry, field, refused, tmp_path):
    path = tmp_path / "bad.safetensors"
    sound = trace_with(Coverage(inputs=3).entry())
    sound.save(path)
    text = json.dumps({"inputs": 3, "left_out": []}).replace('"', '\\"')
    data, replacement = path.read_bytes(), json.dumps(entry).replace('"', '\\"')
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size].decode()
    assert header.count(text) == 1
    header = header.replace(text, replacement).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    for command in (("simulate", path, "--pe", "mac-8b8b"), ("trace", "check", path)):
        message = refused(*command)
        assert "provenance" in message
        assert field in message


def test_reports_of_older_versions_are_read(small_trace):
    document = json.loads(sparqsim.simulate(small_trace, "mac-8b8b").to_json())
    del document["provenance"]["coverage"], document["pe"]["timing_note"]
    del document["macs_left_out_share"], document["cycles_per_input"]
    report = Report.from_json(json.dumps(document))
    assert (report.coverage, report.macs_left_out_share) == (Coverage(), None)


def test_an_older_report_beside_a_newer_one_does_not_hide_what_the_newer_says():
    trace = trace_with(partial_coverage(*LEFT_OUT_MACS).entry())
    both = sparqsim.compare(trace, ["mac-8b8b", "sparq-5opt"])
    document = json.loads(both.to_json())
    older = document["reports"]["mac-8b8b"]
    del older["provenance"]["coverage"], older["macs_left_out_share"], older["cycles_per_input"]
    assert Comparison.from_json(json.dumps(document)).coverage == both.coverage


# Where numbers stand ---------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_output_says_what_is_not_simulated(command, format_, run, partial_path):
    ended = run(command, partial_path, *COMMANDS[command], "--format", format_)
    assert ended.code == 0, ended.err
    words = " ".join(ended.out.split())
    assert "Whole network" not in words
    assert "attention0" in words
    assert "attention1" in words
    if format_ == "csv":
        for row in csv_rows(ended.out):
            assert float(row["macs_left_out_share"]) == SHARE
            assert row["inputs"] == "3"
            assert float(row["cycles_per_input"]) == int(row["cycles_total"]) / 3
    elif format_ == "json":
        document = json.loads(ended.out)
        one = next(iter(document["reports"].values())) if command == "compare" else document
        assert one["macs_left_out_share"] == SHARE
        assert (one.get("provenance") or one)["coverage"]["inputs"] == 3
    else:
        assert f"{100 * SHARE:.1f} % of the network's MACs not simulated" in words
        assert "3 inputs" in words


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("command", COMMANDS)
def test_cycles_of_queues_stand_with_their_note(command, format_, run, partial_path):
    ended = run(command, partial_path, *COMMANDS[command], "--format", format_)
    assert "without refilling the array" in " ".join(ended.out.split())
    if format_ == "csv":
        notes = {row["pe"]: row["timing_note"] for row in csv_rows(ended.out)}
        assert "without refilling" in notes.pop("smt-sa-2t")
        assert set(notes.values()) <= {""}
    other = run(command, partial_path, *COMMANDS[command], "--pe", "sparq-exact")
    assert "without refilling" not in " ".join(other.out.split())


def test_cycles_per_input_stand_below_and_beside_the_total(run, partial_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    report = sparqsim.simulate(sparqsim.load_trace(partial_path), "mac-8b8b")
    mean = report.cycles.total / 3
    shown = f"{mean:,.0f}" if mean == int(mean) else f"{mean:,.1f}"
    table = run("simulate", partial_path, "--pe", "mac-8b8b").out
    assert f"per input {shown} " in " ".join(table.split()) + " "
    compared = run("compare", partial_path, "--pe", "mac-8b8b").out
    assert f"mac-8b8b {report.cycles.total} {shown} " in " ".join(compared.split())


def test_one_input_needs_no_mean(run, tmp_path):
    path = tmp_path / "one.safetensors"
    trace_with(Coverage(inputs=1).entry()).save(path)
    out = " ".join(run("compare", path, "--pe", "mac-8b8b").out.split())
    assert "1 input " in out
    assert "1 inputs" not in out
    assert "per input" not in out
    assert "Whole network" in out


def test_trace_info_says_what_is_left_out(run, partial_path):
    out = " ".join(run("trace", "info", partial_path).out.split())
    assert "attention0: a product in one call; 100 MACs" in out
    assert "3 inputs" in out


def test_the_shipped_trace_is_of_eight_inputs(digits):
    traced = digits.arrays["traced_images"]
    assert Coverage.of(digits.metadata.provenance) == Coverage(inputs=len(traced))
    assert len(traced) == 8


def test_curves_keep_what_their_trace_says(run, partial_path, tmp_path):
    run("bandwidth", partial_path, *COMMANDS["bandwidth"], "-o", tmp_path / "b.json")
    curves = BandwidthCurves.load(tmp_path / "b.json")
    assert curves.coverage == partial_coverage(*LEFT_OUT_MACS)
    assert (curves.macs, curves.macs_left_out_share) == (SIMULATED_MACS, SHARE)
    older = json.loads((tmp_path / "b.json").read_text())
    for name in ("coverage", "macs", "macs_left_out_share", "timing_notes"):
        del older[name]
    assert BandwidthCurves.from_json(json.dumps(older)).macs_left_out_share is None


def test_accuracy_takes_what_the_trace_says_and_else_what_it_knows_itself():
    silent = sparqsim.compare(trace_with({}), ["mac-8b8b"])
    coverage = measured_coverage(silent, 2, ["attn"])
    assert coverage.inputs == 2
    assert [operation.name for operation in coverage.left_out] == ["attn"]
    stated = sparqsim.compare(trace_with(partial_coverage(7).entry()), ["mac-8b8b"])
    assert measured_coverage(stated, 2, ["attn"]) == partial_coverage(7)


def test_regress_names_what_total_cycles_are_of():
    from sparqsim.regress.differences import differences

    trace = trace_with(partial_coverage(*LEFT_OUT_MACS).entry())
    report = sparqsim.simulate(trace, "mac-8b8b")
    document = json.loads(report.to_json())
    for measured in (document["layers"][0], document["totals"]):
        measured["cycles"]["drain"] += 1
        measured["cycles"]["total"] += 1
        measured["bounds"]["gap_cycles"]["fill_drain"] += 1
    del document["totals"]["utilization"], document["cycles_per_input"]
    first, *_ = differences(report, Report.from_json(json.dumps(document)))
    assert "simulated part of the network, 3 inputs, " in first.message
    assert f"{100 * SHARE:.1f} % of the network's MACs not simulated: total" in first.message
