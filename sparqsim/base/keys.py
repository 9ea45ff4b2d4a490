"""Keys of what a user names: 'key=value,key=value' behind a name, as fields of a dataclass.

A field is a `Literal[...]` of texts, an `int` or a `float`; `field(metadata={"least": 1, "most":
64})` bounds a number, `metadata={"key": False}` makes a field that no user sets. A key of another
kind reads its own text: `metadata={"read": text_to_value_or_None, "accepts": "what, in words"}`.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.parse import real_number, whole_number

#: Of an integer key.
LARGEST_KEY = 999_999_999

Keyed = TypeVar("Keyed")


def keys_of(keyed: Any) -> list[Field[Any]]:
    """Return the fields that users may set; those with `metadata={"key": False}` are not theirs."""
    return [each for each in fields(keyed) if each.metadata.get("key", True)]


#: To work out the types of a class's fields takes longer than to set them.
_HINTS: WeakKeyDictionary[type, dict[str, Any]] = WeakKeyDictionary()


def hints_of(kind: type) -> dict[str, Any]:
    """Return the types of a class's fields, by name."""
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind)
    return _HINTS[kind]


def with_keys(kind: type[Keyed], text: str, spec: str, what: str) -> Keyed:
    """Return an object of `kind` with the keys of 'key=value,key=value'.

    Parameters
    ----------
    kind : dataclass with a `name`
    text : str
    spec : str
        The whole text that the user gave, for messages.
    what : str
        What it names: 'PE design', 'transform'.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one), or a value that is not accepted.
    """
    known = {key.name: key for key in keys_of(kind)}
    hints = hints_of(kind)
    values: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if name in known and not equals:
            raise InputError(
                f"{what} {spec!r}: key {name!r} has no value, expected {name}="
                f"{key_choices(kind)[name][1]} (keys: {', '.join(known)})"
            )
        if name in values:
            raise InputError(f"{what} {spec!r}: key {name!r} is given twice, expected once")
        if name not in known:
            accepted = ", ".join(known) or "no keys"
            raise InputError(
                f"{what} {spec!r}: key {part!r} is not known{nearest(name, known)}; "
                f"{getattr(kind, 'name', kind.__name__)} accepts {accepted}"
            )
        values[name] = _key_value(f"{what} {spec!r}", known[name], hints[name], value)
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what} {spec!r}: {error}") from None


def check_keys(keyed: Any, named: str) -> None:
    """Raise InputError for an object whose keys hold what no text could have set.

    `named`: what messages call the object.
    """
    hints = hints_of(type(keyed))
    for key in keys_of(keyed):
        value, hint = getattr(keyed, key.name), hints[key.name]
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                choices = ", ".join(map(repr, get_args(hint)))
                raise InputError(f"{named}: {key.name}={value!r}, expected one of {choices}")
        elif hint in {int, float} and type(value) not in {int, hint}:
            kind = "an integer" if hint is int else "a number"
            raise InputError(f"{named}: {key.name}={value!r}, expected {kind}")


def _key_value(named: str, key: Field[Any], hint: Any, text: str) -> Any:
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            choices = get_args(hint)
            raise InputError(
                f"{named}: {key.name}={text!r}{nearest(text, choices)}; "
                f"expected one of {', '.join(choices)}"
            )
        return text
    value = _value_read(key, hint, text)
    if value is not None:
        return value
    raise InputError(f"{named}: {key.name}={text!r}, expected {_accepted_in_words(key, hint)}")


def _value_read(key: Field[Any], hint: Any, text: str) -> Any:
    """Return the value that a text is for a key without choices, None where it is none."""
    if "read" in key.metadata:
        return key.metadata["read"](text)
    least, most = key.metadata.get("least", 0), key.metadata.get("most", LARGEST_KEY)
    if hint is float:
        value = real_number(text)
        return value if value is not None and least <= value <= most else None
    return whole_number(text, least, most) if hint is int else None


def _accepted_in_words(key: Field[Any], hint: Any) -> str:
    if "accepts" in key.metadata:
        return str(key.metadata["accepts"])
    kind = "a number" if hint is float else "an integer"
    least = key.metadata.get("least", 0)
    if "most" in key.metadata:
        return f"{kind} from {least} to {key.metadata['most']}"
    return f"{kind} of at least {least}"


def key_choices(kind: type[Any]) -> dict[str, tuple[str, str]]:
    """Return for each key its default and what it accepts, as text."""
    hints = hints_of(kind)
    return {
        key.name: (
            "" if key.default is MISSING else str(key.default),
            _accepted(key, hints[key.name]),
        )
        for key in keys_of(kind)
    }


def _accepted(key: Field[Any], hint: Any) -> str:
    """Return what a key accepts, as a table of designs shows it."""
    if get_origin(hint) is Literal:
        return " | ".join(get_args(hint))
    if "accepts" in key.metadata:
        return str(key.metadata["accepts"])
    kind = "number" if hint is float else "integer"
    least = key.metadata.get("least", 0)
    if "most" in key.metadata:
        return f"{kind} {least}..{key.metadata['most']}"
    return f"{kind} >= {least}"


def spec_of(keyed: Any) -> str:
    """Return the name of an object with every key that is not at its default: 'NAME:key=value'."""
    keys = [
        f"{key.name}={getattr(keyed, key.name)}"
        for key in keys_of(keyed)
        if getattr(keyed, key.name) != key.default
    ]
    return str(keyed.name) + (":" + ",".join(keys) if keys else "")
