"""Texts of row numbers that are looked up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _mutate import table_mutations

ROWS = [["3", "1", "29"], ["0"], ["7", "7", "7", "12"], ["5"]]


def run(file: Path) -> None:
    """Read them for a table of 30 rows."""
    from sparqsim.gather.lookups import lookups_of

    lookups = lookups_of(str(file), 30)
    assert lookups.rows.min() >= 0
    assert lookups.rows.max() < 30


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of `count` files."""
    yield from table_mutations(ROWS, "rows{}.txt".format, seed, count)
