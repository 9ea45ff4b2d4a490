"""The application: its commands, and how it ends.

Exit codes: 0 done; 1 the answer is "no"; 2 bad input, with one line on stderr.
"""

from __future__ import annotations

import os
import sys

import typer

from sparqsim.cli import accuracy, memory, pe, plot, regress, report, rtl, run, sweep, trace
from sparqsim.cli.help import WIDEST, command_group
from sparqsim.errors import InputError

app = command_group(
    "What a processing element buys you on a real network: cycles, utilization, error and speedup.",
    name="sparqsim",
    epilog="`sparqsim` alone shows first steps. `sparqsim --install-completion` (then a new shell) makes Tab complete "
    "commands, options, PE designs and presets in bash, zsh, fish and PowerShell.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
)
app.command("simulate")(run.simulate)
app.command("compare")(run.compare)
app.command("plot")(plot.plot)
app.command("report")(report.report)
app.command("bandwidth")(memory.bandwidth)
app.command("accuracy")(accuracy.accuracy)
app.add_typer(trace.app, name="trace")
app.add_typer(pe.app, name="pe")
app.add_typer(rtl.app, name="rtl")
app.add_typer(regress.app, name="regress")
app.add_typer(sweep.app, name="sweep")


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        from sparqsim import __version__

        typer.echo(f"sparqsim {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        from sparqsim.cli.welcome import welcome

        typer.echo(welcome())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    try:
        code = app(args=arguments, standalone_mode=False, prog_name="sparqsim")
    except InputError as error:
        _stop(str(error))
    except typer.Abort:
        _stop("interrupted", code=130)
    except BrokenPipeError:
        # The reader went away (`| head`): nothing more can be said, and nothing went wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        message = getattr(
            error, "format_message", None
        )  # typer's own complaints about the command line
        if message is None:
            raise
        _stop(str(message()))
    sys.exit(code or 0)


def _stop(message: str, code: int = 2) -> None:
    print("sparqsim: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)
