"""Whatever a file's names hold, a figure is well-formed, draws every letter, and reads nothing as a
formula.
"""

from __future__ import annotations

import io
import warnings
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from test_plot_readable import KINDS, MEMORY, Results, words

import sparqsim
from sparqsim import plot
from sparqsim.plot.glyphs import drawable
from sparqsim.results.comparison import Comparison

HOSTILE = (
    "bell\x07",
    "a\x1b[31mb",
    "$\\frac{1$",
    "漢字",
    "\U0001f600",
    "]]>--><script>",
    "\udc80surrogate",
    "line\nbreak",
    "\u202eright to left",
    "_underscore",
    "&amp;",
    "\ufffe",
)


def hostile_results(name: str) -> Comparison:
    """A comparison in which everything that a file may name is named `name`."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (9, 18)).astype(np.uint8)
    w = rng.integers(-128, 128, (18, 5)).astype(np.int8)
    layers = [sparqsim.Layer.from_gemm(f"l{at}", x, w) for at in range(2)]
    compared = sparqsim.compare(
        sparqsim.Trace(layers, network="net"), ["mac-8b8b", "sparq-exact"], memory=MEMORY
    )
    reports = {}
    for spec, report in compared.reports.items():
        named = [
            layer.model_copy(update={"name": f"{name}{at}"})
            for at, layer in enumerate(report.layers)
        ]
        source = report.provenance.model_copy(update={"network": name, "synthetic": name})
        memory = report.memory.model_copy(update={"name": name})
        changed = {"layers": tuple(named), "provenance": source, "memory": memory}
        reports[spec] = report.model_copy(update=changed)
    return compared.model_copy(update={"reports": reports})


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "save",
    [plot.plot_speedup, plot.plot_layers, plot.plot_pareto],
    ids=["speedup", "layers", "pareto"],
)
def test_svg_is_well_formed_and_every_letter_is_drawn(save, name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning
        save(hostile_results(name), tmp_path / "f.svg", command=f"sparqsim plot {name}")
    root = ET.parse(tmp_path / "f.svg").getroot()  # noqa: S314 - written just now
    assert root.tag.endswith("svg")


@pytest.fixture(scope="module")
def results() -> Results:
    return Results(["mac-8b8b", "sparq-exact"])


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_its_texts_drawable(results, kind):
    """A text that nobody prepared, on an axis and beside it, in whatever kind of figure."""
    figure = KINDS[kind](results, "column")
    axes = figure.axes[0]
    axes.text(0.5, 0.5, "漢\x1b$x$", transform=axes.transAxes)
    axes.set_xticks([axes.get_xlim()[0]], ["字\x07"])
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(written, format="svg")
    ET.fromstring(written.getvalue())  # noqa: S314 - written just now
    assert "\\u6f22\\x1b$x$" in words(figure)


def test_what_the_font_lacks_is_escaped_and_the_rest_stays():
    assert drawable("conv_1 é ± µ $x$ \\") == "conv_1 é ± µ $x$ \\"
    assert drawable("漢\x1b\x07\U00020000") == "\\u6f22\\x1b\\x07\\U00020000"
    assert drawable("one\ntwo") == "one\ntwo"


def test_names_that_escape_alike_stay_apart(tmp_path):
    compared = hostile_results("n")
    reports = {
        spec: report.model_copy(
            update={
                "layers": tuple(
                    layer.model_copy(update={"name": name})
                    for layer, name in zip(report.layers, ("漢", "\\u6f22"), strict=True)
                )
            }
        )
        for spec, report in compared.reports.items()
    }
    figure = plot.speedup_figure(compared.model_copy(update={"reports": reports}))
    names = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert len(set(names)) == len(names) == 3
