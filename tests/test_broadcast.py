"""Arrays that broadcast operands: closed forms and sums of slowest steps, restated here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Work
from sparqsim.array.registry import get_dataflow
from sparqsim.base.errors import InputError
from sparqsim.cli import main
from sparqsim.trace import Layer, Trace

ARRAYS = st.builds(
    ArrayConfig,
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from(["os", "ws", "is"]),
    st.just("broadcast"),
    st.booleans(),
)


def stream_and_tiles(array: ArrayConfig, m: int, steps: int, n: int) -> tuple[int, int]:
    streamed, down, across = {"os": (steps, m, n), "ws": (m, steps, n), "is": (n, steps, m)}[
        array.dataflow
    ]
    return streamed, -(-down // array.rows) * -(-across // array.cols)


@given(ARRAYS, *[st.integers(1, 40)] * 3, st.integers(0, 1))
def test_steps_of_one_cycle_follow_the_closed_form_without_skew(array, m, steps, n, e):
    timing = get_dataflow(array.dataflow).timing(Work(m, steps, n, 1, e), array)
    stream, tiles = stream_and_tiles(array, m, steps, n)
    rows = array.rows
    if array.overlap:
        total = (tiles - 1) * max(stream, rows) + stream + e + rows
        fill, exposed = e, rows + (tiles - 1) * (max(stream, rows) - stream)
    else:
        total = tiles * (stream + e + rows)
        fill, exposed = tiles * e, tiles * rows
    assert timing.total == total
    assert timing.compute == tiles * stream
    assert timing.pe_stall == 0
    drains = array.dataflow == "os"
    assert (timing.fill, timing.drain) == ((fill, exposed) if drains else (fill + exposed, 0))


@settings(deadline=None)
@given(ARRAYS, *[st.integers(1, 20)] * 3, st.integers(0, 2**32 - 1))
def test_a_step_takes_as_long_as_the_slowest_pe_of_the_tile(array, m, steps, n, seed):
    """The costs of all operands, one where there are none; the order of axes is (M, S, N)."""
    costs = np.random.default_rng(seed).integers(1, 60, (m, steps, n)).astype(np.uint8)

    def of_pairs(group, rows, of_steps, cols):
        part = costs[rows, of_steps, cols]
        shape = [each.stop - each.start for each in (rows, of_steps, cols)]
        missing = [(0, size - there) for size, there in zip(shape, part.shape, strict=True)]
        return np.pad(part, missing, constant_values=1)

    roles = get_dataflow(array.dataflow).roles
    by_role = costs.transpose(["msn".index(role) for role in roles])
    tiles = [
        by_role[:, row : row + array.rows, col : col + array.cols]
        for col in range(0, by_role.shape[2], array.cols)
        for row in range(0, by_role.shape[1], array.rows)
    ]
    streamed = sum(int(tile.max(axis=(1, 2)).sum()) for tile in tiles)
    timing = get_dataflow(array.dataflow).timing(Work(m, steps, n), array, of_pairs)
    assert timing.compute + timing.pe_stall == streamed
    unit = get_dataflow(array.dataflow).timing(Work(m, steps, n), array)
    assert timing.total - timing.pe_stall == unit.total


def trace_of(m: int, k: int, n: int) -> Trace:
    rng = np.random.default_rng(m)
    x = (rng.integers(0, 256, (m, k)) * (rng.random((m, k)) < 0.6)).astype(np.uint8)
    return Trace([Layer.from_gemm("drawn", x, rng.integers(-128, 128, (k, n)).astype(np.int8))])


def test_equal_area_is_refused():
    with pytest.raises(InputError, match=r"no equal area, .* no RTL that broadcasts; expected"):
        sparqsim.compare(trace_of(2, 4, 2), ["sparq-5opt"], coupling="broadcast", iso="area")


def test_rtl_is_refused(tmp_path, capsys):
    trace = tmp_path / "t.safetensors"
    trace_of(2, 4, 2).save(trace)
    words = ["rtl", "simulate", str(trace), "--layer", "drawn", "--pe", "sparq-5opt"]
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--coupling", "broadcast", "-o", str(tmp_path / "t.vcd")])
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert "there is no RTL of an array that broadcasts operands" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("coupling", ["broadcast:2", "Broadcast", "cast"])
def test_other_spellings_are_refused(coupling):
    with pytest.raises(InputError, match="expected 'lockstep', 'broadcast' or 'elastic:D'"):
        ArrayConfig(coupling=coupling)
