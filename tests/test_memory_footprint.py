"""Which input elements blocks of a convolution touch, against plain loops over every address."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sparqsim import ArrayConfig, InputError, Layer, MemoryConfig
from sparqsim.analysis.network import layer_outcome
from sparqsim.memory import ScratchpadConfig
from sparqsim.memory.footprint import InputMap, elements_fetched
from sparqsim.pe import get_pe


def conv_of(size, channels, outputs, kernel, stride, dilation, padding, *, groups=1) -> Layer:
    rng = np.random.default_rng(sum(size) * channels + outputs)
    x = rng.integers(0, 256, (2, *size, channels * groups)).astype(np.uint8)
    w = rng.integers(-128, 128, (outputs * groups, kernel[0] * kernel[1], channels), np.int8)
    geometry = {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}
    return Layer.conv2d("conv", x, w, groups=groups, **geometry)


both = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw) -> tuple[Layer, dict]:
    """Kernels, strides and dilations that differ down and across; paddings that differ on every
    side.
    """
    kernel, stride, dilation = draw(both), draw(both), draw(both)
    padding = tuple(draw(st.integers(0, 2)) for _ in range(4))
    size = draw(st.integers(2, 7)), draw(st.integers(2, 7))
    spread = [
        side + before + after > far * (taps - 1)
        for side, before, after, far, taps in zip(
            size, padding[::2], padding[1::2], dilation, kernel, strict=True
        )
    ]
    assume(all(spread))
    channels, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return conv_of(size, channels, outputs, kernel, stride, dilation, padding), {
        "size": size,
        "channels": channels,
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": padding,
    }


def addresses(shape: dict, row: int, element: int) -> tuple[int, int, int, int] | None:
    """Return (image, y, x, channel) of an element of the lowered matrix, None where it is
    padding.
    """
    outputs = []
    for axis in (0, 1):
        before, after = shape["padding"][2 * axis : 2 * axis + 2]
        reach = shape["dilation"][axis] * (shape["kernel"][axis] - 1) + 1
        outputs.append((shape["size"][axis] + before + after - reach) // shape["stride"][axis] + 1)
    image, pixel = divmod(row, outputs[0] * outputs[1])
    out_y, out_x = divmod(pixel, outputs[1])
    position, channel = divmod(element, shape["channels"])
    down, across = divmod(position, shape["kernel"][1])
    y = out_y * shape["stride"][0] + down * shape["dilation"][0] - shape["padding"][0]
    x = out_x * shape["stride"][1] + across * shape["dilation"][1] - shape["padding"][2]
    inside = 0 <= y < shape["size"][0] and 0 <= x < shape["size"][1]
    return (image, y, x, channel) if inside else None


@settings(max_examples=150, deadline=None)
@given(convolutions(), st.data())
def test_blocks_bring_what_their_generation_does_not_hold(drawn, data):
    layer, shape = drawn
    m, k = layer.gemm.m, layer.gemm.k
    spans, held, expected, generations = [], set(), [], []
    generation = 0
    for _ in range(data.draw(st.integers(1, 5))):
        rows, columns = (
            sorted(data.draw(st.tuples(st.integers(0, end), st.integers(0, end)))) for end in (m, k)
        )
        if data.draw(st.booleans()):
            generation, held = generation + 1, set()
        touched = {
            address
            for row in range(*rows)
            for element in range(*columns)
            if (address := addresses(shape, row, element)) is not None
        }
        expected.append(len(touched - held))
        held |= touched
        spans.append((rows, columns))
        generations.append(generation)
    found = elements_fetched(
        InputMap.of(layer),
        np.array([rows for rows, _ in spans]),
        np.array([columns for _, columns in spans]),
        np.array(generations),
    )
    assert found.tolist() == expected


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.sampled_from(["os", "ws", "is"]), st.sampled_from([0.25, 1, 64]))
def test_a_layer_uses_and_fetches_the_addresses_it_touches(drawn, flow, size_kib):
    layer, shape = drawn
    pe, array = get_pe("mac-8b8b"), ArrayConfig(4, 4, flow)
    memory = MemoryConfig(activations=ScratchpadConfig(size_kib=size_kib))
    touched = {
        address
        for row in range(layer.gemm.m)
        for element in range(layer.gemm.k)
        if (address := addresses(shape, row, element)) is not None
    }
    try:
        traffic = layer_outcome(layer, pe, array, memory)[1].traffic
    except InputError:
        assume(False)
        raise
    assert traffic.activations.used_bytes == len(touched)
    assert traffic.activations.dram_read_bytes >= len(touched)
    if traffic.resident["activations"] == "group":
        assert traffic.activations.dram_read_bytes == len(touched)


@pytest.mark.parametrize(
    ("kernel", "channels", "storage"),
    [
        ((1, 1), 3, "windowed"),  # one position: a pair never leaves it
        ((1, 1), 4, "windowed"),
        ((1, 2), 3, "raw"),
        ((2, 1), 3, "raw"),
        ((1, 2), 4, "windowed"),
        ((2, 1), 4, "windowed"),
    ],
)
def test_pairs_are_stored_trimmed_where_none_straddles_two_positions(kernel, channels, storage):
    layer = conv_of((4, 5), channels, 2, kernel, (1, 1), (1, 1), (0, 0, 0, 0))
    pe, array = get_pe("sparq-2opt"), ArrayConfig(4, 4)
    traffic = layer_outcome(layer, pe, array, MemoryConfig(storage="windowed"))[1].traffic
    assert traffic.storage == storage
