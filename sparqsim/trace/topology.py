"""Topology files of SCALE-Sim: layers by their shapes, as CSV.

A convolution is `name, ifmap height, ifmap width, filter height, filter width, channels, filters,
stride,`, a product is `name, M, N, K,`; a further column N:M is the sparsity of weights. Where that
program's reading and the file's meaning part, the meaning is taken and the difference is reported:

* It drops line 1 as a header whatever it says, and the last field of every row: without a comma at
  the end a value is lost.
* It has no padding, and rounds output sizes up: pixels appear whose inputs do not exist. Here they
  are rounded down.
* A name with 'DP' marks a depthwise convolution; one written as one filter of all channels is not
  recognised.
* It stops at rows of empty fields.

A column whose heading has the word 'batch', after the others, holds batch sizes: that many
pictures, or that many times M rows. Fields may be separated by tabs or semicolons, and a row with
a name and nothing else is a label; both are more than that program takes.

Source: the SCALE-Sim project's files and code (version 3); the rules are restated in our words.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sparqsim.base.errors import InputError, printable, shown
from sparqsim.base.limits import LAYERS
from sparqsim.base.parse import LONGEST_NAME, looks_like_a_number, name_fault, require_whole_number
from sparqsim.base.textfile import CsvLine, csv_lines, read_text
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
#: Words in the heading of a further column that would change a layer's shape, and the value that
#: changes nothing.
SHAPING = {"pad": "0", "dilat": "1", "group": "1"}
LARGEST = 2**24
EXPECTED = "a topology file (CSV)"
SEPARATORS = (",", "\t", ";")
#: Room is left for what makes a name unique.
LONGEST_LAYER_NAME = LONGEST_NAME - 20


@dataclass(frozen=True)
class Topology:
    """The layers of a file, and what a user must know of how they were read.

    `kind`: 'convolutions' or 'products'.
    """

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
    batch: int = 1
    notes: list[str] = field(default_factory=list)

    def number(self, name: str, at: int) -> int:
        """Return field number `at`. Raises InputError naming line and field."""
        return self.read(name, self.cells[at] if at < len(self.cells) else "")

    def take_batch(self, text: str) -> None:
        """Take the batch size. Raises InputError naming line and field."""
        self.batch = self.read("batch size", text)

    def read(self, name: str, text: str) -> int:
        """Return the number that a field holds. Raises InputError naming line and field."""
        place = f"{self.path}: line {self.line}, layer {shown(self.name)}"
        return require_whole_number(text, f"{place}: {name}", 1, LARGEST)

    def note(self, text: str) -> None:
        """Keep a remark on this line."""
        self.notes.append(printable(f"line {self.line}, layer {shown(self.name)}: {text}"))


def read_topology(path: str | Path) -> Topology:
    """Read a topology file.

    Raises
    ------
    InputError
        Naming the line and the field that cannot be read.
    """
    place = Path(path)
    lines = _lines(place)
    filled = [line for line in lines if not line.is_empty]
    columns = _columns(place, filled)
    rows, notes = _rows(place, lines, columns)
    LAYERS.check(len(rows), str(path))
    _make_unique(rows)
    read = _convolution if columns.kind == "convolutions" else _product
    layers = tuple(read(row) for row in rows)
    return Topology(columns.kind, layers, (*notes, *(note for row in rows for note in row.notes)))


@dataclass(frozen=True)
class Columns:
    """What the file's columns are.

    batch: number of the column that holds batch sizes, if any. headings: of every column; none
    where the header reads like a layer.
    """

    kind: str
    batch: int | None = None
    headings: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The numbers of a layer, in order."""
        return CONV_FIELDS if self.kind == "convolutions" else GEMM_FIELDS


def _lines(path: Path) -> list[CsvLine]:
    text = read_text(path, EXPECTED)
    return csv_lines(text, path, EXPECTED, _separator(text))


def _separator(text: str) -> str:
    """Return what stands between fields: of comma, tab and semicolon the most frequent one."""
    beginning = "".join(io.StringIO(text).readlines(10_000))
    return max(SEPARATORS, key=beginning.count)


def _columns(path: Path, filled: Sequence[CsvLine]) -> Columns:
    """Return what the columns are, by the header and by the numbers of the first layer."""
    counted = (sum(map(looks_like_a_number, line.cells[1:])) for line in filled[1:])
    numbers = next(filter(None, counted), 0)
    if numbers:
        has_batch = any("batch" in cell.lower() for cell in filled[0].cells)
        is_product = numbers - has_batch <= len(GEMM_FIELDS)
        columns = Columns("products" if is_product else "convolutions")
        return _with_batch(path, filled[0], columns)
    raise InputError(
        f"{path}: no layers after the header line, expected name and {', '.join(CONV_FIELDS)}; "
        f"or name and {', '.join(GEMM_FIELDS)}"
    )


def _with_batch(path: Path, header: CsvLine, columns: Columns) -> Columns:
    if any(map(looks_like_a_number, header.cells[1:])):
        return columns
    batches = [at for at, cell in enumerate(header.cells) if "batch" in cell.lower()]
    headings = tuple(header.cells)
    if not batches:
        return replace(columns, headings=headings)
    if len(batches) > 1 or batches[0] <= len(columns.fields):
        raise InputError(
            f"{path}: line {header.number}: column {batches[0] + 1} is "
            f"{shown(header.cells[batches[0]])}, expected one such column, after "
            f"{', '.join(columns.fields)}"
        )
    return replace(columns, batch=batches[0], headings=headings)


def _rows(path: Path, lines: Sequence[CsvLine], columns: Columns) -> tuple[list[Row], list[str]]:
    rows, notes = [], []
    header = next(line for line in lines if not line.is_empty)
    if any(map(looks_like_a_number, header.cells[1:])):
        notes.append(
            f"line {header.number} ({', '.join(header.cells[:4])}, ...) reads like a layer, but is "
            "the header: it was dropped"
        )
    for line in lines[lines.index(header) + 1 :]:
        if any(line.cells[1:]):
            rows.append(_row(path, line, columns))
        elif line.cells and line.cells[0]:
            _check_name(path, line)
            notes.append(
                f"line {line.number}: {shown(line.cells[0])} has no numbers: taken for a label, "
                "skipped"
            )
        elif line.cells:
            notes.append(
                f"line {line.number}: {len(line.cells)} empty fields, skipped (SCALE-Sim stops "
                f"here: field {CONV_FIELDS[0]!r})"
            )
    return rows, [printable(note) for note in notes]


def _check_name(path: Path, line: CsvLine) -> None:
    fault = name_fault(line.cells[0], LONGEST_LAYER_NAME)
    if fault:
        raise InputError(f"{path}: line {line.number}: the name {fault}")


def _row(path: Path, line: CsvLine, columns: Columns) -> Row:
    _check_name(path, line)
    cells, fields = line.cells, len(columns.fields)
    row = Row(path, line.number, cells[0], cells[1 : fields + 1])
    extra = cells[fields + 1 :]
    if columns.batch is not None:
        row.take_batch(cells[columns.batch] if columns.batch < len(cells) else "")
        at = columns.batch - fields - 1
        extra = [*extra[:at], "", *extra[at + 1 :]]
    if cells[-1] and len(cells) <= max(fields, columns.batch or 0) + 1:
        row.note(
            f"no comma at the end: SCALE-Sim loses the last field ({cells[-1]!r}); here it counts"
        )
    _check_shaping(row, columns, extra)
    if extra and ":" in extra[0]:
        row.note(f"sparsity {extra[0]} is not applied: weights are dense")
        extra = extra[1:]
    if any(extra):
        row.note(
            f"{sum(map(bool, extra))} more fields after the last one known "
            f"({', '.join(filter(None, extra))}) left out"
        )
    return row


def _check_shaping(row: Row, columns: Columns, extra: Sequence[str]) -> None:
    """Raise InputError for a further column by which the layer would be another one."""
    strides = {"stride": row.cells[-1]} if columns.kind == "convolutions" else {}
    neutral = SHAPING | strides
    for heading, text in zip(columns.headings[len(columns.fields) + 1 :], extra, strict=False):
        word = next((word for word in neutral if word in heading.lower()), None)
        if word is not None and text not in ("", neutral[word]):
            raise InputError(
                f"{row.path}: line {row.line}, layer {shown(row.name)}: {shown(heading)} is "
                f"{shown(text)}, which this format cannot say; expected {neutral[word]}, or no "
                "such column"
            )


def _make_unique(rows: list[Row]) -> None:
    counts = Counter(row.name for row in rows)
    taken = set(counts)
    for row in rows:
        if counts[row.name] > 1:
            name = f"{row.name}#{row.line}"
            while name in taken:
                name += "#"
            taken.add(name)
            row.note(f"the name is used {counts[row.name]} times: renamed to {name}")
            row.name = name


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
                f"{row.path}: line {row.line}, layer {shown(row.name)}: {name} is {reach}, "
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
            f"one filter of {channels} channels, as written; for a depthwise convolution the "
            "name needs 'DP'"
        )
    return LayerShape.conv2d(
        row.name,
        (height, width),
        channels,
        filters,
        geometry,
        groups=channels if depthwise else 1,
        batch=row.batch,
    )


def _product(row: Row) -> LayerShape:
    m, n, k = (row.number(name, at) for at, name in enumerate(GEMM_FIELDS))
    if row.batch > 1:
        row.note(f"batch of {row.batch}: M = {row.batch} x {m} rows, all with the same weights")
    return LayerShape.gemm(row.name, m * row.batch, k, n)
