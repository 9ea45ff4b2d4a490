"""`sparqsim pe ...`: the PE designs there are."""

from __future__ import annotations

from typing import Annotated

import typer

from sparqsim.cli.completion import design
from sparqsim.cli.options import Format

app = typer.Typer(no_args_is_help=True, help="List, show and check PE designs.")


@app.command("list")
def list_designs(format_: Format = "table") -> None:
    """List every PE design: lanes, cycles per step, keys."""
    from sparqsim.cli.show import designs_shown
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.pe.registry import designs, outside_designs

    checked_format(format_)
    outside = {name: entry.value for name, entry in outside_designs().items()}
    show(designs_shown(designs(), outside), format_)


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=design)]) -> None:
    """Show what a design's circuit does, its source and its keys."""
    import inspect
    import sys

    from sparqsim.pe import get_pe
    from sparqsim.pe.registry import key_choices

    design = type(get_pe(name))
    typer.echo(f"{design.name}: {inspect.getdoc(design)}\n")
    typer.echo(inspect.getdoc(sys.modules[design.__module__]) or "")
    for key, (default, accepted) in key_choices(design).items():
        typer.echo(f"\n{key}={accepted} (default {default})")


@app.command()
def check(name: Annotated[str, typer.Argument(metavar="NAME|FILE.py:CLASS", autocompletion=design)]) -> None:
    """Check that a design keeps its contract: its fast form equals its `step`, and its `step` what it declares.

    Without keys, every choice of every key is checked. Exit code 0 if all checks pass, 1 if one fails.
    """
    from sparqsim.pe import get_pe
    from sparqsim.pe.contract import check_design, variants

    asked = get_pe(name)
    known = variants(type(asked))
    failed = 0
    for pe in known if asked == known[0] else [asked]:
        typer.echo(pe.spec)
        for outcome in check_design(pe):
            failed += outcome.failure != ""
            reason = f": {outcome.failure}" if outcome.failure else ""
            typer.echo(f"  {'FAILED' if reason else 'ok':<7} {outcome.check}{reason}")
    if failed:
        typer.echo(f"{failed} checks failed")
        raise typer.Exit(1)
