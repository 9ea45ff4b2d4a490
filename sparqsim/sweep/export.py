"""Results leave the store: rows, CSV, Parquet, DataFrame."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparqsim.errors import InputError, nearest
from sparqsim.files import replaced
from sparqsim.sweep.store import Recorded, Store

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


def rows_of(store: Store) -> list[dict[str, Any]]:
    """Return a flat row per recorded point, every row with the same columns.

    The case; `state`, and `reason` where it is 'refused'; the report's totals, nested names joined by '_'
    (`cycles_total`, `utilization_array`, `error_sqnr_db`); where it comes from. Absent values are None.
    """
    rows = [_row(point) for point in store.recorded()]
    first, last = (*CASE, "state", "reason"), (*ORIGIN, "key")
    totals = dict.fromkeys(name for row in rows for name in row if name not in {*first, *last})
    columns = [*first, *totals, *last]
    return [{name: row.get(name) for name in columns} for row in rows]


def _row(point: Recorded) -> dict[str, Any]:
    facts = {name: point.facts[name] for name in (*CASE, *ORIGIN)} | {
        "state": point.state,
        "key": point.key,
    }
    if point.state != "done":
        return facts | {"reason": point.text}
    report = json.loads(point.text)
    return facts | {"network": report["provenance"]["network"]} | dict(_flat(report["totals"]))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}_")
        elif not isinstance(value, list) and prefix + name not in LEFT_OUT:
            yield prefix + name, value


def export(store: Store, path: str | Path) -> int:
    """Write the rows to a .csv or .parquet file; return how many.

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
    rows = rows_of(store)
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
            "`pip install 'sparqsim[parquet]'`, or a .csv file"
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
