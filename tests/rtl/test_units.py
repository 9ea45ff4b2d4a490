"""The trim unit for all pairs of activations, and every dot unit, against the designs' plain
definitions.
"""

from __future__ import annotations

import numpy as np
import pytest

from sparqsim.pe import PEDesign, get_pe
from sparqsim.pe.registry import designs
from sparqsim.pe.sparq import Sparq
from sparqsim.pe.sparq_exact import TRIMMED
from sparqsim.pe.sparq_parts import PairControl, multiply_shift_add, split
from sparqsim.rtl.designs import circuit_of
from sparqsim.rtl.runner import simulate
from sparqsim.rtl.stimulus import pair_lines

ALL_PAIRS = np.stack(np.divmod(np.arange(65_536), 256)[::-1], axis=1).astype(np.uint8)
SPARQ = [
    f"{name}:rounding={rounding}"
    for name, design in designs().items()
    if issubclass(design, Sparq)
    for rounding in ("nearest-even", "trim")
]


def rtl_pairs(design: PEDesign, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return what the edge unit sends, whether the step takes two cycles, both cycles' values:
    (steps, 4).
    """
    circuit = circuit_of(design, signed=x.dtype == np.int8)
    return simulate("testbench_pair", circuit.parameters, pair_lines(design, circuit, x, w), 4)


def row_word(control: PairControl, bits: int, stride: int, code_bits: int) -> int:
    """Return a trim unit's answer as it is wired: {mux, code2, code1, q2, q1}."""
    codes = control.shift1 // stride | control.shift2 // stride << code_bits
    return (
        control.q1
        | control.q2 << bits
        | codes << 2 * bits
        | int(control.lone) << 2 * (bits + code_bits)
    )


def random_weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    w = rng.integers(-128, 128, shape).astype(np.int8)
    w.ravel()[:4] = -128, 127, 0, -128
    return w


@pytest.mark.sampled(6)
@pytest.mark.parametrize("spec", SPARQ)
def test_trim_unit_and_dot_unit_on_every_pair(spec, rng, compared):
    agrees_on_pairs(get_pe(spec), ALL_PAIRS, rng)
    compared(len(ALL_PAIRS), "pairs")


@pytest.mark.sampled(6)
@pytest.mark.parametrize("spec", [f"{spec},pairing=off" for spec in SPARQ])
def test_trim_unit_without_pairing(spec, rng, compared):
    """The windows and the rounding are those of every pair above: here it is the switch that is
    tested.
    """
    pairs = np.concatenate([pairs_with_zero(), rng.choice(ALL_PAIRS, 8_192)])
    agrees_on_pairs(get_pe(spec), pairs, rng)
    compared(len(pairs), "pairs")


def agrees_on_pairs(design: Sparq, pairs: np.ndarray, rng: np.random.Generator) -> None:
    circuit, w = circuit_of(design), random_weights(rng, pairs.shape)
    shown = rtl_pairs(design, pairs, w)
    controls = [design.trim_unit(x1, x2) for x1, x2 in pairs.tolist()]
    words = [row_word(control, circuit.bits, circuit.stride, circuit.code) for control in controls]
    assert shown[:, 0].tolist() == words
    assert not shown[:, 1].any()
    values = [
        multiply_shift_add(control, *pair).value
        for control, pair in zip(controls, w.tolist(), strict=True)
    ]
    assert shown[:, 2].tolist() == values


def test_exact_unit(rng, compared):
    """Pairs with a zero, and one in eight of the others."""
    pairs = np.concatenate([pairs_with_zero(), rng.choice(ALL_PAIRS, 8_192)])
    agrees_exactly(pairs, rng)
    compared(len(pairs), "pairs")


@pytest.mark.slow
def test_exact_unit_on_every_pair(rng, compared):
    agrees_exactly(ALL_PAIRS, rng)
    compared(len(ALL_PAIRS), "pairs")


def pairs_with_zero() -> np.ndarray:
    return ALL_PAIRS[(ALL_PAIRS == 0).any(1)]


def agrees_exactly(pairs: np.ndarray, rng: np.random.Generator) -> None:
    design = get_pe("sparq-exact")
    w = random_weights(rng, pairs.shape)
    shown = rtl_pairs(design, pairs, w)
    steps = [design.step(x, y) for x, y in zip(pairs.tolist(), w.tolist(), strict=True)]
    assert (shown[:, 1] + 1).tolist() == [step.cycles for step in steps]
    two = shown[:, 1] == 1
    assert np.where(two, shown[:, 2] + shown[:, 3], shown[:, 2]).tolist() == [
        step.value for step in steps
    ]
    first_half = [
        split(x1, 0, 0, 4) if slow else TRIMMED.trim_unit(x1, x2)
        for (x1, x2), slow in zip(pairs.tolist(), two, strict=True)
    ]
    assert (shown[:, 0] & 0x7FFF).tolist() == [row_word(control, 4, 1, 3) for control in first_half]
    assert (shown[two, 2] == pairs[two, 0].astype(int) * w[two, 0]).all()


def test_every_product_of_the_conventional_pe(compared):
    x, w = ALL_PAIRS[:, :1], ALL_PAIRS[:, 1:].view(np.int8)
    shown = rtl_pairs(get_pe("mac-8b8b"), x, w)
    assert shown[:, 2].tolist() == (x.astype(int) * w)[:, 0].tolist()
    signed = rtl_pairs(get_pe("mac-8b8b"), x.view(np.int8), w)
    assert signed[:, 2].tolist() == (x.view(np.int8).astype(int) * w)[:, 0].tolist()
    compared(len(ALL_PAIRS), "pairs")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "spec",
    ["mac-2x8b8b", "mac-4b8b", "mac-4b8b:rounding=trim", "mac-4b4b", "mac-4b4b:rounding=trim"],
)
def test_dot_unit_of_conventional_pes(spec, signed, rng, compared):
    design = get_pe(spec)
    x = random_weights(rng, (2_000, design.lanes))
    x, w = x if signed else x.view(np.uint8), random_weights(rng, x.shape)
    shown = rtl_pairs(design, x, w)
    pairs = zip(x.tolist(), w.tolist(), strict=True)
    assert shown[:, 2].tolist() == [design.step(a, b, signed).value for a, b in pairs]
    compared(len(x), "pairs")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("rounding", ["nearest-even", "trim"])
def test_dot_unit_of_two_threads(rounding, rng, compared):
    if "sysmt-2t" not in designs():
        pytest.skip("this package has no design sysmt-2t")
    design = get_pe(f"sysmt-2t:rounding={rounding}")
    x, w = ALL_PAIRS, random_weights(rng, ALL_PAIRS.shape)
    w[rng.random(w.shape) < 0.2] = 0
    w[rng.random(w.shape) < 0.3] >>= 4
    shown = rtl_pairs(design, x, w)
    assert shown[:, 2].tolist() == [
        design.step(a, b).value for a, b in zip(x.tolist(), w.tolist(), strict=True)
    ]
    compared(len(x), "pairs")
