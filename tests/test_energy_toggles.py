"""What toggles in an array of PEs: joint counts of rows and columns against every PE stepped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import sparqsim
from sparqsim.cost.joint import ToggleCounter
from sparqsim.cost.paths.base import LANE_BITS, PORT_BITS
from sparqsim.cost.paths.registry import path_of
from sparqsim.cost.toggles import Toggles, defined_toggles
from sparqsim.pe.base import LayerFacts, PEDesign

#: Examples of a test that every design takes: there are enough of these.
FEW = settings(max_examples=settings.default.max_examples // 3)
NAMES = (
    "mac-8b8b",
    "mac-2x8b8b",
    "mac-4b8b",
    "mac-4b4b",
    "mac-4b4b:rounding=trim",
    "sparq-5opt",
    "sparq-3opt",
    "sparq-2opt",
    "sparq-6opt",
    "sparq-7opt",
    "sparq-5opt:pairing=off",
    "sparq-5opt:rounding=trim",
    "sparq-exact",
)
KEPT = ("mac-4b8b", "mac-4b4b", "sparq-5opt", "sparq-6opt", "sparq-7opt")


def _bound(name: str) -> PEDesign:
    return sparqsim.get_pe(name).for_layer(LayerFacts(k=8))


def _passes() -> list[PEDesign]:
    facts = LayerFacts(k=8)
    modes = [sparqsim.get_pe(name).kept_8bit(facts) for name in KEPT]
    return [each for mode in modes if mode is not None for each in mode.passes]


DESIGNS = [*map(_bound, NAMES), *_passes()]


def _path(design: PEDesign):
    path = path_of(design)
    assert path is not None
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("design", DESIGNS, ids=repr)
def test_tables_are_the_definition(design: PEDesign, dtype: type) -> None:
    path = _path(design)
    tables = path.tables(design)
    drawn = np.random.default_rng(0).integers(0, 256, (1000, design.lanes), np.uint8)
    small = np.random.default_rng(1).integers(0, 3, (200, design.lanes), np.uint8)
    for xs in [*drawn.view(dtype).tolist(), *small.tolist()]:
        (code,) = path.codes(design, np.array(xs, dtype))
        cycles = path.cycles(design, xs, signed=dtype is np.int8)
        assert bool(tables.two[code]) == (len(cycles) == 2)
        ends = (
            (cycles[0], tables.first, tables.first_lanes),
            (cycles[-1], tables.last, tables.last_lanes),
        )
        for cycle, ports, lanes in ends:
            assert cycle.word == tables.word[code]
            assert len(cycle.ports) == tables.multipliers
            for at, port in enumerate(cycle.ports):
                assert port.activation == int(ports[code]) >> at * PORT_BITS & 255
                assert port.lane == int(lanes[code]) >> at * LANE_BITS & 3


@pytest.mark.parametrize("design", DESIGNS, ids=repr)
def test_zeros_have_code_zero_and_toggle_nothing(design: PEDesign) -> None:
    path = _path(design)
    assert not path.codes(design, np.zeros((2, design.lanes * 3), np.uint8)).any()
    x, w = np.zeros((3, 12), np.uint8), np.zeros((12, 2), np.int8)
    assert defined_toggles(path, design, x, w, 2, 4) == Toggles()


@st.composite
def operands(draw: st.DrawFn) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    m, k, n = (draw(st.integers(1, most)) for most in (4, 9, 3))
    seed, zeros = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0.0, 0.5, 0.9]))
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (m, k)) * (random.random((m, k)) >= zeros)
    w = random.integers(-128, 128, (k, n)) * (random.random((k, n)) >= zeros / 2)
    signed = draw(st.booleans())
    return x.astype(np.uint8).view(np.int8 if signed else np.uint8), w.astype(np.int8)


@pytest.mark.parametrize("design", DESIGNS, ids=repr)
@FEW
@given(operands(), st.integers(1, 3), st.integers(1, 3))
def test_joint_counts_are_those_of_every_pe(
    design: PEDesign,
    drawn: tuple[NDArray[np.uint8], NDArray[np.int8]],
    rows: int,
    cols: int,
) -> None:
    x, w = drawn
    counter = ToggleCounter(_path(design), design, w[None])
    for at in range(0, len(x), 2):
        counter.add(np.ascontiguousarray(x[None, at : at + 2]))
    assert counter.toggles(rows, cols) == defined_toggles(_path(design), design, x, w, rows, cols)
