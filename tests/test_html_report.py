"""The report page: what it says, that strings from files stay strings, equal bytes, and what is
refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import sparqsim
from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.results.accuracy_report import (
    AccuracyReport,
    AccuracyRow,
    Hits,
    NetworkLayer,
    RowLayer,
)
from sparqsim.results.comparison import Comparison
from sparqsim.results.layer_report import Cycles, Error, Utilization
from sparqsim.results.setting import ArrayInfo
from sparqsim.trace.coverage import Coverage, LeftOut

pytest.importorskip("jinja2", reason="needs Jinja2 (extra `report`)")

from sparqsim.html import Gathered, gather, page_text
from sparqsim.html import page as page_module
from sparqsim.html.accuracy import accuracy_sqnr_table, accuracy_summary, trials_table
from sparqsim.html.cells import count, decimal, sqnr
from sparqsim.html.definitions import OWN, in_words, meaning
from sparqsim.html.equal_area import equal_area_tables
from sparqsim.html.headline import headline
from sparqsim.html.summary import Number, summary

HOSTILE = "</script><script>alert(\"x\")</script>--><img src=x onerror=alert('1')>{{ 7 * 7 }}&amp;"
VOID = {"meta", "img", "link", "br", "hr", "input", "path", "use", "rect"}
PES = ["mac-8b8b", "sparq-5opt", "mac-4b4b", "sparq-exact"]


def made_trace(name: str = "layer", **document: object) -> sparqsim.Trace:
    rng = np.random.default_rng(5)
    layers = [
        sparqsim.Layer.from_gemm(
            f"{name}{at}",
            rng.integers(0, 256, (m, k)).astype(np.uint8),
            rng.integers(-128, 128, (k, n)).astype(np.int8),
            keep_8bit=at == 0,
        )
        for at, (m, k, n) in enumerate([(7, 18, 5), (33, 9, 20), (16, 64, 16)])
    ]
    return sparqsim.Trace(layers, **document)


class Page(HTMLParser):
    """Elements, texts and attributes of a page; every element must be closed by its own end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture(scope="module")
def compared() -> Comparison:
    return sparqsim.compare(made_trace(network="made net"), PES)


@pytest.fixture(scope="module")
def text(compared) -> str:
    return page_text(Gathered.of([compared]))


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


@pytest.fixture(scope="module")
def hostile() -> str:
    trace = made_trace(HOSTILE, network=f"net {HOSTILE}", synthetic=HOSTILE)
    return page_text(Gathered.of([sparqsim.compare(trace, PES[:2])]))


def said(comparison: Comparison) -> str:
    return "".join(
        piece.text if isinstance(piece, Number) else piece for piece in summary(comparison)
    )


def test_summary_says_the_numbers_in_plain_words():
    compared = sparqsim.compare(made_trace(network="made net"), PES, kept="ideal")
    words, reports = said(compared), compared.reports
    base, fast, accurate = (reports[name] for name in ("mac-8b8b", "mac-4b4b", "sparq-5opt"))
    assert words.startswith(
        f"Made net: 3 layers, {base.totals.macs:,} multiply-accumulates. On an array of 16x16 PEs, "
        f"mac-8b8b, the baseline, takes {base.cycles.total:,} cycles. "
    )
    assert (
        f"Of 4 designs mac-4b4b is the fastest: {fast.cycles.total:,} cycles, a speedup of "
        f"{compared.speedup('mac-4b4b'):.2f}, at an output SQNR of {fast.totals.error.sqnr_db:.1f} "
        "dB. "
    ) in words
    assert (
        "The most accurate that is faster than the baseline is sparq-5opt: "
        f"{accurate.cycles.total:,} cycles, a speedup of {compared.speedup('sparq-5opt'):.2f}, at "
        f"an output SQNR of {accurate.totals.error.sqnr_db:.1f} dB. "
    ) in words
    assert (
        "Values cannot change the cycles of mac-8b8b, sparq-5opt and mac-4b4b: only shapes can. "
        in words
    )
    assert "Those of sparq-exact depend on values. " in words
    assert "Memory is not modelled" in words
    assert "1 layer (layer0) stays at 8 bits and runs as mac-8b8b under every design. " in words
    assert "equal PE count and equal clock" in words
    assert "synthetic" not in words


def test_summary_of_other_results(compared):
    assert "stays at 8 bits and runs on each design's own circuit. " in said(compared)
    assert "mac-4b4b: four passes over K" in said(compared)
    slow = sparqsim.compare(made_trace(network="x"), ["sparq-exact"])
    assert "Of 2 designs none is faster than the baseline. " in said(slow)
    assert "steps longer than a cycle add " in said(slow)
    alone = Gathered.of([compared.reports["sparq-5opt"]]).runs[0]
    assert "sparq-5opt takes " in said(alone)
    assert "baseline" not in said(alone)
    assert "equal PE count" not in said(alone)
    drawn = sparqsim.compare(made_trace(synthetic="uniform"), ["sparq-5opt"])
    assert "The values are synthetic, drawn and not measured on a network (uniform). " in said(
        drawn
    )


def test_the_page_is_sound_and_asks_for_nothing_from_outside(text, page):
    assert text.startswith("<!DOCTYPE html>")
    assert page.tags["script"] == page.tags["style"] == page.tags["main"] == 1
    assert page.tags["svg"] == page.tags["figure"] == 3
    assert not page.tags["link"] + page.tags["img"] + page.tags["iframe"] + page.tags["image"]
    assert all(value.startswith("#") for value in page.values("href"))
    assert not page.values("src")
    assert "url(http" not in text
    assert "@import" not in text
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = Counter(page.values("id"))
    assert len(ids) > 100
    assert set(ids.values()) == {1}
    targets = {value[1:] for value in page.values("href")}
    targets |= {
        name for _, _, value in page.attributes for name in re.findall(r"url\(#([^)]+)\)", value)
    }
    assert targets <= ids.keys()


def test_every_head_and_every_number_of_the_summary_has_its_definition(page, compared):
    """What is hovered over is what the list of definitions says."""
    said = [value for tag, name, value in page.attributes if tag == "button" and name == "title"]
    assert said.count(meaning("speedup")) == 1 + len(PES)  # whole networks, and layer by layer
    for term in (
        "cycles.total",
        "cycles.compute",
        "cycles.pe_stall",
        "utilization.effective",
        "error.sqnr_db",
    ):
        assert meaning(term) in said
        assert meaning(term) in page.texts
    assert page.tags["th"] > page.tags["button"] > 60
    numbers = [piece for piece in summary(compared) if isinstance(piece, Number)]
    assert page.attributes.count(("a", "class", "number")) >= len(numbers) >= 10


def test_definitions_are_those_of_the_records():
    assert meaning("cycles.pe_stall") == "What steps longer than a cycle add."
    assert "pe_stall: what steps longer than a cycle add" in Cycles.__doc__
    assert meaning("utilization.array") == "MACs / (total cycles x PEs x lanes)."
    assert "array: MACs / (total cycles x PEs x lanes)" in " ".join(Utilization.__doc__.split())
    assert meaning("error.max_abs") == "Max |y' - y|, in units of one product's least bit."
    assert meaning("error.mse") == Error.mse.__doc__
    assert meaning("bounds.gap_cycles.pe_waiting").startswith(
        "The rest of the array's own cycles, PEs waiting for"
    )
    assert meaning("array.dataflow").startswith(
        "What stays in the PE: partial sums ('os'), weights"
    )
    assert meaning("speedup").startswith(
        "Speedup = total cycles of the baseline / total cycles of the design"
    )
    for term in ("cycles.nothing", "error.outputs"):
        with pytest.raises(LookupError):
            meaning(term)
    assert all(said.endswith(".") for said in OWN.values())


def test_tables_hold_the_numbers_of_the_results(text, compared):
    for name in PES:
        report = compared.reports[name]
        assert f"<td>{report.cycles.total:,}</td>" in text
        assert f">{compared.speedup(name):.2f}</td>" in text
        for layer in report.layers:
            assert f"<td>{layer.bounds.work_cycles:,}</td>" in text
    cell = decimal(compared.layer_speedup("mac-4b4b", 1))
    assert f'<td data-v="{cell.value!r}">{cell.text}</td>' in text


def test_cells_sort_by_their_numbers():
    assert count(1234).sort_key == ""
    assert (count(None).text, count(None).sort_key) == ("\N{EN DASH}", "-Infinity")
    assert (decimal(1.2345).text, decimal(1.2345).sort_key) == ("1.23", "1.2345")
    exact, none = (Error(outputs=1, signal=0, noise=noise, max_abs=0) for noise in (0, 1))
    assert (sqnr(exact).text, sqnr(exact).sort_key) == ("exact", "Infinity")
    assert sqnr(none).value == -math.inf


def test_strings_from_files_stay_strings(hostile):
    page = Page(hostile)
    assert page.tags["script"] == 1
    assert page.tags["img"] == 0
    assert "49" not in "".join(part for part in page.texts if "{{" in part)
    assert f"{HOSTILE}1" in page.values("title")
    prefix = HOSTILE[: HOSTILE.rindex("/") + 1]
    assert any(part == f"Names of layers begin with {prefix}" for part in page.texts)
    assert any(prefix + part == f"{HOSTILE}1" for part in page.texts)
    assert "<!--" not in hostile.replace("<!DOCTYPE", "")
    assert any(f"net {HOSTILE}" in part for part in page.texts)


def test_equal_results_give_equal_bytes_in_another_process(compared, text, tmp_path):
    (tmp_path / "c.json").write_text(compared.to_json())
    again = [sys.executable, "-m", "sparqsim", "report", "c.json", "-o", "page.html"]
    root = str(Path(sparqsim.__file__).parents[1])
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "PYTHONPATH": root}
    ended = subprocess.run(
        again, check=True, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (ended.stdout, ended.stderr) == ("page.html written\n", "")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text
    assert str(tmp_path) not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json", "page.html"]


def test_results_of_one_run_stand_side_by_side(compared, tmp_path):
    reports = compared.reports
    assert Gathered.of([reports[name] for name in PES]).runs == (compared,)
    both = Gathered.of([compared, reports["sparq-5opt"]])
    assert both.runs == (compared,)
    other = sparqsim.simulate(
        made_trace(network="made net"), "sparq-5opt", sparqsim.ArrayConfig(8, 8)
    )
    assert [run.order for run in Gathered.of([other, compared]).runs] == [
        ("sparq-5opt",),
        tuple(PES),
    ]
    edited = other.layers[0].model_copy(update={"tiles": 99})
    with pytest.raises(InputError, match="'sparq-5opt' is in two of the results"):
        Gathered.of([other, other.model_copy(update={"layers": (edited, *other.layers[1:])})])


def test_memory_has_its_table_its_settings_and_its_roofline():
    from sparqsim.memory import load_accelerator

    edge = load_accelerator("edge")
    compared = sparqsim.compare(made_trace(), PES[:2], edge.array, memory=edge.memory)
    page = Page(page_text(Gathered.of([compared])))
    assert page.tags["figure"] == 4
    for expected in (
        "DRAM traffic, and the cycles that it stalled",
        "DRAM bandwidth bytes per cycle",
        "Roofline.",
        "activations scratchpad size kib",
        meaning("dram.latency_cycles"),
        "memory stall (%)",
    ):
        assert expected in page.texts, expected
    assert "Memory is not modelled" not in " ".join(page.texts)


def trial_row(
    pe: str | None,
    top1: int | None,
    agree: int,
    cycles: int | None,
    speedup: float | None,
    *sqnr_db: float | None,
    calibrator: str = "mean-max",
    recalibrated: bool = False,
) -> AccuracyRow:
    return AccuracyRow(
        pe=pe,
        calibrator=calibrator,
        recalibrated_bn=recalibrated,
        route="its route",
        cycles=cycles,
        hits=Hits(top1=top1, top5=None if top1 is None else 1990, agree=agree),
        speedup=speedup,
        layers=tuple(RowLayer(cycles=7, sqnr_db=each) for each in sqnr_db),
    )


def accuracy_record(*rows: AccuracyRow, **fields: object) -> AccuracyReport:
    """A record of two layers, the first kept; rows by default two designs faster than the baseline,
    and retrained.
    """
    rows = rows or (
        trial_row(None, 1800, 2000, None, None),
        trial_row("mac-8b8b", 1810, 1960, 2469134, 1.0, None, None),
        trial_row("sparq-5opt", 1750, 1900, 1234567, 1.75, None, 31.5),
        trial_row("mac-4b8b", 1500, 1600, 1000000, 2.25, None, -1.25, calibrator="mse:4"),
        trial_row("sparq-5opt", 1999, 1000, 1234567, 1.75, 20.0, 30.0, recalibrated=True),
    )
    layers = (
        NetworkLayer(
            name=name,
            op="conv2d",
            kept=name == "first",
            signed=False,
            zero_point=0,
            pairs=4,
            zero_pairs=1,
        )
        for name in ("first", "second")
    )
    given = {
        "version": "1",
        "network": "made net",
        "data": "what answered",
        "calibration": "what scaled",
        "preprocess": "",
        "pictures": 2000,
        "traced_pictures": 3,
        "error_pictures": 4,
        "kept_as": "float",
        "skipped": ("left", "out"),
        "baseline": "mac-8b8b",
        "reference": "float network",
    }
    array = ArrayInfo(rows=16, cols=8, dataflow="os", coupling="lockstep", overlap=False)
    return AccuracyReport(
        **{**given, "layers": tuple(layers), "array": array, "rows": rows, **fields}
    )


def accuracy_said(report: AccuracyReport) -> str:
    return "".join(
        piece.text if isinstance(piece, Number) else piece for piece in accuracy_summary(report)
    )


def test_an_accuracy_record_is_shown_with_what_its_fields_mean(tmp_path):
    report = accuracy_record()
    (tmp_path / "a.json").write_text(report.to_json())
    assert gather([tmp_path / "a.json"] * 2).accuracy == (report,)
    page = Page(page_text(gather([tmp_path / "a.json"])))
    assert page.texts.count("Accuracy of made net") == 1
    for setting in (
        "what answered",
        "what scaled",
        "2,000",
        "3",
        "4",
        "float",
        "left, out",
        "16x8, dataflow os, lockstep, overlap off",
        "\N{EN DASH}",
    ):
        assert setting in page.texts, setting
    assert page.tags["svg"] == page.tags["figure"] == 1
    assert page.tags["details"] == 2  # SQNR by layer, and the quantization card
    told = [value for tag, name, value in page.attributes if tag == "button" and name == "title"]
    assert len(told) == 10 + 1 + 4 + 1  # columns of both tables, and how facts are known
    assert told.count(meaning("trial_layer.sqnr_db")) == 4
    for term in (
        "accuracy.pictures",
        "hits.agree",
        "hits.top5",
        "trial.recalibrated_bn",
        "trial.worst_sqnr_db",
    ):
        assert meaning(term) in page.texts
    assert meaning("trial.speedup") == "The baseline's cycles over these."


def test_accuracy_has_a_row_for_each_trial_and_a_column_for_each_trial_of_a_design():
    report = accuracy_record()
    shown = [[cell.text for cell in row] for row in trials_table(report).rows]
    none = "\N{EN DASH}"
    assert shown[0] == [
        "float network",
        "mean-max",
        "no",
        "its route",
        "1,800",
        "1,990",
        "2,000",
        none,
        none,
        none,
    ]
    assert shown[1][-3:] == ["2,469,134", "1.00", "exact"]
    assert shown[3] == [
        "mac-4b8b",
        "mse:4",
        "no",
        "its route",
        "1,500",
        "1,990",
        "1,600",
        "1,000,000",
        "2.25",
        "-1.2",
    ]
    assert [shown[4][at] for at in (0, 2, 9)] == ["sparq-5opt", "yes", "20.0"]
    layers = accuracy_sqnr_table(report)
    assert [column.label for column in layers.columns] == [
        "layer",
        "mac-8b8b",
        "sparq-5opt",
        "mac-4b8b (mse:4)",
        "sparq-5opt (batch norms recalibrated)",
    ]
    assert [[cell.text for cell in row] for row in layers.rows] == [
        ["first*", "exact", "exact", "exact", "20.0"],
        ["second", "exact", "31.5", "-1.2", "30.0"],
    ]


def test_accuracy_in_one_sentence():
    report = accuracy_record()
    assert accuracy_said(report) == (
        "Of 2,000 pictures, the reference (float network) gets 1,800 right; mac-4b8b (mse:4), the "
        "fastest of 3 designs, gets 1,500 right at a speedup of 2.25; sparq-5opt, the most "
        "accurate that is faster than mac-8b8b, gets 1,750 right at a speedup of 1.75."
    )
    unlabelled = [
        row.model_copy(update={"hits": Hits(top1=None, top5=None, agree=row.hits.agree)})
        for row in report.rows[:3]
    ]
    assert accuracy_said(accuracy_record(*unlabelled)) == (
        "Of 2,000 pictures, sparq-5opt, the fastest of 2 designs, answers 1,900 as the reference "
        "(float network) does at a speedup of 1.75."
    )
    assert (
        accuracy_said(accuracy_record(*unlabelled[:2]))
        == "Of 2,000 pictures, no design is faster than mac-8b8b."
    )


def test_accuracy_without_what_a_figure_needs_has_none():
    rows = accuracy_record().rows
    for few in (rows[:1], rows[1:], rows[4:]):  # no design; no network as it is; another network
        assert Page(page_text(Gathered.of([], [accuracy_record(*few)]))).tags["figure"] == 0
    nothing = accuracy_record().model_copy(update={"rows": ()})
    assert Page(page_text(Gathered.of([], [nothing]))).tags["figure"] == 0


def test_strings_of_an_accuracy_record_stay_strings():
    """Also in a figure, where $ and \\ would begin formulas."""
    name = HOSTILE + " $\\frac{$ \\"
    rows = [
        row.model_copy(
            update={"pe": row.pe and f"{name}{row.pe}", "route": name, "calibrator": name}
        )
        for row in accuracy_record().rows
    ]
    layers = tuple(layer.model_copy(update={"name": name}) for layer in accuracy_record().layers)
    report = accuracy_record(
        *rows,
        network=name,
        reference=name,
        baseline=name,
        data=name,
        preprocess=name,
        calibration=name,
        version=name,
        skipped=(name,),
        layers=layers,
    )
    text = page_text(Gathered.of([], [report]))
    page = Page(text)
    assert page.tags["script"] == page.tags["figure"] == 1
    assert page.tags["img"] == 0
    assert "<!--" not in text.replace("<!DOCTYPE", "")
    for expected in (f"Accuracy of {name}", f"{name}sparq-5opt", f"{name}*", name):
        assert expected in page.texts


def test_a_wrong_accuracy_record_is_told(refused, tmp_path):
    good = json.loads(accuracy_record().to_json())
    path = tmp_path / "a.json"
    for field, value, expected in (
        ("pictures", "ten", "pictures: Input should be a valid integer"),
        ("pictures", 0, "pictures: Input should be greater than or equal to 1"),
        ("more", 1, "more: unknown field"),
        ("rows", None, "rows: "),
    ):
        path.write_text(json.dumps({**good, field: value}))
        line = refused("report", path, "-o", tmp_path / "page.html")
        assert str(path) in line
        assert expected in line
    assert not (tmp_path / "page.html").exists()


@pytest.mark.usefixtures("no_figures")
def test_speedup_at_equal_area_has_a_table_with_its_range():
    both = sparqsim.compare(
        made_trace(),
        pes=["mac-8b8b", "sparq-5opt", "sysmt-4t"],
        array=ArrayConfig(4, 4),
        iso="area",
    )
    (table,) = equal_area_tables(both)
    found = both.iso_area.designs["sparq-5opt"]
    assert [row[0].text for row in table.rows] == ["mac-8b8b", "sparq-5opt"]
    assert [cell.value for cell in table.rows[1][3:6]] == [
        found.speedup.low,
        found.speedup.middle,
        found.speedup.high,
    ]
    assert table.rows[1][1].text == f"{found.arrays.middle.rows}x{found.arrays.middle.cols}"
    assert "sysmt-4t" in table.note
    assert "our open-tool synthesis" in table.note
    texts = Page(page_text(Gathered.of([both]))).texts
    assert table.title in texts
    assert table.note in texts


def test_without_equal_area_there_is_no_table_of_it(compared):
    assert not list(equal_area_tables(compared))


def test_wrong_input_is_told(refused, run, compared, tmp_path, monkeypatch):
    good, page = tmp_path / "c.json", tmp_path / "page.html"
    good.write_text(compared.to_json())
    page.write_text("earlier")
    for name, content, expected in (
        ("broken.json", '{"schema":', "not JSON"),
        ("list.json", "[]", "schema=None"),
        ("odd.json", '{"schema": ["x"]}', "schema=['x'], no result of sparqsim"),
        ("deep.json", "[" * 100_000, "not JSON"),
    ):
        (tmp_path / name).write_text(content)
        line = refused("report", good, tmp_path / name, "-o", page)
        assert name in line
        assert expected in line
    assert "no such file; expected the -o of `simulate`" in refused(
        "report", tmp_path / "none.json", "-o", page
    )
    assert "written as .html or .htm" in refused("report", good, "-o", tmp_path / "page.pdf")
    assert "cannot be written" in refused("report", good, "-o", tmp_path / "no" / "page.html")
    assert page.read_text() == "earlier"


def test_without_jinja2_the_extra_is_named(refused, compared, tmp_path, monkeypatch):
    (tmp_path / "c.json").write_text(compared.to_json())
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert "pip install -e '.[report]'" in refused(
        "report", tmp_path / "c.json", "-o", tmp_path / "page.html"
    )


def test_a_figure_that_cannot_be_drawn_is_left_out(compared):
    """Noise where the exact outputs are all zero has no SQNR: no error against speedup, all else
    stays.
    """
    totals = {
        name: report.model_copy(
            update={
                "layers": tuple(
                    layer.model_copy(
                        update={"error": Error(outputs=1, signal=0, noise=1, max_abs=1)}
                    )
                    for layer in report.layers
                )
            }
        )
        for name, report in compared.reports.items()
    }
    page = Page(page_text(Gathered.of([compared.model_copy(update={"reports": totals})])))
    assert page.tags["figure"] == 2


def test_the_script_may_run_because_the_policy_names_it(text):
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"script-src &#39;sha256-{digest}&#39;" in text or f"script-src 'sha256-{digest}'" in text
    )
    assert "default-src 'none'" in text
    assert page_module.SUFFIXES == (".html", ".htm")


# What a reader came for, before prose; and whose numbers they are


def covered(inputs: int | None, *left_out: LeftOut, **document: str) -> Comparison:
    provenance = Coverage(inputs=inputs, left_out=left_out).entry()
    provenance["folded_batch_norms"] = {"a": "b", "c": "d"}
    return sparqsim.compare(
        made_trace(network="made net", provenance=provenance, **document),
        ["mac-8b8b", "sparq-5opt", "smt-sa-2t"],
    )


def test_numbers_stand_before_prose(text, compared):
    page = text[text.index("<article") :]
    fastest = max(compared.order, key=compared.speedup)
    assert f">{compared.speedup(fastest):.2f}x</a>" in page[: page.index('<p class="summary">')]
    facts = headline(compared)
    assert [fact.label for fact in facts[:2]] == ["speedup", "output SQNR"]
    assert all(meaning(fact.number.term) for fact in facts)


@pytest.mark.usefixtures("no_figures")
def test_the_page_says_of_how_many_inputs_and_what_is_missing():
    macs = covered(8).macs
    part = covered(8, LeftOut(name="mha", reason="stacked", macs=macs), calibrator="max")
    facts = {fact.label: fact.number.text for fact in headline(part)}
    total = part.reports["mac-8b8b"].cycles.total
    assert facts["inputs"] == "8"
    assert facts["cycles per input"] == f"{total / 8:,.0f}"
    assert facts["MACs not simulated"] == "50.0 %"
    text = page_text(Gathered.of([part]))
    assert "Designs, simulated part of the network" in text
    for name, value in (
        ("inputs", "8"),
        ("calibrator", "max"),
        ("not simulated", "50.0 % of the network&#39;s MACs not simulated"),
        ("left out", "mha: stacked"),
        ("batch norms folded", "2 into the layer before"),
    ):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in text
    assert "50.0 % of the network's MACs not simulated" in said(part)


def test_a_trace_that_says_nothing_is_told_so(compared):
    facts = {fact.label: fact.number.text for fact in headline(compared)}
    assert facts["inputs"] == facts["MACs not simulated"] == "not stated"
    assert "cycles per input" not in facts


def test_a_design_that_times_itself_is_noted_in_prose_table_and_figures():
    both = covered(1)
    text, note = page_text(Gathered.of([both])), both.reports["smt-sa-2t"].pe.timing_note
    assert f"smt-sa-2t: {note}." in said(both)
    assert f'<p class="note">smt-sa-2t: {note}.</p>' in text
    assert text.count(f"smt-sa-2t: {note}.") >= 4


def test_explanations_are_in_the_words_of_the_field(page):
    definitions = set(page.values("title"))
    assert len(definitions) > 30
    for definition in definitions:
        assert not re.search(r"\b(None|True|False)\b|[a-z]_[a-z]", definition), definition
    assert in_words("None where x_y is False") == "no value where x y is no"


@pytest.mark.usefixtures("no_figures")
def test_layer_tables_drop_what_all_names_begin_with_and_say_it_once():
    named = sparqsim.compare(made_trace("features.block."), ["sparq-5opt"])
    text = page_text(Gathered.of([named]))
    assert "Names of layers begin with features.block." in text
    assert '<span title="features.block.1">1</span>' in text
    assert "<span>features.block.1" not in text


def test_figures_have_no_ground_of_their_own_and_turn_over_in_the_dark(text):
    assert "fill: #ffffff" not in text.partition("<figure>")[2].partition("</figure>")[0]
    dark = text[text.index("prefers-color-scheme: dark) { figure svg") :]
    assert dark.partition("}")[0].endswith("filter: invert(.9) hue-rotate(180deg); ")
