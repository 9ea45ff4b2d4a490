"""Results leave the store: rows, CSV, Parquet."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sparqsim.base.errors import InputError, csv_cell, nearest, printable
from sparqsim.base.files import replaced
from sparqsim.base.wording import install_hint
from sparqsim.results.flat import flat_fields
from sparqsim.results.gather_report import GatherReport
from sparqsim.results.versions import upgraded_report
from sparqsim.sweep.check import Recorded
from sparqsim.sweep.clock import Clocks
from sparqsim.sweep.database import Database
from sparqsim.sweep.speedup import UNREADABLE, Speedups, unreadable_report

#: What a point is, in front; `key` tells apart what these do not.
CASE = (
    "trace",
    "pe",
    "rows",
    "cols",
    "dataflow",
    "coupling",
    "overlap",
    "memory",
    "all_layers",
    "kept",
    "signed",
    "engine",
)
#: The same of points of gathers.
GATHER_CASE = ("table", "indices", "memory", "engine")
GATHER_ORIGIN = ("version", "table_sha256")
ORIGIN = ("version", "trace_sha256", "pe_source_sha256")
NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
#: Rows of a Parquet file that are in memory at a time.
ROWS_TOGETHER = 2000
#: Writes rows with these columns to a path; returns how many.
Writer = Callable[[Iterator[dict[str, Any]], Mapping[str, set[type]], Path], int]


@dataclass(frozen=True)
class _Beside:
    """What a point's row tells beside its own report: of other points, and of clocks."""

    speedups: Speedups
    clocks: Clocks | None

    @classmethod
    def of(cls, store: Database, baseline: str | None, clock: str | None) -> _Beside:
        speedups = Speedups.of(store, baseline)
        return cls(speedups, None if clock is None else Clocks.of(store, clock))

    def columns(self, point: Recorded, total_cycles: int) -> dict[str, Any]:
        speedup = self.speedups.columns(point, total_cycles)
        if self.clocks is None:
            return speedup
        return speedup | self.clocks.columns(point, {"cycles": total_cycles, **speedup})


def rows_of(
    store: Database, baseline: str | None = None, clock: str | None = None
) -> list[dict[str, Any]]:
    """Return a flat row per recorded point, every row with the same columns; of gathers a row per
    format, layout and width.

    The case; `state`, and `reason` where it is 'refused'; the report's totals, nested names joined
    by '_' (`cycles_total`, `utilization_array`, `error_sqnr_db`); for how many inputs they are, and
    what of the network is not in them; `speedup` = `cycles_total` of the baseline's point / that of
    the row's, both on the same trace, array and memory and by the same sources; where it comes
    from. Absent values are None.

    Parameters
    ----------
    store : Database
    baseline : str, optional
        The design of speedup 1; default: `mac-8b8b`. Without a point of it beside a row's,
        `speedup` is None.
    clock : {'own', 'equal'}, optional
        Also `period_ns`, `time_us` and `speedup_in_time`: every design at its own shortest clock
        period, or all at that of the store's slowest. None for what was not timed.

    Raises
    ------
    InputError
        For a baseline that is asked for and is at no point of the store, or another clock.
    """
    beside = _Beside.of(store, baseline, clock)
    return list(_whole_rows(store, beside, _columns(store, beside)))


def _whole_rows(
    store: Database, beside: _Beside, columns: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Yield the rows one at a time, each with every column."""
    for row in _rows(store, beside):
        yield {name: row.get(name) for name in columns}


def _columns(store: Database, beside: _Beside) -> dict[str, set[type]]:
    """Return the columns in order, each with the types of its values; points that end otherwise
    have other totals.
    """
    kinds: dict[str, set[type]] = {}
    for row in _rows(store, beside):
        for name, value in row.items():
            kinds.setdefault(name, set()).add(_kind(value))
    simulated, gathered = "pe" in kinds or not kinds, "table" in kinds
    first: tuple[str, ...] = (*(CASE * simulated), *(GATHER_CASE * gathered), "state", "reason")
    first += ("baseline", "speedup") * simulated
    last = (*(ORIGIN * simulated), *(GATHER_ORIGIN * gathered), "key")
    first, last = tuple(dict.fromkeys(first)), tuple(dict.fromkeys(last))
    totals = [name for name in kinds if name not in {*first, *last}]
    return {name: kinds.get(name, set()) for name in (*first, *totals, *last)}


def _kind(value: object) -> type:
    """Return a value's type; an integer beyond 64 bits counts as a real number."""
    return float if type(value) is int and not -(2**63) <= value < 2**63 else type(value)


def _rows(store: Database, beside: _Beside) -> Iterator[dict[str, Any]]:
    """Yield a row for each simulation; of gathers one for each format, layout and width."""
    for point in store.recorded():
        yield _row(store, beside, point)
    for point in store.gathers():
        yield from _gather_rows(store, point)


def _gather_rows(store: Database, point: Recorded) -> Iterator[dict[str, Any]]:
    facts = {name: point.facts[name] for name in (*GATHER_CASE, *GATHER_ORIGIN)} | {
        "state": point.state,
        "key": point.key,
    }
    if point.state != "done":
        yield facts | {"reason": point.text}
        return
    try:
        report = GatherReport.from_json(point.text, str(store.path))
    except InputError as error:
        raise unreadable_report(store, point, error) from None
    for row in report.flat_rows():
        yield row | facts | {"synthetic": report.lookups.synthetic}


def _row(store: Database, beside: _Beside, point: Recorded) -> dict[str, Any]:
    facts = {name: point.facts[name] for name in (*CASE, *ORIGIN)} | {
        "state": point.state,
        "key": point.key,
    }
    if "energy" in point.facts:
        facts["energy_table"] = point.facts["energy"]
    if point.state != "done":
        return facts | {"reason": point.text}
    try:
        report = upgraded_report(json.loads(point.text))
        told = beside.columns(point, report["totals"]["cycles"]["total"])
        return facts | told | _about(report) | _totals(report["totals"])
    except UNREADABLE as error:
        raise unreadable_report(store, point, error) from None


def _about(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report's totals are totals of; reports of older versions do not say all of
    it.
    """
    coverage = report["provenance"].get("coverage", {})
    left_out = [operation["name"] for operation in coverage.get("left_out", [])]
    return {
        "network": str(report["provenance"]["network"]),
        "inputs": coverage.get("inputs"),
        "macs_left_out_share": report.get("macs_left_out_share"),
        "left_out_operations": "; ".join(left_out),
        "cycles_per_input": report.get("cycles_per_input"),
        "timing_note": report["pe"].get("timing_note", ""),
    }


def _totals(totals: Mapping[str, Any]) -> dict[str, Any]:
    """Return totals as columns. Raises ValueError for what no report has."""
    columns = flat_fields(totals)
    for name, value in columns.items():
        if not NAME.fullmatch(name):
            raise ValueError(f"totals.{name!r} is no name of a total")
        if not _is_possible(value):
            raise ValueError(f"totals.{name}={value!r} is impossible")
    return columns


def _is_possible(value: object) -> bool:
    """Return whether a total is a count, a finite number, text or absent."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str) or (isinstance(value, int) and value >= 0)


def export(
    store: Database, path: str | Path, baseline: str | None = None, clock: str | None = None
) -> int:
    """Write the rows to a .csv or .parquet file; return how many. `baseline` and `clock` as in
    `rows_of`.

    Rows pass one by one, twice: once for the columns there are, once to be written.

    Raises
    ------
    InputError
        For another suffix, a store with nothing in it or with rows that no sweep has recorded, a
        missing package (Parquet needs the extra `parquet`), or a place that cannot be written.
    """
    suffix = Path(path).suffix
    if suffix not in WRITERS:
        raise InputError(
            f"{path}: suffix {suffix!r}{nearest(suffix, WRITERS)}; expected one of "
            f"{', '.join(WRITERS)}"
        )
    beside = _Beside.of(store, baseline, clock)
    columns = _columns(store, beside)
    if not columns["key"]:
        raise InputError(
            f"{store.path}: holds no results yet; expected a store that a sweep has filled"
        )
    rows = _whole_rows(store, beside, columns)
    with replaced(path) as temporary:
        return WRITERS[suffix](rows, columns, temporary)


def _write_csv(rows: Iterator[dict[str, Any]], columns: Mapping[str, set[type]], path: Path) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow(_cell(row[name]) for name in columns)
            written += 1
    return written


def _cell(value: object) -> object:
    # `True` and `False`, as these files have always had them.
    return value if isinstance(value, bool) else csv_cell(value)


def _write_parquet(
    rows: Iterator[dict[str, Any]], columns: Mapping[str, set[type]], path: Path
) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise InputError(
            f"{path}: Parquet needs pyarrow, which is not installed; expected "
            f"{install_hint('parquet')}, or a .csv file"
        ) from None
    types = {name: _column_type(kinds) for name, kinds in columns.items()}
    names = {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        str: pa.string(),
        None: pa.null(),
    }
    schema = pa.schema([(name, names[kind]) for name, kind in types.items()])
    written = 0
    with pa.parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, ROWS_TOGETHER)):
            values = {
                name: [_parquet_value(row[name], kind) for row in batch]
                for name, kind in types.items()
            }
            writer.write_table(pa.Table.from_pydict(values, schema))
            written += len(batch)
    return written


def _column_type(kinds: set[type]) -> Any:
    """Return the type that holds all values of a column, None for a column that has none."""
    held = kinds - {type(None)}
    if held == {int, float}:
        return float
    return held.pop() if len(held) == 1 else (str if held else None)


def _parquet_value(value: object, kind: Any) -> object:
    if value is None or kind is None:
        return None
    return printable(str(value)) if kind is str else kind(value)


WRITERS: Mapping[str, Writer] = {".csv": _write_csv, ".parquet": _write_parquet}
