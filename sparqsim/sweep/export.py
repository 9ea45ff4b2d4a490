"""Results leave the store: rows, CSV, Parquet, DataFrame."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparqsim.errors import InputError, nearest
from sparqsim.files import replaced
from sparqsim.sweep.speedup import Speedups
from sparqsim.sweep.store import Recorded, Store
from sparqsim.wording import install_hint

if TYPE_CHECKING:
    import pandas as pd

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
    "engine",
)
ORIGIN = ("version", "trace_sha256", "pe_source_sha256")
#: Sums of squares: beyond 64 bits for large networks, and there as `error_mse` and `error_sqnr_db`.
LEFT_OUT = frozenset({"error_signal", "error_noise"})


def rows_of(store: Store, baseline: str | None = None) -> list[dict[str, Any]]:
    """Return a flat row per recorded point, every row with the same columns.

    The case; `state`, and `reason` where it is 'refused'; the report's totals, nested names joined by '_'
    (`cycles_total`, `utilization_array`, `error_sqnr_db`); for how many inputs they are, and what of the network is not
    in them; `speedup` = `cycles_total` of the baseline's point / that of the row's, both on the same trace, array and
    memory and by the same sources; where it comes from. Absent values are None.

    Parameters
    ----------
    store : Store
    baseline : str, optional
        The design of speedup 1; default: `mac-8b8b`. Without a point of it beside a row's, `speedup` is None.

    Raises
    ------
    InputError
        For a baseline that is asked for and is at no point of the store.
    """
    speedups = Speedups.of(store, baseline)
    rows = [_row(point, speedups) for point in store.recorded()]
    first, last = (*CASE, "state", "reason", "baseline", "speedup"), (*ORIGIN, "key")
    totals = dict.fromkeys(name for row in rows for name in row if name not in {*first, *last})
    columns = [*first, *totals, *last]
    return [{name: row.get(name) for name in columns} for row in rows]


def _row(point: Recorded, speedups: Speedups) -> dict[str, Any]:
    facts = {name: point.facts[name] for name in (*CASE, *ORIGIN)} | {
        "state": point.state,
        "key": point.key,
    }
    if point.state != "done":
        return facts | {"reason": point.text}
    report = json.loads(point.text)
    speedup = speedups.columns(point, report["totals"]["cycles"]["total"])
    return facts | speedup | _about(report) | dict(_flat(report["totals"]))


def _about(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report's totals are totals of; reports of older versions do not say all of it."""
    coverage = report["provenance"].get("coverage", {})
    left_out = [operation["name"] for operation in coverage.get("left_out", [])]
    return {
        "network": report["provenance"]["network"],
        "inputs": coverage.get("inputs"),
        "macs_left_out_share": report.get("macs_left_out_share"),
        "left_out_operations": "; ".join(left_out),
        "cycles_per_input": report.get("cycles_per_input"),
        "timing_note": report["pe"].get("timing_note", ""),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}_")
        elif not isinstance(value, list) and prefix + name not in LEFT_OUT:
            yield prefix + name, value


def export(store: Store, path: str | Path, baseline: str | None = None) -> int:
    """Write the rows to a .csv or .parquet file; return how many. `baseline` as in `rows_of`.

    Raises
    ------
    InputError
        For another suffix, a store with nothing in it, a missing package (Parquet needs the extra `parquet`), or a
        place that cannot be written.
    """
    suffix = Path(path).suffix
    if suffix not in WRITERS:
        raise InputError(
            f"{path}: suffix {suffix!r}{nearest(suffix, WRITERS)}; expected one of {', '.join(WRITERS)}"
        )
    rows = rows_of(store, baseline)
    if not rows:
        raise InputError(
            f"{store.path}: holds no results yet; expected a store that a sweep has filled"
        )
    with replaced(path) as temporary:
        WRITERS[suffix](rows, temporary)
    return len(rows)


def _write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(rows: list[dict[str, Any]], path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise InputError(
            f"{path}: Parquet needs pyarrow, which is not installed; expected "
            f"{install_hint('parquet')}, or a .csv file"
        ) from None
    pa.parquet.write_table(
        pa.Table.from_pydict({name: [row[name] for row in rows] for name in rows[0]}), path
    )


WRITERS = {".csv": _write_csv, ".parquet": _write_parquet}


def frame_of(store: Store) -> pd.DataFrame:
    """Return the rows as a pandas DataFrame. Raises InputError where pandas is not installed."""
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise InputError(
            "a DataFrame needs pandas, which is not installed; expected `pip install pandas`, or "
            "`.rows()`, a list of dicts"
        ) from None
    return pd.DataFrame(rows_of(store))
