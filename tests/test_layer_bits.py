"""Bits of a layer, through every design: cycles and values against models written out here."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from sparqsim.pe import LayerFacts, get_pe


def code_range(bits: int, *, signed: bool) -> range:
    """Return all codes of some bits."""
    return range(-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else range(2**bits)


def hand_nibble(code: int, bits: int, *, signed: bool, trim: bool) -> int:
    """Return what a conventional 4-bit array keeps of a code: its top four bits, as text.

    The nibble's unit is the bit below which `bits - 4` bits are lost.
    """
    lost = max(0, bits - 4)
    exact = Fraction(code, 2**lost)
    nibble = exact.__floor__() if trim else round(exact)
    ends = (-8, 7) if signed else (0, 15)
    return min(max(nibble, ends[0]), ends[1]) * 2**lost


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", range(1, 9))
def test_narrow_macs_keep_the_top_bits_of_the_layer(bits, signed, trim):
    """Every code of every width, through the fast form and through `step`."""
    key = ":rounding=trim" if trim else ""
    codes = code_range(bits, signed=signed)
    x = np.array([codes], np.int8 if signed else np.uint8)
    expected = [hand_nibble(code, bits, signed=signed, trim=trim) for code in codes]
    for name, lanes in (("mac-4b8b", 2), ("mac-4b4b", 4)):
        facts = LayerFacts(len(codes), signed, activation_bits=bits)
        pe = get_pe(name + key).for_layer(facts)
        assert pe.used_activations(x)[0].tolist() == expected
        for code, kept in zip(codes, expected, strict=True):
            xs, ws = [code] + [0] * (lanes - 1), [16] * lanes
            assert pe.step(xs, ws, signed).value == 16 * kept
        if bits <= 4:
            assert expected == list(codes)


@pytest.mark.parametrize("bits", range(1, 9))
def test_narrow_weights_are_the_top_bits_of_the_layers_weights(bits):
    codes = code_range(bits, signed=True)
    w = np.array(codes, np.int8)[:, None]
    expected = [hand_nibble(code, bits, signed=True, trim=False) for code in codes]
    pe = get_pe("mac-4b4b").for_layer(LayerFacts(len(codes), weight_bits=bits))
    assert pe.used_weights(w)[:, 0].tolist() == expected
    steps = [pe.step([1 << 4, 0, 0, 0], [code, 0, 0, 0]).value for code in codes]
    assert steps == [16 * kept for kept in expected]
    wide = get_pe("mac-4b8b").for_layer(LayerFacts(len(codes), weight_bits=bits))
    assert wide.used_weights(w) is w


def test_a_layer_of_four_bits_loses_nothing_on_four_bit_macs():
    rng = np.random.default_rng(0)
    for bits, other in itertools.product(range(1, 5), repeat=2):
        x = rng.integers(0, 2**bits, (5, 9)).astype(np.uint8)
        w = rng.integers(-(2 ** (other - 1)), 2 ** (other - 1), (9, 3)).astype(np.int8)
        pe = get_pe("mac-4b4b").for_layer(LayerFacts(9, False, bits, other))
        assert np.array_equal(pe.matmul(x, w), x.astype(int) @ w.astype(int))
