"""Figures for a paper: a column wide, a page tall at most, words left out on demand, nothing hidden
or untold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from test_plot import check_readable, words
from test_plot_accuracy import record

import sparqsim
from sparqsim import plot
from sparqsim.plot.accuracy import accuracy_figure, loss_ticks
from sparqsim.plot.curves import curves_figure
from sparqsim.plot.groups import grouped
from sparqsim.plot.pareto_points import ParetoPoint, front_of
from sparqsim.plot.points import speedup_curves
from sparqsim.plot.roofline import roofline_figure
from sparqsim.plot.style import MOST_HEIGHT_INCHES, WIDTHS_INCHES
from sparqsim.results.comparison import Comparison
from sparqsim.results.report import Report
from sparqsim.trace.coverage import Coverage, LeftOut

PES = ["mac-8b8b", "mac-4b8b", "sparq-5opt", "sparq-2opt", "sparq-exact", "smt-sa-2t"]
LAYERS = 72
DESIGN_PARTS = ("compute", "fill", "drain", "pe_stall")


def deep_trace(number: int = LAYERS) -> sparqsim.Trace:
    rng = np.random.default_rng(3)
    layers = []
    for at in range(number):
        m, k, n = 4 + at % 5, 9 + at % 7, 3 + at % 6
        x = rng.integers(0, 256, (m, k)) * (rng.random((m, k)) < 0.6)
        w = rng.integers(-128, 128, (k, n)).astype(np.int8)
        name = f"features.{at}.block.conv.{at % 3}"
        layers.append(sparqsim.Layer.from_gemm(name, x.astype(np.uint8), w, keep_8bit=at == 0))
    coverage = Coverage(inputs=8, left_out=(LeftOut(name="mha", reason="stacked", macs=10**5),))
    return sparqsim.Trace(layers, network="deep", provenance=coverage.entry())


@pytest.fixture(scope="module")
def deep() -> Comparison:
    return sparqsim.compare(deep_trace(), PES)


FIGURES: dict[str, Callable[[Comparison, str], Figure]] = {
    "speedup": lambda compared, width: plot.speedup_figure(compared, width=width),
    "layers": lambda compared, width: plot.layers_figure(compared, width=width),
    "layers of one": lambda compared, width: plot.layers_figure(
        compared.reports["sparq-exact"], width=width
    ),
    "pareto": lambda compared, width: plot.pareto_figure(compared, width=width),
    "k": lambda compared, width: curves_figure(
        speedup_curves(list(compared.reports.values()), "k"), width=width
    ),
}


@pytest.fixture(scope="module")
def drawn(deep: Comparison) -> Callable[[str, str], Figure]:
    """Figures of the deep network by kind and width, each drawn once: nobody changes them."""
    return cache(lambda kind, width: FIGURES[kind](deep, width))


@pytest.mark.sampled(4)
@pytest.mark.parametrize("width", WIDTHS_INCHES)
@pytest.mark.parametrize("kind", FIGURES)
def test_72_layers_fit_a_page_and_can_be_read(drawn, kind, width):
    figure = drawn(kind, width)
    assert figure.get_figwidth() == WIDTHS_INCHES[width]
    assert figure.get_figheight() <= MOST_HEIGHT_INCHES
    check_readable(figure)


@pytest.mark.parametrize("kind", FIGURES)
def test_every_kind_says_of_how_many_inputs_and_what_is_missing(deep, drawn, kind):
    said = words(drawn(kind, "page")).replace("\n", " ")
    macs = sum(
        layer.gemm.m * layer.gemm.k * layer.gemm.n for layer in deep.reports["mac-8b8b"].layers
    )
    share = 100 * 10**5 / (macs + 10**5)
    assert "cycles of 8 inputs" in said
    assert f"{share:.1f} % of the network's MACs not simulated" in said
    if kind != "layers of one":
        assert "smt-sa-2t: timed by queues of its own" in said


def test_no_two_ticks_of_72_layers_are_equal(drawn):
    for width in WIDTHS_INCHES:
        figure = drawn("speedup", width)
        names = [label.get_text() for axes in figure.axes for label in axes.get_xticklabels()]
        assert len(set(names)) == len(names) > 10
        assert not any("features" in name for name in names)
        assert "names begin with features." in words(figure).replace("\n", " ")


@pytest.mark.parametrize("size", [1, 2, 5, 72, 100])
def test_groups_sum_consecutive_layers_and_leave_the_whole_as_it_is(deep, size):
    together = grouped(deep, size)
    for name in PES:
        whole, parts = deep.reports[name], together.reports[name].layers
        assert len(parts) == math.ceil(LAYERS / size)
        for at, part in enumerate(parts):
            own = whole.layers[at * size : (at + 1) * size]
            for cycles in DESIGN_PARTS:
                summed = sum(getattr(layer.cycles, cycles) for layer in own)
                assert getattr(part.cycles, cycles) == summed
            assert part.error.noise == sum(layer.error.noise for layer in own)
            assert part.name.startswith(own[0].name)
        assert together.reports[name].cycles == whole.cycles
        assert together.reports[name].totals.error == whole.totals.error


def test_groups_are_said_where_layers_are_grouped(drawn):
    said = words(drawn("layers", "column"))
    assert f"{LAYERS} layers, summed in groups of" in said
    size = int(re.search(r"summed in groups of (\d+)", said)[1])
    assert f" +{size - 1}" in said
    assert f"+{size - 1} after a name = and the next" in said.replace("\n", " ")
    few = sparqsim.compare(deep_trace(5), ["sparq-5opt"])
    assert "groups of" not in words(plot.layers_figure(few, width="column"))


def test_words_are_left_out_on_demand_and_kept_in_the_file(deep, tmp_path):
    plot.plot_pareto(deep, tmp_path / "with.svg")
    plot.plot_pareto(deep, tmp_path / "f.svg", with_title=False, with_notes=False)
    bare, full = ((tmp_path / name).read_text() for name in ("f.svg", "with.svg"))
    for said in ("cycles of 8 inputs", "array 16x16, dataflow os"):
        assert f"<!-- {said}" in full
        assert f"<!-- {said}" not in bare
        assert said in bare.partition("</metadata>")[0]
    assert height_of(bare) < height_of(full)


def height_of(svg: str) -> float:
    return float(svg.partition('height="')[2].partition("pt")[0])


def test_the_command_leaves_words_out(tmp_path, monkeypatch):
    from sparqsim.cli import main

    monkeypatch.chdir(tmp_path)
    Path("c.json").write_text(sparqsim.compare(deep_trace(3), PES).to_json())
    for options in ((), ("--no-title",), ("--no-notes",)):
        with pytest.raises(SystemExit) as end:
            main(["plot", "c.json", "--kind", "pareto", *options, "-o", "f.svg"])
        assert end.value.code in (0, None)
        text = Path("f.svg").read_text()
        assert ("<!-- array 16x16" in text) == (options != ("--no-title",))
        assert ("<!-- cycles of 8" in text) == (options != ("--no-notes",))
        assert all(option in text for option in options)


def test_equal_designs_are_one_mark_with_all_names_in_every_kind(deep):
    """A second name of sparq-5opt, wherever it stands."""
    twin = deep.reports["sparq-5opt"]
    twin = twin.model_copy(update={"pe": twin.pe.model_copy(update={"spec": "twin"})})
    order = (*deep.order, "twin")
    both = deep.model_copy(update={"order": order, "reports": {**deep.reports, "twin": twin}})
    joined = ("sparq-5opt = twin", "sparq-5opt = sparq-2opt = twin")
    for kind, make in FIGURES.items():
        if kind != "layers of one":
            said = words(make(both, "page"))
            assert any(names in said for names in joined), kind


POINTS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=12, unique=True
)


@given(POINTS)
def test_the_front_is_drawn_through_designs_that_no_other_beats_alone(places):
    points = [ParetoPoint(f"d{at}", float(x), float(y)) for at, (x, y) in enumerate(places)]
    best = [
        (x, y)
        for x, y in places
        if not any(a >= x and b >= y and (a, b) != (x, y) for a, b in places)
    ]
    assert [(point.speedup, point.quality) for point in front_of(points)] == sorted(best)


def test_the_line_of_the_front_passes_no_beaten_design():
    """Of three designs of one speedup, the line meets the best alone."""
    points = [
        ParetoPoint("a", 1.0, 50.0),
        ParetoPoint("b", 2.0, 30.0),
        ParetoPoint("c", 2.0, 20.0),
        ParetoPoint("d", 3.0, 10.0),
    ]
    (axes,) = plot.pareto_figure(points).axes
    line = axes.lines[0]
    assert line.get_drawstyle() == "default"
    assert [*zip(*line.get_data(), strict=True)] == [(1.0, 50.0), (2.0, 30.0), (3.0, 10.0)]


def test_designs_are_named_beside_their_marks(deep):
    figure = plot.pareto_figure(deep)
    (axes,) = figure.axes
    named = {text.get_text() for text in axes.texts}
    named |= {text.get_text() for text in figure.legends[0].get_texts()}
    for name in PES:
        mark = deep.reports[name].pe.cycles_depend_on_values
        assert name + " ~" * mark in named


@given(st.integers(1, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_ticks_of_answers_are_whole_pictures(pictures, one, other):
    low, high = sorted(
        (-100 * min(one, pictures) / pictures, 100 * min(other, pictures) / pictures)
    )
    places, labels = loss_ticks(low - 1, high + 1, pictures)
    assert len(places) <= 9
    assert len(set(labels)) == len(labels)
    for place in places:
        assert abs(place * pictures / 100 - round(place * pictures / 100)) < 1e-6


def test_ticks_of_eight_pictures_are_eighths():
    places, labels = loss_ticks(-30, 5, 8)
    assert places == [-25.0, -12.5, 0.0]
    assert labels == ["25", "12.5", "0"]


def test_ticks_of_an_accuracy_figure_are_whole_pictures():
    (axes,) = accuracy_figure(record().model_copy(update={"pictures": 297})).axes
    ticks = [float(tick) * 297 / 100 for tick in axes.get_yticks()]
    assert len(ticks) > 2
    assert all(abs(tick - round(tick)) < 1e-9 for tick in ticks)


def zeros_trace(zeros: float, sizes: list[tuple[int, int, int]]) -> sparqsim.Trace:
    rng = np.random.default_rng(int(100 * zeros))
    layers = []
    for at, (m, k, n) in enumerate(sizes):
        x = rng.integers(1, 256, (m, k)) * (rng.random((m, k)) >= zeros * (1 + at) / 4)
        w = rng.integers(-128, 128, (k, n)).astype(np.int8)
        layers.append(sparqsim.Layer.from_gemm(f"l{at}", x.astype(np.uint8), w))
    return sparqsim.Trace(layers, network="net")


def reports_of(trace: sparqsim.Trace) -> list[Report]:
    return [*sparqsim.compare(trace, ["mac-8b8b", "sparq-5opt", "sparq-exact"]).reports.values()]


def dashed_lines(reports: list[Report]) -> list[list[float]]:
    (axes,) = curves_figure(speedup_curves(reports, "zero-fraction")).axes
    lines = [line for line in axes.lines[1:] if line.get_linestyle() == "--"]
    return [[float(y) for y in line.get_ydata()] for line in lines]


SMALL, LARGE = (20, 30, 10), (60, 90, 40)


def test_zero_fraction_joins_layers_of_equal_shape_alone_so_dashed_lines_are_flat():
    lines = dashed_lines(reports_of(zeros_trace(0.8, [SMALL, LARGE, SMALL, LARGE])))
    assert len(lines) == 2
    assert all(len(line) == 2 and len(set(line)) == 1 for line in lines)
    assert lines[0] != lines[1]


def test_zero_fraction_joins_networks_of_equal_shapes_alone():
    alike = [
        report for zeros in (0.2, 0.8) for report in reports_of(zeros_trace(zeros, [SMALL, LARGE]))
    ]
    (line,) = dashed_lines(alike)
    assert len(line) == 2
    assert len(set(line)) == 1
    other = [
        report
        for zeros, size in ((0.2, SMALL), (0.8, LARGE))
        for report in reports_of(zeros_trace(zeros, [size]))
    ]
    assert dashed_lines(other) == []
    figure = curves_figure(speedup_curves(other, "zero-fraction"))
    assert "lines join equal shapes alone" in words(figure).replace("\n", " ")


def test_roofline_of_many_layers_names_those_of_most_cycles():
    from sparqsim.memory.accelerator import load_accelerator

    memory = load_accelerator("edge").memory
    compared = sparqsim.compare(deep_trace(), ["mac-8b8b", "sparq-5opt"], memory=memory)
    figure = roofline_figure(compared)
    check_readable(figure)
    layers = compared.reports["mac-8b8b"].layers
    most = sorted(layers, key=lambda layer: -layer.cycles.total)[:10]
    written = {text.get_text() for text in figure.axes[0].texts if "conv" in text.get_text()}
    assert 5 <= len(written) <= 10
    assert {f"features.{name.rstrip('*')}" for name in written} <= {layer.name for layer in most}
