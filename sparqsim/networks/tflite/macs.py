"""The operators of a TFLite model that multiply and accumulate, as layers of a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, printable
from sparqsim.networks.site import Op, Operands, Site
from sparqsim.networks.tflite.geometry import check_options, check_product, convolution, groups_of
from sparqsim.networks.tflite.model import Array, Model, Operator, Tensor
from sparqsim.networks.tflite.quantised import activation_codes, check_activation, weight_codes
from sparqsim.quantise.codes import ActivationCodes, Quantised, WeightCodes
from sparqsim.trace.schema import ConvGeometry

#: Longest name of a layer: fused operators carry the names of all their parts.
MOST_NAME_CHARACTERS = 200
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
        "STABLEHLO_CASE",
        "STABLEHLO_COMPOSITE",
        "STABLEHLO_CONVOLUTION",
        "STABLEHLO_CUSTOM_CALL",
        "STABLEHLO_DOT_GENERAL",
        "STABLEHLO_WHILE",
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

    `bias_codes`: int32 (output channel,), in units of activation scale * weight scale. `geometry`:
    None for FULLY_CONNECTED. `source`, `target`: its input and output tensors. `per_channel`: a
    weight scale per channel.
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
    def op(self) -> Op:
        """The op of the trace's layer."""
        return "linear" if self.geometry is None else "conv2d"

    @property
    def bias(self) -> NDArray[np.float32] | None:
        """The bias in real units."""
        if self.bias_codes is None:
            return None
        with np.errstate(over="ignore"):
            real = self.bias_codes * self.codes.scale * self.weights.network_scales
            return real.astype(np.float32)

    def site(self, keep_8bit: bool = False) -> Site:
        """Return it as a layer of the array."""
        return Site(
            name=self.name,
            op=self.op,
            activation=self.codes,
            weights=self.weights,
            geometry=self.geometry,
            groups=self.groups,
            bias=self.bias,
            reason=self.codes.reason,
            keep_8bit=keep_8bit,
            note=self.codes.reason,
        )

    def operands(self, value: Array) -> Operands:
        """Return the input tensor's value as a trace stores it."""
        stored = Quantised(self.codes.stored(value), chosen=False)
        if self.geometry is not None:
            return Operands.of([stored], stored.codes)
        return Operands.of([stored], stored.codes.reshape(1, -1, self.weights.codes.shape[2]))


def read_operators(model: Model, skip: Collection[str] = ()) -> list[MacOperator]:
    """Return the operators that the array runs, in order.

    Raises
    ------
    InputError
        Naming an operator that cannot be read (unless it is in `skip`, by kind or name), or a model
        without any.
    """
    kept = [operator for operator in model.operators if not _is_skipped(operator, skip)]
    for operator in kept:
        if operator.kind in OTHER_MAC_OPS:
            raise InputError(
                f"{model.path}: operator {operator.name!r}: {operator.kind} multiplies and "
                f"accumulates (or may), and is not supported; expected {', '.join(MAC_OPS)} "
                f"(--skip {operator.kind} leaves it out, and says so)"
            )
    macs = [_read(model, operator) for operator in kept if operator.kind in MAC_OPS]
    if not macs:
        raise InputError(
            f"{model.path}: no operator multiplies and accumulates, expected {', '.join(MAC_OPS)}"
        )
    return _uniquely_named(macs)


def skipped_operators(model: Model, skip: Collection[str]) -> list[Operator]:
    """Return the operators with multiply-accumulates that `skip` leaves out."""
    return [
        operator
        for operator in model.operators
        if operator.kind in (*MAC_OPS, *OTHER_MAC_OPS) and _is_skipped(operator, skip)
    ]


def described(operator: Operator) -> str:
    """Return 'name (kind)'."""
    return f"{operator.name} ({operator.kind})"


def _is_skipped(operator: Operator, skip: Collection[str]) -> bool:
    return operator.kind in skip or operator.name in skip


def _uniquely_named(macs: list[MacOperator]) -> list[MacOperator]:
    """Return operators whose names differ: those that share one get their position behind it."""
    counts = Counter(mac.name for mac in macs)
    return [
        mac if counts[mac.name] == 1 else replace(mac, name=_unused(f"{mac.name}#{at}", counts))
        for at, mac in enumerate(macs)
    ]


def _unused(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "#"
    return name


def _read(model: Model, operator: Operator) -> MacOperator:
    """Return one operator. Raises InputError naming it, for whatever is wrong with it."""
    try:
        mac = _checked(model, operator)
        _ = mac.site().record
    except InputError as error:
        raise InputError(
            f"{model.path}: operator {operator.name!r} ({operator.kind}): {error}"
        ) from None
    return mac


def _checked(model: Model, operator: Operator) -> MacOperator:
    check_options(operator)
    source, filters, bias, target = _tensors(model, operator)
    codes, weights = activation_codes(source), weight_codes(operator.kind, filters)
    check_activation(target)
    geometry, groups = None, 1
    if operator.kind == "FULLY_CONNECTED":
        check_product(source, filters, target)
    else:
        geometry = convolution(operator, source, filters, target)
        groups = groups_of(operator, source, filters)
    mac = MacOperator(
        printable(operator.name)[:MOST_NAME_CHARACTERS],
        operator,
        source,
        target,
        codes,
        weights,
        None if bias is None else _bias_codes(bias, len(weights.codes)),
        geometry,
        groups,
        per_channel=filters.scales.size > 1,
    )
    if mac.bias is not None and not np.isfinite(mac.bias).all():
        raise InputError("its bias in real units is beyond float32, expected smaller scales")
    return mac


def _tensors(model: Model, operator: Operator) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Return input, weights, bias and output."""
    indices = operator.inputs
    if len(indices) not in (2, 3) or min(indices[:2]) < 0 or len(operator.outputs) != 1:
        raise InputError(
            f"it has inputs {list(indices)[:5]} and {len(operator.outputs)} outputs, expected "
            "activations, weights, a bias or none, and one output"
        )
    source, filters = (model.tensors[at] for at in indices[:2])
    has_bias = len(indices) == 3 and indices[2] >= 0
    bias = model.tensors[indices[2]] if has_bias else None
    return source, filters, bias, model.tensors[operator.outputs[0]]


def _bias_codes(bias: Tensor, channels: int) -> NDArray[np.int64]:
    if bias.value is None or bias.dtype != np.int32 or bias.value.size != channels:
        raise InputError(
            f"bias {bias.name!r} is {bias.kind} {bias.shape}"
            f"{'' if bias.constant else ', computed at run time'}, expected {channels} INT32 "
            "constants"
        )
    return bias.value.astype(np.int64).ravel()
