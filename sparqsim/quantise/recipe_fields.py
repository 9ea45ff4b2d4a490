"""What the fields of a recipe take, and its tables for calibration and for single layers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from sparqsim.base.errors import InputError
from sparqsim.base.record import Name, Record
from sparqsim.quantise.calibrate import calibrator
from sparqsim.quantise.weights import get_weight_quantiser

#: Bits of activations' codes where a recipe does not say otherwise.
ALL_ACTIVATION_BITS = 8
KEPT_CHOICES = ("first-last", "none")

Labels = Literal["none", "true", "float-network"]


def _known_to(find: Callable[[str], object], spec: str) -> str:
    try:
        find(spec)
    except InputError as error:
        raise ValueError(str(error)) from None
    return spec


def _calibrator_name(spec: str) -> str:
    return _known_to(calibrator, spec)


def _weights_name(spec: str) -> str:
    return _known_to(get_weight_quantiser, spec)


def _kv_choice(spec: str) -> str:
    if not re.fullmatch("nearest:[2-8]", spec):
        raise ValueError(f"kv is {spec!r}, expected 'nearest:B', B bits from 2 to 8")
    return spec


def _kept_choice(value: object) -> object:
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(value)
    if value in KEPT_CHOICES:
        return value
    raise ValueError(f"expected {' or '.join(map(repr, KEPT_CHOICES))}, or a list of layer names")


Activations = Annotated[str, AfterValidator(_calibrator_name)]
Weights = Annotated[str, AfterValidator(_weights_name)]
KeysAndValues = Annotated[str, AfterValidator(_kv_choice)]
Kept = Annotated[Literal["first-last", "none"] | tuple[Name, ...], BeforeValidator(_kept_choice)]


class CalibrationChoice(Record):
    """On which pictures a network is measured.

    pictures: the first ones, so many; None: all. labels: what methods that look at answers compare
    them with: nothing, the pictures' own classes, or the float network's answers.
    """

    pictures: int | None = Field(default=None, ge=1)
    labels: Labels = "none"


class LayerChoice(Record):
    """A layer that is quantised otherwise than the network; None: as the network."""

    weights: Weights | None = None
    activations: Activations | None = None
    activation_bits: int | None = Field(default=None, ge=2, le=ALL_ACTIVATION_BITS)
