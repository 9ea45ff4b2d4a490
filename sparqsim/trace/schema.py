"""The JSON document in a trace file's metadata: what it may say, checked field by field."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from sparqsim.base.record import Name, Record, Text
from sparqsim.trace.codebits import ALL_BITS
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.stated import Stated

FORMAT: Literal["sparqsim.trace/1"] = "sparqsim.trace/1"
#: Of traces with a layer of fewer than 8 bits; the fields that say so are all that is new.
BITS_FORMAT: Literal["sparqsim.trace/2"] = "sparqsim.trace/2"
DRAWN_FORMAT: Literal["sparqsim.trace.drawn/1"] = "sparqsim.trace.drawn/1"
#: The random stream of `sparqsim.trace.synthetic`, by its own name: another one gets another name.
STREAM: Literal["numpy-pcg64-ziggurat-float32/1"] = "numpy-pcg64-ziggurat-float32/1"

Positive = Annotated[int, Field(ge=1, le=2**31)]
NotNegative = Annotated[int, Field(ge=0, le=2**31)]
Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _bits() -> Any:
    """Return a field of bits, 1 to 8, that is written only below 8."""
    return Field(default=ALL_BITS, ge=1, le=ALL_BITS, exclude_if=lambda bits: bits == ALL_BITS)


class ConvGeometry(Record):
    """How a convolution walks its input. Lengths in pixels.

    `kernel`, `stride`, `dilation` are (vertical, horizontal); `padding` is (top, bottom, left,
    right).
    """

    kernel: tuple[Positive, Positive]
    stride: tuple[Positive, Positive] = (1, 1)
    padding: tuple[NotNegative, NotNegative, NotNegative, NotNegative] = (0, 0, 0, 0)
    dilation: tuple[Positive, Positive] = (1, 1)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the output's (height, width) in pixels; below 1 where the kernel does not fit."""
        top, bottom, left, right = self.padding
        sizes = []
        for size, axis in ((height + top + bottom, 0), (width + left + right, 1)):
            reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            sizes.append((size - reach) // self.stride[axis] + 1)
        return sizes[0], sizes[1]


class LayerRecord(Record):
    """One layer of the document; its tensors stand in the file as NAME/activations, NAME/weights,
    NAME/bias.

    A real activation is (integer - activation_zero_point) * activation_scale; a real weight is
    (integer - weight_zero_points[n]) * weight_scales[n], with one zero point per output channel,
    one for all, or none. Zero points other than 0 are allowed only with `zero_point_corrected`: the
    array then multiplies the stored integers, and its sums are corrected exactly outside of it
    (`LoweredLayer.corrected`).

    `activation_bits`, `weight_bits`: of the codes, 1 to 8 (`sparqsim.trace.codebits`). Below 8 they
    stand in files of format `sparqsim.trace/2` only.
    """

    name: Name
    op: Literal["conv2d", "linear", "gemm"]
    geometry: ConvGeometry | None = None
    groups: Positive = 1
    activation_scale: Scale = 1.0
    activation_zero_point: Annotated[int, Field(ge=-128, le=255)] = 0
    weight_zero_points: tuple[Annotated[int, Field(ge=-128, le=127)], ...] = ()
    zero_point_corrected: bool = False
    weight_scales: tuple[Scale, ...] = ()
    activation_bits: int = _bits()
    weight_bits: int = _bits()
    keep_8bit: bool = False
    note: Text = ""

    @property
    def bits(self) -> dict[str, int]:
        """The bits of both operands, by the names of their tensors."""
        return {"activations": self.activation_bits, "weights": self.weight_bits}

    @property
    def is_narrow(self) -> bool:
        """Whether an operand has fewer than 8 bits."""
        return min(self.bits.values()) < ALL_BITS


class Document(Record):
    """What every trace says of itself, whatever its format.

    `network`: what was run. `calibrator`: how activation scales were found. `origin`: the program
    that wrote it. `provenance`: anything else; its entries `coverage` and `card`, if there are any,
    are those of `sparqsim.trace.coverage` and `sparqsim.trace.stated`.
    """

    format: str
    network: Text = ""
    calibrator: Text = ""
    origin: Text = ""
    license_note: Text = ""
    provenance: dict[str, JsonValue] = Field(default_factory=dict)
    layers: tuple[LayerRecord, ...]

    @field_validator("provenance")
    @classmethod
    def _entries_are_sound(cls, provenance: dict[str, JsonValue]) -> dict[str, JsonValue]:
        Coverage.of(provenance)
        Stated.of(provenance)
        return provenance

    @property
    def about(self) -> dict[str, Any]:
        """What the document says beside how its values are kept, by field of `TraceDocument`."""
        names = type(self).model_fields.keys() - {"format", "layers", "drawn"}
        return {name: getattr(self, name) for name in names}


class TraceDocument(Document):
    """The whole document of a trace whose values stand in the file.

    `synthetic`: how the values were drawn if they are not a real network's, else ''.
    """

    format: Literal["sparqsim.trace/1", "sparqsim.trace/2"] = FORMAT
    synthetic: Text = ""

    @classmethod
    def of(cls, layers: Iterable[LayerRecord], **document: Any) -> Self:
        """Return the document of some layers, in the oldest format that can say it."""
        layers = tuple(layers)
        narrow = any(layer.is_narrow for layer in layers)
        format_ = BITS_FORMAT if narrow else FORMAT
        return cls(**document | {"format": format_, "layers": layers})

    @field_validator("layers")
    @classmethod
    def _format_has_the_bits(
        cls, layers: tuple[LayerRecord, ...], info: ValidationInfo
    ) -> tuple[LayerRecord, ...]:
        for layer in layers if info.data.get("format") == FORMAT else ():
            for name in {"activation_bits", "weight_bits"} & layer.model_fields_set:
                bits = getattr(layer, name)
                # A file of the older format cannot have the field at all, whatever its value.
                if bits < ALL_BITS or info.mode == "json":
                    raise ValueError(
                        f"layer {layer.name!r} has {name}={bits}, which the format {FORMAT!r} does "
                        f"not know; expected the format {BITS_FORMAT!r}"
                    )
        return layers


class DrawnLayerRecord(LayerRecord):
    """One layer of drawn values: what a stored layer says, and what its values are drawn from.

    `number`: of the layer's random streams, no two layers the same. `activations`: the shape of the
    uint8 activations, (batch, height, width, channels) or (groups, M, K). `weights`: the shape of
    the int8 weights, (output channel, kernel position, input channel of the group).
    """

    number: NotNegative
    activations: Annotated[tuple[Positive, ...], Field(min_length=3, max_length=4)]
    weights: tuple[Positive, Positive, Positive]

    @property
    def layer(self) -> LayerRecord:
        """What a stored layer says."""
        return LayerRecord(**{name: getattr(self, name) for name in LayerRecord.model_fields})


class DrawnValues(Record):
    """How all values of a trace are drawn: the parameters of
    `sparqsim.trace.synthetic.Distribution`.

    `zeros`: expected share of zero activations. `correlation`: of neighbouring channels, before the
    cut. `seed`: of all layers; a layer's streams are seeded by (seed, number, 0) for activations
    and (seed, number, 1) for weights. `stream`: the generator of standard normal numbers.
    """

    zeros: float
    correlation: float
    seed: int
    stream: Literal["numpy-pcg64-ziggurat-float32/1"] = STREAM


class DrawnDocument(Document):
    """The whole document of a trace whose values are drawn when they are read; the file holds
    nothing else.

    It has no field `synthetic`: that label follows from `drawn`.
    """

    format: Literal["sparqsim.trace.drawn/1"] = DRAWN_FORMAT
    drawn: DrawnValues
    layers: tuple[DrawnLayerRecord, ...]
