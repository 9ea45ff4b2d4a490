"""Quantization cards as tables, what they differ in, and equal budgets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sparqsim.base.errors import printable
from sparqsim.base.known import Facts
from sparqsim.base.wording import counted
from sparqsim.cli.tables import Shown, Table
from sparqsim.results.card import Card
from sparqsim.results.confounds import CardDiff, Difference, shown_value, words_of
from sparqsim.trace.budget import EqualBudget, OperandBudget

KNOWN_NOTE = (
    "measured: counted or simulated here; read: stated by a file, an option or a table with a "
    "source; assumed: true of what sparqsim does, or drawn; unknown: nobody says it, and nothing "
    "is guessed."
)


def card_shown(card: Card, name: str) -> Shown:
    """Return a card: a table for each of its sides; in CSV a row per fact."""
    rows = list(_rows(card))
    tables = []
    for side in dict.fromkeys(row["side"] for row in rows):
        table = Table(_title(side), ["fact", "known", "value"], text=True)
        for row in rows:
            if row["side"] == side:
                table.add_row(words_of(row["fact"]), row["known"], row["value"])
        tables.append(table)
    return Shown(
        printable(f"Quantization card of {name} ({card.of})"),
        tables,
        KNOWN_NOTE,
        lambda: rows,
        card.to_json,
    )


def _title(side: str) -> str:
    titles = {
        "quantisation": "Quantisation: how the network became integers",
        "hardware": "Hardware: what surrounds the design",
        "origin": "Origin",
        "numbers": "Numbers of the result",
    }
    return titles.get(side, printable(side))


def _rows(card: Card) -> Iterator[dict[str, str]]:
    """Yield a row for each fact: its side, its name, its value in words, how it is known."""
    yield from _facts("quantisation", card.quantisation)
    for design in card.designs:
        yield from _facts(f"Design {design.design}", design)
    if card.hardware is not None:
        yield from _facts("hardware", card.hardware)
    yield from _facts("origin", card.origin)
    for number, known in card.numbers.items():
        yield {"side": "numbers", "fact": number, "value": "", "known": known}


def _facts(side: str, facts: Facts) -> Iterator[dict[str, str]]:
    for name in facts.names():
        fact = facts.fact(name)
        yield {"side": side, "fact": name, "value": shown_value(fact), "known": fact.known}


def diff_shown(diff: CardDiff) -> Shown:
    """Return what cards differ in: confounds, then what not all of them say."""
    numbered = [
        f"{at}: {name} ({designs or 'no design'})"
        for at, (name, designs) in enumerate(zip(diff.names, diff.designs, strict=True), 1)
    ]
    heading = ["Compared are these, and their designs are no confounds:", *numbered]
    tables = [
        _differences(f"{counted(len(found), 'confound')}, {side} side", found)
        for side in ("quantisation", "hardware", "origin")
        if (found := diff.of_side(side))
    ]
    if diff.not_known:
        tables.append(_differences("Not known of all, so it may differ", diff.not_known))
    said = "" if diff.confounds else "No confounds: nothing known differs beside the design."
    return Shown(
        "\n".join(map(printable, heading)),
        tables,
        said,
        lambda: [*_diff_rows(diff)],
        diff.to_json,
        names=("side", "fact", "confound", "of", "value"),
    )


def _differences(title: str, found: tuple[Difference, ...]) -> Table:
    table = Table(title, ["fact", "of", "value"], text=True)
    for each in found:
        table.add_section()
        for at, value in enumerate(each.values, 1):
            table.add_row(words_of(each.fact) if at == 1 else "", str(at), value)
    return table


def _diff_rows(diff: CardDiff) -> Iterator[dict[str, Any]]:
    for is_confound, found in ((True, diff.confounds), (False, diff.not_known)):
        for each in found:
            for name, value in zip(diff.names, each.values, strict=True):
                first = {"side": each.side, "fact": each.fact, "confound": is_confound}
                yield first | {"of": name, "value": value}


def budget_shown(budget: EqualBudget) -> Shown:
    """Return both schemes for weights and activations, and what makes their totals equal."""
    operands = (budget.weights, budget.activations)
    kept = ", ".join(budget.kept) or "none"
    return Shown(
        printable(f"At 8 bits in the second scheme: {kept}"),
        [_budget_table(each) for each in operands],
        "Totals: bits of all codes; those of activations are of the layers' inputs, per input of "
        "the network. '-': the layers at 8 bits alone take more, or there are no others.",
        lambda: [each.model_dump(mode="json") for each in operands],
        budget.to_json,
    )


def _budget_table(budget: OperandBudget) -> Table:
    table = Table(
        f"{budget.operand.capitalize()}: bits of a code",
        ["scheme", "ends", "others", "average", "total bits"],
    )
    bits, ends = f"{budget.bits:g}", str(budget.kept_bits)
    average = f"{budget.average_bits_kept:.2f}"
    equal = budget.equal_inner_bits
    totals = f"{budget.total_bits:,.0f}", f"{budget.total_bits_kept:,.0f}"
    table.add_row("everywhere", bits, bits, bits, totals[0])
    table.add_row(f"ends at {ends}", ends, bits, average, totals[1])
    table.add_section()
    # Where the ends alone take more, nothing has that total.
    converted = ["-", "-", "-"] if equal is None else [f"{equal:.2f}", bits, totals[0]]
    table.add_row(f"ends at {ends}, total of the first", ends, *converted)
    table.add_row("everywhere, total of the second", average, average, average, totals[1])
    return table
