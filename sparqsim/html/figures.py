"""Figures inside the page: SVG of `sparqsim.plot`, small, safe beside other SVGs."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from matplotlib.figure import Figure

from sparqsim.base.errors import InputError
from sparqsim.html.tables import parts_of, reports_of
from sparqsim.plot import layers_figure, pareto_figure, pareto_points, speedup_figure
from sparqsim.plot.energy import energy_figure
from sparqsim.plot.pareto_points import ParetoPoint, front_of
from sparqsim.plot.roofline import roofline_figure
from sparqsim.plot.style import WIDTHS_INCHES, house_style, take_notes, take_title
from sparqsim.results.comparison import Comparison

#: Bars, layers times designs, that figures by layer hold at most: beyond it the page would grow
#: without being clearer.
MOST_BARS = 400
NAMESPACE = "{http://www.w3.org/2000/svg}"
#: The style applies to the whole page; the page's own style sheet says the same for figures.
LEFT_OUT = {f"{NAMESPACE}metadata", f"{NAMESPACE}style", f"{NAMESPACE}script"}
XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
#: Two decimals, hundredths of a point, are all that a reader can see.
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")


@dataclass(frozen=True)
class Drawing:
    """A figure of the page. terms: what defines its numbers. svg: markup, safe as it is."""

    title: str
    caption: str
    terms: tuple[str, ...]
    svg: str

    @classmethod
    def of(
        cls, title: str, said: str, terms: tuple[str, ...], prefix: str, figure: Figure
    ) -> Drawing:
        """Put a figure on the page: its title is the page's own, its notes stand in the caption.

        `prefix`: what ids in the markup begin with.
        """
        take_title(figure)
        notes = take_notes(figure)
        caption = " ".join([said, *(f"{note.rstrip('.')}." for note in notes)])
        return cls(title, caption, terms, inlined(figure, prefix))


def drawings(comparison: Comparison, prefix: str) -> Iterator[Drawing]:
    """Yield the figures of a run, ids beginning with `prefix`, without those of nothing."""
    shown, note = _few(comparison)
    several = len(shown.order) > 1
    if several:
        yield from _speedups(comparison, prefix)
    said = (
        "Cycles of each layer by what they were spent "
        f"on{', in percent of the baseline' * several}.{note}"
    )
    yield Drawing.of(
        "Where the cycles went",
        said,
        tuple(f"cycles.{part}" for part in parts_of(reports_of(shown))),
        f"{prefix}-layers",
        layers_figure(shown if several else shown.reports[shown.baseline]),
    )
    yield from optional(
        "Roofline",
        f"MACs per cycle attained, under what DRAM bandwidth and PEs allow.{note}",
        ("measured.macs", "dram.bandwidth_bytes_per_cycle"),
        f"{prefix}-roofline",
        lambda: roofline_figure(shown),
    )
    yield from optional(
        "Energy by part",
        "pJ per multiply-accumulate of the exact layers, by what it went into.",
        ("energy.array_per_mac", "energy.per_mac"),
        f"{prefix}-energy",
        lambda: energy_figure(comparison, width="page"),
    )


def _speedups(comparison: Comparison, prefix: str) -> Iterator[Drawing]:
    """Yield the figures of what designs gain over each other."""
    shown, note = _few(comparison)
    said = (
        "Further right: faster. Further up: more accurate. The dotted line joins the designs "
        "that no other is better than in both."
    )
    yield from optional(
        "Error against speedup",
        said,
        ("speedup", "error.sqnr_db"),
        f"{prefix}-pareto",
        lambda: pareto_figure(comparison),
    )
    said = (
        "Above: how many times fewer cycles than the baseline. Below: the error of the "
        f"outputs, higher is better.{note}"
    )
    yield Drawing.of(
        "Speedup and error, layer by layer",
        said,
        ("speedup", "error.sqnr_db"),
        f"{prefix}-speedup",
        speedup_figure(shown),
    )


def optional(
    title: str, said: str, terms: tuple[str, ...], prefix: str, draw: Callable[[], Figure]
) -> Iterator[Drawing]:
    """Yield the figure; nothing where results cannot give one (no memory, no error)."""
    try:
        figure = draw()
    except InputError:
        return
    yield Drawing.of(title, said, terms, prefix, figure)


def _few(comparison: Comparison) -> tuple[Comparison, str]:
    """Return a comparison with few enough bars to draw, and what was left out."""
    layers = len(comparison.reports[comparison.baseline].layers)
    most = max(2, MOST_BARS // layers)
    if len(comparison.order) <= most:
        return comparison, ""
    best = [point.spec for point in front_of(_points(comparison))]
    wanted = list(dict.fromkeys([comparison.baseline, *best, *comparison.order]))[:most]
    order = tuple(name for name in comparison.order if name in wanted)
    few = Comparison(
        baseline=comparison.baseline,
        order=order,
        reports={name: comparison.reports[name] for name in order},
    )
    return few, (
        f" Drawn: {len(order)} of {len(comparison.order)} designs, those that no other beats in "
        "speedup and error first; the tables hold them all."
    )


def _points(comparison: Comparison) -> list[ParetoPoint]:
    try:
        return pareto_points(comparison)
    except InputError:
        return []


def inlined(figure: Figure, prefix: str) -> str:
    """Return a figure as an <svg> element.

    Comments (they repeat names from files), metadata and scripts are left out, ids get `prefix`, so
    that several figures can stand in one page, and numbers a length that a reader can see.
    """
    written = io.StringIO()
    with house_style():
        # Without a ground of its own a figure suits light and dark pages.
        figure.savefig(written, format="svg", metadata={"Date": None}, transparent=True)
    root = ET.fromstring(written.getvalue())  # noqa: S314 - written by matplotlib, just now
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in LEFT_OUT]:
            parent.remove(child)
    for element in root.iter():
        _make_local(element, prefix)
    root.set("data-width", "column" if figure.get_figwidth() < WIDTHS_INCHES["page"] else "page")
    root.set("aria-hidden", "true")  # the figure's caption and the tables say it in words
    return ET.tostring(root, encoding="unicode")


def _make_local(element: ET.Element, prefix: str) -> None:
    """Give an element's ids the prefix and its numbers two decimals; HTML needs no namespaces."""
    element.tag = element.tag.removeprefix(NAMESPACE)
    element.text = element.tail = None  # line breaks: text is drawn as outlines
    for name, value in list(element.items()):
        text = value if "scale" in value else LONG_NUMBER.sub(_shortened, value)
        text = text.replace("url(#", f"url(#{prefix}-")
        if name == XLINK_HREF:
            del element.attrib[name]
            element.set("href", f"#{prefix}-{text[1:]}")
        else:
            element.set(name, f"{prefix}-{text}" if name == "id" else text)


def _shortened(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
