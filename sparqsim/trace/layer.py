"""A layer of a trace: its geometry in hand, its operands loaded when asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sparqsim.base.errors import InputError
from sparqsim.base.record import faults_of
from sparqsim.base.tabular import Row, Tabular, short_name
from sparqsim.trace.codebits import CheckedSource, CodeOutOfRange, checked
from sparqsim.trace.layerfaults import layer_faults
from sparqsim.trace.lowering import LoweredLayer
from sparqsim.trace.schema import ConvGeometry, LayerRecord
from sparqsim.trace.source import TensorSource

Array = NDArray[Any]


@dataclass(frozen=True)
class GemmShape:
    """The matrix product a layer becomes: per group, Y[m, n] = X[m, k] @ W[k, n]."""

    m: int
    k: int
    n: int
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole layer, all groups."""
        return self.m * self.k * self.n * self.groups


#: Columns of a notebook's table of layers.
SHAPE_COLUMNS = {
    "layer": "layer",
    "op": "op",
    "m": "M",
    "k": "K",
    "n": "N",
    "groups": "groups",
    "macs": "MACs",
    "activation_dtype": "activations",
    "activation_bits": "activation bits",
    "weight_bits": "weight bits",
    "kept_8bit": "8 bits kept",
}


class LayerFault(InputError):
    """A layer whose parts disagree; `faults` holds every disagreement, the message the first."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults[0])
        self.faults = faults


@dataclass(frozen=True, repr=False)
class Layer(Tabular):
    """One layer: a record, and its activation, weight and bias tensors.

    Activations are uint8 or int8: (batch, height, width, channels) for 'conv2d', (groups, M, K) for
    'linear' and 'gemm'. Weights are int8: (output channel, kernel position, input channel of the
    group). Bias is float32 (output channel,) or absent; it never reaches the array. Codes that do
    not fit the record's bits raise InputError when they are read.

    Raises
    ------
    InputError
        When shapes, dtypes and geometry disagree, naming the layer and the field.
    """

    record: LayerRecord
    activations_source: TensorSource
    weights_source: TensorSource
    bias_source: TensorSource | None = None

    HTML_COLUMNS: ClassVar = SHAPE_COLUMNS

    def __post_init__(self) -> None:
        faults = layer_faults(self)
        if faults:
            raise LayerFault(faults)
        for operand, bits in self.record.bits.items():
            name = f"{operand}_source"
            place = tensor_place(self.name, operand)
            object.__setattr__(self, name, checked(getattr(self, name), bits, place))

    @classmethod
    def conv2d(
        cls,
        name: str,
        activations: Array,
        weights: Array,
        *,
        kernel: Sequence[int],
        stride: Sequence[int] = (1, 1),
        padding: Sequence[int] = (0, 0, 0, 0),
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
        bias: Array | None = None,
        **fields: Any,
    ) -> Layer:
        """Return a convolution layer.

        Parameters
        ----------
        name : str
        activations : uint8 or int8 (batch, height, width, channels)
            Not padded.
        weights : int8 (output channels, kernel height * kernel width, channels / groups)
        kernel, stride, dilation : (vertical, horizontal), pixels
        padding : (top, bottom, left, right), pixels
        groups : int
        bias : float32 (output channels,), optional
        **fields
            Other fields of `LayerRecord`: activation_scale, weight_scales, activation_bits,
            weight_bits, keep_8bit, ...
        """
        geometry = _checked(
            ConvGeometry,
            name,
            kernel=tuple(kernel),
            stride=tuple(stride),
            padding=tuple(padding),
            dilation=tuple(dilation),
        )
        return cls._made(
            name,
            activations,
            weights,
            bias,
            op="conv2d",
            geometry=geometry,
            groups=groups,
            **fields,
        )

    @classmethod
    def linear(
        cls,
        name: str,
        activations: Array,
        weights: Array,
        *,
        bias: Array | None = None,
        **fields: Any,
    ) -> Layer:
        """Return a fully connected layer: activations (M, K), weights int8 (N, K); `fields` as in
        `conv2d`.
        """
        _expect_matrix(name, "activations", activations)
        _expect_matrix(name, "weights", weights)
        return cls._made(name, activations[None], weights[:, None, :], bias, op="linear", **fields)

    @classmethod
    def from_gemm(cls, name: str, x: Array, w: Array, **fields: Any) -> Layer:
        """Return the layer Y = x @ w: x uint8 or int8 (M, K), w int8 (K, N); `fields` as in
        `conv2d`.
        """
        _expect_matrix(name, "x", x)
        _expect_matrix(name, "w", w)
        return cls._made(
            name, x[None], np.ascontiguousarray(w.T)[:, None, :], None, op="gemm", **fields
        )

    @classmethod
    def _made(
        cls, name: str, activations: Array, weights: Array, bias: Array | None, **fields: Any
    ) -> Layer:
        if "weight_scales" in fields:
            fields["weight_scales"] = tuple(float(scale) for scale in fields["weight_scales"])
        record = _checked(LayerRecord, name, name=name, **fields)
        layer = cls(
            record,
            TensorSource.of(activations),
            TensorSource.of(weights),
            None if bias is None else TensorSource.of(bias),
        )
        faults = layer.code_faults()
        if faults:
            raise LayerFault(faults)
        return layer

    def code_faults(self) -> list[str]:
        """Return the first code of each operand that does not fit its bits, one line each; operands
        of 8 bits are not read.
        """
        found = []
        for source in (self.activations_source, self.weights_source):
            try:
                for _ in source.blocks() if isinstance(source, CheckedSource) else ():
                    pass  # reading checks
            except CodeOutOfRange as error:
                found.append(str(error))
        return found

    @property
    def name(self) -> str:
        """The layer's name, unique in its trace."""
        return self.record.name

    @property
    def op(self) -> str:
        """'conv2d', 'linear' or 'gemm'."""
        return self.record.op

    @property
    def keep_8bit(self) -> bool:
        """Whether the method leaves this layer at 8 bits (first convolution, classifier)."""
        return self.record.keep_8bit

    @property
    def signed(self) -> bool:
        """Whether activations are int8."""
        return self.activations_source.dtype == np.int8

    @property
    def activations(self) -> Array:
        """The activation tensor, loaded anew at each use."""
        return self.activations_source.load()

    @property
    def weights(self) -> Array:
        """The weight tensor, loaded anew at each use."""
        return self.weights_source.load()

    @property
    def bias(self) -> Array | None:
        """The bias in real units, float32 (output channel,), or None."""
        return None if self.bias_source is None else self.bias_source.load()

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(batch, height, width, channels) of a convolution's output; (M, groups * N) otherwise."""
        shape = self.activations_source.shape
        channels = self.weights_source.shape[0]
        if self.record.geometry is None:
            return (shape[1], channels)
        return (shape[0], *self.record.geometry.output_size(shape[1], shape[2]), channels)

    @property
    def gemm(self) -> GemmShape:
        """The matrix product this layer becomes, from shapes alone."""
        channels, positions, depth = self.weights_source.shape
        m = math.prod(self.output_shape[:-1])
        return GemmShape(m, positions * depth, channels // self.record.groups, self.record.groups)

    def flat_rows(self, *, bits: bool = False) -> list[Row]:
        """Return the layer as one row: sizes, dtype, share of zeros; activations are read for it.

        `bits`: show those of the operands even where both are 8.
        """
        return [self.row(float((self.activations == 0).mean()), bits=bits)]

    def row(self, zeros: float | None, *, bits: bool = False) -> Row:
        """Return the layer as one row; `zeros`: share of activations that are 0, None: not
        counted; `bits` as in `flat_rows`.
        """
        told = {"zero_activation_share": zeros, "kept_8bit": self.keep_8bit}
        return self._shape_fields(bits=bits) | told

    def html_rows(self, *, bits: bool = False) -> list[Row]:
        """Return the same without the share of zeros: nothing is read."""
        return [self._shape_fields(bits=bits) | {"kept_8bit": self.keep_8bit}]

    def _shape_fields(self, *, bits: bool) -> Row:
        gemm, record = self.gemm, self.record
        shown = bits or record.is_narrow
        of_bits = {"activation_bits": record.activation_bits, "weight_bits": record.weight_bits}
        fields = {
            "layer": self.name,
            "op": self.op,
            "m": gemm.m,
            "k": gemm.k,
            "n": gemm.n,
            "groups": gemm.groups,
            "macs": gemm.macs,
            "activation_dtype": str(self.activations_source.dtype),
        }
        return fields | (of_bits if shown else {})

    def summary(self) -> str:
        """Return name, operation, matrix product and dtype."""
        gemm = self.gemm
        groups = f" x {gemm.groups} groups" if gemm.groups > 1 else ""
        return (
            f"{short_name(self.name)}, {self.op}, M={gemm.m} K={gemm.k} N={gemm.n}{groups}, "
            f"{self.activations_source.dtype}"
        )

    def lower(self) -> LoweredLayer:
        """Return the matrix products of the array; activations are read block by block."""
        return LoweredLayer(self.activations_source, self.weights, self.record, self.output_shape)


def tensor_place(layer: str, operand: str) -> str:
    """Return where a tensor of a layer is, in words that an index follows."""
    return f"layer {layer!r}: tensor {f'{layer}/{operand}'!r}"


def _checked(model: Any, layer: str, **fields: Any) -> Any:
    try:
        return model(**fields)
    except ValidationError as error:
        raise InputError(f"layer {layer!r}: {faults_of(error)[0]}") from None


def _expect_matrix(layer: str, field: str, array: Array) -> None:
    if not isinstance(array, np.ndarray) or array.ndim != 2:
        shape = getattr(array, "shape", type(array).__name__)
        raise InputError(f"layer {layer!r}: {field} is {shape}, expected a matrix (two axes)")
