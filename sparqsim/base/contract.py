"""Contracts as checks that anyone can run: of PE designs, engine models and transforms.

A check takes what it checks; it returns when the contract is kept, and raises `Violation` with what
was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from sparqsim.base.keys import keys_of, with_keys

Checked = TypeVar("Checked")
#: A frozen dataclass whose fields are keys.
Keyed = TypeVar("Keyed")
Check = Callable[[Checked], None]


class Violation(Exception):
    """A contract is not kept."""


def expect(holds: bool, message: str) -> None:
    """Raise Violation with the message unless the condition holds."""
    if not holds:
        raise Violation(message)


@dataclass(frozen=True)
class Outcome:
    """What one check found: `failure` is '' where the contract is kept."""

    check: str
    failure: str


def outcomes_of(checks: Mapping[str, Check[Checked]], checked: Checked) -> Iterator[Outcome]:
    """Run every check."""
    for name, check in checks.items():
        yield Outcome(name, failure_of(check, checked))


def failure_of(check: Check[Checked], checked: Checked) -> str:
    """Return why a check fails, or ''.

    Whatever is raised by what is checked is a failure of it.
    """
    try:
        check(checked)
    except Violation as violation:
        return str(violation)
    except Exception as error:  # noqa: BLE001 - the failure of what is checked, whatever it is
        return f"raised {error!r}"
    return ""


def expect_frozen(value: Any, what: str) -> None:
    """Expect a frozen value: equal keys make equal, hashable objects; `what`: 'designs'."""
    twin = replace(value)
    expect(
        twin == value and hash(twin) == hash(value),
        f"two {what} {value.spec} are not equal, or hash differently",
    )
    try:
        value.name = "renamed"
    except FrozenInstanceError:
        return
    raise Violation("attributes can be set, expected @dataclass(frozen=True)")


def expect_same_of_spec(value: Any, what: str) -> None:
    """Expect the text that names an object, its keys included, to make the same again."""
    again = with_keys(type(value), value.spec.partition(":")[2], value.spec, what)
    expect(again == value, f"spec {value.spec!r} makes {again!r}, expected {value!r}")


def variants(design: type[Keyed]) -> list[Keyed]:
    """Return the design with default keys, and with each key changed alone.

    A key takes each of its choices, its `examples`, or its two least integers.
    """
    default, hints = design(), get_type_hints(design)
    found = [default]
    for key in keys_of(design):
        least = key.metadata.get("least", 0)
        choices = (
            get_args(hints[key.name])
            if get_origin(hints[key.name]) is Literal
            else key.metadata.get("examples", (least, least + 1))
        )
        found += [replace(default, **{key.name: choice}) for choice in choices]  # type: ignore[type-var]
    return list(dict.fromkeys(found))
