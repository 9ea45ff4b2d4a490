"""Tables over the same rows, side by side where the console is wide enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.console import Console

from sparqsim.cli.tables import Table


@dataclass(frozen=True)
class Joined:
    """Tables over the same rows: one table where the console is wide enough, else as many as it
    takes.

    `units`: for each table a short word above its columns where tables that have the same columns
    stand together.
    """

    tables: Sequence[Table]
    units: Sequence[str] = ()

    def print_to(self, out: Console) -> None:
        """Print as few tables as fit the console's width."""
        for number, table in enumerate(self.within(out.width)):
            if number:
                out.print()
            table.print_to(out)

    def to_markdown(self) -> str:
        """Return every table by itself, as GitHub shows it."""
        return "\n\n".join(table.to_markdown() for table in self.tables)

    def within(self, width: int) -> list[Table]:
        """Return the tables, neighbours put together while they fit in `width` columns."""
        groups: list[list[int]] = []
        for at in range(len(self.tables)):
            grown = [*groups[-1], at] if groups else []
            if grown and self._one(grown).whole_width() <= width:
                groups[-1] = grown
            else:
                groups.append([at])
        return [self._one(group) for group in groups]

    def _one(self, group: Sequence[int]) -> Table:
        """Return one table of several, every one's columns beside those of the one before it."""
        tables = [self.tables[number] for number in group]
        if len(tables) == 1:
            return tables[0]
        names = [row[0] for row in max((table.rows for table in tables), key=len)]
        columns = [(tables[0].columns[0], names)]
        for number, table in zip(group, tables, strict=True):
            unit = f"{self.units[number]}\n" if self.units else ""
            columns += [
                (unit + heading, [row[at] for row in table.rows])
                for at, heading in enumerate(table.columns)
                if at > 0
            ]
        headings, cells = zip(*columns, strict=True)
        return Table(
            "; ".join(table.title for table in tables),
            headings,
            rows=list(zip_longest(*cells, fillvalue="")),
            sections=list(tables[0].sections),
        )
