"""Broken .npy files where an embedding table is expected."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _arrays import flipped, npy_mutations


def run(file: Path) -> None:
    """Read the table, and every row of it in every format."""
    from sparqsim.gather.table import load_table
    from sparqsim.quantise.rows import get_row_format, shipped_row_formats

    table = load_table(file)
    for name in shipped_row_formats():
        each = get_row_format(name)
        each.decode(each.encode(table.values), table.width)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of `count` files: a sound table, tables with bits flipped, arrays of
    other kinds.
    """
    random, content = np.random.default_rng(seed), sound()
    yield "table0.npy", content
    for number in range(1, count - count // 2):
        yield f"table{number}.npy", flipped(content, random)
    for name, other in npy_mutations(seed, count // 2):
        yield f"other-{name.replace('sound', 'first')}", other


def sound() -> bytes:
    """Return a table of 5 rows."""
    file = io.BytesIO()
    np.save(file, np.linspace(-1, 1, 35, dtype=np.float32).reshape(5, 7))
    return file.getvalue()
