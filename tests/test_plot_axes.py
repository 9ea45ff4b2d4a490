"""Figures from Python: every plot function returns its figure, and one pair of axes may be the
user's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

import sparqsim
from sparqsim import plot
from sparqsim.analysis.bandwidth import bandwidth_curves
from sparqsim.analysis.heatmap import heatmap
from sparqsim.plot.panel import NOTES
from sparqsim.results.accuracy_report import AccuracyReport

ROOT = Path(__file__).resolve().parent.parent
ONE_AXES = {"pareto", "curves", "bandwidth", "roofline", "energy", "accuracy"}
ARRAY = sparqsim.ArrayConfig(4, 4)
PES = ["mac-8b8b", "sparq-5opt", "sparq-exact"]


class Shown(Mapping[str, object]):
    """What each plot function draws; made when a test first asks for it."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        layers = [
            sparqsim.Layer.from_gemm(
                f"$layer {k}$",
                rng.integers(0, 99, (9, k)).astype(np.uint8),
                rng.integers(-99, 99, (k, 5)).astype(np.int8),
            )
            for k in (6, 17)
        ]
        self.trace = sparqsim.Trace(layers, network="$made$ net")
        self.memory = sparqsim.load_accelerator("edge").memory
        self.makers: dict[str, Callable[[], object]] = {
            "adc": self.converters,
            "speedup": lambda: self.compared,
            "layers": lambda: self.compared,
            "pareto": lambda: self.compared,
            "utilization": lambda: heatmap(self.compared.reports[PES[1]], self.trace),
            "roofline": lambda: sparqsim.compare(self.trace, PES, ARRAY, memory=self.memory),
            "energy": lambda: sparqsim.compare(self.trace, PES, ARRAY, energy="osu018"),
            "curves": lambda: plot.speedup_curves(
                [self.compared.reports[name] for name in PES], "k"
            ),
            "bandwidth": self.bandwidth,
            "accuracy": lambda: AccuracyReport.load(ROOT / "docs/accuracy/resnet20.json"),
        }
        self.made: dict[str, object] = {}

    @cached_property
    def compared(self) -> sparqsim.Comparison:
        return sparqsim.compare(self.trace, PES, ARRAY)

    def converters(self) -> object:
        crossbars = [f"reram:adc_bits={bits}" for bits in ("4", "6", "1/3/3/3")]
        converted = sparqsim.compare(self.trace, crossbars)
        return plot.converter_points([converted.reports[name] for name in converted.order])

    def bandwidth(self) -> object:
        designs = [sparqsim.get_pe(name) for name in PES]
        return bandwidth_curves(
            self.trace,
            designs,
            ARRAY,
            self.memory,
            baseline=PES[0],
            kept=None,
            bandwidths=(1.0, 8.0),
        )

    def __getitem__(self, name: str) -> object:
        if name not in self.made:
            self.made[name] = self.makers[name]()
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.makers)

    def __len__(self) -> int:
        return len(self.makers)


@pytest.fixture(scope="module")
def shown() -> Shown:
    return Shown()


def functions() -> dict[str, object]:
    return {
        name.removeprefix("plot_"): getattr(plot, name)
        for name in plot.__all__
        if name.startswith("plot_")
    }


def test_every_plot_function_is_known_here(shown: Shown) -> None:
    assert set(functions()) == set(shown)
    with_axes = {
        name for name, draw in functions().items() if "ax" in inspect.signature(draw).parameters
    }
    assert with_axes == ONE_AXES


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", sorted(functions()))
def test_a_plot_returns_the_figure_that_it_writes(shown: Shown, name: str, tmp_path: Path) -> None:
    draw = functions()[name]
    figure = draw(shown[name])
    assert isinstance(figure, Figure)
    written = draw(shown[name], tmp_path / "a.svg", command="c")
    assert isinstance(written, Figure)
    assert (tmp_path / "a.svg").stat().st_size > 1000
    plot.save_figure(figure, tmp_path / "b.svg", title="b")
    marks = [
        [line for line in (tmp_path / f"{one}.svg").read_text().splitlines() if "<path" in line]
        for one in "ab"
    ]
    assert marks[0] == marks[1], "the same figure, with a path and without"


# matplotlib warns where placing a legend takes a second, which depends on what else is running.
@pytest.mark.filterwarnings("ignore:Creating legend with loc")
@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", sorted(ONE_AXES))
def test_axes_of_the_users_figure(shown: Shown, name: str) -> None:
    own = functions()[name](shown[name])
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    right.text(0.5, 0.5, "mine", transform=right.transAxes)
    size = tuple(figure.get_size_inches())
    assert functions()[name](shown[name], ax=right) is figure
    assert tuple(figure.get_size_inches()) == size
    assert not left.has_data()
    assert not figure.legends
    assert not figure.get_suptitle()
    (drawn,) = own.axes
    assert right.get_ylabel() == drawn.get_ylabel()
    assert right.get_ylim() == drawn.get_ylim()
    ours = [line.get_xydata().tolist() for line in drawn.lines]
    assert [line.get_xydata().tolist() for line in right.lines] == ours
    assert "mine" in [text.get_text() for text in right.texts]
    (notes,) = [text for text in right.texts if text.get_gid() == NOTES]
    assert " ".join(notes.get_text().split()) == " ".join(" ".join(own.notes).split())
    texts = (right.title, right.xaxis.label, right.yaxis.label, notes)
    assert not any(text.get_parse_math() for text in texts)
    assert right.get_title()
    assert named(right, right.get_legend()) == named(drawn, own.legends[0])
    figure.draw_without_rendering()
    below = notes.get_window_extent().y1
    assert below <= right.xaxis.label.get_window_extent().y0, "notes cover the axis' name"


def named(axes: Axes, legend: Legend) -> set[str]:
    """Return what a legend names and what names stand beside marks: room decides which is which."""
    written = [text for text in axes.texts if text.get_gid() != NOTES]
    texts = [text.get_text() for text in (*written, *legend.get_texts())]
    return {" ".join(text.split()) for text in texts} - {"mine"}


def test_words_may_be_left_out_of_the_users_axes(shown: Shown) -> None:
    figure = Figure()
    axes = figure.subplots()
    plot.plot_bandwidth(shown["bandwidth"], ax=axes, with_title=False, with_notes=False)
    assert not axes.get_title()
    assert not axes.texts
    bare = plot.plot_bandwidth(shown["bandwidth"], with_title=False, with_notes=False)
    assert not bare.get_supxlabel()
    assert not bare.legends[0].get_title().get_text()


def test_axes_and_a_path_are_refused_and_so_is_what_is_no_axes(
    shown: Shown, tmp_path: Path
) -> None:
    figure = Figure()
    with pytest.raises(sparqsim.InputError, match="a path and ax"):
        plot.plot_pareto(shown["pareto"], tmp_path / "a.svg", ax=figure.subplots())
    with pytest.raises(sparqsim.InputError, match="ax is a Figure, expected matplotlib Axes"):
        plot.plot_pareto(shown["pareto"], ax=figure)


def test_a_figure_shows_itself_in_a_notebook(shown: Shown) -> None:
    assert plot.plot_bandwidth(shown["bandwidth"])._repr_png_().startswith(b"\x89PNG")
