"""What is worded in one way everywhere: counts with nouns, how an extra is installed."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun, thousands parted by commas: '1 layer', '2,000 layers'.

    Parameters
    ----------
    count : int
    noun : str
        In the singular.
    plural : str, optional
        Default: the noun with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def install_hint(extra: str) -> str:
    """Return how an extra of this package is installed; it is in no package index."""
    return f"`pip install -e '.[{extra}]'` in your clone of sparqsim"
