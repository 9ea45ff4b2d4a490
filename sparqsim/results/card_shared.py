"""The card of a comparison: what the cards of its reports share, and what they differ in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from sparqsim.base.known import UNKNOWN, Fact, Facts, Known, read
from sparqsim.results.card import Card, HardwareFacts, Origin
from sparqsim.results.clock import Clock
from sparqsim.results.iso_area import IsoArea
from sparqsim.trace.quantisation import Quantisation

#: Facts that are one of a few words.
CHOICES = frozenset({"first_last"})

OneOf = TypeVar("OneOf", bound=Facts)


def comparison_card(
    cards: Sequence[Card], iso_area: IsoArea | None = None, clock: Clock | None = None
) -> Card:
    """Return the card of a comparison: what its reports share, and all designs.

    Parameters
    ----------
    cards : sequence of Card
        Of the reports, at least one.
    iso_area, clock : optional
        What the comparison says of equal area and of clocks.
    """
    surroundings = [card.hardware for card in cards if card.hardware is not None]
    hardware = _shared(HardwareFacts, surroundings)
    numbers = dict(_numbers_of(cards))
    if iso_area is not None:
        hardware = hardware.with_facts(**_area_facts(iso_area, hardware))
        numbers["equal_area"] = "read"
    if clock is not None:
        told = f"{clock.kind}; {clock.source}, {clock.library}"
        hardware = hardware.with_facts(clock=read(told))
        numbers["time"] = "read"
    designs = {each.design: each for card in cards for each in card.designs}
    return Card(
        of="comparison",
        quantisation=_shared(Quantisation, [card.quantisation for card in cards]),
        designs=tuple(designs.values()),
        hardware=hardware,
        origin=_shared(Origin, [card.origin for card in cards]),
        numbers=numbers,
    )


def _area_facts(iso_area: IsoArea, hardware: HardwareFacts) -> dict[str, Fact]:
    width = 32 if iso_area.areas_of is None else iso_area.areas_of.acc_bits
    bits = "of each design's least width" if width == "least" else f"of {width} bits"
    return {
        "area_source": read(f"{iso_area.source}: {iso_area.taken_from}"),
        "accumulators": Fact(f"{hardware.accumulators}; areas {bits}", "assumed"),
    }


def _shared(kind: type[OneOf], parts: Sequence[OneOf]) -> OneOf:
    """Return the facts that several records have in common.

    Texts in which they differ stand one after another; what else differs is not known of all.
    """
    shared = {}
    for name in kind.names():
        facts = _distinct(part.fact(name) for part in parts)
        if len(facts) == 1:
            shared[name] = facts[0]
        elif all(isinstance(fact.value, str) for fact in facts) and name not in CHOICES:
            shared[name] = Fact("; ".join(fact.value for fact in facts), facts[0].known)
    return kind.of(**shared)


def _distinct(facts: Iterable[Fact]) -> list[Fact]:
    """Return facts in their order, each once; their values need not be hashable."""
    found: list[Fact] = []
    for fact in facts:
        if fact not in found:
            found.append(fact)
    return found


def _numbers_of(cards: Sequence[Card]) -> Iterable[tuple[str, Known]]:
    """Yield how numbers are known, where several cards say it: the weakest."""
    order: Mapping[Known, int] = {"measured": 0, "read": 1, "assumed": 2, UNKNOWN: 3}
    for name in dict.fromkeys(name for card in cards for name in card.numbers):
        yield name, max((card.numbers.get(name, "measured") for card in cards), key=order.get)  # type: ignore[arg-type]
