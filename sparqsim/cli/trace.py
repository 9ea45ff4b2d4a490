"""`sparqsim trace ...`: look at trace files."""

from __future__ import annotations

import typer

from sparqsim.cli.options import Trace

app = typer.Typer(no_args_is_help=True, help="Look at trace files, check them, make them.")


@app.command()
def info(trace: Trace) -> None:
    """Show what a trace holds: network, layers, their shapes and zeros, how it was made."""
    import sparqsim
    from sparqsim.cli.show import show_trace

    show_trace(sparqsim.load_trace(trace))


@app.command()
def check(trace: Trace) -> None:
    """Name every fault of a trace file; exit code 0 if there is none, 2 if there are."""
    import sparqsim
    from sparqsim.errors import printable

    faults = sparqsim.check_trace(trace)
    if len(faults) > 1:
        for fault in faults:
            typer.echo(printable(f"{trace}: {fault}"))
        raise sparqsim.InputError(f"{trace}: {len(faults)} faults, listed on standard output; the first: {faults[0]}")
    if faults:
        raise sparqsim.InputError(f"{trace}: {faults[0]}")
    typer.echo(f"{trace}: a sound trace")
