"""How `olive-4b` stores pairs: bits counted from all pairs there are, bytes by hand; and scales of
weights, which are found once for a layer.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from test_olive import reference_codes

import sparqsim
from sparqsim import ArrayConfig, Layer, Trace
from sparqsim.cost.roofline import least_dram_bytes
from sparqsim.memory.accelerator import parse_accelerator
from sparqsim.pe import olive
from sparqsim.pe.arithmetic import layer_sums
from sparqsim.quantise.olive import pair_bits

DESIGN = sparqsim.get_pe("olive-4b")
ARRAY = ArrayConfig(4, 4)
MEMORY = parse_accelerator("[dram]\nbandwidth_bytes_per_cycle = 4\n", "test").memory
#: 3 rows of 10 activations: 15 pairs; 10 x 4 weights of 4 bits: 20 bytes.
ROWS, K, FILTERS = 3, 10, 4


def layer_of(x: np.ndarray, **fields: object) -> Layer:
    w = np.random.default_rng(1).integers(-90, 90, (K, FILTERS)).astype(np.int8)
    return Layer.from_gemm("a", x, w, **fields)


UNSIGNED = (np.arange(ROWS * K).reshape(ROWS, K) * 8).astype(np.uint8)
SIGNED = (UNSIGNED.astype(int) - 120).astype(np.int8)
LAYERS = {
    "unsigned": (layer_of(UNSIGNED), 9),
    "signed": (layer_of(SIGNED), 8),
    "unsigned codes around a zero point": (
        layer_of(UNSIGNED, activation_zero_point=9, zero_point_corrected=True),
        8,
    ),
    "int8 without negatives": (layer_of((UNSIGNED // 2).astype(np.int8)), 9),
    "int8 whose zero point is the lowest code": (
        layer_of(SIGNED, activation_zero_point=-120, zero_point_corrected=True),
        9,
    ),
}


def test_bits_of_a_pair_number_all_pairs_there_are():
    """By the reference's codes: two normal ones, or an outlier and its victim on either side."""
    for signed, count in ((False, 16 * 16 + 2 * 15), (True, 15 * 15 + 2 * 14)):
        signs = (1, -1) if signed else (1,)
        normal, outliers = (
            {sign * code for sign, code in product(signs, codes)}
            for codes in reference_codes(signed=signed)
        )
        pairs = {*product(normal, normal), *product(outliers, {0}), *product({0}, outliers)}
        every_byte = np.arange(256, dtype=np.uint8).view(np.int8 if signed else np.uint8)
        used = DESIGN.used_activations(np.stack(np.meshgrid(every_byte, every_byte), axis=-1))
        assert len(pairs) == len(np.unique(used.reshape(-1, 2), axis=0)) == count
        needed = next(bits for bits in range(16) if 2**bits >= count)
        assert pair_bits(signed=signed) == needed == (8 if signed else 9)


@pytest.mark.parametrize("name", LAYERS)
def test_bytes_of_a_layer_are_those_of_its_pairs(name):
    """By hand: 15 pairs are 135 bits, 17 bytes, or 120 bits, 15 bytes."""
    layer, bits = LAYERS[name]
    activations = {9: 17, 8: 15}[bits]
    (found,) = sparqsim.simulate(Trace([layer]), DESIGN, ARRAY, memory=MEMORY).layers
    traffic = found.traffic
    assert traffic.activation_pair_bits == bits
    assert traffic.activations.used_bytes == activations
    assert traffic.activations.dram_read_bytes == activations
    assert traffic.activations.sram_write_bytes == activations
    assert (traffic.weights.used_bytes, traffic.outputs.dram_write_bytes) == (20, 12)
    assert least_dram_bytes(layer, (DESIGN,), MEMORY) == activations + 20 + 12
    assert DESIGN.encoded(layer.lower()).signed == (bits == 8)


@pytest.mark.parametrize(
    ("channels", "groups", "kernel", "bits"),
    [(3, 1, 3, 16), (4, 1, 3, 9), (3, 1, 1, 9), (4, 4, 3, 16), (4, 2, 3, 9)],
)
def test_pairs_that_straddle_kernel_positions_are_not_stored(channels, groups, kernel, bits):
    """A pixel's value would be another's victim in one window, and stay in the next."""
    x = np.arange(36 * channels, dtype=np.uint8).reshape(1, 6, 6, channels)
    w = np.ones((groups, kernel**2, channels // groups), np.int8)
    layer = Layer.conv2d("a", x, w, kernel=(kernel, kernel), groups=groups)
    (found,) = sparqsim.simulate(Trace([layer]), DESIGN, ARRAY, memory=MEMORY).layers
    assert found.traffic.activation_pair_bits == bits
    assert found.traffic.activations.used_bytes == groups * -(-x.size // groups * bits // 16)


def test_actions_of_the_memory_are_of_all_bytes():
    """What energy is counted by: activations of 17 bytes, or of 15."""
    for name, moved in (("unsigned", 17), ("signed", 15)):
        layer = LAYERS[name][0]
        (found,) = sparqsim.simulate(Trace([layer]), DESIGN, ARRAY, memory=MEMORY).layers
        for action in ("dram_read", "sram_write", "sram_read"):
            assert found.actions[f"memory.activations.{action}"].count == moved


def test_layers_that_stay_at_8_bits_move_nibbles():
    layer = LAYERS["unsigned"][0]
    record = layer.record.model_copy(update={"keep_8bit": True})
    kept = replace(layer, record=record)
    report = sparqsim.simulate(Trace([kept]), DESIGN, ARRAY, memory=MEMORY)
    assert report.layers[0].traffic.activations.dram_read_bytes == 4 * 15


def test_codes_of_fewer_bits_take_no_more_than_they_have():
    layer = layer_of(UNSIGNED >> 4, activation_bits=4)
    (found,) = sparqsim.simulate(Trace([layer]), DESIGN, ARRAY, memory=MEMORY).layers
    assert found.traffic.activations.used_bytes == 15


def test_scales_of_weights_are_found_once_for_a_layer(monkeypatch):
    layer = LAYERS["unsigned"][0]
    other = layer_of(UNSIGNED[::-1].copy())
    moved = replace(other, weights_source=LAYERS["signed"][0].weights_source)
    expected = layer_sums(layer, replace(DESIGN, found=olive.found_on(layer.lower())))
    calls = []
    search = olive.weight_scales

    def counted(weights: np.ndarray) -> np.ndarray:
        calls.append(len(weights))
        return search(weights)

    monkeypatch.setattr(olive, "weight_scales", counted)
    ready = DESIGN.with_tensor_scale([layer.lower()])
    assert calls == [FILTERS]
    for each in (layer, other, moved):
        assert layer_sums(each, ready).shape == (ROWS, FILTERS)
    assert np.array_equal(layer_sums(layer, ready), expected)
    assert calls == [FILTERS]


def test_other_weights_than_those_seen_have_scales_of_their_own():
    """A second operand that is activations differs from batch to batch."""
    seen = LAYERS["unsigned"][0]
    w = np.random.default_rng(2).integers(-20, 120, (K, FILTERS)).astype(np.int8)
    other = Layer.from_gemm("a", UNSIGNED, w)
    ready = DESIGN.with_tensor_scale([seen.lower()])
    assert np.array_equal(layer_sums(other, ready), layer_sums(other, DESIGN))
    assert not np.array_equal(layer_sums(other, ready), layer_sums(seen, ready))
