"""How results leave: rows, CSV, Parquet, DataFrame."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from sweep_cases import AXES, command

import sparqsim
from sparqsim.errors import InputError
from sparqsim.sweep import Store, sweep
from sparqsim.sweep.export import export
from sparqsim.sweep.grid import cases_of


def test_csv_rows_are_the_reports_totals(store: Path, trace: str, tmp_path: Path) -> None:
    with Store(store) as opened:
        assert export(opened, tmp_path / "out.csv") == 12
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    row = next(
        row
        for row in rows
        if [row[name] for name in ("pe", "rows", "dataflow")] == ["sparq-exact", "3", "ws"]
    )
    report = sparqsim.simulate(
        sparqsim.load_trace(trace), "sparq-exact", sparqsim.ArrayConfig(3, 5, "ws")
    )
    assert int(row["cycles_total"]) == report.cycles.total
    assert int(row["cycles_pe_stall"]) == report.cycles.pe_stall
    assert float(row["utilization_array"]) == report.utilization.array
    assert float(row["error_mse"]) == report.totals.error.mse == 0
    assert (row["network"], row["trace"], row["version"]) == (
        "made",
        "net.safetensors",
        sparqsim.__version__,
    )


def test_csv_parquet_and_frame_agree(store: Path, tmp_path: Path) -> None:
    pandas, parquet = pytest.importorskip("pandas"), pytest.importorskip("pyarrow.parquet")
    with Store(store) as opened:
        rows, frame = opened.rows(), opened.frame()
        export(opened, tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").to_pylist() == rows
    assert list(frame.columns) == list(rows[0])
    pandas.testing.assert_series_equal(
        frame["cycles_total"],
        pandas.Series([row["cycles_total"] for row in rows]),
        check_names=False,
    )


def test_order_of_rows_does_not_depend_on_the_order_of_arrival(
    store: Path, trace: str, tmp_path: Path, here: None
) -> None:
    for case in reversed(cases_of({"trace": trace, **AXES})):
        sweep([case], tmp_path / "one-by-one.sqlite")
    with Store(store) as opened, Store(tmp_path / "one-by-one.sqlite") as other:
        assert opened.rows() == other.rows()


def test_exports_that_cannot_be(
    store: Path,
    tmp_path: Path,
    trace: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("sweep", "export", str(store), "-o", str(tmp_path / "out.xls")) == 2
    assert "expected one of .csv, .parquet" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert command("sweep", "export", str(store), "-o", str(tmp_path / "out.parquet")) == 2
    assert "sparqsim[parquet]" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()
    with Store(store) as opened, pytest.raises(InputError, match="pip install pandas"):
        opened.frame()
    Store(tmp_path / "empty.sqlite", write=True).close()
    assert (
        command("sweep", "export", str(tmp_path / "empty.sqlite"), "-o", str(tmp_path / "out.csv"))
        == 2
    )
    assert "holds no results yet" in capsys.readouterr().err


def test_reports_in_the_store_are_reports(store: Path) -> None:
    with Store(store) as opened:
        for point in opened.recorded():
            report = sparqsim.Report.from_json(point.text)
            assert json.loads(point.text)["totals"]["cycles"]["total"] == report.cycles.total
