"""Kernels, strides, dilation and padding that differ by axis, and scales along an axis."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparqsim import InputError, get_pe
from sparqsim.networks.tflite.interpreter import Interpreter
from sparqsim.pe.arithmetic import layer_sums

pytest.importorskip("ai_edge_litert", reason="needs the extra 'tflite'")

from tflite_builder import Builder

from sparqsim.networks.tflite.execute import Executor
from sparqsim.networks.tflite.macs import read_operators
from sparqsim.networks.tflite.model import Model

EXACT = get_pe("mac-8b8b")
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
#: By the number of the option in the file format.
SAME, VALID = 0, 1


def pads_of(size: int, taps: int, step: int, spread: int, padding: int) -> tuple[int, int]:
    """Return output size and pixels before the axis, from the format's documented formulas."""
    reach = spread * (taps - 1) + 1
    if padding == VALID:
        return (size - reach) // step + 1, 0
    outputs = -(-size // step)
    return outputs, max((outputs - 1) * step + reach - size, 0) // 2


def convolution_file(
    path: Path,
    *,
    signed: bool,
    depthwise: bool,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: int,
) -> Path:
    """Write one convolution of 2 channels to 4."""
    build = Builder(signed)
    shift = -128 if signed else 0
    axes = zip(size, kernel, stride, dilation, strict=True)
    out = tuple(pads_of(*axis, padding)[0] for axis in axes)
    x = build.tensor("x", (1, *size, 2), [0.02], [100 + shift])
    shape = (1, *kernel, 4) if depthwise else (4, *kernel, 2)
    w = build.weights("dw" if depthwise else "w", shape, 4)
    y = build.tensor("y", (1, *out, 4), [0.05], [90 + shift])
    build.operator(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [x, w, build.bias(w, 4, 0.02)],
        y,
        padding=padding,
        strideH=stride[0],
        strideW=stride[1],
        dilationHFactor=dilation[0],
        dilationWFactor=dilation[1],
        **({"depthMultiplier": 2} if depthwise else {}),
    )
    return build.save(path, [x], [y])


def plain_sums(model: Model, value: np.ndarray, stride, dilation, padding) -> np.ndarray:
    """Return the sums of the only operator, (height, width, channels), pixel by pixel, tap by
    tap.
    """
    (operator,) = model.operators
    x, w, bias = (model.tensors[at] for at in operator.inputs)
    depthwise = operator.kind == "DEPTHWISE_CONV_2D"
    kernel = w.shape[1:3]
    sizes = zip(x.shape[1:3], kernel, stride, dilation, strict=True)
    (rows, top), (columns, left) = (pads_of(*axis, padding) for axis in sizes)
    codes = value[0].astype(int) - x.zero_point
    weights = w.value.astype(int) - int(w.zero_points[0])
    sums = np.tile(bias.value.astype(int), (rows, columns, 1))
    for row, column, down, across in product(*map(range, (rows, columns, *kernel))):
        at_row = row * stride[0] - top + down * dilation[0]
        at_column = column * stride[1] - left + across * dilation[1]
        if not (0 <= at_row < x.shape[1] and 0 <= at_column < x.shape[2]):
            continue
        pixel = codes[at_row, at_column]
        if depthwise:
            sums[row, column] += weights[0, down, across] * pixel.repeat(2)
        else:
            sums[row, column] += weights[:, down, across] @ pixel
    return sums


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    signed=st.booleans(),
    depthwise=st.booleans(),
    size=st.tuples(st.integers(7, 9), st.integers(7, 9)),
    kernel=PAIRS,
    stride=PAIRS,
    dilation=PAIRS,
    padding=st.sampled_from([SAME, VALID]),
)
def test_axes_are_not_mixed_up(
    tmp_path: Path, signed, depthwise, size, kernel, stride, dilation, padding
) -> None:
    """The trace's layer gives the sums of plain loops, and its output codes are the
    interpreter's.
    """
    file = convolution_file(
        tmp_path / "c.tflite",
        signed=signed,
        depthwise=depthwise,
        size=size,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
    )
    model = Model(file)
    dtype = np.int8 if signed else np.uint8
    value = np.random.default_rng(5).integers(0, 256, (1, *size, 2)).astype(np.uint8).view(dtype)
    (mac,) = read_operators(model)
    sums = layer_sums(mac.site().layer([mac.operands(value)]), EXACT) + mac.bias_codes
    plain = plain_sums(model, value, stride, dilation, padding)
    assert np.array_equal(sums.reshape(plain.shape), plain)
    output = model.outputs[0]
    codes = Executor(model, [mac]).run(value, {"y": EXACT})[output]
    assert np.array_equal(codes, Interpreter(model).run(value[0], [output])[output])


def test_pools_with_windows_that_differ_by_axis(tmp_path: Path) -> None:
    """Average and largest value of windows that are not square equal the interpreter's."""
    build = Builder(signed=True)
    x = build.tensor("x", (1, 9, 7, 2), [0.02], [-3])
    window = {"padding": SAME, "strideH": 2, "strideW": 1, "filterHeight": 2, "filterWidth": 3}
    mean = build.tensor("mean", (1, 5, 7, 2), [0.02], [-3])
    build.operator("AVERAGE_POOL_2D", [x], mean, **window)
    largest = build.tensor("largest", (1, 3, 7, 2), [0.02], [-3])
    build.operator("MAX_POOL_2D", [mean], largest, **window)
    w = build.weights("w", (4, 1, 1, 2), 4)
    y = build.tensor("y", (1, 3, 7, 4), [0.05], [9])
    build.operator(
        "CONV_2D", [largest, w, build.bias(w, 4, 0.02)], y, padding=VALID, strideH=1, strideW=1
    )
    model = Model(build.save(tmp_path / "p.tflite", [x], [y]))
    value = np.random.default_rng(0).integers(-128, 128, (1, 9, 7, 2)).astype(np.int8)
    values = Executor(model, read_operators(model)).run(value, {"y": EXACT})
    own = Interpreter(model).run(value[0], list(values))
    assert len(values) == 4
    for index, computed in values.items():
        assert np.array_equal(computed, own[index]), model.tensors[index].name


def with_scales(path: Path, kind: str, axis: int) -> Path:
    """Write an operator whose weights have as many scales as every one of their axes is long."""
    build = Builder(signed=True)
    build.per_channel_products = True
    depthwise, product_ = kind == "DEPTHWISE_CONV_2D", kind == "FULLY_CONNECTED"
    x = build.tensor("x", (1, 4) if product_ else (1, 4, 4, 4), [0.02], [7])
    shape = (4, 4) if product_ else (1, 4, 4, 4) if depthwise else (4, 4, 4, 4)
    w = build.weights("w", shape, 4)
    build.tensors[w].quantization.quantizedDimension = axis
    y = build.tensor("y", (1, 4) if product_ else (1, 1, 1, 4), [0.05], [-9])
    options = {} if product_ else {"padding": VALID, "strideH": 1, "strideW": 1}
    options |= {"depthMultiplier": 1} if depthwise else {}
    build.operator(kind, [x, w, build.bias(w, 4, 0.02)], y, **options)
    return build.save(path, [x], [y])


@pytest.mark.parametrize(
    ("kind", "axis"), [("CONV_2D", 0), ("DEPTHWISE_CONV_2D", 3), ("FULLY_CONNECTED", 0)]
)
def test_scales_lie_along_output_channels(tmp_path: Path, kind: str, axis: int) -> None:
    """Outputs in real units, by float64 from the file's own scales, round to the interpreter's
    codes.
    """
    model = Model(with_scales(tmp_path / "s.tflite", kind, axis))
    x, w, bias = (model.tensors[at] for at in model.operators[0].inputs)
    y = model.tensors[model.outputs[0]]
    value = np.random.default_rng(2).integers(-128, 128, x.shape).astype(np.int8)
    scales = w.scales.reshape([-1 if at == axis else 1 for at in range(len(w.shape))])
    real_w, real_x = w.value * scales, (value.astype(int) - x.zero_point) * x.scale
    if kind == "DEPTHWISE_CONV_2D":
        real_y = (real_w[0] * real_x[0]).sum(axis=(0, 1))
    else:
        real_y = real_w.reshape(4, -1) @ real_x.ravel()
    real_y = real_y + bias.value * x.scale * w.scales
    codes = np.clip(np.rint(real_y / y.scale) + y.zero_point, -128, 127)
    (mac,) = read_operators(model)
    own = Interpreter(model).run(value[0], [y.index])[y.index]
    assert np.array_equal(own.ravel(), codes)
    assert np.array_equal(Executor(model, [mac]).run(value, {"y": EXACT})[y.index], own)
    assert mac.site().record.weight_scales == tuple(w.scales)


@pytest.mark.parametrize(
    ("kind", "axis"),
    [("CONV_2D", 3), ("CONV_2D", 1), ("DEPTHWISE_CONV_2D", 2), ("FULLY_CONNECTED", 1)],
)
def test_scales_along_another_axis_are_refused(tmp_path: Path, kind: str, axis: int) -> None:
    model = Model(with_scales(tmp_path / "s.tflite", kind, axis))
    with pytest.raises(InputError, match=rf"operator 'y' \({kind}\): weights 'w' .* axis {axis}"):
        read_operators(model)
