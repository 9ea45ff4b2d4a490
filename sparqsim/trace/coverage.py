"""What of a network a trace holds: for how many inputs, and which products are not in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from sparqsim.errors import InputError
from sparqsim.record import Record, faults_of

#: Where a trace's provenance keeps it.
KEY = "coverage"


class LeftOut(Record):
    """An operation with multiply-accumulates that is not in the trace.

    reason: why, in words. macs: its multiply-accumulates for all inputs of the trace; None where
    they are not known.
    """

    name: str
    reason: str
    macs: Annotated[int, Field(ge=0)] | None


class Coverage(Record):
    """What of a network a trace holds.

    inputs: pictures, or other inputs of the network, whose operands the trace holds; None where
    it does not say. left_out: operations with multiply-accumulates that are not in the trace.
    """

    inputs: Annotated[int, Field(ge=1)] | None = None
    left_out: tuple[LeftOut, ...] = ()

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Coverage:
        """Return what a trace's provenance says; traces that say nothing give `Coverage()`.

        Raises
        ------
        InputError
            For an entry that is not a coverage.
        """
        try:
            return cls.model_validate(provenance.get(KEY, {}), strict=False)
        except ValidationError as error:
            raise InputError(f"provenance.{KEY}: {faults_of(error)[0]}") from None

    def macs_left_out(self) -> int | None:
        """Return the multiply-accumulates that are not in the trace; None where one operation's are not known."""
        return total(operation.macs for operation in self.left_out)

    def entry(self) -> dict[str, Any]:
        """Return what a trace's provenance gets."""
        return {KEY: self.model_dump(mode="json")}


def total(counts: Iterable[int | None]) -> int | None:
    """Return the sum of counts, None where one of them is not known."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)
