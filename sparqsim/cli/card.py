"""`sparqsim card ...`: what numbers depend on, and what two results differ in beside the design."""

from __future__ import annotations

from typing import Annotated

import typer

from sparqsim.cli.help import command_group
from sparqsim.cli.options import Format, Trace

app = command_group("Show what numbers depend on, and what results differ in beside the design.")

Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="A trace, or JSON of `simulate`, `compare`, `accuracy`, `gather` or `card show`.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Exit code 1 also for what only one of the cards says."),
]
Bits = Annotated[
    float,
    typer.Option(
        "--bits",
        metavar="B",
        help="Bits of all layers, or of those between: up to 8, fractions too.",
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(
        "--keep-8bit",
        metavar="A,B",
        help="Layers at 8 bits in the second scheme. [default: the first and the last]",
        show_default=False,
    ),
]


@app.command("show")
def show_card(file: Source, format_: Format = "table") -> None:
    """Show the quantization card of a trace or a result: every fact, and how it is known."""
    import sparqsim
    from sparqsim.cli.show_card import card_shown
    from sparqsim.cli.tables import checked_format, show

    checked_format(format_)
    show(card_shown(sparqsim.card(file), file), format_)


@app.command()
def diff(one: Source, other: Source, strict: Strict = False, format_: Format = "table") -> None:
    """Name confounds: what two results differ in beside the design.

    Exit code 0: only designs differ, or nothing; 1: there are confounds; 2: a file cannot be read.
    """
    import sparqsim
    from sparqsim.cli.show_card import diff_shown
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.results.confounds import card_diff

    checked_format(format_)
    found = card_diff([sparqsim.card(one), sparqsim.card(other)], names=[one, other])
    show(diff_shown(found), format_)
    if found.confounds or (strict and found.not_known):
        raise typer.Exit(1)


@app.command()
def budget(trace: Trace, bits: Bits, keep_8bit: Keep = None, format_: Format = "table") -> None:
    """Convert between 'b bits everywhere' and 'first and last layer at 8', at equal total bits."""
    import sparqsim
    from sparqsim.cli.network_options import names
    from sparqsim.cli.show_card import budget_shown
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.trace.budget import equal_budget

    checked_format(format_)
    kept = None if keep_8bit is None else names(keep_8bit)
    show(budget_shown(equal_budget(sparqsim.load_trace(trace), bits, kept)), format_)
