"""Layers of int8 activations under designs of unsigned ones that have a key for them.

`signed=magnitude` is a key of such designs: signs beside magnitudes, an extension of ours. A
setting of a whole comparison gives it to every design that has it, on the layers that need it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal, get_args

from sparqsim.base.errors import InputError, shown
from sparqsim.base.keys import hints_of, keys_of
from sparqsim.pe.base import PEDesign

#: What designs of unsigned activations do with layers of int8 ones.
Signed = Literal["magnitude", "refuse"]
MAGNITUDE: Final = "magnitude"
REFUSE: Final = "refuse"
#: The key that such a design has.
KEY: Final = "signed"
#: How the key stands in the name of a design that ran so.
KEY_TEXT: Final = f"{KEY}={MAGNITUDE}"


def checked_signed(signed: str) -> Signed:
    """Return `signed` if it is something to do with int8 layers. Raises InputError."""
    for way in get_args(Signed):
        if signed == way:
            return signed  # type: ignore[return-value] # one of them
    raise InputError(f"signed={shown(signed)}: expected {' or '.join(map(repr, get_args(Signed)))}")


def by_magnitude(pe: PEDesign) -> PEDesign:
    """Return the design with `signed=magnitude`, where it has the key and refuses int8 without."""
    if pe.signed_activations or not _has_key(pe):
        return pe
    asked: dict[str, Any] = {KEY: MAGNITUDE}
    return replace(pe, **asked)


def _has_key(pe: PEDesign) -> bool:
    if KEY not in {key.name for key in keys_of(pe)}:
        return False
    return MAGNITUDE in get_args(hints_of(type(pe))[KEY])


def is_by_magnitude(run_as: str, spec: str) -> bool:
    """Return whether `run_as` is the design `spec` with the key beside those that it has."""
    name, _, keys = spec.partition(":")
    found_name, _, found_keys = run_as.partition(":")
    own, found = set(filter(None, keys.split(","))), set(found_keys.split(","))
    return found_name == name and KEY_TEXT not in own and found == own | {KEY_TEXT}
