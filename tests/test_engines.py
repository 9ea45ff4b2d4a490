"""`engine="event"`: whole layers through the array of processes, with every design's plain-Python
`step`, give the

same report."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import get_dataflow
from sparqsim.array.timing import supported_dataflows
from sparqsim.base.errors import InputError
from sparqsim.cli import main
from sparqsim.pe.registry import designs
from sparqsim.trace import Layer, Trace

SHIPPED = Path(__file__).resolve().parents[1] / "workloads" / "digits_resnet.safetensors"
BIT_SERIAL = f"{Path(__file__).parent / 'bit_serial.py'}:BitSerial"
DESIGNS = (*designs(), BIT_SERIAL)
LARGEST_CASE = 600  # PE-steps: the processes and plain steps take some 100 microseconds for each
COUPLINGS = ("lockstep", "broadcast", "elastic:1", "elastic:2", "elastic:3", "elastic:4")


def without_engine(report, engine: str) -> str:
    text = report.to_json()
    assert f'"engine": "{engine}"' in text
    return text.replace(f'"engine": "{engine}"', "")


def supported(pe: str, array: ArrayConfig) -> ArrayConfig:
    """Return the array with its own dataflow, or the first one that the design takes."""
    dataflows = supported_dataflows(sparqsim.get_pe(pe))
    return array if array.dataflow in dataflows else replace(array, dataflow=dataflows[0])


def check_engines_agree(trace: Trace, pe: str, array: ArrayConfig) -> None:
    fast, event = (
        sparqsim.simulate(trace, pe, array, engine=engine) for engine in ("fast", "event")
    )
    assert without_engine(fast, "fast") == without_engine(event, "event")


def layer_of(rng, m: int, k: int, n: int, groups: int) -> Layer:
    """Return a layer of random operands; a grouped one is a 1x1 convolution."""
    x = np.where(
        rng.random((m, k * groups)) < 0.4, 0, rng.integers(0, 256, (m, k * groups))
    ).astype(np.uint8)
    w = rng.integers(-128, 128, (k, n * groups), np.int8)
    if groups == 1:
        return Layer.from_gemm("drawn", x, w)
    return Layer.conv2d(
        "drawn", x[None, None], np.ascontiguousarray(w.T)[:, None], kernel=(1, 1), groups=groups
    )


def sized(rng, pe: str, array: ArrayConfig, groups: int = 1) -> tuple[int, int, int]:
    """Return (M, K, N) of a layer, of whole and ragged tiles, that takes the processes few
    steps.
    """
    lanes, roles = sparqsim.get_pe(pe).lanes, get_dataflow(array.dataflow).roles
    room = max(1, LARGEST_CASE // (array.rows * array.cols * groups))
    tiles = [1, 1]
    tiles[rng.integers(2)] = int(rng.integers(1, min(3, room) + 1))
    stream = int(rng.integers(1, min(12, room // max(tiles)) + 1))
    rows, cols = (
        side * number - int(rng.integers(side))
        for side, number in zip((array.rows, array.cols), tiles, strict=True)
    )
    size = dict(zip(roles, (stream, rows, cols), strict=True))
    return size["m"], max(1, size["s"] * lanes - int(rng.integers(lanes))), size["n"]


settings_of_arrays = (
    st.integers(1, 8),
    st.integers(1, 8),
    st.sampled_from(["os", "ws", "is"]),
    st.sampled_from(COUPLINGS),
    st.booleans(),
)
seeds = st.integers(0, 2**32 - 1)


def check_random_operands(pe: str, settings_of_array: tuple, seed: int) -> None:
    rng, array, groups = (
        np.random.default_rng(seed),
        supported(pe, ArrayConfig(*settings_of_array)),
        1 + seed % 2,
    )
    check_engines_agree(Trace([layer_of(rng, *sized(rng, pe, array, groups), groups)]), pe, array)


@settings(max_examples=35, deadline=None)
@given(st.sampled_from(DESIGNS), st.tuples(*settings_of_arrays), seeds)
def test_event_engine_gives_the_same_report(pe, settings_of_array, seed):
    check_random_operands(pe, settings_of_array, seed)


@pytest.mark.slow
@settings(max_examples=700, deadline=None)
@given(st.sampled_from(DESIGNS), st.tuples(*settings_of_arrays), seeds)
def test_event_engine_gives_the_same_report_long_run(pe, settings_of_array, seed):
    check_random_operands(pe, settings_of_array, seed)


@cache
def shipped_layers() -> list[tuple[str, np.ndarray, np.ndarray]]:
    trace = sparqsim.load_trace(SHIPPED)
    lowered = [(layer.name, layer.lower()) for layer in trace.layers if not layer.keep_8bit]
    return [(name, layer.rows(0, 64)[0], layer.weights[0]) for name, layer in lowered]


def check_real_operands(pe: str, settings_of_array: tuple, seed: int) -> None:
    rng, array, layers = (
        np.random.default_rng(seed),
        supported(pe, ArrayConfig(*settings_of_array)),
        shipped_layers(),
    )
    name, x, w = layers[rng.integers(len(layers))]
    m, k, n = (min(*pair) for pair in zip(sized(rng, pe, array), (len(x), *w.shape), strict=True))
    ends = (len(x) - m, len(w) - k, w.shape[1] - n)
    row, depth, col = (int(rng.integers(0, end + 1)) for end in ends)
    cut = Layer.from_gemm(
        name, x[row : row + m, depth : depth + k], w[depth : depth + k, col : col + n]
    )
    check_engines_agree(Trace([cut]), pe, array)


#: All designs, those whose cycles depend on values more often.
WEIGHTED = (*DESIGNS, *["sparq-exact", BIT_SERIAL] * (len(DESIGNS) // 4))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(WEIGHTED), st.tuples(*settings_of_arrays), seeds)
def test_event_engine_gives_the_same_report_on_real_operands(pe, settings_of_array, seed):
    check_real_operands(pe, settings_of_array, seed)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.sampled_from(WEIGHTED), st.tuples(*settings_of_arrays), seeds)
def test_event_engine_gives_the_same_report_on_real_operands_long_run(pe, settings_of_array, seed):
    check_real_operands(pe, settings_of_array, seed)


@pytest.mark.slow
def test_every_design_in_every_setting():
    rng = np.random.default_rng(0)
    for pe, dataflow, coupling, overlap in itertools.product(
        DESIGNS, ("os", "ws", "is"), COUPLINGS, (False, True)
    ):
        trace = Trace([layer_of(rng, 7, 9, 5, 1)])
        check_engines_agree(
            trace, pe, supported(pe, ArrayConfig(3, 2, dataflow, coupling, overlap))
        )


def test_signed_activations():
    rng = np.random.default_rng(2)
    x, w = rng.integers(-128, 128, (5, 7), np.int8), rng.integers(-128, 128, (7, 3), np.int8)
    for pe in ("mac-8b8b", "mac-4b8b", "mac-4b4b", BIT_SERIAL):
        check_engines_agree(Trace([Layer.from_gemm("signed", x, w)]), pe, ArrayConfig(2, 2))


def test_costs_of_pairs_slow_a_design_down():
    """The design used above does depend on both operands: zero weights make it fast, zero
    activations too.
    """
    x, w = np.full((4, 6), 255, np.uint8), np.full((6, 4), 127, np.int8)
    array, totals = ArrayConfig(2, 2), []
    for zero_x, zero_w in ((False, False), (False, True), (True, False)):
        layer = Layer.from_gemm("pairs", x * (not zero_x), w * (not zero_w))
        totals.append(sparqsim.simulate(Trace([layer]), BIT_SERIAL, array).cycles)
    assert totals[0].pe_stall > 0
    assert totals[1].pe_stall == totals[2].pe_stall == 0


def test_layers_too_large_are_refused_before_any_work(capsys):
    x, w = np.zeros((400, 300), np.uint8), np.zeros((300, 40), np.int8)
    trace = Trace([Layer.from_gemm("small", x[:2], w[:, :4]), Layer.from_gemm("large", x, w)])
    with pytest.raises(InputError, match=r"layer 'large': .* PE-steps .*16x16.* at most 200,000"):
        sparqsim.simulate(
            trace, "mac-8b8b", engine="event", progress=lambda _: pytest.fail("work was begun")
        )
    with pytest.raises(SystemExit) as stopped:
        main(["simulate", str(SHIPPED), "--pe", "mac-8b8b", "--engine", "event"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "200,000" in error


def test_an_unknown_engine_is_refused():
    trace = Trace([Layer.from_gemm("one", np.ones((1, 1), np.uint8), np.ones((1, 1), np.int8))])
    with pytest.raises(
        InputError, match=r"engine='evnt': expected one of fast, event \(did you mean event\?\)"
    ):
        sparqsim.compare(trace, ["mac-8b8b"], engine="evnt")


def test_command_line_takes_the_engine(tmp_path, capsys):
    path, outputs = (
        tmp_path / "small.safetensors",
        [tmp_path / "fast.json", tmp_path / "event.json"],
    )
    rng = np.random.default_rng(4)
    Trace([layer_of(rng, 6, 8, 5, 1)]).save(path)
    for engine, output in zip(("fast", "event"), outputs, strict=True):
        with pytest.raises(SystemExit) as stopped:
            main(
                [
                    "compare",
                    str(path),
                    "--array",
                    "4x4",
                    "--coupling",
                    "elastic",
                    "--engine",
                    engine,
                    "-o",
                    str(output),
                ]
            )
        assert stopped.value.code == 0
    fast, event = (output.read_text() for output in outputs)
    assert fast != event
    assert fast == event.replace('"engine": "event"', '"engine": "fast"')
    assert capsys.readouterr().err == ""
