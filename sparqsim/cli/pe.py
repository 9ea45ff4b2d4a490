"""`sparqsim pe ...`: the PE designs there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from sparqsim.base.wording import counted
from sparqsim.cli.completion import design
from sparqsim.cli.help import command_group
from sparqsim.cli.options import Format

if TYPE_CHECKING:
    from sparqsim.base.contract import Outcome

app = command_group("List, show and check PE designs.")


@app.command("list")
def list_designs(format_: Format = "table") -> None:
    """List every PE design: lanes, cycles per step, keys."""
    from sparqsim.cli.show_designs import designs_shown
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.engine.models.registry import models, outside_models
    from sparqsim.pe.registry import designs, outside_designs

    checked_format(format_)
    others = outside_designs() | outside_models()
    outside = {name: entry.value for name, entry in others.items()}
    show(designs_shown(designs(), outside, models()), format_)


@app.command("show")
def show_design(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", autocompletion=design, help="PE design, or FILE.py:CLASS."),
    ],
    format_: Format = "table",
) -> None:
    """Show what a design's circuit does, its source and its keys."""
    from sparqsim.cli.show_checks import design_shown, engine_shown
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.engine.models import get_model

    checked_format(format_)
    model = get_model(name)
    shown = engine_shown(type(model)) if model.pe is None else design_shown(type(model.pe))
    show(shown, format_)


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", autocompletion=design, help="PE design, or FILE.py:CLASS."),
    ],
    format_: Format = "table",
) -> None:
    """Check that a design keeps its contract: its fast form equals its `step`, and its `step` what
    it declares.

    And that the engine it runs on, or that the name stands for, keeps its own: its fast form equals
    its definition. Without keys, every choice of every key is checked. Exit code 0 if all checks
    pass, 1 if one fails.
    """
    from sparqsim.cli.show_checks import contract_shown
    from sparqsim.cli.tables import checked_format, show

    checked_format(format_)
    if format_ == "table":
        failed = _told(_outcomes(name))
    else:
        found = list(_outcomes(name))
        failed = sum(outcome.failure != "" for _, outcome in found)
        show(contract_shown(found), format_)
    if failed:
        raise typer.Exit(1)


def _outcomes(name: str) -> Iterator[tuple[str, Outcome]]:
    from sparqsim.engine.models import get_model
    from sparqsim.engine.models.contract import check_variants

    yield from check_variants(get_model(name))


def _told(outcomes: Iterable[tuple[str, Outcome]]) -> int:
    """Print outcomes as they come, since checks take their time; return how many failed."""
    failed, last = 0, None
    for spec, outcome in outcomes:
        if spec != last:
            typer.echo(spec)
        last = spec
        failed += outcome.failure != ""
        reason = f": {outcome.failure}" if outcome.failure else ""
        typer.echo(f"  {'FAILED' if reason else 'ok':<7} {outcome.check}{reason}")
    if failed:
        typer.echo(f"{counted(failed, 'check')} failed")
    return failed
