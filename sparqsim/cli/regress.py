"""`sparqsim regress ...`: cycle counts under test."""

from __future__ import annotations

from typing import Annotated

import typer

from sparqsim.base.errors import printable
from sparqsim.cli.help import command_group
from sparqsim.cli.options import Format, Trust

app = command_group("Golden reports of a list of cases: write them, compare with them.")

Cases = Annotated[str, typer.Argument(metavar="CASES.toml", help="The list of cases.")]


@app.command()
def update(cases: Cases, trust: Trust = False) -> None:
    """Write the golden report of every case, for you to review and commit."""
    from sparqsim.regress import update as write_golden_reports

    for path in write_golden_reports(cases, trust=trust):
        typer.echo(printable(f"written {path}"))


@app.command()
def check(
    cases: Cases,
    junit: Annotated[
        str | None, typer.Option("--junit", metavar="FILE", help="Write the outcome as JUnit XML.")
    ] = None,
    markdown: Annotated[
        str | None, typer.Option("--markdown", metavar="FILE", help="Write a summary in Markdown.")
    ] = None,
    trust: Trust = False,
    format_: Format = "table",
) -> None:
    """Run every case again; exit code 1 if anything differs from the golden reports."""
    from pathlib import Path

    from sparqsim.base.files import check_outputs
    from sparqsim.cli.progress import counted
    from sparqsim.cli.show_checks import regress_shown
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.regress import as_junit, as_markdown, load_cases
    from sparqsim.regress import check as outcomes_of

    checked_format(format_)
    golden = load_cases(cases, trust=trust)
    read = [cases, *(file for each in golden for file in each.read)]
    check_outputs({"--junit": junit, "--markdown": markdown}, read)
    suite = Path(cases).name
    outcomes = list(counted(outcomes_of(cases, trust=trust), len(golden), "cases"))
    deliver(
        regress_shown(outcomes, suite),
        format_,
        saving(junit, lambda: as_junit(outcomes, suite)),
        saving(markdown, lambda: as_markdown(outcomes, suite)),
    )
    if any(outcome.findings for outcome in outcomes):
        typer.echo(
            "If the change is meant: `sparqsim regress update`, and say why in the commit.",
            err=format_ != "table",
        )
        raise typer.Exit(1)
