"""What Python and a notebook show of a result: one line, a small table, a DataFrame.

A result is rows, and each kind of result makes its own: `flat_rows`. `--format csv`, `to_frame` and
the table of a notebook show the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

from sparqsim.base.errors import InputError, printable
from sparqsim.base.wording import counted, install_hint

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

#: Rows that a notebook shows at most: of more the first ones and the last, which is the total.
MOST_HTML_ROWS = 30
#: Characters of a name in the line that `repr` gives.
LONGEST_NAME = 40


class Tabular:
    """A result that is rows: `flat_rows` gives them, `summary` says in one line what it is."""

    #: Columns of the table in a notebook: name in the rows, heading with its unit.
    HTML_COLUMNS: ClassVar[Mapping[str, str]] = {}

    def flat_rows(self) -> list[Row]:
        """Return the result as flat rows: names bear units, nothing is rounded, None is absent."""
        raise NotImplementedError

    def summary(self) -> str:
        """Return what the result is, in a few words."""
        raise NotImplementedError

    def html_caption(self) -> str:
        """Return what stands above the table in a notebook."""
        return self.summary()

    def html_rows(self) -> list[Row]:
        """Return the rows that a notebook shows."""
        return self.flat_rows()

    def to_frame(self) -> pd.DataFrame:
        """Return the rows of `flat_rows` as a pandas DataFrame.

        Raises
        ------
        InputError
            Where pandas is not installed.
        """
        return frame_of(self.flat_rows(), "`.flat_rows()`")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {printable(self.summary())}>"

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        """Return a small table for a notebook; it needs nothing from outside."""
        return html_table(self.html_caption(), self.HTML_COLUMNS, self.html_rows())


def frame_of(rows: Sequence[Row], instead: str) -> pd.DataFrame:
    """Return rows as a pandas DataFrame.

    Parameters
    ----------
    rows : sequence of dict
    instead : str
        What gives the rows without pandas, for the message where it is missing.

    Raises
    ------
    InputError
        Where pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise InputError(
            "a DataFrame needs pandas, which is not installed; expected "
            f"{install_hint('parquet')}, or {instead}, a list of dicts"
        ) from None
    return pd.DataFrame(rows)


def html_table(caption: str, columns: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Return a table as HTML, every text escaped.

    Parameters
    ----------
    caption : str
    columns : mapping
        Of names in the rows to headings; a column that no row has is left out.
    rows : sequence of dict
        Of more than `MOST_HTML_ROWS` the first ones and the last are shown, and how many are not.
    """
    shown = {name: heading for name, heading in columns.items() if any(name in row for row in rows)}
    head = "".join(f"<th>{_escaped(heading)}</th>" for heading in shown.values())
    body = [_html_row(row, shown) for row in rows]
    if len(body) > MOST_HTML_ROWS:
        left_out = counted(len(body) - MOST_HTML_ROWS, "row")
        gap = f'<tr><td colspan="{len(shown)}">... {left_out} more ...</td></tr>'
        body = [*body[: MOST_HTML_ROWS - 1], gap, body[-1]]
    return (
        f"<table><caption>{_escaped(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    )


def short_name(name: str) -> str:
    """Return a name that may come from a file, printable and within `LONGEST_NAME` characters."""
    text = printable(name)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 3] + "..."


def _html_row(row: Row, columns: Mapping[str, str]) -> str:
    cells = (_html_cell(row.get(name)) for name in columns)
    return f"<tr>{''.join(cells)}</tr>"


def _html_cell(value: object) -> str:
    side = "left" if isinstance(value, str) else "right"
    return f'<td style="text-align:{side}">{_escaped(_cell_text(value))}</td>'


def _cell_text(value: object) -> str:
    """Return a value as a reader takes it: thousands apart, four digits of a real number."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def _escaped(text: str) -> str:
    return escape(printable(text))
