"""Lowering: against a nested-loop im2col, and its products against a direct convolution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparqsim


@st.composite
def convolutions(draw):
    """A convolution of any geometry: ragged, strided, dilated, each side padded by itself, grouped,
    depthwise.
    """
    groups = draw(st.integers(1, 3))
    depth, per_group = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    kernel, stride, dilation = (draw(st.tuples(*[st.integers(1, top)] * 2)) for top in (3, 3, 2))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    reach = [
        dilation[axis] * (kernel[axis] - 1) + 1 - sum(padding[2 * axis : 2 * axis + 2])
        for axis in (0, 1)
    ]
    height, width = (draw(st.integers(max(1, least), 7)) for least in reach)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    signed = draw(st.booleans())
    activations = rng.integers(
        0, 256, (draw(st.integers(1, 3)), height, width, groups * depth)
    ).astype(np.uint8)
    weights = rng.integers(-128, 128, (groups * per_group, kernel[0] * kernel[1], depth)).astype(
        np.int8
    )
    zero_point = draw(st.sampled_from([0, 0, 5]))
    return sparqsim.Layer.conv2d(
        "conv",
        activations.view(np.int8) if signed else activations,
        weights,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        activation_zero_point=zero_point,
        zero_point_corrected=True,
    )


def pixel(layer, image, row, column, channel):
    """The padded input at a place that may lie outside."""
    x = layer.activations
    inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
    return int(x[image, row, column, channel]) if inside else layer.record.activation_zero_point


def naive_rows(layer):
    """X of every group by loops, K over kernel rows, kernel columns, then channels of the group."""
    geometry, groups = layer.record.geometry, layer.record.groups
    batch, height, width, _ = layer.output_shape
    depth = layer.activations.shape[3] // groups
    (down, across), (step_down, step_across) = geometry.stride, geometry.dilation
    top, _, left, _ = geometry.padding
    positions = [
        (i * step_down - top, j * step_across - left)
        for i in range(geometry.kernel[0])
        for j in range(geometry.kernel[1])
    ]
    return [
        [
            [
                pixel(layer, image, row * down + y, column * across + x, group * depth + c)
                for y, x in positions
                for c in range(depth)
            ]
            for image in range(batch)
            for row in range(height)
            for column in range(width)
        ]
        for group in range(groups)
    ]


def direct(layer, image, row, column, channel):
    """One output of the convolution, straight from its definition."""
    geometry = layer.record.geometry
    depth = layer.weights.shape[2]
    group = channel // (layer.weights.shape[0] // layer.record.groups)
    total = 0
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            for c in range(depth):
                at = (
                    row * geometry.stride[0] + i * geometry.dilation[0] - geometry.padding[0],
                    column * geometry.stride[1] + j * geometry.dilation[1] - geometry.padding[2],
                )
                weight = int(layer.weights[channel, i * geometry.kernel[1] + j, c])
                total += pixel(layer, image, *at, group * depth + c) * weight
    return total


@given(convolutions())
def test_rows_equal_a_nested_loop(layer):
    lowered = layer.lower()
    assert lowered.rows().tolist() == naive_rows(layer)
    assert (lowered.groups, lowered.m, lowered.k, lowered.n) == (
        layer.gemm.groups,
        layer.gemm.m,
        layer.gemm.k,
        layer.gemm.n,
    )


@given(convolutions())
def test_products_equal_a_direct_convolution(layer):
    lowered = layer.lower()
    y = np.matmul(lowered.rows().astype(np.int64), lowered.weights.astype(np.int64))
    batch, height, width, channels = layer.output_shape
    by_channel = y.transpose(1, 0, 2).reshape(batch, height, width, channels)
    assert by_channel.tolist() == [
        [
            [
                [direct(layer, image, row, column, channel) for channel in range(channels)]
                for column in range(width)
            ]
            for row in range(height)
        ]
        for image in range(batch)
    ]


@given(convolutions(), st.data())
def test_any_block_of_rows_is_that_part_of_all_rows(layer, data):
    lowered = layer.lower()
    start = data.draw(st.integers(0, lowered.m - 1))
    stop = data.draw(st.integers(start + 1, lowered.m + 2))
    block = lowered.rows(start, stop)
    assert block.flags.c_contiguous
    assert np.array_equal(block, lowered.rows()[:, start:stop])


def test_depthwise():
    """As many groups as channels: K is the kernel alone."""
    layer = sparqsim.Layer.conv2d(
        "depthwise",
        np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3),
        np.arange(27, dtype=np.int8).reshape(3, 9, 1),
        kernel=(3, 3),
        groups=3,
    )
    assert (layer.gemm.m, layer.gemm.k, layer.gemm.n, layer.gemm.groups) == (8, 9, 1, 3)
    assert layer.lower().rows().tolist() == naive_rows(layer)
    assert layer.gemm.macs == 2 * 2 * 2 * 27


def test_a_pair_is_two_adjacent_channels_at_one_kernel_position():
    """K runs over channels first: x[k] and x[k + 1], k even, are channels 2i and 2i + 1 of one
    pixel.
    """
    pixels = np.zeros((1, 2, 2, 4), np.uint8)
    pixels[...] = 10 * np.arange(4).reshape(2, 2)[None, :, :, None] + np.arange(4)
    layer = sparqsim.Layer.conv2d("order", pixels, np.zeros((1, 4, 4), np.int8), kernel=(2, 2))
    assert layer.lower().rows().tolist() == [
        [[0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33]]
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_matrices_are_taken_as_they_are(dtype):
    x, w = np.arange(-6, 6).astype(dtype).reshape(3, 4), np.arange(20, dtype=np.int8).reshape(4, 5)
    lowered = sparqsim.Layer.from_gemm("gemm", x, w).lower()
    assert np.array_equal(lowered.rows()[0], x)
    assert np.array_equal(lowered.weights[0], w)
    linear = sparqsim.Layer.linear("linear", x, np.ascontiguousarray(w.T)).lower()
    assert np.array_equal(linear.weights[0], w)
