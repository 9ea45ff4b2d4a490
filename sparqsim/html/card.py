"""Quantization cards on the page, and what the results on it differ in beside the design."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sparqsim.base.known import Facts
from sparqsim.html.cells import Cell, Column, Table
from sparqsim.html.definitions import meaning
from sparqsim.results.card import Card
from sparqsim.results.confounds import CardDiff, card_diff, shown_value, words_of


def card_table(card: Card) -> Table:
    """Return a card: each fact, its value, how it is known, what it means."""
    rows = [*_rows("quantisation", card.quantisation)]
    for design in card.designs:
        rows += _rows("design_facts", design, f" of {design.design}")
    if card.hardware is not None:
        rows += _rows("hardware", card.hardware)
    rows += _rows("origin", card.origin)
    columns = (
        Column("fact", "", text=True),
        Column("value", "", text=True),
        Column("known", "card.known", text=True),
        Column("meaning", "", text=True),
    )
    cells = tuple(tuple(Cell(text) for text in row) for row in rows)
    return Table("Quantization card: what the numbers depend on", columns, cells)


def _rows(record: str, facts: Facts, of: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name in facts.names():
        if name == "design":
            continue
        fact = facts.fact(name)
        yield words_of(name) + of, shown_value(fact), fact.known, meaning(f"{record}.{name}")


def differences_table(titles: Sequence[str], cards: Sequence[Card]) -> Table | None:
    """Return what results on one page differ in beside the design; None where nothing differs.

    Parameters
    ----------
    titles : sequence of str
        What each result is called.
    cards : sequence of Card
    """
    if len(cards) < 2:
        return None
    diff = card_diff(cards)
    rows = tuple(_difference_rows(diff))
    if not rows:
        return None
    heads = (f"{at}. {title}" for at, title in enumerate(titles, 1))
    columns = (
        Column("fact", "", text=True),
        Column("side", "", text=True),
        *(Column(head, "", text=True) for head in heads),
    )
    return Table(
        "Confounds: what these results differ in beside the design",
        columns,
        rows,
        note="A number of one result beside a number of another says something of the designs only "
        "as far as none of these facts matters. 'unknown': a result does not say, so it may "
        "differ.",
    )


def _difference_rows(diff: CardDiff) -> Iterator[tuple[Cell, ...]]:
    for each in (*diff.confounds, *diff.not_known):
        said = (Cell(value) for value in each.values)
        yield (Cell(words_of(each.fact)), Cell(f"{each.side} side"), *said)
