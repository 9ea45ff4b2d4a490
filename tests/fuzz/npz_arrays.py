"""Broken .npz files where pictures are expected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _arrays import npz_mutations


def run(file: Path) -> None:
    """Read every picture."""
    from sparqsim.networks.images import Pictures

    list(Pictures.open(file).batches(4, "nchw"))


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of `count` files."""
    yield from npz_mutations(seed, count)
