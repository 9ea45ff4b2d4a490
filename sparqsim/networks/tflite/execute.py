"""A TFLite network computed again with numpy, every convolution and product in a design's
arithmetic.

Integers only, operator by operator, as TFLite's reference kernels: with exact 8-bit arithmetic the
outputs are the interpreter's, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.networks.arithmetic import Designs
from sparqsim.networks.site import Site
from sparqsim.networks.tflite.fixedpoint import (
    codes_of,
    multiplied,
    multiplied_once,
    output_range,
    quantised_multiplier,
    requantised,
)
from sparqsim.networks.tflite.geometry import SAME, check_options, same_padding
from sparqsim.networks.tflite.macs import MacOperator
from sparqsim.networks.tflite.model import Array, Model, Operator, Tensor
from sparqsim.networks.tflite.quantised import check_activation
from sparqsim.pe import PEDesign

#: Bits that ADD keeps below the common scale of its inputs.
ADD_BITS = 20
#: Operators that take real numbers, too.
TAKE_REAL_NUMBERS = ("QUANTIZE", "RESHAPE", "SQUEEZE")
#: Numbers of inputs, of operators that are no product.
INPUTS = {
    "ADD": (2,),
    "AVERAGE_POOL_2D": (1,),
    "MAX_POOL_2D": (1,),
    "QUANTIZE": (1,),
    "RESHAPE": (1, 2),
    "SQUEEZE": (1,),
}
#: Operators whose further inputs are no activations.
ONE_INPUT = ("RESHAPE",)
#: Operators after the scores: they keep the order of classes, and only lose resolution.
AFTER_SCORES = ("SOFTMAX", "DEQUANTIZE", "LOGISTIC")


class Executor:
    """Runs a model on batches of pictures.

    Parameters
    ----------
    model : Model
    macs : list of MacOperator
        All of the model's.
    sites : sequence of Site, optional
        Their layers, where they are not as the file has them.

    Raises
    ------
    InputError
        Naming an operator that is not implemented here.
    """

    def __init__(
        self, model: Model, macs: list[MacOperator], sites: Sequence[Site] | None = None
    ) -> None:
        self._model = model
        self._macs = {mac.target.index: mac for mac in macs}
        layers = [mac.site() for mac in macs] if sites is None else sites
        self._sites = {site.name: site for site in layers}
        self._kinds: dict[str, Callable[[Operator, list[Array]], Array]] = {
            "ADD": self._add,
            "AVERAGE_POOL_2D": self._average_pool,
            "MAX_POOL_2D": self._max_pool,
            "QUANTIZE": self._quantize,
            "RESHAPE": self._reshape,
            "SQUEEZE": self._reshape,
        }
        self.operators, self.scores = _until_scores(model)
        for operator in self.operators:
            with _named(model, operator):
                self._check(operator)

    def run(self, pictures: Array, designs: Designs) -> dict[int, Array]:
        """Return every activation tensor for a batch, by index; `designs`: layer name -> its
        design.

        Parameters
        ----------
        pictures : (batch, height, width, channels), the input's dtype
        designs : dict
        """
        values = {self._model.inputs[0]: pictures}
        for operator in self.operators:
            output = operator.outputs[0]
            with _named(self._model, operator):
                values[output] = self._computed(operator, values, designs)
        return values

    def _computed(self, operator: Operator, values: dict[int, Array], designs: Designs) -> Array:
        mac = self._macs.get(operator.outputs[0])
        if mac is not None:
            value, site = values[mac.source.index], self._sites[mac.name]
            return outputs_of(mac, value, designs[mac.name], site)
        inputs = [values.get(at, self._model.tensors[at].value) for at in operator.inputs]
        computed = self._kinds[operator.kind](operator, inputs)  # type: ignore[arg-type]  # _check: all there
        shape = self._model.tensors[operator.outputs[0]].shape
        if computed.shape[1:] != shape[1:]:
            raise InputError(f"it computes {computed.shape[1:]} per picture, the file says {shape}")
        return computed

    def _check(self, operator: Operator) -> None:
        """Raise InputError where an operator cannot be computed here."""
        check_options(operator)
        is_mac = operator.outputs and operator.outputs[0] in self._macs
        if not is_mac and operator.kind not in self._kinds:
            raise InputError(
                f"cannot be computed under a design, expected convolutions, FULLY_CONNECTED, "
                f"{', '.join(self._kinds)}"
            )
        sources, target = self._tensors(operator)
        takes_real = operator.kind in TAKE_REAL_NUMBERS
        activations = sources[:1] if is_mac or operator.kind in ONE_INPUT else sources
        if all(tensor.constant for tensor in activations):
            raise InputError("it computes on constants alone, expected activations")
        for tensor in activations:
            self._check_tensor(tensor, takes_real)
        self._check_tensor(target, takes_real and operator.kind != "QUANTIZE")

    def _check_tensor(self, tensor: Tensor, takes_real: bool) -> None:
        if not tensor.constant and tensor.shape[:1] != (1,):
            raise InputError(
                f"tensor {tensor.name!r} has shape {tensor.shape}, expected (1, ...): one picture"
            )
        if not (takes_real and tensor.dtype == np.float32):
            check_activation(tensor)

    def _tensors(self, operator: Operator) -> tuple[list[Tensor], Tensor]:
        count = INPUTS.get(operator.kind)
        if len(operator.outputs) != 1 or (count and len(operator.inputs) not in count):
            raise InputError(
                f"it has {len(operator.inputs)} inputs and {len(operator.outputs)} outputs, "
                f"expected {' or '.join(map(str, count or ()))} and 1"
            )
        if min(operator.inputs[: 1 if count != (2,) else 2]) < 0:
            raise InputError("an input is not there")
        sources = [self._model.tensors[at] for at in operator.inputs if at >= 0]
        return sources, self._model.tensors[operator.outputs[0]]

    def _add(self, operator: Operator, inputs: list[Array]) -> Array:
        sources, target = self._tensors(operator)
        common = 2 * max(source.scale for source in sources)
        total = np.zeros((), np.int64)
        for source, value in zip(sources, inputs, strict=True):
            shifted = (value.astype(np.int64) - source.zero_point) << ADD_BITS
            multiplier, exponent = quantised_multiplier(source.scale / common)
            total = total + multiplied(shifted, np.asarray(multiplier), np.asarray(exponent))
        real = np.asarray(common / ((1 << ADD_BITS) * target.scale))
        return requantised(
            np.asarray(total), real, target, operator.options.get("fusedActivationFunction", 0)
        )

    def _average_pool(self, operator: Operator, inputs: list[Array]) -> Array:
        target = self._tensors(operator)[1]
        windows, counts = _windows(operator, inputs[0].astype(np.int64), 0)
        total = windows.sum(axis=(3, 4))
        # Halves away from zero: half a window is added to the magnitude, the quotient is cut.
        magnitude = (np.abs(total) + counts // 2) // counts
        mean: Array = np.sign(total) * magnitude
        return _limited(mean, target, operator)

    def _max_pool(self, operator: Operator, inputs: list[Array]) -> Array:
        target = self._tensors(operator)[1]
        windows, _ = _windows(operator, inputs[0], np.iinfo(inputs[0].dtype).min)
        return _limited(windows.max(axis=(3, 4)), target, operator)

    def _quantize(self, operator: Operator, inputs: list[Array]) -> Array:
        (source,), target = self._tensors(operator)
        if inputs[0].dtype.kind == "f":
            return codes_of(inputs[0], target)
        centred = inputs[0].astype(np.int64) - source.zero_point
        return requantised(centred, np.asarray(source.scale / target.scale), target, 0)

    def _reshape(self, operator: Operator, inputs: list[Array]) -> Array:
        shape = self._tensors(operator)[1].shape[1:]
        if inputs[0][0].size != math.prod(shape):
            raise InputError(f"{inputs[0].shape[1:]} per picture cannot become {shape}")
        return inputs[0].reshape(len(inputs[0]), *shape)


def _limited(values: Array, target: Tensor, operator: Operator) -> Array:
    """Return values as codes of `target`, cut off at the fused activation's range."""
    codes: Array = np.clip(
        values, *output_range(target, operator.options["fusedActivationFunction"])
    )
    return codes.astype(target.dtype)


def _until_scores(model: Model) -> tuple[list[Operator], int]:
    """Return the operators up to the scores, and the tensor of scores."""
    if not model.outputs:
        raise InputError(f"{model.path}: has no output, expected scores (1, classes)")
    operators, scores = list(model.operators), model.outputs[0]
    while operators and operators[-1].kind in AFTER_SCORES and operators[-1].outputs == (scores,):
        scores = operators.pop().inputs[0]
    if not any(scores in operator.outputs for operator in operators):
        raise InputError(f"{model.path}: no operator computes its scores, expected one that does")
    return operators, scores


@contextmanager
def _named(model: Model, operator: Operator) -> Iterator[None]:
    """Name the operator in whatever is refused inside."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{model.path}: operator {operator.name!r} ({operator.kind}): {error}"
        ) from None


def outputs_of(mac: MacOperator, value: Array, pe: PEDesign, site: Site | None = None) -> Array:
    """Return the output codes of one operator in a design's arithmetic, in the axes of its output
    tensor.

    `site`: the operator's, where it serves many batches.
    """
    sums = (site or mac.site()).sums(mac.operands(value), pe)
    if mac.bias_codes is not None:
        sums = sums + mac.bias_codes
    codes = requantised(
        sums,
        output_factors(mac),
        mac.target,
        mac.operator.options.get("fusedActivationFunction", 0),
        rounding=multiplied_once if mac.geometry is None else multiplied,
    )
    return codes.reshape(len(value), *mac.target.shape[1:])


def output_factors(mac: MacOperator) -> NDArray[np.float64]:
    """Return the real value of one unit of the sums over that of one output code, float64
    (channels,) or (1,).

    With one weight scale the kernels multiply the two input scales in single precision, with one
    per channel in double.
    """
    scales = np.unique(mac.weights.network_scales)
    if mac.per_channel:
        return mac.codes.scale * mac.weights.network_scales / mac.target.scale
    return (
        np.asarray(np.float32(mac.codes.scale) * scales.astype(np.float32), np.float64)
        / mac.target.scale
    )


def _windows(operator: Operator, value: Array, filler: int) -> tuple[Array, NDArray[np.int64]]:
    """Return windows (batch, rows, cols, down, across, channels), their pixels (rows, cols, 1)."""
    options = operator.options
    taps, steps = (
        (options["filterHeight"], options["filterWidth"]),
        (options["strideH"], options["strideW"]),
    )
    pads = [(0, 0), (0, 0)]
    if options["padding"] == SAME:
        axes = zip(value.shape[1:3], taps, steps, strict=True)
        pads = [same_padding(size, reach, step) for size, reach, step in axes]
    if any(sum(pad) + size < reach for pad, size, reach in zip(pads, value.shape[1:], taps)):  # noqa: B905 - the last axis has no taps
        raise InputError(f"its window {taps} is larger than the input {value.shape[1:3]}")
    padding = [(0, 0), *pads, (0, 0)]
    view = np.lib.stride_tricks.sliding_window_view
    padded = view(np.pad(value, padding, constant_values=filler), taps, axis=(1, 2))
    inside = view(np.pad(np.ones(value.shape[1:3], np.int64), pads), taps)
    return (
        padded[:, :: steps[0], :: steps[1]].transpose(0, 1, 2, 4, 5, 3),
        inside[:: steps[0], :: steps[1]].sum(axis=(2, 3))[..., None],
    )
