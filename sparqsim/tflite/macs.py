"""The operators of a TFLite model that multiply and accumulate, as layers of a trace."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.errors import InputError
from sparqsim.tflite.model import Array, Model, Operator, Tensor
from sparqsim.trace.codes import ActivationCodes, WeightCodes
from sparqsim.trace.schema import ConvGeometry, LayerRecord

MAC_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
#: Operators that multiply and accumulate, or may, in ways that are not read here.
OTHER_MAC_OPS = frozenset(
    {
        "BATCH_MATMUL",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "CALL",
        "CALL_ONCE",
        "CONV_3D",
        "CONV_3D_TRANSPOSE",
        "CUSTOM",
        "DELEGATE",
        "EMBEDDING_LOOKUP_SPARSE",
        "IF",
        "LSTM",
        "RNN",
        "SVDF",
        "TRANSPOSE_CONV",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "UNKNOWN",
        "WHILE",
    }
)


@dataclass(frozen=True)
class MacOperator:
    """One operator, read.

    `bias_codes`: int32 (output channel,), in units of activation scale * weight scale. `geometry`: None for
    FULLY_CONNECTED. `source`, `target`: its input and output tensors. `per_channel`: a weight scale per channel.
    """

    name: str
    operator: Operator
    source: Tensor
    target: Tensor
    codes: ActivationCodes
    weights: WeightCodes
    bias_codes: NDArray[np.int64] | None
    geometry: ConvGeometry | None
    groups: int
    per_channel: bool

    @property
    def op(self) -> str:
        """The op of the trace's layer."""
        return "linear" if self.geometry is None else "conv2d"

    @property
    def bias(self) -> NDArray[np.float32] | None:
        """The bias in real units."""
        if self.bias_codes is None:
            return None
        return (self.bias_codes * self.codes.scale * self.weights.scales).astype(np.float32)

    def record(self, keep_8bit: bool) -> LayerRecord:
        """Return the trace's record."""
        corrected = bool(self.codes.stored_zero_point) or bool(self.weights.zero_points.any())
        return LayerRecord(
            name=self.name,
            op=self.op,  # type: ignore[arg-type]
            geometry=self.geometry,
            groups=self.groups,
            activation_scale=self.codes.scale,
            activation_zero_point=self.codes.stored_zero_point,
            zero_point_corrected=corrected,
            keep_8bit=keep_8bit,
            note=self.codes.reason,
            **self.weights.fields,
        )

    def stored(self, value: Array) -> Array:
        """Return the input tensor's value as a layer stores it: (1, height, width, channels) or (1, M, K)."""
        arranged = (
            value
            if self.geometry is not None
            else value.reshape(1, -1, self.weights.codes.shape[2])
        )
        return np.ascontiguousarray(self.codes.stored(arranged))


def read_operators(model: Model, skip: Collection[str] = ()) -> list[MacOperator]:
    """Return the operators that the array runs, in order.

    Raises
    ------
    InputError
        Naming an operator that cannot be read (unless it is in `skip`, by kind or name), or a model without any.
    """
    found = []
    for operator in model.operators:
        if {operator.kind, operator.name} & set(skip):
            continue
        if operator.kind in MAC_OPS:
            found.append(_read(model, operator))
        elif operator.kind in OTHER_MAC_OPS:
            raise InputError(
                f"{model.path}: operator {operator.name!r}: {operator.kind} multiplies and accumulates (or may), "
                f"and is not supported; expected {', '.join(MAC_OPS)} (--skip {operator.kind} leaves it out, "
                "and says so)"
            )
    if not found:
        raise InputError(
            f"{model.path}: no operator multiplies and accumulates, expected {', '.join(MAC_OPS)}"
        )
    return _uniquely_named(found)


def skipped_operators(model: Model, skip: Collection[str]) -> list[str]:
    """Return the operators with multiply-accumulates that `skip` leaves out, 'name (kind)'."""
    return [
        f"{operator.name} ({operator.kind})"
        for operator in model.operators
        if operator.kind in (*MAC_OPS, *OTHER_MAC_OPS)
        and {operator.kind, operator.name} & set(skip)
    ]


def _uniquely_named(found: list[MacOperator]) -> list[MacOperator]:
    names = [mac.name for mac in found]
    return [
        mac
        if names.count(mac.name) == 1
        else MacOperator(**{**vars(mac), "name": f"{mac.name}#{at}"})
        for at, mac in enumerate(found)
    ]


def _read(model: Model, operator: Operator) -> MacOperator:
    source, filters = (model.tensors[at] for at in operator.inputs[:2])
    target = model.tensors[operator.outputs[0]]
    try:
        codes, weights = _activation_codes(source), _weight_codes(operator, filters)
    except InputError as error:
        raise InputError(
            f"{model.path}: operator {operator.name!r} ({operator.kind}): {error}"
        ) from None
    bias = (
        model.tensors[operator.inputs[2]].value
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0
        else None
    )
    depthwise = operator.kind == "DEPTHWISE_CONV_2D"
    groups = (
        1
        if operator.kind == "FULLY_CONNECTED"
        else source.shape[3] // (1 if depthwise else filters.shape[3])
    )
    return MacOperator(
        operator.name,
        operator,
        source,
        target,
        codes,
        weights,
        None if bias is None else bias.astype(np.int64),
        _geometry(operator, source, filters),
        groups,
        per_channel=filters.scales.size > 1,
    )


def _activation_codes(source: Tensor) -> ActivationCodes:
    if source.dtype not in (np.uint8, np.int8) or source.scales.size != 1:
        raise InputError(
            f"activations {source.name!r} are {source.dtype} with {source.scales.size} scales, "
            "expected an 8-bit network: uint8 or int8 with one scale"
        )
    return ActivationCodes(source.scale, source.zero_point, source.dtype == np.int8)


def _weight_codes(operator: Operator, filters: Tensor) -> WeightCodes:
    if filters.value is None or not filters.scales.size:
        raise InputError(
            f"weights {filters.name!r} are {filters.dtype} and "
            f"{'computed at run time' if filters.value is None else 'not quantised'}, expected 8-bit constants"
        )
    value = filters.value
    if operator.kind == "DEPTHWISE_CONV_2D":
        value = value.reshape(-1, value.shape[3]).T[:, :, None]
    elif operator.kind == "CONV_2D":
        value = value.reshape(value.shape[0], -1, value.shape[3])
    else:
        value = value[:, None, :]
    return WeightCodes.of_network(np.ascontiguousarray(value), filters.scales, filters.zero_points)


def _geometry(operator: Operator, source: Tensor, filters: Tensor) -> ConvGeometry | None:
    if operator.kind == "FULLY_CONNECTED":
        return None
    options, kernel = operator.options, (filters.shape[1], filters.shape[2])
    stride = (options["strideH"], options["strideW"])
    dilation = (options["dilationHFactor"], options["dilationWFactor"])
    same = options["padding"] == 0
    totals = [
        max(0, (-(-size // step) - 1) * step + reach * (taps - 1) + 1 - size) if same else 0
        for size, taps, step, reach in zip(source.shape[1:3], kernel, stride, dilation, strict=True)
    ]
    top, left = (total // 2 for total in totals)
    return ConvGeometry(
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=(top, totals[0] - top, left, totals[1] - left),
    )
