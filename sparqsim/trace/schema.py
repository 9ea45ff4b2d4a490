"""The JSON document in a trace file's metadata: what it may say, checked field by field."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator

from sparqsim.base.record import Name, Record, Text
from sparqsim.trace.coverage import Coverage

FORMAT: Literal["sparqsim.trace/1"] = "sparqsim.trace/1"

Positive = Annotated[int, Field(ge=1, le=2**31)]
NotNegative = Annotated[int, Field(ge=0, le=2**31)]
Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ConvGeometry(Record):
    """How a convolution walks its input. Lengths in pixels.

    `kernel`, `stride`, `dilation` are (vertical, horizontal); `padding` is (top, bottom, left, right).
    """

    kernel: tuple[Positive, Positive]
    stride: tuple[Positive, Positive] = (1, 1)
    padding: tuple[NotNegative, NotNegative, NotNegative, NotNegative] = (0, 0, 0, 0)
    dilation: tuple[Positive, Positive] = (1, 1)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) of the output in pixels; below 1 where the kernel does not fit."""
        top, bottom, left, right = self.padding
        sizes = []
        for size, axis in ((height + top + bottom, 0), (width + left + right, 1)):
            reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            sizes.append((size - reach) // self.stride[axis] + 1)
        return sizes[0], sizes[1]


class LayerRecord(Record):
    """One layer of the document; its tensors stand in the file as NAME/activations, NAME/weights, NAME/bias.

    A real activation is (integer - activation_zero_point) * activation_scale; a real weight is
    (integer - weight_zero_points[n]) * weight_scales[n], with one zero point per output channel, one for all, or none.
    Zero points other than 0 are allowed only with `zero_point_corrected`: the array then multiplies the stored
    integers, and its sums are corrected exactly outside of it (`LoweredLayer.corrected`).
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
    keep_8bit: bool = False
    note: Text = ""


class TraceDocument(Record):
    """The whole document.

    `network`: what was run. `calibrator`: how activation scales were found. `origin`: the program that wrote it.
    `synthetic`: how the values were drawn if they are not a real network's, else ''. `provenance`: anything else;
    its entry `coverage`, if there is one, is that of `sparqsim.trace.coverage`.
    """

    format: Literal["sparqsim.trace/1"] = FORMAT
    network: Text = ""
    calibrator: Text = ""
    origin: Text = ""
    license_note: Text = ""
    synthetic: Text = ""
    provenance: dict[str, JsonValue] = Field(default_factory=dict)
    layers: tuple[LayerRecord, ...]

    @field_validator("provenance")
    @classmethod
    def _coverage_is_one(cls, provenance: dict[str, JsonValue]) -> dict[str, JsonValue]:
        Coverage.of(provenance)
        return provenance
