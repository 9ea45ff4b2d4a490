"""Confounds: what results differ in beside the design.

A fact in which two cards differ explains others that follow from it: another first layer at 8 bits
is another list of kept layers, and another file. Those are not named again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import Field

from sparqsim.base.known import UNKNOWN, Fact, Facts
from sparqsim.base.record import Record, Text
from sparqsim.results.card import NOT_KEPT, Card, DesignFacts
from sparqsim.trace.quantisation import SYNTHETIC, Memory

DIFF_SCHEMA: Final = "sparqsim.card_diff/1"
Side = Literal["quantisation", "hardware", "origin"]
#: Facts that follow from others: named only where none of those differs.
FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "kept_8bit": ("first_last", "network"),
    "layer_bits": ("weight_bit_set", "activation_bit_set", "network"),
    "weights": ("weight_bit_set", "layer_bits", "network"),
    "feature_maps": ("activation_bit_set", "layer_bits", "network", "traced_inputs"),
    "calibration_sha256": ("calibration_inputs",),
    "left_out": ("network",),
    "folded_batch_norms": ("network",),
}
#: Names of facts that are not read from their fields' names.
WORDS: Mapping[str, str] = {
    "first_last": "first and last layer at 8 bits",
    "kept_8bit": "layers at 8 bits",
    "layer_bits": "layers below 8 bits",
    "left_out": "operations left out",
    "recalibrated_bn": "batch norms recalibrated",
    "residual": "quantised",
    "trace_sha256": "trace (SHA-256)",
    "weights": "weight memory",
    "feature_maps": "feature maps",
}
#: Values that a sentence names.
MOST_VALUES = 4
#: Longest value that is written out, in characters.
LONGEST = 120
#: What a trace's axis changes: results of several networks drawn over one axis differ in these.
OF_A_TRACE = frozenset(
    {
        *("network", "trace_sha256", "kept_8bit", "layer_bits", "weights", "feature_maps"),
        *("left_out", "folded_batch_norms", "traced_inputs"),
    }
)
#: And, where all of them are of drawn values, in how those were drawn.
OF_DRAWN_VALUES = frozenset({"values", "seeds"})


class Difference(Record):
    """A fact in which cards differ, or that is not known of all of them.

    side: of the card. fact: its name. values: what each card says, in the cards' order.
    """

    side: Side
    fact: Text
    values: tuple[Text, ...] = Field(min_length=2)

    @property
    def words(self) -> str:
        """The fact and its values, each once, as 'dataflow (os / ws)'; of many, the first few."""
        distinct = list(dict.fromkeys(self.values))
        more = len(distinct) - MOST_VALUES
        told = [*distinct[:MOST_VALUES], *([f"{more} more"] if more > 0 else [])]
        return f"{words_of(self.fact)} ({' / '.join(told)})"


class CardDiff(Record):
    """What cards differ in.

    names: what each card is of. designs: the designs of each card: what is compared. confounds:
    facts that differ beside the design. not_known: facts that some cards say and others do not:
    they may differ.
    """

    schema_: Literal["sparqsim.card_diff/1"] = Field(default=DIFF_SCHEMA, alias="schema")
    names: tuple[Text, ...]
    designs: tuple[Text, ...]
    confounds: tuple[Difference, ...]
    not_known: tuple[Difference, ...] = ()

    def of_side(self, side: Side) -> tuple[Difference, ...]:
        """Return the confounds of one side."""
        return tuple(each for each in self.confounds if each.side == side)


def card_diff(
    cards: Sequence[Card], names: Sequence[str] = (), free: Collection[str] = ()
) -> CardDiff:
    """Return what cards differ in.

    Parameters
    ----------
    cards : sequence of Card
        At least two.
    names : sequence of str
        What each is of; default: 1, 2, ...
    free : collection of str
        Facts that may differ: what an axis of a figure is.
    """
    facts = [fact for fact in _facts(cards) if fact.name not in free]
    differing = {fact.name: fact.side for fact in facts if fact.differs}
    confounds = [fact for fact in facts if fact.differs and not _explained(fact, differing)]
    not_known = [fact for fact in facts if fact.is_known_in_part and not fact.differs]
    numbers = (str(at) for at in range(1, len(cards) + 1))
    designs = (", ".join(card.specs) for card in cards)
    return CardDiff(
        names=tuple(names or numbers),
        designs=tuple(designs),
        confounds=_differences(confounds),
        not_known=_differences(not_known),
    )


def _differences(facts: Sequence[_Compared]) -> tuple[Difference, ...]:
    return tuple(fact.difference() for fact in facts)


def confound_notes(cards: Sequence[Card], free: Collection[str] = ()) -> list[str]:
    """Return what must be said where results stand together, a sentence each; [] for nothing."""
    if len(cards) < 2:
        return []
    diff = card_diff(cards, free=free)
    notes = []
    if diff.confounds:
        told = "; ".join(each.words for each in diff.confounds)
        notes.append(f"Confounds, beside the design these differ in: {told}.")
    if diff.not_known:
        told = ", ".join(words_of(each.fact) for each in diff.not_known)
        notes.append(f"Not known of all of these, so they may differ in: {told}.")
    return notes


def trace_axis(cards: Sequence[Card]) -> frozenset[str]:
    """Return the facts that may differ where an axis of a figure goes over traces."""
    drawn = all((card.quantisation.values or "").startswith(SYNTHETIC) for card in cards)
    return OF_A_TRACE | (OF_DRAWN_VALUES if drawn else frozenset())


def words_of(fact: str) -> str:
    """Return a fact's name in words."""
    return WORDS.get(fact, fact.replace("_", " "))


def shown_value(fact: Fact) -> str:
    """Return what a card says of a fact, in words of bounded length."""
    return _cut(_text(fact.value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _text(value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, Memory):
        return value.words
    if isinstance(value, Mapping):
        told = ", ".join(f"{words_of(str(name))} {_text(part)}" for name, part in value.items())
        return told or "none"
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class _Compared:
    """What all cards say of one fact: values in the cards' order, None where it is not known."""

    side: Side
    name: str
    values: Sequence[Any]

    @property
    def differs(self) -> bool:
        """Whether two cards say different things; what is not known says nothing."""
        known = [value for value in self.values if value is not None]
        return any(value != known[0] for value in known[1:])

    @property
    def is_known_in_part(self) -> bool:
        """Whether some cards say it and others do not."""
        absent = sum(value is None for value in self.values)
        return 0 < absent < len(self.values)

    def difference(self) -> Difference:
        """Return it as a record; values too long to tell apart get a digest."""
        texts = [_text(_contrasted(value, self.values)) for value in self.values]
        cut = [_cut(text) for text in texts]
        if self.differs and len(set(cut)) < len(set(texts)):
            cut = [f"{short} ({_digest(text)})" for short, text in zip(cut, texts, strict=True)]
        return Difference(side=self.side, fact=self.name, values=tuple(cut))


def _contrasted(value: Any, values: Sequence[Any]) -> Any:
    """Return a value without the entries that all have alike, where they have entries."""
    others = [each for each in values if isinstance(each, Mapping)]
    if not isinstance(value, Mapping):
        return value
    return {
        name: part
        for name, part in value.items()
        if any(name not in other or other[name] != part for other in others)
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]


def _facts(cards: Sequence[Card]) -> Iterator[_Compared]:
    """Yield what every card says of all facts that can be confounds."""
    yield from _of_records("quantisation", [card.quantisation for card in cards])
    hardware = [card.hardware for card in cards if card.hardware is not None]
    if len(hardware) == len(cards):
        yield from _of_records("hardware", hardware)
    yield from _of_designs(cards)
    of_a_trace = any(card.of == "trace" for card in cards)
    for fact in _of_records("origin", [card.origin for card in cards]):
        # What wrote a trace is not what simulated it.
        if not (of_a_trace and fact.name == "revision"):
            yield fact


def _of_records(side: Side, records: Sequence[Facts]) -> Iterator[_Compared]:
    for name in records[0].names():
        yield _Compared(side, name, [getattr(record, name) for record in records])


def _of_designs(cards: Sequence[Card]) -> Iterator[_Compared]:
    """Yield what cards say of a design that all of them have: it must be the same."""
    shared = set(cards[0].specs).intersection(*(card.specs for card in cards))
    for spec in sorted(shared):
        same = [next(each for each in card.designs if each.design == spec) for card in cards]
        for name in DesignFacts.names():
            yield _Compared("hardware", f"{name} of {spec}", [getattr(each, name) for each in same])


def _explained(fact: _Compared, differing: Mapping[str, Side]) -> bool:
    """Return whether a difference follows from another one."""
    name = fact.name
    if name == "trace_sha256":
        return "quantisation" in differing.values() or "network" in differing
    if name == "kept" and NOT_KEPT in fact.values:
        return "first_last" in differing or "kept_8bit" in differing
    return any(cause in differing for cause in FOLLOWS.get(name, ()))
