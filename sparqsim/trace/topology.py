"""Topology files of SCALE-Sim: layers by their shapes, as CSV.

A convolution is `name, ifmap height, ifmap width, filter height, filter width, channels, filters, stride,`, a product
is `name, M, N, K,`; a further column N:M is the sparsity of weights. Where that program's reading and the file's
meaning part, the meaning is taken and the difference is reported:

* It drops line 1 as a header whatever it says, and the last field of every row: without a comma at the end a value is
  lost.
* It has no padding, and rounds output sizes up: pixels appear whose inputs do not exist. Here they are rounded down.
* A name with 'DP' marks a depthwise convolution; one written as one filter of all channels is not recognised.
* It stops at rows of empty fields.

Source: the SCALE-Sim project's files and code (version 3); the rules are restated in our words.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sparqsim.errors import InputError, unreadable
from sparqsim.trace.schema import ConvGeometry
from sparqsim.trace.synthetic import LayerShape

CONV_FIELDS = (
    "ifmap height",
    "ifmap width",
    "filter height",
    "filter width",
    "channels",
    "filters",
    "stride",
)
GEMM_FIELDS = ("M", "N", "K")
LARGEST = 2**24


@dataclass(frozen=True)
class Topology:
    """The layers of a file, and what a user must know of how they were read. `kind`: 'convolutions' or 'products'."""

    kind: str
    layers: tuple[LayerShape, ...]
    notes: tuple[str, ...]


@dataclass
class Row:
    """One line of the file: its number, name and fields, and what was odd about it."""

    path: Path
    line: int
    name: str
    cells: list[str]
    notes: list[str] = field(default_factory=list)

    def number(self, name: str, at: int) -> int:
        """Return field number `at`. Raises InputError naming line and field."""
        text = self.cells[at] if at < len(self.cells) else ""
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if not 1 <= value <= LARGEST:
            raise self.fault(name, text)
        return value

    def fault(self, name: str, text: str) -> InputError:
        """Return the error for a field that is no number."""
        return InputError(
            f"{self.path}: line {self.line}, layer {self.name!r}: {name} is {text!r}, "
            f"expected a whole number from 1 to {LARGEST}"
        )

    def note(self, text: str) -> None:
        """Keep a remark on this line."""
        self.notes.append(f"line {self.line}, layer {self.name!r}: {text}")


def read_topology(path: str | Path) -> Topology:
    """Read a topology file.

    Raises
    ------
    InputError
        Naming the line and the field that cannot be read.
    """
    place = Path(path)
    lines = _lines(place)
    kind = _kind(place, lines)
    rows, notes = _rows(place, lines, len(CONV_FIELDS if kind == "convolutions" else GEMM_FIELDS))
    _make_unique(rows)
    read = _convolution if kind == "convolutions" else _product
    layers = tuple(read(row) for row in rows)
    if not layers:
        raise InputError(
            f"{path}: no layers after the header line, expected {', '.join(('name', *CONV_FIELDS))}"
        )
    return Topology(kind, layers, (*notes, *(note for row in rows for note in row.notes)))


def _lines(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [[cell.strip() for cell in row] for row in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{unreadable(path, error)}; expected a topology file (CSV)") from None


def _kind(path: Path, lines: list[list[str]]) -> str:
    """Return what the file's rows are, by how many numbers the first layer has."""
    for row in lines[1:]:
        if any(row):
            return (
                "convolutions"
                if sum(cell.isdigit() for cell in row[1:]) > len(GEMM_FIELDS)
                else "products"
            )
    raise InputError(
        f"{path}: no layers after the header line, expected name and {', '.join(CONV_FIELDS)}; "
        f"or name and {', '.join(GEMM_FIELDS)}"
    )


def _rows(path: Path, lines: list[list[str]], fields: int) -> tuple[list[Row], list[str]]:
    rows, notes = [], []
    if any(cell.isdigit() for cell in lines[0][1:]):
        notes.append(
            f"line 1 ({', '.join(lines[0][:4])}, ...) reads like a layer, but is the header: it was dropped"
        )
    for line, cells in enumerate(lines[1:], 2):
        if any(cells):
            rows.append(_row(path, line, cells, fields))
        elif cells:
            notes.append(
                f"line {line}: {len(cells)} empty fields, skipped (SCALE-Sim stops here: field {CONV_FIELDS[0]!r})"
            )
    return rows, notes


def _row(path: Path, line: int, cells: list[str], fields: int) -> Row:
    row = Row(path, line, cells[0], cells[1 : fields + 1])
    if not row.name:
        raise InputError(f"{path}: line {line}: the name is empty, expected one")
    extra = cells[fields + 1 :]
    if not extra:
        row.note(
            f"no comma at the end: SCALE-Sim loses the last field ({cells[-1]!r}); here it counts"
        )
    elif ":" in extra[0]:
        row.note(f"sparsity {extra[0]} is not applied: weights are dense")
        extra = extra[1:]
    if any(extra):
        row.note(
            f"{sum(map(bool, extra))} more fields after the last one known ({', '.join(filter(None, extra))}) left out"
        )
    return row


def _make_unique(rows: list[Row]) -> None:
    counts = Counter(row.name for row in rows)
    for row in rows:
        if counts[row.name] > 1:
            row.note(f"the name is used {counts[row.name]} times: renamed to {row.name}#{row.line}")
            row.name = f"{row.name}#{row.line}"


def _convolution(row: Row) -> LayerShape:
    height, width, filter_height, filter_width, channels, filters, stride = (
        row.number(name, at) for at, name in enumerate(CONV_FIELDS)
    )
    for name, size, reach in (
        ("filter height", height, filter_height),
        ("filter width", width, filter_width),
    ):
        if reach > size:
            raise InputError(
                f"{row.path}: line {row.line}, layer {row.name!r}: {name} is {reach}, "
                f"expected at most the input's {size}"
            )
    geometry = ConvGeometry(kernel=(filter_height, filter_width), stride=(stride, stride))
    rows, columns = geometry.output_size(height, width)
    other = [
        -(-(size - reach + stride) // stride)
        for size, reach in ((height, filter_height), (width, filter_width))
    ]
    if other != [rows, columns]:
        row.note(
            f"SCALE-Sim has {other[0]}x{other[1]} output pixels (rounded up), here {rows}x{columns}"
        )
    depthwise = "DP" in row.name
    if depthwise:
        row.note(f"'DP': a depthwise convolution of {channels} channels")
        filters = channels
    elif filters == 1 and channels > 1 and filter_height * filter_width > 1:
        row.note(
            f"one filter of {channels} channels, as written; for a depthwise convolution the name needs 'DP'"
        )
    return LayerShape.conv2d(
        row.name, (height, width), channels, filters, geometry, groups=channels if depthwise else 1
    )


def _product(row: Row) -> LayerShape:
    m, n, k = (row.number(name, at) for at, name in enumerate(GEMM_FIELDS))
    return LayerShape.gemm(row.name, m, k, n)
