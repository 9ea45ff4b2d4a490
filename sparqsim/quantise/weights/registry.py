"""Weight quantisers found by name: files of this folder, entry points, or a user's file."""

from __future__ import annotations

from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.base.keys import keys_of, with_keys
from sparqsim.base.registry import Registry, finished
from sparqsim.quantise.weights.base import WeightQuantiser, placed_keys

WHAT = "weight quantiser"


def get_weight_quantiser(spec: str | WeightQuantiser) -> WeightQuantiser:
    """Return the weight quantiser that 'nearest:4', 'lp:2.4:4', 'NAME:key=value,...' or
    'FILE.py:CLASS[:...]' names.

    The last one runs the file, so this is for what a user has typed.

    Raises
    ------
    InputError
        For an unknown name (with the nearest known one), an unknown key, or a value out of range.
    """
    if isinstance(spec, WeightQuantiser):
        return spec
    kind, text = REGISTRY.found(str(spec))
    return with_values(kind, text, spec)


def with_values(kind: type[WeightQuantiser], text: str, spec: str) -> WeightQuantiser:
    """Return a quantiser of `kind` with the values of '4', '2.4:4' or 'p=2.4,bits=4'.

    `spec`: the whole text that the user gave, for messages. Raises InputError for values that are
    not accepted.
    """
    return with_keys(kind, _named(kind, text, spec), spec, WHAT)


def _named(kind: type[WeightQuantiser], text: str, spec: str) -> str:
    """Return keys as 'key=value,...' where some were given by their place, split by ':'."""
    places = iter(placed_keys(kind))
    named = []
    for part in text.split(":") if text else ():
        if not part:
            raise InputError(f"{WHAT} {spec!r}: a value is empty, expected some between colons")
        if "=" in part:
            named.append(part)
            continue
        key = next(places, None)
        if key is None:
            form = ":".join([kind.name, *map(str.upper, placed_keys(kind))])
            raise InputError(f"{WHAT} {spec!r}: {part!r} is one value too many, expected {form}")
        named.append(f"{key}={part}")
    return ",".join(named)


FINISHED = "a frozen dataclass with `name`, the field `bits` and `quantise`"
_finished = finished(WeightQuantiser, FINISHED)  # type: ignore[type-abstract]


def _checked(value: Any, origin: str) -> type[WeightQuantiser]:
    kind = _finished(value, origin)
    if all(key.name != "bits" for key in keys_of(kind)):
        raise InputError(f"{origin} is unfinished: expected {FINISHED}")
    return kind


REGISTRY: Registry[WeightQuantiser] = Registry(
    WHAT,
    WeightQuantiser,  # type: ignore[type-abstract] # a base to look for
    "sparqsim.quantise.weights",
    "sparqsim.weights",
    _checked,
)
shipped_weight_quantisers = REGISTRY.shipped
