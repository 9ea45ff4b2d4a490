"""Counts in words: "1 layer", "2 layers"."""

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
