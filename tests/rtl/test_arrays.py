"""Every array in lockstep: each PE's sum in every cycle, the drained results and when each
leaves.
"""

from __future__ import annotations

import numpy as np
import pytest

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.pe import PEDesign, get_pe
from sparqsim.pe.registry import designs
from sparqsim.rtl.check import MismatchError, check_gemm, compare, rtl_activity, simulated_activity
from sparqsim.rtl.tiles import cut

SPECS = [
    "mac-8b8b",
    "mac-2x8b8b",
    "mac-4b8b",
    "mac-4b4b",
    "sparq-5opt",
    "sparq-3opt",
    "sparq-2opt",
    "sparq-6opt",
    "sparq-7opt",
    "sparq-exact",
    "mac-8b8b:stages=2",
    "mac-4b4b:stages=2",
    "sparq-5opt:stages=2",
    "sparq-6opt:stages=2",
    *[name for name in ("sysmt-2t",) if name in designs()],
]
FLOWS = pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
OVERLAP = pytest.mark.parametrize("overlap", [False, True], ids=["in-turn", "overlapped"])
SPEC = pytest.mark.parametrize("spec", SPECS)

#: Steps streamed in all, by design or kind of design. Most comparisons are made where the simulator
#: is fastest: by the plain MAC, whose array is everybody's.
LONG = {"mac-8b8b": 4_000, "mac": 800, "sparq": 300, "sysmt": 300, "sparq-exact": 200}


@pytest.mark.sampled(4)
@SPEC
@FLOWS
@OVERLAP
def test_random_shapes(spec, dataflow, overlap, rng, agree):
    """Arrays from 1x1 to 8x8, ragged tiles, odd K."""
    design = get_pe(spec)
    rows, cols = (int(side) for side in rng.integers(1, 9, 2))
    array = ArrayConfig(rows, cols, dataflow=dataflow, overlap=overlap)
    for _ in range(3):
        m, k, n = (int(size) for size in rng.integers(1, 22, 3))
        agree(design, array, (m, k, n))


@pytest.mark.parametrize("spec", ["sparq-exact"])
@FLOWS
@OVERLAP
def test_random_shapes_where_steps_stall_the_array(spec, dataflow, overlap, rng, agree):
    """Some steps take two cycles, of which the whole array waits for the second."""
    rows, cols = (int(side) for side in rng.integers(2, 5, 2))
    shape = rows + 1, 9, cols + 1
    agree(get_pe(spec), ArrayConfig(rows, cols, dataflow=dataflow, overlap=overlap), shape)


@OVERLAP
def test_sums_beyond_24_bits(overlap):
    """300 products of 255 and 127, or -128, pass 2^23 either way."""
    x = np.full((2, 300), 255, np.uint8)
    w = np.stack([np.full(300, 127), np.full(300, -128)], axis=1).astype(np.int8)
    exact = x.astype(np.int64) @ w.astype(np.int64)
    assert exact.max() > 2**23
    assert exact.min() < -(2**23)
    check_gemm(get_pe("mac-8b8b"), ArrayConfig(2, 2, overlap=overlap), x, w)


@pytest.mark.parametrize("dataflow", ["ws", "is"])
def test_sums_beyond_24_bits_move_down_a_long_column(dataflow):
    """Four products of 240 and -128 a step, 80 rows."""
    design = get_pe("mac-4b4b")
    x, w = np.full((1, 320), 255, np.uint8), np.full((320, 1), -128, np.int8)
    assert design.matmul(x, w)[0, 0] < -(2**23)
    check_gemm(design, ArrayConfig(80, 1, dataflow=dataflow), x, w)


@pytest.mark.sampled(14)
@SPEC
@FLOWS
@OVERLAP
def test_long_streams_on_8x8(spec, dataflow, overlap, agree, sized):
    """Two tiles, one ragged, of long streams: most of the comparisons."""
    design = get_pe(spec)
    stream = LONG.get(spec) or LONG[spec.partition("-")[0]]
    shape = sized(dataflow, stream // 2, 15, 8, design)
    agree(design, ArrayConfig(8, 8, dataflow=dataflow, overlap=overlap), shape)


@pytest.mark.sampled(8)
@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (2, 1, 3), (1, 2, 1), (3, 3, 5), (17, 1, 1), (1, 1, 17), (4, 16, 4), (5, 17, 3)],
    ids=str,
)
@pytest.mark.parametrize("sides", [(1, 1), (1, 4), (4, 1), (4, 4)], ids=str)
@pytest.mark.parametrize("spec", ["mac-4b4b", "sparq-5opt", "sparq-exact", "sparq-5opt:stages=2"])
def test_smallest_and_ragged(spec, sides, shape, agree):
    for dataflow in ("os", "ws", "is"):
        for overlap in (False, True):
            agree(get_pe(spec), ArrayConfig(*sides, dataflow=dataflow, overlap=overlap), shape)


@pytest.mark.parametrize(("spec", "dataflow"), [("sparq-5opt", "os"), ("mac-8b8b", "ws")])
def test_16x16(spec, dataflow, agree, sized):
    design = get_pe(spec)
    agree(design, ArrayConfig(16, 16, dataflow=dataflow), sized(dataflow, 120, 16, 16, design))


@pytest.mark.parametrize(
    "spec", ["mac-8b8b", "mac-4b8b", "mac-4b4b:rounding=trim", "mac-2x8b8b:stages=2"]
)
@FLOWS
def test_signed_activations(spec, dataflow, agree):
    agree(get_pe(spec), ArrayConfig(3, 4, dataflow=dataflow), (7, 13, 6), signed=True)


@pytest.mark.parametrize(
    "spec", ["sparq-5opt:rounding=trim", "sparq-2opt:pairing=off", "mac-4b8b:rounding=trim"]
)
@FLOWS
def test_keys_of_designs(spec, dataflow, agree):
    agree(get_pe(spec), ArrayConfig(4, 3, dataflow=dataflow), (9, 21, 7))


def test_a_difference_is_told(rng):
    """One wrong number in what the simulator says must not pass."""
    design, array = get_pe("sparq-5opt"), ArrayConfig(2, 3)
    x, w = (
        rng.integers(1, 256, (2, 6)).astype(np.uint8),
        rng.integers(1, 128, (6, 3)).astype(np.int8),
    )
    tiles = cut(design, array, x, w)
    simulated, plan = simulated_activity(design, array, tiles)
    shown = rtl_activity(design, array, tiles, plan, cycles=len(simulated.advance) + 3)
    compare(simulated, shown, "here")
    for part in ("advance", "starts", "psums", "leaving", "outputs"):
        values = getattr(simulated, part)
        kept = values[3:4].copy()
        values[3:4] = ~kept if kept.dtype == bool else kept + 1
        with pytest.raises(
            MismatchError, match=f"here: {part} differ first at \\(cycle, PE\\) \\(3,"
        ):
            compare(simulated, shown, "here")
        values[3:4] = kept


def test_designs_without_rtl_are_refused():
    other = type("Other", (PEDesign,), {"name": "other", "lanes": 1, "step": None})()
    with pytest.raises(InputError, match="has no RTL"):
        check_gemm(other, ArrayConfig(2, 2), np.ones((2, 2), np.uint8), np.ones((2, 2), np.int8))
    with pytest.raises(InputError, match="unsigned"):
        check_gemm(
            get_pe("sparq-5opt"),
            ArrayConfig(2, 2),
            np.ones((2, 2), np.int8),
            np.ones((2, 2), np.int8),
        )
