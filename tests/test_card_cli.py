"""`sparqsim card`, and where two results meet: tables, figures, pages and JSON name confounds."""

import csv
import io
import json
import re

import card_traces
import pytest
from test_card import old

import sparqsim
from sparqsim.cli import main
from sparqsim.html.gather import gather
from sparqsim.html.page import page_text

ARRAY = sparqsim.ArrayConfig(4, 4)


def ended(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return end.value.code


@pytest.fixture
def files(tmp_path):
    """Reports by name: two designs, one that keeps no ends, one without a card."""
    trace = card_traces.trace()
    results = {
        "one": sparqsim.simulate(trace, "mac-8b8b", ARRAY),
        "other": sparqsim.simulate(trace, "mac-4b8b", ARRAY),
        "no-ends": sparqsim.simulate(card_traces.trace(kept=()), "mac-4b8b", ARRAY),
        "both": sparqsim.compare(trace, ["mac-4b8b"], ARRAY),
    }
    results["old"] = old(results["other"])
    for name, result in results.items():
        result.save(tmp_path / f"{name}.json")
    trace.save(tmp_path / "trace.safetensors")
    return lambda name: tmp_path / name


def test_exit_codes_of_diff(files, capsys):
    assert ended("card", "diff", files("one.json"), files("other.json")) == 0
    assert "No confounds" in capsys.readouterr().out
    assert ended("card", "diff", files("other.json"), files("no-ends.json")) == 1
    said = capsys.readouterr().out
    assert "first and last layer at 8 bits" in said
    assert ended("card", "diff", files("one.json"), files("absent.json")) == 2
    assert ended("card", "diff", files("other.json"), files("old.json")) == 0
    assert ended("card", "diff", files("other.json"), files("old.json"), "--strict") == 1


def test_a_trace_and_a_result_of_it_do_not_differ(files, capsys):
    assert ended("card", "diff", files("trace.safetensors"), files("both.json"), "--strict") == 0
    assert "2: " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["one.json", "both.json", "old.json", "trace.safetensors"])
@pytest.mark.parametrize("style", ["table", "json", "csv", "markdown"])
def test_every_file_shows_its_card_in_every_format(files, capsys, name, style):
    assert ended("card", "show", files(name), "--format", style) == 0
    out = capsys.readouterr().out
    if style == "json":
        assert json.loads(out) == json.loads(sparqsim.card(files(name)).to_json())
    elif style == "csv":
        facts = {row["fact"]: row for row in csv.DictReader(io.StringIO(out))}
        assert facts["first_last"]["value"] == "both"
        assert facts["seeds"]["known"] == "unknown"
    else:
        assert "first and last layer at 8 bits" in out
        assert "unknown" in out


def test_a_card_that_was_saved_is_a_file_to_compare(files, capsys, tmp_path):
    ended("card", "show", files("one.json"), "--format", "json")
    (tmp_path / "card.json").write_text(capsys.readouterr().out)
    assert ended("card", "diff", tmp_path / "card.json", files("other.json")) == 0
    assert ended("report", tmp_path / "card.json", "-o", tmp_path / "p.html") == 2
    assert "a quantization card" in capsys.readouterr().err


def test_csv_of_a_diff_is_a_row_per_card(files, capsys):
    ended("card", "diff", files("other.json"), files("no-ends.json"), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["value"] for row in rows if row["fact"] == "first_last"] == ["both", "none"]
    ended("card", "diff", files("one.json"), files("other.json"), "--format", "csv")
    assert capsys.readouterr().out == "side,fact,confound,of,value\n"


def test_files_of_other_kinds_are_refused_by_name(files, capsys, tmp_path):
    (tmp_path / "x.json").write_text('{"schema": "sparqsim.prediction/1"}')
    assert ended("card", "show", tmp_path / "x.json") == 2
    assert "a prediction" in capsys.readouterr().err
    (tmp_path / "x.safetensors").write_bytes(b"\0" * 9)
    assert ended("card", "show", tmp_path / "x.safetensors") == 2
    assert ended("card", "show", tmp_path) == 2


# Where results meet.


def stale(report):
    """The report as another version would have written it."""
    document = json.loads(report.to_json())
    document["provenance"]["version"] = document["card"]["origin"]["revision"] = "0.0.1"
    return type(report).from_json(json.dumps(document))


def test_a_table_of_results_that_differ_says_so(capsys):
    from sparqsim.cli.show import comparison_shown
    from sparqsim.results.loading import as_comparison

    trace = card_traces.trace()
    one, other = (sparqsim.simulate(trace, pe, ARRAY) for pe in ("mac-8b8b", "mac-4b8b"))
    mixed = as_comparison([one, stale(other)])
    assert [each.fact for each in mixed.confounds] == ["revision"]
    assert json.loads(mixed.to_json())["confounds"][0]["fact"] == "revision"
    assert "Confounds, beside the design these differ in: revision" in comparison_shown(mixed).notes
    assert "Confounds" not in comparison_shown(as_comparison([one, other])).notes


def curves(kind, reports):
    from sparqsim.plot.curves import plot_curves
    from sparqsim.plot.points import speedup_curves

    figure = plot_curves(speedup_curves(reports, kind))
    return " ".join(figure.notes)


def test_a_figure_over_traces_that_were_quantised_otherwise_says_so():
    traces = card_traces.trace(), card_traces.trace(kept=(), seed=1, network="another")
    reports = [
        sparqsim.simulate(trace, pe, ARRAY) for trace in traces for pe in ("mac-8b8b", "mac-4b8b")
    ]
    said = curves("k", reports)
    assert "first and last layer at 8 bits (both / none)" in said
    assert "network" not in said.partition("Confounds")[2]
    alike = [
        sparqsim.simulate(trace, pe, ARRAY)
        for trace in (card_traces.trace(), card_traces.trace(seed=1, network="another"))
        for pe in ("mac-8b8b", "mac-4b8b")
    ]
    assert "Confounds" not in curves("k", alike)


def test_an_axis_is_no_confound():
    reports = [
        sparqsim.simulate(card_traces.trace(), pe, array)
        for array in (ARRAY, sparqsim.ArrayConfig(4, 8))
        for pe in ("mac-8b8b", "mac-4b8b")
    ]
    assert "Confounds" not in curves("array-size", reports)


@pytest.mark.parametrize("name", ["plot_speedup", "plot_layers", "plot_pareto", "plot_roofline"])
def test_figures_of_results_that_differ_say_so(name):
    import sparqsim.plot
    from sparqsim.plot.roofline import plot_roofline
    from sparqsim.results.loading import as_comparison

    memory = sparqsim.load_accelerator("edge").memory
    one, other = (
        sparqsim.simulate(card_traces.trace(), pe, ARRAY, memory=memory)
        for pe in ("mac-8b8b", "mac-4b8b")
    )
    draw = plot_roofline if name == "plot_roofline" else getattr(sparqsim.plot, name)
    assert "Confounds" in " ".join(draw(as_comparison([one, stale(other)])).notes)
    assert "Confounds" not in " ".join(draw(as_comparison([one, other])).notes)


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


@pytest.mark.usefixtures("no_figures")
def test_a_page_of_results_that_differ_has_a_table_of_it(files):
    page = page_text(gather([files("both.json"), files("no-ends.json")]))
    said = text_of(page)
    assert "Confounds: what these results differ in beside the design" in said
    assert "first and last layer at 8 bits quantisation side both none" in said
    assert "Quantization card: what the numbers depend on" in said
    assert "Confounds" not in text_of(page_text(gather([files("both.json")])))


@pytest.mark.usefixtures("no_figures")
def test_a_page_says_what_reports_of_one_run_differ_in(files, tmp_path):
    document = json.loads(files("other.json").read_text())
    document["provenance"]["version"] = document["card"]["origin"]["revision"] = "0.0.1"
    (tmp_path / "stale.json").write_text(json.dumps(document))
    said = text_of(page_text(gather([files("one.json"), tmp_path / "stale.json"])))
    assert "Confounds, beside the design these differ in: revision" in said
