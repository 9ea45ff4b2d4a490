"""The command line: parse, call the library, print.

Nothing is imported here: from the first moment on Ctrl-C shall end the command with one line.
"""

from __future__ import annotations

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code (see `sparqsim.cli.app`).

    Parameters
    ----------
    arguments : list of str, optional
        By default those of this process, which then is the command's own: its signals and standard
        streams, too.
    """
    import gc
    import os
    import sys

    from sparqsim.cli.signals import Signals
    from sparqsim.cli.streams import StandardStreams

    owned = arguments is None
    if owned:
        # Hardly anything that loading makes is garbage: looking for it takes a tenth of the time.
        gc.set_threshold(20_000, 50, 100)
        # pydantic would look through all that is installed for plugins, of which we ask nothing.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    with StandardStreams(owned=owned) as streams, Signals(owned=owned) as signals:
        from sparqsim.cli.app import exit_code_of

        with signals.raised():
            code = exit_code_of(arguments)
        code = signals.told() or code
        code = streams.told() or code
    if owned:
        gc.freeze()  # the process ends: its memory goes back as a whole, unsearched
    sys.exit(code)
