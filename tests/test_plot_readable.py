"""Every kind of figure at both widths, with two designs and with all of them: no text overlaps,
none is cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from itertools import product

import numpy as np
import pytest
from matplotlib.figure import Figure
from test_plot import check_readable, words
from test_plot_accuracy import record, row

import sparqsim
from sparqsim import plot
from sparqsim.analysis.bandwidth import bandwidth_curves
from sparqsim.analysis.heatmap import heatmap
from sparqsim.cli.plot_options import OPTIONS
from sparqsim.engine.gather import Asked, gather
from sparqsim.gather.lookups import Draw, lookups_of
from sparqsim.gather.table import Table
from sparqsim.memory.accelerator import load_accelerator
from sparqsim.pe.registry import designs
from sparqsim.plot import style
from sparqsim.plot.accuracy import accuracy_figure
from sparqsim.plot.bandwidth import bandwidth_figure
from sparqsim.plot.curves import curves_figure
from sparqsim.plot.gather import plot_gather
from sparqsim.plot.points import speedup_curves
from sparqsim.plot.roofline import roofline_figure
from sparqsim.results.comparison import Comparison
from sparqsim.results.gather_report import GatherReport
from sparqsim.results.report import Report

NETWORK = (
    "a network with a name that goes on for quite a while and then some more, until it needs a "
    "second line"
)
SYNTHETIC = "uniform, 40 % zeros"
#: What runs: two designs of which values change the cycles of one, or every design there is.
SETS = {
    "two": ["mac-8b8b", "sparq-exact"],
    "many": list(designs()),
}
MEMORY = load_accelerator("edge").memory


def made_trace(zeros: float = 0.4) -> sparqsim.Trace:
    rng = np.random.default_rng(5)
    layers = []
    for at, (m, k, n) in enumerate(
        ((7, 18, 5), (33, 9, 20), (16, 40, 16), (20, 9, 4), (300, 120, 64))
    ):
        x = rng.integers(1, 256, (m, k)) * (rng.random((m, k)) >= zeros)
        layers.append(
            sparqsim.Layer.from_gemm(
                f"backbone.stage{at}.bottleneck.downsample.conv{at}.projection",
                x.astype(np.uint8),
                rng.integers(-128, 128, (k, n)).astype(np.int8),
                keep_8bit=at == 0,
            )
        )
    return sparqsim.Trace(layers, network=NETWORK, synthetic=SYNTHETIC)


class Results:
    """What figures are drawn from, for one set of designs; run when a figure first asks for it."""

    def __init__(self, names: list[str]) -> None:
        self.names, self.trace = names, made_trace()
        self.by = cache(self._by)

    @cached_property
    def compared(self) -> Comparison:
        return sparqsim.compare(self.trace, self.names, iso="area")

    @cached_property
    def with_memory(self) -> Comparison:
        return sparqsim.compare(self.trace, self.names, memory=MEMORY)

    @cached_property
    def with_energy(self) -> Comparison:
        return sparqsim.compare(self.trace, self.names, energy="osu018")

    def _by(self, arrays: str = "16x16", zeros: tuple[float, ...] = (0.4,)) -> list[Report]:
        """Reports of every design on each of the arrays, with each share of zeros."""
        found = []
        for array, share in product(arrays.split(), zeros):
            compared = sparqsim.compare(
                made_trace(share), self.names, sparqsim.ArrayConfig.parse(array)
            )
            found += [compared.reports[name] for name in compared.order]
        return found

    def bandwidth(self, width: str) -> Figure:
        pes = [sparqsim.get_pe(name) for name in self.names]
        return bandwidth_figure(
            bandwidth_curves(
                self.trace,
                pes,
                sparqsim.ArrayConfig(),
                MEMORY,
                baseline="mac-8b8b",
                kept="ideal",
            ),
            width=width,
        )


def loss(results: Results, width: str) -> Figure:
    right = np.linspace(180, 0, len(results.names)).astype(int).tolist()
    rows = [row(None, 180, 200, None)]
    for at, name in enumerate(results.names):
        rows.append(row(name, right[at], 190, 1 + at / 5))
    return accuracy_figure(record(*rows).model_copy(update={"network": NETWORK}), width=width)


def utilization(results: Results, width: str) -> Figure:
    return plot.utilization_figure(
        heatmap(results.compared.reports["sparq-exact"], results.trace), width=width
    )


def converters(results: Results, width: str) -> Figure:
    bits = [*range(1, 9), "1/3/3/3", "6/8/8/8", "auto"]
    compared = sparqsim.compare(results.trace, [f"reram:adc_bits={each}" for each in bits])
    points = plot.converter_points([compared.reports[name] for name in compared.order])
    return plot.adc_figure(points, width=width)


def gathered() -> GatherReport:
    """Return gathers of a drawn table, at several widths."""
    values = np.random.default_rng(3).normal(size=(50, 64)).astype(np.float32)
    table = Table(values, "an embedding table with a long name.safetensors", "0" * 64, "float32")
    lookups = lookups_of("zipf:1", 50, Draw(lookups=300))
    edge = load_accelerator("edge")
    return gather(Asked(table, lookups, edge, widths=(16, 32, 64)))


KINDS: dict[str, Callable[[Results, str], Figure]] = {
    "speedup": lambda results, width: plot.speedup_figure(results.compared, width=width),
    "layers": lambda results, width: plot.layers_figure(results.with_memory, width=width),
    "layers of one design": lambda results, width: plot.layers_figure(
        results.with_memory.reports["sparq-exact"], width=width
    ),
    "utilization": utilization,
    "pareto": lambda results, width: plot.pareto_figure(results.compared, width=width),
    "pareto of answers": loss,
    "roofline": lambda results, width: roofline_figure(results.with_memory, width=width),
    "energy": lambda results, width: plot.energy_figure(results.with_energy, width=width),
    "gather": lambda results, width: plot_gather(gathered(), width=width),
    "adc": converters,
    "bandwidth": lambda results, width: results.bandwidth(width),
    "array-size": lambda results, width: curves_figure(
        speedup_curves(results.by("2x2 4x4 8x8 16x16 32x32 64x128 128x128"), "array-size"),
        width=width,
    ),
    "k": lambda results, width: curves_figure(speedup_curves(results.by(), "k"), width=width),
    "zero-fraction": lambda results, width: curves_figure(
        speedup_curves(results.by(zeros=(0.1, 0.35, 0.6, 0.85)), "zero-fraction"), width=width
    ),
    "zero-fraction of layers": lambda results, width: curves_figure(
        speedup_curves(results.by(), "zero-fraction"), width=width
    ),
}


def test_every_kind_is_here() -> None:
    assert {kind.partition(" of ")[0] for kind in KINDS} == set(OPTIONS)


@pytest.fixture(scope="module", params=SETS)
def results(request: pytest.FixtureRequest) -> Results:
    return Results(SETS[request.param])


@pytest.mark.sampled(10)
@pytest.mark.parametrize("width", style.WIDTHS_INCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_figures_can_be_read(results: Results, kind: str, width: str) -> None:
    figure = KINDS[kind](results, width)
    check_readable(figure)
    check_axes(figure)
    if "~" in words(figure):
        assert "~ cycles depend on values" in words(figure)


def check_axes(figure: Figure) -> None:
    """Every panel's y axis says what it is in which unit; the x axis, too, but for panels that
    share the last one's.
    """
    for axes in figure.axes:
        label = axes.get_ylabel()
        assert any(unit in label for unit in UNITS), label
    labels = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert labels
    for label in labels:
        assert label.startswith(("layer", "design")) or any(unit in label for unit in UNITS), label


UNITS = (
    "(x)",
    "(%)",
    "(dB)",
    "(percentage points)",
    "(MACs per",
    "(pJ per MAC)",
    "(bytes per cycle)",
    "(bits)",
    "(bytes)",
    "(bursts)",
    "(per 1000 cycles)",
    "(elements)",
    "(count)",
    "(thousands)",
    "(millions)",
    "PE row",
    "PE column",
    "PE rows",
)


def test_bandwidth_curves_say_whose_cycles_values_change(results: Results) -> None:
    figure = results.bandwidth("column")
    entries = [text.get_text().split(" = ") for text in figure.legends[0].get_texts()]
    named = {name for entry in entries for name in entry if not name.endswith(" more")}
    reports = results.compared.reports.values()
    every = {report.pe.spec + " ~" * report.pe.cycles_depend_on_values for report in reports}
    assert named <= every
    assert all(name in words(figure) for name in every)
    assert "those of the other designs are set by shapes alone" in words(figure).replace("\n", " ")


def test_bandwidth_curves_of_an_older_file_say_nothing_of_values(results: Results) -> None:
    pes = [sparqsim.get_pe(name) for name in results.names]
    curves = bandwidth_curves(
        results.trace,
        pes,
        sparqsim.ArrayConfig(),
        MEMORY,
        baseline="mac-8b8b",
        kept=None,
        bandwidths=(1.0, 8.0),
    )
    older = curves.model_copy(update={"cycles_depend_on_values": {}})
    assert "~" in words(bandwidth_figure(curves))
    assert "values" not in words(bandwidth_figure(older)).replace("SYNTHETIC values", "")
