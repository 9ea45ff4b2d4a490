"""Records that say of each of their fields how it is known."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Self, TypeAlias

from pydantic import model_validator

from sparqsim.base.record import Record

#: 'measured': counted or simulated here. 'read': stated by a file, an option, or a table that names
#: its source. 'assumed': true of whatever sparqsim does, or of values that were drawn.
Known: TypeAlias = Literal["measured", "read", "assumed", "unknown"]
UNKNOWN: Literal["unknown"] = "unknown"


class Fact(NamedTuple):
    """A value, and how it is known."""

    value: Any
    known: Known


def read(value: Any) -> Fact:
    """Return what something states; None where it states nothing."""
    return Fact(value, UNKNOWN if value is None else "read")


def measured(value: Any) -> Fact:
    """Return what was counted here; None where it could not be."""
    return Fact(value, UNKNOWN if value is None else "measured")


class Facts(Record):
    """A record whose field `known` says how each of the others is known; None is unknown."""

    known: dict[str, Known]

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the fields that are facts, in their order."""
        return tuple(name for name in cls.model_fields if name != "known")

    @classmethod
    def of(cls, **facts: Fact) -> Self:
        """Return the record of some facts; the others are unknown."""
        told = {name: facts.get(name, Fact(None, UNKNOWN)) for name in cls.names()}
        known = {name: fact.known for name, fact in told.items()}
        return cls(known=known, **{name: fact.value for name, fact in told.items()})

    def fact(self, name: str) -> Fact:
        """Return a field with how it is known."""
        return Fact(getattr(self, name), self.known[name])

    def with_facts(self, **facts: Fact) -> Self:
        """Return the record with other facts in some places."""
        return type(self).of(**{name: self.fact(name) for name in self.names()} | facts)

    @model_validator(mode="after")
    def _says_how_each_is_known(self) -> Self:
        if set(self.known) != set(self.names()):
            raise ValueError(f"known: expected an entry for each of {', '.join(self.names())}")
        for name in self.names():
            is_absent = getattr(self, name) is None
            if is_absent != (self.known[name] == UNKNOWN):
                raise ValueError(
                    f"known.{name}={self.known[name]!r}: expected {UNKNOWN!r} where, and only "
                    f"where, {name} has no value"
                )
        return self
