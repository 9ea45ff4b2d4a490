"""Broken label files, .csv and .npy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _arrays import label_mutations


def run(file: Path) -> None:
    """Read the classes of two pictures."""
    from sparqsim.networks.images import load_labels

    load_labels(file, ["p0.png", "p1.png"])


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of `count` files."""
    yield from label_mutations(seed, count)
