"""Figures of the memory system: roofline and bandwidth curves, from files, through the command
line.
"""

from __future__ import annotations

import pytest
from test_plot import check_readable

import sparqsim
from sparqsim.plot.labels import equal_groups, group_label, group_notes
from sparqsim.plot.roofline import ROOF_GREY, roofline_figure


@pytest.fixture
def files(run, small_path, tmp_path):
    """A comparison with memory and bandwidth curves of the small trace."""
    compared, curves = tmp_path / "compared.json", tmp_path / "curves.json"
    designs = ("--pe", "mac-8b8b,sparq-5opt", "--config", "edge")
    assert run("compare", small_path, *designs, "-o", compared).code == 0
    assert run("bandwidth", small_path, *designs, "-o", curves).code == 0
    return {"roofline": compared, "bandwidth": curves}


@pytest.mark.parametrize("kind", ["roofline", "bandwidth"])
def test_figure_is_drawn_and_equal_twice(run, files, tmp_path, kind):
    first, second = tmp_path / "first" / "f.svg", tmp_path / "second" / "f.svg"
    for figure in (first, second):
        figure.parent.mkdir()
        ended = run("plot", files[kind], "--kind", kind, "-o", figure)
        assert (ended.code, ended.err) == (0, "")
    assert first.read_bytes() == second.read_bytes()
    assert b"<svg" in first.read_bytes()


def test_results_of_the_other_kind_are_refused(refused, files, tmp_path):
    assert "sparqsim.bandwidth/1" in refused(
        "plot", files["roofline"], "--kind", "bandwidth", "-o", tmp_path / "f.svg"
    )
    assert "schema" in refused(
        "plot", files["bandwidth"], "--kind", "roofline", "-o", tmp_path / "f.svg"
    )


def test_a_comparison_without_memory_has_no_roofline(run, refused, small_path, tmp_path):
    alone = tmp_path / "alone.json"
    assert run("compare", small_path, "--pe", "mac-8b8b,sparq-5opt", "-o", alone).code == 0
    assert "memory" in refused("plot", alone, "--kind", "roofline", "-o", tmp_path / "f.svg")


def test_one_file_of_curves(refused, files, tmp_path):
    twice = [files["bandwidth"]] * 2
    assert "expected one" in refused(
        "plot", *twice, "--kind", "bandwidth", "-o", tmp_path / "f.svg"
    )


def test_roofs_are_drawn_once_and_name_their_lanes(run, small_path, tmp_path):
    compared = tmp_path / "small.json"
    names = "mac-8b8b,sparq-5opt,sparq-3opt"
    assert (
        run(
            "compare",
            small_path,
            "--pe",
            names,
            "--config",
            "edge",
            "--array",
            "4x4",
            "-o",
            compared,
        ).code
        == 0
    )
    figure = roofline_figure(sparqsim.Comparison.load(compared))
    (axes,) = figure.axes
    roofs = [line for line in axes.lines if line.get_color() == ROOF_GREY]
    assert [max(line.get_ydata()) for line in roofs] == [16, 32]
    assert [text.get_text() for text in axes.texts][:2] == ["x 1", "x 2"]


def test_equal_designs_share_a_mark_and_both_are_named(run, small_path, tmp_path):
    compared = tmp_path / "equal.json"
    names = "mac-8b8b,sparq-5opt,sparq-3opt"
    assert run("compare", small_path, "--pe", names, "--config", "edge", "-o", compared).code == 0
    figure = roofline_figure(sparqsim.Comparison.load(compared))
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["mac-8b8b", "sparq-5opt = sparq-3opt"]


def test_groups_of_equal_designs_lose_no_name():
    series = {"a": (1, 2), "b": (1, 3), "c": (1, 2), "d": (1, 2), "e": (1, 2)}
    groups = equal_groups(series)
    assert groups == [["a", "c", "d", "e"], ["b"]]
    assert [group_label(group) for group in groups] == ["a = c = d = 1 more", "b"]
    assert group_notes(groups) == ["a = e, too"]


def test_roofline_names_its_layers_and_its_memory(run, small_path, tmp_path):
    compared = tmp_path / "named.json"
    names = "mac-8b8b,sparq-5opt"
    assert run("compare", small_path, "--pe", names, "--config", "edge", "-o", compared).code == 0
    comparison = sparqsim.Comparison.load(compared)
    figure = roofline_figure(comparison)
    check_readable(figure)
    written = {text.get_text() for text in figure.axes[0].texts}
    layers = comparison.reports["mac-8b8b"].layers
    assert {layer.name + "*" * layer.kept_8bit for layer in layers} <= written
    assert "memory edge" in figure.legends[0].get_title().get_text().replace("\n", " ")
