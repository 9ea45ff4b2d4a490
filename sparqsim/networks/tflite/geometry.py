"""How TFLite's convolutions and pools walk their input, checked against the shapes in the file."""

from __future__ import annotations

import math

from sparqsim.base.errors import InputError
from sparqsim.networks.tflite.model import Operator, Tensor
from sparqsim.trace.schema import ConvGeometry

#: The table of options of an operator, by kind.
OPTION_TABLES = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MAX_POOL_2D": "Pool2DOptions",
}
#: Options that are lengths in pixels.
LENGTHS = (
    "strideH",
    "strideW",
    "dilationHFactor",
    "dilationWFactor",
    "filterHeight",
    "filterWidth",
)
#: Longest length: what a trace may say.
MOST_PIXELS = 2**31
SAME, VALID = 0, 1
#: Fused activations that are computed here, by their number: none, ReLU, ReLU -1..1, ReLU6.
FUSED = (0, 1, 2, 3)


def check_options(operator: Operator) -> None:
    """Raise InputError where an operator lacks its options, or one of them has no meaning."""
    expected = OPTION_TABLES.get(operator.kind)
    if expected is None:
        return
    options = operator.options
    if options.get("table") != expected:
        raise InputError(f"its options are {options.get('table', 'missing')}, expected {expected}")
    for name in LENGTHS:
        if name in options and not 1 <= options[name] <= MOST_PIXELS:
            raise InputError(f"{name}={options[name]}, expected 1 to {MOST_PIXELS}")
    if options.get("padding", SAME) not in (SAME, VALID):
        raise InputError(f"padding={options['padding']}, expected {SAME} (SAME) or {VALID} (VALID)")
    if options.get("fusedActivationFunction", 0) not in FUSED:
        raise InputError(
            f"fusedActivationFunction={options['fusedActivationFunction']}, expected one of "
            f"{', '.join(map(str, FUSED))} (none, ReLU, ReLU -1..1, ReLU6)"
        )
    if options.get("weightsFormat", 0) != 0:
        raise InputError("its weights are shuffled (weightsFormat), expected them in plain order")


def same_padding(size: int, taps: int, step: int, dilation: int = 1) -> tuple[int, int]:
    """Return the pixels before and after an axis with padding SAME; the odd one comes after."""
    reach = dilation * (taps - 1) + 1
    total = max(0, (-(-size // step) - 1) * step + reach - size)
    return total // 2, total - total // 2


def convolution(
    operator: Operator, source: Tensor, filters: Tensor, target: Tensor
) -> ConvGeometry:
    """Return the geometry of a convolution.

    Raises
    ------
    InputError
        Where input, weights and output do not fit each other.
    """
    if len(source.shape) != 4 or len(target.shape) != 4:
        raise InputError(
            f"input and output have shapes {source.shape} and {target.shape}, expected (1, height, "
            "width, channels)"
        )
    options, kernel = operator.options, (filters.shape[1], filters.shape[2])
    stride = (options["strideH"], options["strideW"])
    dilation = (options["dilationHFactor"], options["dilationWFactor"])
    pads = [(0, 0), (0, 0)]
    if options["padding"] == SAME:
        axes = zip(source.shape[1:3], kernel, stride, dilation, strict=True)
        pads = [same_padding(size, taps, step, spread) for size, taps, step, spread in axes]
    geometry = ConvGeometry(
        kernel=kernel, stride=stride, dilation=dilation, padding=(*pads[0], *pads[1])
    )
    channels = filters.shape[3 if operator.kind == "DEPTHWISE_CONV_2D" else 0]
    expected = (source.shape[0], *geometry.output_size(*source.shape[1:3]), channels)
    if expected != target.shape:
        raise InputError(f"output has shape {target.shape}, its options give {expected}")
    return geometry


def groups_of(operator: Operator, source: Tensor, filters: Tensor) -> int:
    """Return the number of groups of a convolution. Raises InputError where channels do not fit."""
    channels = source.shape[3]
    if operator.kind == "DEPTHWISE_CONV_2D":
        if filters.shape[0] != 1 or filters.shape[3] % channels:
            raise InputError(
                f"weights have shape {filters.shape}, expected (1, height, width, a multiple of "
                f"the input's {channels} channels)"
            )
        return channels
    of_group, outputs = filters.shape[3], filters.shape[0]
    if channels % of_group or outputs % (channels // of_group):
        raise InputError(
            f"weights have shape {filters.shape} and the input {channels} channels, expected whole "
            "groups"
        )
    return channels // of_group


def check_product(source: Tensor, filters: Tensor, target: Tensor) -> None:
    """Raise InputError where a fully connected operator's shapes do not fit each other."""
    outputs, inputs = filters.shape
    elements = math.prod(source.shape)
    if elements % inputs or math.prod(target.shape) != elements // inputs * outputs:
        raise InputError(
            f"input {source.shape}, weights {filters.shape} and output {target.shape} do not fit "
            "each other"
        )
