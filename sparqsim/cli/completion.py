"""What the shell completes: names of PE designs, presets, and the few words an option takes."""

from __future__ import annotations

from collections.abc import Callable

FORMATS = ("table", "json", "csv", "markdown")

#: What the shell asks: how may this word go on?
Completer = Callable[[str], list[str]]


def one_of(*words: str) -> Completer:
    """Return a completer of fixed words."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def design(incomplete: str) -> list[str]:
    """Complete the name of a PE design, also the last one of a list 'A,B,C'."""
    from sparqsim.engine.models.registry import model_names
    from sparqsim.pe.registry import known_names

    before, comma, last = incomplete.rpartition(",")
    return [
        before + comma + name for name in (*known_names(), *model_names()) if name.startswith(last)
    ]


def dataflow(incomplete: str) -> list[str]:
    """Complete the name of a dataflow; files are completed by the shell."""
    from sparqsim.array.registry import dataflow_names

    return [name for name in dataflow_names() if name.startswith(incomplete)]


def energy_table(incomplete: str) -> list[str]:
    """Complete the name of an energy table that ships; files are completed by the shell."""
    from sparqsim.cost.table import shipped_tables

    return [name for name in shipped_tables() if name.startswith(incomplete)]


def memory_energy(incomplete: str) -> list[str]:
    """Complete the name of a table of memory energies that ships."""
    from sparqsim.cost.memory import shipped_memories

    return [name for name in shipped_memories() if name.startswith(incomplete)]


def preset(incomplete: str) -> list[str]:
    """Complete the name of an accelerator that ships; files are completed by the shell."""
    from sparqsim.memory import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


def gather_format(incomplete: str) -> list[str]:
    """Complete the name of a row format, or how a result is printed."""
    from sparqsim.quantise.rows import shipped_row_formats

    words = (*shipped_row_formats(), *FORMATS)
    return [word for word in words if word.startswith(incomplete)]
