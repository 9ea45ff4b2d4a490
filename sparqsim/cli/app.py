"""The application: its commands, and how it ends.

Exit codes: 0 done; 1 the answer is "no", and nothing else; 2 bad input, or a system that lacks
memory, space or a permission; 70 a fault of sparqsim; 128 + N stopped by signal N (130: Ctrl-C).
All but 0 and 1 come with one line on stderr; `SPARQSIM_DEBUG=1` puts the traceback of what was not
foreseen before it.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer

from sparqsim.base.errors import InputError, printable
from sparqsim.base.plugins import user_place
from sparqsim.cli.help import WIDEST, command_group

__all__ = ["app", "exit_code_of"]

if TYPE_CHECKING:
    #: All commands.
    app: typer.Typer


def __getattr__(name: str) -> object:
    """Give `main`, which has long stood here: callers of the library import it from here; and all
    commands, `app`, of which a run needs one.
    """
    if name == "main":
        return sys.modules["sparqsim.cli"].main
    if name == "app":
        return _application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


BAD_INPUT = 2
#: EX_SOFTWARE of sysexits.h.
INTERNAL_ERROR = 70
#: What typer makes of Ctrl-C.
INTERRUPTED = 130
#: The setting that shows tracebacks.
DEBUG = "SPARQSIM_DEBUG"

#: Commands in the order of `--help`, each with the file of this folder that has it.
COMMANDS = {
    "simulate": "run",
    "compare": "run",
    "predict": "predict",
    "plot": "plot",
    "report": "report",
    "bandwidth": "memory",
    "accuracy": "accuracy",
    "quantise": "quantise",
    "search": "search",
    "gather": "gather",
}
#: Groups of commands: each is a file of this folder.
GROUPS = ("trace", "card", "pe", "rtl", "regress", "sweep")


@cache
def _application(only: str | None = None) -> typer.Typer:
    """Return all commands, or one of them, or one group: as if the others were not there."""
    made = command_group(
        "What a processing element buys you on a real network: cycles, utilization, error and "
        "speedup.",
        name="sparqsim",
        epilog="`sparqsim` alone shows first steps. `sparqsim --install-completion` (then a new "
        "shell) makes Tab complete commands, options, PE designs and presets in bash, zsh, fish "
        "and PowerShell.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
    )
    made.callback(invoke_without_command=True)(_options)
    for name, file in COMMANDS.items():
        if only in {None, name}:
            made.command(name)(getattr(import_module(f"sparqsim.cli.{file}"), name))
    for name in GROUPS:
        if only in {None, name}:
            made.add_typer(import_module(f"sparqsim.cli.{name}").app, name=name)
    return made


def _options(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        from sparqsim.base.version import VERSION

        typer.echo(f"sparqsim {VERSION}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        from sparqsim.cli.welcome import welcome

        typer.echo(welcome())


@cache
def _command(first: str) -> Callable[..., Any]:
    """Return the application as a command, made once in a process: typer would at each call.

    Only the command that is the first argument is in it, where it is one: making all takes longer
    than many a command runs.
    """
    only = first if first in COMMANDS or first in GROUPS else None
    return typer.main.get_command(_application(only))


def exit_code_of(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code, after the line on stderr that says what is wrong."""
    # That it has no home for its cache is nothing to do with the command.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        given = sys.argv[1:] if arguments is None else arguments
        ended = _command(given[0] if given else "")(
            args=arguments, standalone_mode=False, prog_name="sparqsim"
        )
        code = int(ended or 0)
    except InputError as error:
        return _said(str(error), BAD_INPUT)
    except typer.Abort:
        return _said("interrupted", INTERRUPTED)
    except SystemExit as error:
        # typer leaves so where a pipe broke, with a code that means "no" here.
        if isinstance(error.__context__, BrokenPipeError):
            return _said(f"{error.__context__}: a process that was written to went away", BAD_INPUT)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends in one line and its own exit code
        _debugged()
        complaint = getattr(error, "format_message", None)  # typer's, about the command line
        if complaint is not None:
            return _said(str(complaint()), BAD_INPUT)
        return _said(*_unexpected(error))
    if code == INTERRUPTED:  # typer caught it, and said nothing
        raise KeyboardInterrupt
    return code


def _unexpected(error: Exception) -> tuple[str, int]:
    """Return what to say of an error that no one has foreseen, and the exit code."""
    text = " ".join(str(error).split())
    place = user_place(error)
    if place is not None:
        told = f"{place}: {type(error).__name__}: {text or '(no message)'}"
        return f"{told}; expected code that runs ({DEBUG}=1 shows more)", BAD_INPUT
    if isinstance(error, MemoryError):
        return f"out of memory ({text or 'no more to be had'}); expected a smaller input", BAD_INPUT
    if isinstance(error, RecursionError):
        return "the input is nested too deeply; expected a flatter one", BAD_INPUT
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or text}; expected a system that allows it", BAD_INPUT
    message = (
        f"internal error: {type(error).__name__}: {text or '(no message)'}: a fault of sparqsim, "
        f"not an answer; please report it with what {DEBUG}=1 shows"
    )
    return message, INTERNAL_ERROR


def _debugged() -> None:
    if os.environ.get(DEBUG, "0") not in {"", "0"}:
        traceback.print_exc()


def _said(message: str, code: int) -> int:
    print("sparqsim: " + printable(" ".join(message.split())), file=sys.stderr)
    return code
