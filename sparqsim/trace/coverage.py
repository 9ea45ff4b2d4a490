"""What of a network a trace holds: for how many inputs, and which products are not in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from sparqsim.base.errors import InputError, printable
from sparqsim.base.record import Record, faults_of
from sparqsim.base.wording import counted

#: Where a trace's provenance keeps it.
KEY = "coverage"
#: The input that Hugging Face's networks take token numbers by.
TOKENS = "input_ids"
#: Operations that a note names before it only counts.
MOST_NAMES = 4
#: Why an operation of an older trace was left out, where it gives names alone.
NO_REASON = "the trace does not say why"


class LeftOut(Record):
    """An operation with multiply-accumulates that is not in the trace.

    reason: why, in words. macs: its multiply-accumulates for all inputs of the trace; None where
    they are not known.
    """

    name: str
    reason: str
    macs: Annotated[int, Field(ge=0)] | None


class InputKind(NamedTuple):
    """What the inputs of a batch are, as `Coverage` says it: unit, and tokens of them all."""

    unit: Literal["picture", "sequence"] | None = None
    tokens: int | None = None

    @classmethod
    def of(cls, shape: Sequence[int], *, whole_numbers: bool) -> InputKind:
        """Return what inputs of this shape are, the batch being the first axis.

        Real numbers in four axes are pictures, whole ones in two are sequences of tokens.
        """
        if whole_numbers and len(shape) == 2:
            return cls("sequence", math.prod(shape))
        return cls("picture") if len(shape) == 4 else cls()

    def plus(self, other: InputKind) -> InputKind:
        """Return what these inputs and more of them are."""
        if self.unit != other.unit:
            return InputKind()
        tokens = total((self.tokens, other.tokens))
        return InputKind(self.unit, tokens)


def _is_unknown(value: object) -> bool:
    return not value


class Coverage(Record):
    """What of a network a trace holds.

    inputs: pictures, or other inputs of the network, whose operands the trace holds; None where
    it does not say. left_out: operations with multiply-accumulates that are not in the trace.
    unit: what an input is, where that is known. tokens: of all inputs, where they are sequences.
    phase: what of a language model's work it is, '' where it is a whole run.
    """

    inputs: Annotated[int, Field(ge=1)] | None = None
    left_out: tuple[LeftOut, ...] = ()
    unit: Literal["picture", "sequence"] | None = Field(default=None, exclude_if=_is_unknown)
    tokens: Annotated[int, Field(ge=1)] | None = Field(default=None, exclude_if=_is_unknown)
    phase: str = Field(default="", exclude_if=_is_unknown)

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Coverage:
        """Return what a trace's provenance says; traces that say nothing give `Coverage()`.

        Older traces say less, under other names: `pictures`, a count, and `skipped`, names of
        operations, or names with reasons.

        Raises
        ------
        InputError
            For an entry that is not a coverage.
        """
        if KEY not in provenance:
            return cls(
                inputs=_older_inputs(provenance.get("pictures")),
                left_out=_older_left_out(provenance.get("skipped")),
            )
        try:
            return cls.model_validate(provenance[KEY], strict=False)
        except ValidationError as error:
            raise InputError(f"provenance.{KEY}: {faults_of(error)[0]}") from None

    @property
    def is_stated(self) -> bool:
        """Whether the trace says anything of what it holds."""
        return self != Coverage()

    def macs_left_out(self) -> int | None:
        """Return the multiply-accumulates not in the trace; None where some are unknown."""
        return total(operation.macs for operation in self.left_out)

    def share_left_out(self, macs: int) -> float | None:
        """Return the share of the network's multiply-accumulates that is not in the trace, 0 to 1.

        None where the trace says nothing, or not how many an operation has.

        Parameters
        ----------
        macs : int
            Multiply-accumulates that are in the trace.
        """
        left_out = self.macs_left_out()
        if not self.is_stated or left_out is None:
            return None
        return left_out / (macs + left_out) if left_out else 0.0

    def per_input(self, count: int) -> float | None:
        """Return a count over all inputs per input; None where their number is not known."""
        return None if self.inputs is None else count / self.inputs

    def scope(self) -> str:
        """Return what totals over the trace are totals of, as the beginning of a title."""
        if self.left_out:
            return "Simulated part of the network"
        return "Whole network" if self.is_stated else "All layers of the trace"

    def inputs_text(self) -> str:
        """Return for how many inputs the trace's cycles are, in a few words."""
        if self.inputs is None:
            return "number of inputs not stated"
        counts = counted(self.inputs, self.unit or "input")
        tokens = f" ({counted(self.tokens, 'token')})" if self.tokens else ""
        return counts + tokens + (f", {self.phase}" if self.phase else "")

    def left_out_text(self, macs: int) -> str:
        """Return how much of the network is not simulated, in words; '' where nothing is left out.

        Parameters
        ----------
        macs : int
            Multiply-accumulates that are in the trace.
        """
        if not self.left_out:
            return ""
        share = self.share_left_out(macs)
        if share is not None:
            return f"{_percent(share)} of the network's MACs not simulated"
        known = sum(operation.macs or 0 for operation in self.left_out)
        if known:
            return (
                f"at least {_percent(known / (macs + known))} of the network's MACs not simulated"
            )
        return "an unknown share of the network's MACs not simulated"

    def label(self, macs: int) -> str:
        """Return for how many inputs cycles are, and what share of the network they lack.

        Parameters
        ----------
        macs : int
            Multiply-accumulates that are in the trace.
        """
        return ", ".join(filter(None, [self.inputs_text(), self.left_out_text(macs)]))

    def notes(self, macs: int) -> list[str]:
        """Return what a reader must know beside totals over the trace, a sentence each.

        Parameters
        ----------
        macs : int
            Multiply-accumulates that are in the trace.
        """
        lines = [self._inputs_note()]
        if self.left_out:
            what = counted(len(self.left_out), "operation")
            share = self.left_out_text(macs)
            lines.append(f"Not the whole network: {share}; {what} left out: {self.names()}.")
        elif not self.is_stated:
            lines.append("The trace does not say whether operations of the network are left out.")
        return lines

    def names(self) -> str:
        """Return the names of what is left out: the first few, and how many more."""
        names = [printable(operation.name) for operation in self.left_out]
        more = len(names) - MOST_NAMES
        return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")

    def flat_fields(self, macs: int | None) -> dict[str, Any]:
        """Return for how many inputs cycles are, and what of the network is not in them, for a flat
        row.

        Parameters
        ----------
        macs : int or None
            Multiply-accumulates that are in the cycles, where they are known.
        """
        return {
            "inputs": self.inputs,
            "macs_left_out_share": None if macs is None else self.share_left_out(macs),
            "left_out_operations": "; ".join(operation.name for operation in self.left_out),
            **({"inputs_are": f"{self.unit}s"} if self.unit else {}),
            **({"tokens": self.tokens} if self.tokens else {}),
            **({"phase": self.phase} if self.phase else {}),
        }

    def entry(self) -> dict[str, Any]:
        """Return what a trace's provenance gets."""
        return {KEY: self.model_dump(mode="json")}

    def _inputs_note(self) -> str:
        if self.inputs is None:
            return "The trace does not say for how many inputs of the network these cycles are."
        if self.phase:
            return f"Cycles are those of {self.inputs_text()}, one after another."
        return f"Cycles are those of {self.inputs_text()} of the network, one after another."


class Tally:
    """Multiply-accumulates of operations that are not in a trace, added up run by run.

    Parameters
    ----------
    operations : iterable of (name, reason)
        What is known to be left out before anything runs. Others join when they first run.
    """

    def __init__(self, operations: Iterable[tuple[str, str]] = ()) -> None:
        self._macs: dict[tuple[str, str], int | None] = dict.fromkeys(operations, 0)

    def add(self, name: str, reason: str, macs: int | None) -> None:
        """Count one run of an operation; None: nobody knows how much it computed."""
        self._macs[name, reason] = total((self._macs.get((name, reason), 0), macs))

    @property
    def operations(self) -> tuple[tuple[str, str], ...]:
        """Name and reason of what was left out."""
        return tuple(self._macs)

    def coverage(self, inputs: int, kind: InputKind | None = None, phase: str = "") -> Coverage:
        """Return what a trace of so many inputs says of itself."""
        unit, tokens = kind or InputKind()
        left_out = tuple(
            LeftOut(name=name, reason=reason, macs=macs)
            for (name, reason), macs in self._macs.items()
        )
        return Coverage(inputs=inputs, left_out=left_out, unit=unit, tokens=tokens, phase=phase)


def _percent(share: float) -> str:
    """Return a share in percent: never 0.0 for what is there."""
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 0.05 or not percent else f"{percent:.2g} %"


def _older_inputs(pictures: object) -> int | None:
    """Return an older trace's count of pictures; anything else under that name is not one."""
    is_count = isinstance(pictures, int) and not isinstance(pictures, bool) and pictures >= 1
    return pictures if isinstance(pictures, int) and is_count else None


def _older_left_out(skipped: object) -> tuple[LeftOut, ...]:
    """Return what an older trace left out: a list of names, or reasons by name."""
    if isinstance(skipped, Mapping):
        reasons = {str(name): str(reason) for name, reason in skipped.items()}
    elif isinstance(skipped, list) and all(isinstance(name, str) for name in skipped):
        reasons = dict.fromkeys(skipped, NO_REASON)
    else:
        return ()
    return tuple(LeftOut(name=name, reason=reason, macs=None) for name, reason in reasons.items())


def total(counts: Iterable[int | None]) -> int | None:
    """Return the sum of counts, None where one of them is not known."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)
