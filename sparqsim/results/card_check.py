"""Whether a card is that of the report it stands in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparqsim.base.errors import shown
from sparqsim.base.plugins import refuse_code
from sparqsim.base.record import Record
from sparqsim.results.card import Card, HardwareFacts, Ran, run_card, specs_of
from sparqsim.trace.quantisation import kept_facts


def check_card(run: Ran, card: Card) -> None:
    """Raise ValueError where a report's card contradicts the report."""
    _check_designs(card, specs_of(run.pe))
    expected = run_card(run, card.quantisation, card.designs)
    if card.hardware is not None and expected.hardware is not None:
        expected = expected.model_copy(
            update={"hardware": _in_words_of(card.hardware, expected.hardware)}
        )
    for part in ("hardware", "origin", "numbers"):
        found, right = getattr(card, part), getattr(expected, part)
        if found != right:
            raise ValueError(f"card.{part}: {_first_difference(found, right)}")
    kept = [layer.name for layer in run.layers if layer.kept_8bit]
    strange = sorted(set(kept) - set(card.quantisation.kept_8bit or ()))
    if strange:
        raise ValueError(
            f"card.quantisation.kept_8bit: has no {shown(strange[0])}, which ran at 8 bits; "
            "expected every layer that did"
        )
    ends = kept_facts(card.quantisation.kept_8bit or (), [layer.name for layer in run.layers])
    if card.quantisation.first_last not in (None, ends["first_last"].value):
        raise ValueError(
            f"card.quantisation.first_last: found {shown(card.quantisation.first_last)}, but "
            f"kept_8bit gives {shown(ends['first_last'].value)}"
        )
    for layer in run.layers:
        narrow = (card.quantisation.layer_bits or {}).get(layer.name, (8, 8))
        if narrow != (layer.activation_bits, layer.weight_bits):
            raise ValueError(
                f"card.quantisation.layer_bits: found {narrow} for {shown(layer.name)}, expected "
                f"those of the layer, {(layer.activation_bits, layer.weight_bits)}"
            )


def _check_designs(card: Card, specs: Sequence[str]) -> None:
    """Raise ValueError where a card is not that of a report of these designs.

    A design in a file of Python comes first: whoever named it there has to hear that it is not run.
    """
    for spec in specs:
        if spec not in card.specs:
            refuse_code(spec, "PE design", "pe", "one that you name with --pe")
    if card.of != "report" or card.specs != specs:
        raise ValueError(
            f"card: of={card.of!r}, designs {', '.join(card.specs) or 'none'}, expected "
            f"of='report', designs {', '.join(specs)}"
        )


def _in_words_of(written: HardwareFacts, now: HardwareFacts) -> HardwareFacts:
    """Return facts of which those that are assumed have the words of the version that wrote them.

    What this version says of itself, another may have said in other words.
    """
    assumed = {
        name: written.fact(name)
        for name in written.names()
        if written.known[name] == now.known[name] == "assumed"
    }
    return now.with_facts(**assumed)


def _first_difference(found: Any, expected: Any) -> str:
    """Return the first field in which two records, or two mappings, differ, in words."""
    one = found.model_dump() if isinstance(found, Record) else found
    other = expected.model_dump() if isinstance(expected, Record) else expected
    if not isinstance(one, dict) or not isinstance(other, dict):
        return f"found {shown(one)}, but the report gives {shown(other)}"
    names = [*other, *(name for name in one if name not in other)]
    name = next(name for name in names if one.get(name) != other.get(name))
    return f"{name}: found {shown(one.get(name))}, but the report gives {shown(other.get(name))}"
