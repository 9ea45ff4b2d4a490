"""The heat map's numbers against a loop over every tile, PE and step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from bit_serial import BitSerial
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim.analysis.heatmap import by_residue, heatmap
from sparqsim.base.errors import InputError
from sparqsim.pe import get_pe

DESIGNS = ["mac-8b8b", "mac-4b8b", "mac-4b4b", "sparq-5opt", "sparq-exact"]


def tiles(along: int, side: int) -> Iterator[list[tuple[int, int]]]:
    """(place on the array, index) of the real items of each tile."""
    for start in range(0, along, side):
        yield [(at, start + at) for at in range(side) if start + at < along]


def stepped(layer, spec, array):
    """Visit every step of every PE, as the dataflow's definition lays them out."""
    pe, lowered = get_pe(spec), layer.lower()
    x, w = lowered.rows(), lowered.weights
    cycles, macs = (np.zeros((array.rows, array.cols), np.int64) for _ in range(2))
    steps = -(-lowered.k // pe.lanes)
    extents = {"m": lowered.m, "s": steps, "n": lowered.n}
    rows, cols, streamed = {"os": "mns", "ws": "snm", "is": "smn"}[array.dataflow]
    for group in range(lowered.groups):
        for row_tile in tiles(extents[rows], array.rows):
            for col_tile in tiles(extents[cols], array.cols):
                for i, along_rows in row_tile:
                    for j, along_cols in col_tile:
                        for item in range(extents[streamed]):
                            at = {rows: along_rows, cols: along_cols, streamed: item}
                            ks = range(at["s"] * pe.lanes, min((at["s"] + 1) * pe.lanes, lowered.k))
                            xs = [int(x[group, at["m"], k]) for k in ks]
                            ws = [int(w[group, k, at["n"]]) for k in ks]
                            padding = [0] * (pe.lanes - len(xs))
                            cycles[i, j] += pe.step(xs + padding, ws + padding).cycles
                            macs[i, j] += sum(
                                a != 0 and b != 0 for a, b in zip(xs, ws, strict=True)
                            )
    return cycles, macs


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    array = sparqsim.ArrayConfig(
        rows=draw(st.integers(1, 4)),
        cols=draw(st.integers(1, 4)),
        dataflow=draw(st.sampled_from(["os", "ws", "is"])),
        overlap=draw(st.booleans()),
    )
    groups, depth, channels = (
        draw(st.integers(1, 2)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
    )
    height, kernel = draw(st.integers(2, 4)), draw(st.integers(1, 2))
    shape = (1, height, 3, groups * depth)
    x = rng.integers(0, 256, shape, np.uint8) * (rng.random(shape) < 0.7)
    w = rng.integers(-3, 4, (groups * channels, kernel * kernel, depth), np.int8)
    layer = sparqsim.Layer.conv2d(
        "conv", x.astype(np.uint8), w, kernel=(kernel, kernel), groups=groups
    )
    return layer, draw(st.sampled_from(DESIGNS)), array


@settings(deadline=None, max_examples=60)
@given(cases())
def test_every_pe_equals_the_loop_over_its_steps(case):
    layer, spec, array = case
    trace = sparqsim.Trace([layer])
    report = sparqsim.simulate(trace, spec, array)
    found = heatmap(report, trace)
    cycles, macs = stepped(layer, spec, array)
    np.testing.assert_array_equal(found.step_cycles, cycles)
    np.testing.assert_array_equal(found.macs_nonzero, macs)
    assert found.cycles_total == report.cycles.total
    assert found.pe_lane_cycles == report.cycles.total * get_pe(spec).lanes


@pytest.fixture(scope="module")
def trace() -> sparqsim.Trace:
    rng = np.random.default_rng(0)

    def layer(name: str, m: int, k: int, n: int, keep_8bit: bool) -> sparqsim.Layer:
        x = rng.integers(0, 256, (m, k), np.uint8) * (rng.random((m, k)) < 0.5)
        w = rng.integers(-9, 9, (k, n), np.int8)
        return sparqsim.Layer.from_gemm(name, x.astype(np.uint8), w, keep_8bit=keep_8bit)

    return sparqsim.Trace(
        [
            layer("first", 9, 7, 5, True),
            layer("second", 20, 30, 6, False),
            layer("third", 8, 9, 17, False),
        ]
    )


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
def test_a_network_adds_up_its_layers_and_agrees_with_the_report(trace, dataflow):
    report = sparqsim.simulate(
        trace, "sparq-exact", sparqsim.ArrayConfig(rows=4, cols=3, dataflow=dataflow)
    )
    whole = heatmap(report, trace)
    layers = [heatmap(report, trace, name) for name in ("first", "second", "third")]
    for field in ("step_cycles", "macs_nonzero", "cycles_total", "pe_lane_cycles"):
        np.testing.assert_array_equal(
            getattr(whole, field), sum(getattr(each, field) for each in layers)
        )
    assert int(whole.macs_nonzero.sum()) == report.totals.counts.macs_nonzero
    assert whole.effective.mean() == pytest.approx(report.utilization.effective)
    assert (whole.step_cycles <= whole.cycles_total).all()


def test_busy_of_a_one_lane_design_is_the_reports_utilization(trace):
    report = sparqsim.simulate(trace, "mac-8b8b", sparqsim.ArrayConfig(rows=4, cols=4))
    assert heatmap(report, trace).in_flight.mean() == pytest.approx(report.utilization.array)


def test_rows_come_in_blocks_and_the_sums_do_not_change(trace, monkeypatch):
    report = sparqsim.simulate(trace, "sparq-exact", sparqsim.ArrayConfig(rows=4, cols=3))
    expected = heatmap(report, trace)
    monkeypatch.setattr("sparqsim.pe.arithmetic.BLOCK_ELEMENTS", 70)
    found = heatmap(report, trace)
    np.testing.assert_array_equal(found.step_cycles, expected.step_cycles)
    np.testing.assert_array_equal(found.macs_nonzero, expected.macs_nonzero)


def test_by_residue_starts_where_the_block_starts():
    values = np.arange(5).reshape(1, 5, 1)
    np.testing.assert_array_equal(by_residue(values, 3)[0, :, 0], [0 + 3, 1 + 4, 2])
    np.testing.assert_array_equal(by_residue(values, 3, start=2)[0, :, 0], [1 + 4, 2, 0 + 3])


def test_another_trace_is_refused(trace):
    report = sparqsim.simulate(trace, "mac-8b8b")
    other = sparqsim.Trace(trace.layers[:2])
    with pytest.raises(InputError, match="expected that trace"):
        heatmap(report, other)


def test_an_unknown_layer_is_refused_with_the_nearest(trace):
    with pytest.raises(InputError, match="did you mean third"):
        heatmap(sparqsim.simulate(trace, "mac-8b8b"), trace, "thirdd")


def test_a_report_of_other_values_is_refused(trace):
    report = sparqsim.simulate(trace, "mac-8b8b")
    first = report.layers[0]
    counts = first.counts.model_copy(update={"macs_nonzero": first.counts.macs_nonzero + 1})
    wrong = report.model_copy(
        update={"layers": (first.model_copy(update={"counts": counts}), *report.layers[1:])}
    )
    with pytest.raises(InputError, match=r"layer 'first': the trace gives \d+ MACs"):
        heatmap(wrong, trace)


@pytest.mark.parametrize("design", [BitSerial(), sparqsim.get_pe("smt-sa-2t")], ids=["pair", "own"])
def test_a_design_whose_steps_both_operands_or_queues_set_is_refused(trace, design):
    report = sparqsim.simulate(trace, design)
    with pytest.raises(InputError, match=f"{design.name}: no heat map"):
        heatmap(report, trace, known=[design])
