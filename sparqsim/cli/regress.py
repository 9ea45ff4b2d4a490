"""`sparqsim regress ...`: cycle counts under test."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Golden reports of a list of cases: write them, compare with them.")

Cases = Annotated[str, typer.Argument(metavar="CASES.toml", help="The list of cases.")]


@app.command()
def update(cases: Cases) -> None:
    """Write the golden report of every case, for you to review and commit."""
    from sparqsim.regress import update as write_golden_reports

    for path in write_golden_reports(cases):
        typer.echo(f"written {path}")


@app.command()
def check(
    cases: Cases,
    junit: Annotated[
        str | None, typer.Option("--junit", metavar="FILE", help="Write the outcome as JUnit XML.")
    ] = None,
    markdown: Annotated[
        str | None, typer.Option("--markdown", metavar="FILE", help="Write a summary in Markdown.")
    ] = None,
) -> None:
    """Run every case again; exit code 1 if anything differs from the golden reports."""
    from pathlib import Path

    from sparqsim.cli.progress import counted
    from sparqsim.files import write_text
    from sparqsim.regress import as_junit, as_markdown, as_text, load_cases
    from sparqsim.regress import check as outcomes_of

    suite = Path(cases).name
    outcomes = list(counted(outcomes_of(cases), len(load_cases(cases)), "cases"))
    for outcome in outcomes:
        typer.echo(as_text(outcome))
    if junit:
        write_text(junit, as_junit(outcomes, suite))
    if markdown:
        write_text(markdown, as_markdown(outcomes, suite))
    changed = sum(bool(outcome.findings) for outcome in outcomes)
    typer.echo(f"{len(outcomes) - changed} of {len(outcomes)} cases unchanged")
    if changed:
        typer.echo("If the change is meant: `sparqsim regress update`, and say why in the commit.")
        raise typer.Exit(1)
