"""Bit-scalable designs in RTL: every sum in every cycle of steps of many cycles, at the bits of a
layer.

Most runs are small; all dataflows, couplings and signs of every design are `slow`.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.pe import get_pe
from sparqsim.pe.stripes import Stripes
from sparqsim.rtl.check import check_gemm
from sparqsim.rtl.designs import circuit_of, family_of
from sparqsim.rtl.trials import run_tile
from sparqsim.trace import Layer

SPECS = [
    "stripes:lanes=4",
    "stripes:lanes=3,precision=dynamic",
    "loom:lanes=3",
    "pragmatic:lanes=4",
    "pragmatic:lanes=3,digits=naf,stage=1",
    "bitfusion",
    "swis",
    "swis:group=3,shifts=5,per_cycle=2",
]
SPEC = pytest.mark.parametrize("spec", SPECS)


def operands(rng, shape, signed, bits=(8, 8)):
    """Return X (M, K) with zeros and small values among others, and W (K, N), of these bits."""
    (m, k, n), (a, b) = shape, bits
    low, high = (-(1 << a - 1), 1 << a - 1) if signed else (0, 1 << a)
    x = rng.integers(low, high, (m, k)).astype(np.int8 if signed else np.uint8)
    x[rng.random(x.shape) < 0.3] = 0
    x[rng.random(x.shape) < 0.2] >>= 3
    return x, rng.integers(-(1 << b - 1), 1 << b - 1, (k, n)).astype(np.int8)


@pytest.fixture
def agrees(rng, compared):
    """Run random operands of some bits in RTL and in the simulator, and count what was compared."""

    def check(design, array, shape, signed, bits=(8, 8)):
        x, w = operands(rng, shape, signed, bits)
        checked = check_gemm(design, array, x, w, activation_bits=bits[0], weight_bits=bits[1])
        compared(checked.comparisons)

    return check


def sized(design, array, signed):
    """Return (M, K, N) of several tiles, ragged.

    Not for a design whose precision is dynamic, on signed layers: a PE that only pads gets zeros
    here, which take it two cycles, and the simulator gives it one.
    """
    whole = signed and getattr(design, "precision", "layer") == "dynamic"
    ragged = (array.rows + 1, (array.rows + 1) * design.lanes - 1, array.cols + 1)
    both = array.rows * array.cols
    return (both, both * design.lanes, both) if whole else ragged


@pytest.mark.sampled(2)
@SPEC
@pytest.mark.parametrize(
    ("dataflow", "coupling", "overlap", "signed"),
    [
        ("os", "lockstep", True, False),
        # A column whose lowest PE only pads is done before those above it.
        ("os", "elastic:1", False, False),
        ("ws", "elastic:2", True, True),
        ("is", "lockstep", False, True),
    ],
    ids=str,
)
def test_ragged_tiles(spec, dataflow, coupling, overlap, signed, agrees):
    design = get_pe(spec)
    array = ArrayConfig(2, 3, dataflow, coupling=coupling, overlap=overlap)
    agrees(design, array, sized(design, array, signed), signed)


@pytest.mark.slow
@SPEC
@pytest.mark.parametrize(
    ("dataflow", "coupling", "overlap", "signed"),
    [
        *product(
            ("os", "ws", "is"), ("lockstep", "elastic:1", "elastic:3"), (False, True), (False, True)
        )
    ],
    ids=str,
)
def test_every_array(spec, dataflow, coupling, overlap, signed, agrees):
    design = get_pe(spec)
    array = ArrayConfig(3, 4, dataflow, coupling=coupling, overlap=overlap)
    agrees(design, array, sized(design, array, signed), signed)


@pytest.mark.slow
@pytest.mark.parametrize("stage", "0123")
@pytest.mark.parametrize("digits", ["binary", "naf"])
@pytest.mark.parametrize("signed", [False, True])
def test_every_digit_form_and_shifter(digits, stage, signed, agrees):
    design = get_pe(f"pragmatic:lanes=5,digits={digits},stage={stage}")
    agrees(design, ArrayConfig(3, 2), (6, 64, 3), signed)


@pytest.mark.parametrize(
    ("spec", "bits", "signed"),
    [
        ("stripes:lanes=3", (5, 8), False),
        ("stripes:lanes=3", (1, 8), True),
        ("stripes:lanes=3,precision=dynamic", (4, 8), True),
        ("loom:lanes=3", (3, 5), True),
        ("loom:lanes=3", (1, 1), False),
        ("bitfusion", (8, 2), False),
        ("bitfusion", (2, 4), True),
        ("bitfusion", (4, 8), True),
        ("bitfusion", (2, 2), False),
    ],
    ids=str,
)
def test_bits_of_a_layer(spec, bits, signed, agrees):
    agrees(get_pe(spec), ArrayConfig(2, 2, "ws"), (5, 48, 3), signed, bits)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [*product(range(1, 9), repeat=2)], ids=str)
@pytest.mark.parametrize("spec", ["stripes:lanes=3,precision=dynamic", "loom:lanes=3", "bitfusion"])
def test_all_bits_of_a_layer(spec, bits, agrees):
    for signed in (False, True):
        agrees(get_pe(spec), ArrayConfig(1, 2), (3, 50, 2), signed, bits)


@pytest.mark.parametrize(
    "spec",
    [
        "stripes:lanes=64",
        "loom:lanes=64",
        "pragmatic:lanes=64,digits=naf,stage=3",
        "swis:group=64,shifts=8,per_cycle=8",
    ],
)
def test_the_largest_values_of_64_lanes(spec):
    """What one cycle adds passes 2^20 either way."""
    x = np.full((1, 128), 255, np.uint8)
    w = np.stack([np.full(128, 127), np.full(128, -128)], axis=1).astype(np.int8)
    check_gemm(get_pe(spec), ArrayConfig(1, 2), x, w)


def test_a_tile_of_a_layer_has_the_bits_of_its_design(rng, tmp_path):
    x, w = operands(rng, (3, 9, 4), signed=True)
    layer = Layer.from_gemm("layer", x, w)
    run = run_tile(layer, get_pe("stripes:lanes=3"), ArrayConfig(2, 2), tmp_path / "wave.vcd", 3)
    assert (run.tiles, run.cycles) == (4, 8 * (3 + 2) + 2)
    assert "$enddefinitions" in (tmp_path / "wave.vcd").read_text()


@pytest.mark.no_simulator
def test_a_design_that_derives_from_one_with_a_circuit_has_its_circuit():
    own = type("Own", (Stripes,), {"name": "own-stripes"})()
    assert family_of(own) is family_of(get_pe("stripes"))
    assert circuit_of(own) == circuit_of(get_pe("stripes"))


@pytest.mark.no_simulator
@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("laconic", "has no RTL (a step's cycles follow pairs of digits"),
        ("serial-w", "has no RTL (it is stripes with its operands exchanged); expected one of bit"),
        ("swis:shifts=target:3.25", "(the circuit has one number of shifts); expected shifts=1..8"),
    ],
)
def test_designs_without_a_circuit_say_why(spec, told):
    with pytest.raises(InputError) as refused:
        circuit_of(get_pe(spec))
    assert told in str(refused.value)
