"""How results leave: rows, CSV, Parquet, DataFrame."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_cases import AXES, USER_DESIGN, command

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.rtl.timing import TABLE as TIMING_FILE
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


def test_speedup_is_over_the_baseline_at_the_same_point(store: Path, trace: str) -> None:
    """Every point against two simulations of its own; nothing of another array, dataflow or overlap
    counts.
    """
    with Store(store) as opened:
        rows, over_exact = opened.rows(), opened.rows("sparq-exact")
    loaded, compared = sparqsim.load_trace(trace), set()
    for row, other in zip(rows, over_exact, strict=True):
        array = sparqsim.ArrayConfig(
            row["rows"], row["cols"], row["dataflow"], row["coupling"], row["overlap"]
        )
        cycles = {
            pe: sparqsim.simulate(loaded, pe, array).cycles.total
            for pe in {row["pe"], "mac-8b8b", "sparq-exact"}
        }
        assert other["speedup"] == cycles["sparq-exact"] / cycles[row["pe"]]
        assert (row["baseline"], other["baseline"]) == ("mac-8b8b", "sparq-exact")
        compared.add(other["speedup"])
    assert len(compared) > 3


def test_without_its_baseline_a_point_has_no_speedup(trace: str, tmp_path: Path) -> None:
    cases = [
        *cases_of({"trace": [trace], "pe": ["sparq-5opt"], "array": ["3x5", "4x4"]}),
        *cases_of({"trace": [trace], "pe": ["mac-8b8b"], "array": ["4x4"]}),
    ]
    sweep(cases, tmp_path / "s.sqlite")
    with Store(tmp_path / "s.sqlite") as opened:
        rows = opened.rows()
        with pytest.raises(InputError, match="'mac-4b4b' is at no point; expected one of mac-8b8b"):
            opened.rows("mac-4b4b")
    speedups = {(row["pe"], row["rows"]): row["speedup"] for row in rows}
    assert speedups["sparq-5opt", 3] is None
    assert speedups["mac-8b8b", 4] == 1
    assert speedups["sparq-5opt", 4] > 1


def test_rows_say_what_of_a_network_they_are(tmp_path: Path) -> None:
    coverage = {
        "inputs": 2,
        "left_out": [
            {"name": "attn", "reason": "in one call", "macs": 3 * 5 * 2},
            {"name": "head", "reason": "in one call", "macs": 0},
        ],
    }
    layer = sparqsim.Layer.from_gemm("l", np.ones((3, 5), np.uint8), np.ones((5, 2), np.int8))
    path = tmp_path / "part.safetensors"
    sparqsim.Trace([layer], provenance={"coverage": coverage}).save(path)
    sweep(cases_of({"trace": [str(path)], "pe": ["smt-sa-2t"]}), tmp_path / "s.sqlite")
    with Store(tmp_path / "s.sqlite") as opened:
        (row,) = opened.rows()
    assert (row["inputs"], row["macs_left_out_share"]) == (2, 0.5)
    assert row["left_out_operations"] == "attn; head"
    assert row["cycles_per_input"] == row["cycles_total"] / 2
    assert "without refilling the array" in row["timing_note"]


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
    assert "pip install -e '.[parquet]'" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()
    with Store(store) as opened, pytest.raises(InputError, match=r"pip install -e .\.\[parquet\]"):
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


def _shortest_ns(name: str) -> float:
    """The longer one of PE and edge, each the shortest of all flows; from the table's file."""
    rows = json.loads(TIMING_FILE.read_text())["rows"]
    parts = [
        [row[part][name]["period_ns"] for row in rows]
        for part in ("pe", "edge")
        if name in rows[0][part]
    ]
    return max(map(min, parts))


@pytest.mark.parametrize("clock", ["own", "equal"])
def test_times_are_cycles_at_the_periods_of_the_timing_table(store: Path, clock: str) -> None:
    with Store(store) as opened:
        plain, timed = opened.rows("sparq-exact"), opened.rows("sparq-exact", clock)
    periods = {row["pe"]: _shortest_ns(row["pe"]) for row in plain}
    assert len(periods) == 3
    if clock == "equal":
        periods = dict.fromkeys(periods, max(periods.values()))
    new = ("clock", "period_ns", "time_us", "speedup_in_time")
    for before, row in zip(plain, timed, strict=True):
        assert {name: value for name, value in row.items() if name not in new} == before
        assert (row["clock"], row["period_ns"]) == (clock, periods[row["pe"]])
        assert row["time_us"] == pytest.approx(row["cycles_total"] * row["period_ns"] / 1000)
        gained = row["speedup"] * periods["sparq-exact"] / row["period_ns"]
        assert row["speedup_in_time"] == pytest.approx(gained)


def test_what_was_not_timed_has_no_time(trace: str, tmp_path: Path, here: None) -> None:
    """A design from a file that is called like a timed one, an assignment, operands that are
    broadcast, a design without RTL, a refused point.
    """
    (tmp_path / "mine.py").write_text(USER_DESIGN.format(lanes=3).replace("mine", "mac-2x8b8b"))
    assigned = tmp_path / "assigned.toml"
    assigned.write_text(
        'name = "mixed"\ndefault = "mac-8b8b"\n[[layers]]\nmatch = "only"\npe = "mac-4b8b"\n'
    )
    designs = ["mac-8b8b", f"{tmp_path}/mine.py:Mine", f"@{assigned}", "laconic"]
    cases = cases_of({"trace": trace, "pe": designs, "coupling": ["lockstep", "broadcast"]})
    cases += cases_of({"trace": trace, "pe": "smt-sa-2t", "dataflow": "ws"})
    sweep(cases, tmp_path / "s.sqlite")
    with Store(tmp_path / "s.sqlite") as opened:
        rows = opened.rows(clock="own")
    assert [row["state"] for row in rows].count("refused") >= 1
    told = {(row["pe"], row["coupling"]) for row in rows if row["period_ns"] is not None}
    assert told == {("mac-8b8b", "lockstep")}
    for row in rows:
        if (row["pe"], row["coupling"]) not in told:
            assert row["time_us"] is row["speedup_in_time"] is None


def test_the_command_writes_times_and_refuses_other_clocks(
    store: Path, tmp_path: Path, run: Any, refused: Any
) -> None:
    export_to = ("sweep", "export", store, "-o", tmp_path / "t.csv", "--clock")
    assert run(*export_to, "own").code == 0
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {float(row["period_ns"]) for row in rows if row["pe"] == "mac-8b8b"} == {
        _shortest_ns("mac-8b8b")
    }
    assert "clock='fast': expected one of equal, own" in refused(*export_to, "fast")
