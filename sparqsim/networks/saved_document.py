"""What the file of a quantised network says of it: its layers, and what they were made of."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, JsonValue, model_validator

from sparqsim.base.record import Name, Record, Text
from sparqsim.networks.site import Op
from sparqsim.quantise.codes import ActivationCodes
from sparqsim.quantise.recipe import ACCUMULATOR_BITS
from sparqsim.trace.stated import Stated

FORMAT: Literal["sparqsim.quantised/1"] = "sparqsim.quantised/1"
#: Codes are computed in float32 (`sparqsim.quantise.codes`): others are 0 or infinite there.
LEAST_SCALE, LARGEST_SCALE = (
    float(each) for each in (np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max)
)


class SavedCodes(Record):
    """How a tensor is stored: real = (code - zero_point) * scale, code int8 where `signed`.

    bits: of the code; below 8 of keys and values alone.
    """

    scale: float = Field(ge=LEAST_SCALE, le=LARGEST_SCALE, allow_inf_nan=False)
    zero_point: int
    signed: bool
    bits: int = Field(default=8, ge=2, le=8, exclude_if=lambda bits: bits == 8)

    @model_validator(mode="after")
    def _check_zero_point(self) -> Self:
        lowest, highest = (-128, 127) if self.signed else (0, 255)
        if not lowest <= self.zero_point <= highest:
            raise ValueError(
                f"zero_point is {self.zero_point}, expected {lowest} to {highest}, a code"
            )
        return self

    @classmethod
    def of(cls, codes: ActivationCodes) -> SavedCodes:
        """Return codes as a file has them."""
        return cls(
            scale=codes.scale, zero_point=codes.zero_point, signed=codes.signed, bits=codes.bits
        )

    @property
    def codes(self) -> ActivationCodes:
        """The codes."""
        return ActivationCodes(self.scale, self.zero_point, self.signed, self.bits)


class SavedLayer(Record):
    """A layer, without its tensors. weight_bits: None for a product of two activations."""

    name: Name
    op: Op
    groups: int = Field(ge=1)
    activation: SavedCodes
    second: SavedCodes | None
    keep_8bit: bool
    weight_bits: int | None = Field(ge=2, le=8)
    accumulator_bits: int = Field(default=ACCUMULATOR_BITS, ge=8, le=64)
    reason: Text = ""


class QuantisedDocument(Record):
    """What a file says of the network.

    source: what was quantised, in words. source_sha256: of the network that it was made of: of an
    ONNX file's bytes, of a PyTorch network's parameters and buffers. calibrator, recipe: as in
    traces; recipe_title: in a line, '' where none was given. stated: what quantization cards of its
    traces are told. pictures: that scales were found on.
    preprocess: what was done to them. matmuls, fold: of a PyTorch network; skip: of an ONNX one.
    """

    format: Literal["sparqsim.quantised/1"] = FORMAT
    version: Text
    source: Text
    source_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    calibrator: Text
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    recipe_title: Text = ""
    stated: Stated = Field(default_factory=Stated)
    pictures: int | None = Field(default=None, ge=1)
    preprocess: Text = ""
    matmuls: tuple[str, ...] | None = ()
    fold: bool = True
    skip: tuple[str, ...] = ()
    layers: tuple[SavedLayer, ...] = Field(min_length=1)
