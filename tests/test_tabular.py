"""Results at home in Python: one line, a small table, a DataFrame, save and load."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparqsim
from sparqsim.analysis.bandwidth import BandwidthCurves, bandwidth_curves
from sparqsim.analysis.heatmap import heatmap
from sparqsim.base.record import Record
from sparqsim.base.tabular import MOST_HTML_ROWS, Tabular, html_table
from sparqsim.results.accuracy_report import AccuracyReport

ROOT = Path(__file__).resolve().parent.parent
#: What an attacker would like to see as markup.
MARKUP = "<script>alert('&')</script>"
ARRAY = sparqsim.ArrayConfig(4, 3)


@pytest.fixture(scope="module")
def trace() -> sparqsim.Trace:
    rng = np.random.default_rng(3)
    layers = [
        sparqsim.Layer.from_gemm(
            f"{MARKUP} {at}",
            rng.integers(0, 256, (5, 7)).astype(np.uint8),
            rng.integers(-128, 128, (7, 6)).astype(np.int8),
            weight_scales=[0.5] * 6,
        )
        for at in range(MOST_HTML_ROWS + 5)
    ]
    return sparqsim.Trace(layers, network=MARKUP * 9, synthetic=MARKUP)


@pytest.fixture(scope="module")
def results(trace: sparqsim.Trace) -> dict[str, Tabular]:
    comparison = sparqsim.compare(trace, ["mac-8b8b", "sparq-exact"], ARRAY)
    memory = sparqsim.load_accelerator("edge").memory
    curves = bandwidth_curves(
        trace, [sparqsim.get_pe("mac-8b8b")], ARRAY, memory, baseline="mac-8b8b", kept=None
    )
    report = comparison.reports["sparq-exact"]
    return {
        "trace": trace,
        "layer": trace.layers[0],
        "report": report,
        "layer report": report.layers[0],
        "comparison": comparison,
        "curves": curves,
        "heat map": heatmap(report, trace),
        "accuracy": AccuracyReport.load(ROOT / "docs/accuracy/resnet20.json"),
    }


class Elements(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


#: Columns that say what a row is of; every other one is a path in the JSON.
IDENTITY = {"pe", "row", "layer", "rows", "cols", "dataflow", "coupling", "overlap", "network"}
IDENTITY |= {"synthetic", "inputs", "macs_left_out_share", "left_out_operations", "timing_note"}
IDENTITY |= {"memory", "cycles_per_input"}


def paths(value: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return every leaf of JSON by its path, joined by '_'."""
    if not isinstance(value, dict):
        return {"_".join(path).replace(".", "_"): value}
    if path[:1] == ("actions",) and len(path) == 2:
        return paths(value["count"], path)
    return {
        name: leaf
        for key, part in value.items()
        for name, leaf in paths(part, (*path, key)).items()
    }


@pytest.mark.parametrize("config", [None, "edge"])
def test_a_column_is_a_path_of_the_json(trace: sparqsim.Trace, config: str | None) -> None:
    memory = None if config is None else sparqsim.load_accelerator(config).memory
    few = sparqsim.Trace(list(trace.layers[:3]))
    report = sparqsim.simulate(few, "sparq-exact", ARRAY, memory=memory)
    document = json.loads(report.to_json())
    rows = report.flat_rows()
    for row, measured in zip(rows, [*document["layers"], document["totals"]], strict=True):
        columns = {name: row[name] for name in row.keys() - IDENTITY if row[name] not in (None, "")}
        known = {name: value for name, value in paths(measured).items() if value is not None}
        assert columns.items() <= known.items()
        left_out = {name for name in known.keys() - columns.keys() if "actions_memory" not in name}
        assert left_out <= {"error_signal", "error_noise", "counts_macs", "name"}


def test_every_repr_is_one_short_line(results: dict[str, Tabular]) -> None:
    for name, result in results.items():
        assert len(repr(result)) <= 250, name
        assert "\n" not in repr(result), name
        assert str(result) == repr(result)


def test_records_inside_of_results_are_short_too(results: dict[str, Tabular]) -> None:
    def check(record: Record) -> None:
        assert len(repr(record)) <= 250, type(record)
        for field in type(record).model_fields:
            value = getattr(record, field)
            inner = value.values() if isinstance(value, dict) else value
            for part in inner if isinstance(value, tuple | dict) else [value]:
                if isinstance(part, Record):
                    check(part)

    for result in results.values():
        if isinstance(result, Record):
            check(result)
    trace = results["trace"]
    assert isinstance(trace, sparqsim.Trace)
    check(trace.metadata)


def test_small_records_are_shown_whole() -> None:
    cycles = sparqsim.simulate(
        sparqsim.Trace([sparqsim.Layer.from_gemm("a", _ones(2, 3), _ones(3, 2, np.int8))]),
        "mac-8b8b",
        ARRAY,
    ).cycles
    assert eval(repr(cycles), {"Cycles": type(cycles)}) == cycles  # noqa: S307 - our own text


def _ones(rows: int, cols: int, dtype: Any = np.uint8) -> Any:
    return np.ones((rows, cols), dtype)


def test_drawn_values_are_named_in_every_line_and_table(results: dict[str, Tabular]) -> None:
    for name in ("trace", "report", "comparison", "curves", "heat map"):
        assert "SYNTHETIC" in repr(results[name]), name
        assert "SYNTHETIC" in results[name]._repr_html_(), name


def test_tables_are_small_escaped_and_need_nothing(results: dict[str, Tabular]) -> None:
    for name, result in results.items():
        elements = Elements(result._repr_html_())
        assert elements.tags.count("table") == 1, name
        assert set(elements.tags) <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}, name
        assert elements.attributes <= {"style", "colspan"}, name
        assert elements.tags.count("tr") <= MOST_HTML_ROWS + 2, name


def test_a_long_table_says_what_it_leaves_out_and_keeps_the_total(
    results: dict[str, Tabular],
) -> None:
    text = Elements(results["report"]._repr_html_()).text
    total = results["report"].flat_rows()[-1]["cycles_total"]
    assert "... 6 rows more ..." in text
    assert f"{total:,}" in text.rpartition("more ...")[2]
    assert MARKUP in text, "shown as it is, as text"


def test_absent_values_and_absent_columns() -> None:
    rows = [{"a": None, "b": True}, {"a": 1234567, "b": False}]
    elements = Elements(html_table("c", {"a": "A", "z": "Z", "b": "B"}, rows))
    assert elements.text == "cAB-yes1,234,567"


def test_frames_hold_what_the_results_say(results: dict[str, Tabular]) -> None:
    pytest.importorskip("pandas")
    report, comparison = results["report"], results["comparison"]
    assert isinstance(report, sparqsim.Report)
    assert isinstance(comparison, sparqsim.Comparison)
    frame = report.to_frame()
    layers = frame[frame["row"] == "layer"]
    assert list(layers["layer"]) == [layer.name for layer in report.layers]
    assert list(layers["cycles_total"]) == [layer.cycles.total for layer in report.layers]
    assert list(frame["cycles_pe_stall"])[-1] == report.cycles.pe_stall
    assert layers["cycles_total"].sum() == frame["cycles_total"].iloc[-1] == report.cycles.total
    totals = comparison.to_frame().query("row == 'total'").set_index("pe")
    assert totals.loc["sparq-exact", "speedup"] == comparison.speedup("sparq-exact")
    busy = results["heat map"].to_frame()
    assert len(busy) == ARRAY.rows * ARRAY.cols
    shapes = results["trace"].to_frame()
    assert list(shapes["macs"].unique()) == [5 * 7 * 6]


def test_a_notebook_s_table_of_a_trace_reads_no_operands() -> None:
    def refuse(_: object) -> Any:
        raise AssertionError("read")

    known = sparqsim.Layer.from_gemm("a", _ones(2, 3), _ones(3, 2, np.int8))
    source = type(known.activations_source)((1, 2, 3), np.dtype(np.uint8), refuse)
    layer = sparqsim.Layer(known.record, source, known.weights_source)
    trace = sparqsim.Trace([layer])
    assert repr(trace).count("1 layer") == 1
    assert trace._repr_html_().count("<tr>") == layer._repr_html_().count("<tr>") == 2


def test_without_pandas_the_line_says_how_to_get_it(
    results: dict[str, Tabular], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for result in results.values():
        with pytest.raises(sparqsim.InputError, match=r"pip install -e '\.\[parquet\]'"):
            result.to_frame()


def test_save_and_load_are_one_pair(results: dict[str, Tabular], tmp_path: Path) -> None:
    kinds = (sparqsim.Report, sparqsim.Comparison, BandwidthCurves, AccuracyReport)
    saved = [result for result in results.values() if isinstance(result, kinds)]
    assert len(saved) == len(kinds)
    for result in saved:
        path = tmp_path / f"{type(result).__name__}.json"
        result.save(path)
        assert path.read_text() == result.to_json()
        assert type(result).load(str(path)) == result
    with pytest.raises(sparqsim.InputError, match="nowhere"):
        saved[0].save(tmp_path / "nowhere" / "report.json")


def test_a_trace_is_named_by_its_file_too(trace: sparqsim.Trace, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    trace.save(path)
    expected = sparqsim.simulate(trace, "sparq-5opt", ARRAY)
    assert sparqsim.simulate(str(path), "sparq-5opt", ARRAY) == expected
    assert sparqsim.simulate(path, "sparq-5opt", ARRAY) == expected
    both = sparqsim.compare(path, ["mac-8b8b", "sparq-5opt"], ARRAY)
    assert both.reports["sparq-5opt"] == expected
    assert sparqsim.compare(str(path), ["mac-8b8b", "sparq-5opt"], ARRAY) == both
