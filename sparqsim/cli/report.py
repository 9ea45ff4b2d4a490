"""`sparqsim report`: one page that shows results."""

from __future__ import annotations

from typing import Annotated

import typer

Results = Annotated[
    list[str],
    typer.Argument(
        metavar="RESULTS...",
        help="JSON of `simulate`, `compare`, `accuracy` or `gather`; what ran on the same trace "
        "and array is put side by side.",
    ),
]
Page = Annotated[
    str,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="The page: .html, one file without anything from outside.",
    ),
]


def report(results: Results, *, output: Page = "report.html") -> None:
    """Write a page that shows results: summary, tables that sort, figures, and what every number
    means.
    """
    from sparqsim.base.errors import printable
    from sparqsim.base.files import check_outputs
    from sparqsim.html.page import check_page_path, write_page

    check_page_path(output)  # a wrong suffix, or a missing extra, is told before the work
    check_outputs({"-o": output}, results)
    from sparqsim.cli.progress import counted
    from sparqsim.html.gather import gather

    gathered = gather(results)
    write_page(gathered, output, progress=lambda runs: counted(runs, len(gathered.runs), "figures"))
    typer.echo(printable(f"{output} written"))
