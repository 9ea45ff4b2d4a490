"""Loss against speedup, from accuracy records."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from test_plot import check_readable

from sparqsim import InputError
from sparqsim.cli import main
from sparqsim.plot.accuracy import accuracy_figure, loss_points
from sparqsim.results.accuracy_report import (
    AccuracyReport,
    AccuracyRow,
    Hits,
    NetworkLayer,
    RowLayer,
)
from sparqsim.results.setting import ArrayInfo


def row(pe, top1, agree, speedup, calibrator="mean-max", recalibrated=False):
    layers = () if pe is None else (RowLayer(cycles=100, sqnr_db=None),)
    return AccuracyRow(
        pe=pe,
        calibrator=calibrator,
        recalibrated_bn=recalibrated,
        route="written down",
        hits=Hits(top1=top1, top5=top1, agree=agree),
        cycles=None if pe is None else 100,
        speedup=speedup,
        layers=layers,
    )


def record(*rows, labels=True):
    rows = rows or (
        row(None, 180, 200, None),
        row("mac-8b8b", 182, 196, 1.0),
        row("sparq-5opt", 170, 190, 1.6),
        row("mac-4b8b", 150, 160, 2.0),
        row("mac-4b8b", 160, 170, 2.0, "mse:4"),
        row("sparq-5opt", 100, 100, 1.6, recalibrated=True),
    )
    if not labels:
        rows = [
            each.model_copy(update={"hits": Hits(top1=None, top5=None, agree=each.hits.agree)})
            for each in rows
        ]
    return AccuracyReport(
        version="1",
        network="net",
        data="200 pictures",
        calibration="60 of them",
        preprocess="",
        pictures=200,
        traced_pictures=1,
        error_pictures=1,
        kept_as="8bit",
        skipped=(),
        baseline="mac-8b8b",
        array=ArrayInfo(rows=16, cols=16, dataflow="os", coupling="lockstep", overlap=False),
        reference="float network",
        layers=(
            NetworkLayer(
                name="a", op="conv2d", kept=False, signed=False, zero_point=0, pairs=4, zero_pairs=1
            ),
        ),
        rows=tuple(rows),
    )


def places(points):
    return {point.spec: (point.speedup, -point.quality) for point in points}


def test_one_mark_per_design_with_its_loss_in_percentage_points():
    assert places(loss_points(record())) == {
        "mac-8b8b": (1.0, -1.0),
        "sparq-5opt": (1.6, 5.0),
        "mac-4b8b": (2.0, 15.0),
        "mac-4b8b, mse:4": (2.0, 10.0),
    }


@pytest.mark.parametrize("width", ["column", "page"])
def test_many_designs_at_almost_one_place_are_all_named_and_no_name_lies_over_another(width):
    names = ("sparq-5opt", "sparq-3opt", "sparq-2opt", "sparq-6opt", "sparq-7opt")
    keys = ("", ":rounding=trim", ":pairing=off", ":rounding=trim,pairing=off")
    crowd = [
        row(name + key, 170 - number, 190, 1.6)
        for number, (name, key) in enumerate(itertools.product(names, keys))
    ]
    figure = accuracy_figure(
        record(row(None, 180, 200, None), row("mac-8b8b", 182, 196, 1.0), *crowd), width=width
    )
    check_readable(figure)
    assert figure.notes == ("one picture is 0.5 percentage points", "cycles of 1 input")
    (axes,), (legend,) = figure.axes, figure.legends
    in_legend = [text.get_text() for text in legend.get_texts()]
    beside = [text.get_text() for text in axes.texts]
    assert width == "page" or len(in_legend) > 1  # some found no room
    said = [name.replace("\n", " ") for name in (*beside, *in_legend)]
    assert {each.pe for each in crowd} <= {name for label in said for name in label.split(" = ")}


def test_answers_that_differ_are_the_loss_without_labels():
    assert places(loss_points(record(labels=False)))["sparq-5opt"] == (1.6, 5.0)
    assert places(loss_points(record(labels=False)))["mac-8b8b"] == (1.0, 2.0)
    assert loss_points(record(), "agree") == loss_points(record(labels=False))


def test_another_baseline():
    assert places(loss_points(record(), baseline="mac-4b8b"))["mac-8b8b"] == (0.5, -1.0)


def test_axes_have_units_and_marks_stand_at_their_loss():
    figure = accuracy_figure(record())
    (axes,) = figure.axes
    assert axes.get_ylabel() == "top-1 accuracy lost (percentage points)"
    assert axes.get_xlabel() == "speedup (x) over mac-8b8b, equal PEs"
    for tick, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
        assert float(label.get_text()) == -tick
    marks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines[2:]]
    assert marks == [(1.0, 1.0), (1.6, -5.0), (2.0, -15.0), (2.0, -10.0)]
    words = sorted(text.get_text() for text in axes.texts)
    assert words == [
        "mac-4b8b",
        "mac-4b8b, mse:4",
        "mac-8b8b",
        "sparq-5opt",
    ]
    assert "net, 200 pictures" in figure.legends[0].get_title().get_text()


@pytest.mark.parametrize(
    ("loss", "baseline", "labels", "said"),
    [
        ("top2", None, True, "did you mean top"),
        ("top1", None, False, "no labels, expected --loss agree"),
        (
            None,
            "mac-9b9b",
            True,
            "not in the record, expected one of mac-8b8b, sparq-5opt, mac-4b8b",
        ),
    ],
)
def test_what_a_record_cannot_tell_is_bad_input(loss, baseline, labels, said):
    with pytest.raises(InputError, match=said):
        loss_points(record(labels=labels), loss, baseline)


def test_a_record_without_the_network_as_it_is_is_bad_input():
    with pytest.raises(InputError, match="no row of the network as it is"):
        loss_points(record(row("mac-8b8b", 1, 1, 1.0)))


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["plot", *arguments])
    return int(end.value.code or 0), capsys.readouterr().err


def test_the_command_draws_a_record(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text(record().to_json())
    assert run(capsys, "a.json", "--kind", "pareto", "--loss", "agree", "-o", "f.svg") == (0, "")
    assert "--loss agree" in Path("f.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.json", "a.json", "--kind", "pareto"], "2 files, expected one"),
        (["a.json", "--kind", "speedup"], "schema='sparqsim.accuracy/1'"),
        (["c.json", "--kind", "pareto", "--loss", "agree"], "c.json is no accuracy record"),
        (["a.json", "--kind", "layers", "--loss", "agree"], "expected --kind pareto"),
        (
            ["bad.json", "--kind", "pareto"],
            "bad.json: document: row of mac-8b8b: 1 layers, expected",
        ),
    ],
)
def test_wrong_records_are_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    document = json.loads(record().to_json())
    Path("a.json").write_text(json.dumps(document))
    Path("c.json").write_text('{"schema": "sparqsim.comparison/1"}')
    Path("bad.json").write_text(json.dumps({**document, "layers": []}))
    code, text = run(capsys, *arguments, "-o", "f.svg")
    assert (code, text.count("\n")) == (2, 1)
    assert said in text
    assert not Path("f.svg").exists()
