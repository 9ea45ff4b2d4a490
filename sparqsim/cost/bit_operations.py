"""Bit operations of a layer, by three definitions that are all called so; none equals another.

A layer is, per group, M output pixels of m outputs, each a sum of K = n k^2 products (n inputs, a
kernel of k x k), of activations with `a` bits and weights with `w` bits. Multiply-accumulates of
all groups: MACs = groups M m K.

* HCM:      m K (a w + a + w + log2 K) for one pixel of a group; times pixels and groups for the
            layer.
* UNIQ:     P m K (w - 1) a + P m (K - 1) ceil(log2((2^a - 1) K (2^(w-1) - 1))), P = pixels x
            groups: multipliers without the weight's sign, and an adder tree as wide as its largest
            sum. Weights of one bit are a sign alone: not defined.
* Product:  MACs a w.

*Sources*: HCM: the hardware-aware complexity metric, Sustainability 2021, 13, 717; its text could
not be read, and the form is the one that meets both of its published area fits (`hcm.py`). UNIQ:
read in the code yochaiz/darts-UNIQ @5d782bc. Product: as the bit lists of Zhen-Dong/HAWQ @1616df6
count.
"""

from __future__ import annotations

import math

from sparqsim.trace import GemmShape

#: Digits kept of a form with a logarithm, so that equal shapes give equal bytes everywhere.
DIGITS = 6


def hcm_per_pixel(outputs: int, terms: int, activation_bits: int, weight_bits: int) -> float:
    """Return HCM's bit operations of one output pixel.

    Parameters
    ----------
    outputs : int
        m, output channels of a group.
    terms : int
        K = n k^2, products in each sum.
    activation_bits, weight_bits : int
    """
    multiplied = activation_bits * weight_bits + activation_bits + weight_bits
    return round(outputs * terms * (multiplied + math.log2(terms)), DIGITS)


def hcm(shape: GemmShape, activation_bits: int, weight_bits: int) -> float:
    """Return HCM's bit operations of a layer: those of a pixel times pixels and groups."""
    one = hcm_per_pixel(shape.n, shape.k, activation_bits, weight_bits)
    return round(shape.groups * shape.m * one, DIGITS)


def uniq(shape: GemmShape, activation_bits: int, weight_bits: int) -> int | None:
    """Return UNIQ's bit operations of a layer; None for weights of one bit."""
    largest_sum = ((1 << activation_bits) - 1) * shape.k * ((1 << weight_bits - 1) - 1)
    if largest_sum == 0:
        return None
    pixels = shape.groups * shape.m
    multiplied = pixels * shape.n * shape.k * (weight_bits - 1) * activation_bits
    adder_bits = (largest_sum - 1).bit_length()  # ceil(log2(largest_sum)), in integers
    return multiplied + pixels * shape.n * (shape.k - 1) * adder_bits


def product(shape: GemmShape, activation_bits: int, weight_bits: int) -> int:
    """Return multiply-accumulates times the bits of both operands."""
    return shape.macs * activation_bits * weight_bits
