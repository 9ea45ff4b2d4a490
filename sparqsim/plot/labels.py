"""What figures say in words: titles, legends, layer names, notes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from sparqsim.base.errors import printable
from sparqsim.plot.glyphs import FONT, drawable
from sparqsim.plot.layer_names import LayerNames, shortened
from sparqsim.plot.style import FONT_POINTS, POINTS_PER_INCH, SMALL_POINTS, HouseFigure, grow
from sparqsim.results.confounds import confound_notes
from sparqsim.results.kept import kept_layers, where_kept
from sparqsim.results.layer_report import LayerReport
from sparqsim.results.report import Report, stated_coverage
from sparqsim.results.setting import ArrayInfo, PEInfo, Provenance, note_lines, timing_notes
from sparqsim.results.signed import signed_layers
from sparqsim.trace.coverage import Coverage

LONGEST_LAYER_LABEL = 22
TOTAL = "total"
#: Most characters of a network's name, and of how its values were drawn.
LONGEST_SOURCE = 160
#: Designs that share a line are named in its label up to this many; a note names the rest.
MOST_NAMED = 3
FIXED_NOTE = "values cannot change these cycles: only shapes can"
VARYING_NOTE = "~ cycles depend on values"
MIXED_NOTE = "~ cycles depend on values; those of the other designs are set by shapes alone"
#: Lines of a legend for which figures have room.
LEGEND_LINES = 7
#: A legend's picture beside its text, and the space to the next.
HANDLE_POINTS = 28


def subject(provenance: Provenance, array: ArrayInfo, designs: Iterable[PEInfo] = ()) -> str:
    """Return what was simulated, synthetic values named as such, and below, on which array, or on
    which engines where `designs` are no arrays of PEs.
    """
    drawn = shortened(printable(provenance.synthetic), LONGEST_SOURCE)
    label = f" [SYNTHETIC values: {drawn}]" if drawn else ""
    return f"{source_of(provenance)}{label}\n{array.words_of(designs)}"


def source_of(provenance: Provenance) -> str:
    """Return the network's name, or what identifies its trace."""
    return shortened(provenance.network, LONGEST_SOURCE) or f"trace {provenance.trace_sha256[:12]}"


def subject_of(reports: Sequence[Report]) -> str:
    """Return `subject` of reports that stand together, and which memory is in them."""
    first = reports[0]
    around = (
        "memory not modelled" if first.memory is None else f"memory {printable(first.memory.name)}"
    )
    designs = (report.pe for report in reports)
    return f"{subject(first.provenance, first.array, designs)}, {around}"


def add_notes(figure: Figure, notes: Sequence[str]) -> None:
    """Put notes, one a line, below the figure, which grows by them."""
    text = "\n".join(wrapped(figure, note, SMALL_POINTS) for note in notes)
    if text:
        figure.supxlabel(text, fontsize=SMALL_POINTS, x=0.01, ha="left")
        grow(figure, text.count("\n"), SMALL_POINTS)
    if isinstance(figure, HouseFigure):
        figure.notes = tuple(notes)


def add_legend(figure: Figure, title: str, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put the title and one legend above the panels, in as many columns as fit, read by line."""
    share = 0.97 - HANDLE_POINTS / _width_points(figure)
    labels = [wrapped(figure, label, SMALL_POINTS, share) for label in labels]
    entry_points = max(text_points(label, SMALL_POINTS) for label in labels) + HANDLE_POINTS
    fitting = max(1, min(len(labels), int(_width_points(figure) / entry_points)))
    # As few columns as the same number of lines needs: no ragged last line.
    lines = -(-len(labels) // fitting)
    columns = -(-len(labels) // lines)
    # Matplotlib fills column by column.
    order = [at for column in range(columns) for at in range(column, len(labels), columns)]
    legend = figure.legend(
        [handles[at] for at in order],
        [labels[at] for at in order],
        loc="outside upper center",
        ncols=columns,
        handlelength=1.6,
        columnspacing=1.2,
        handletextpad=0.5,
        title=wrapped(figure, title, FONT_POINTS),
        title_fontproperties={"size": FONT_POINTS},
    )
    # The first lines have their room in the figure's height already.
    entries = sum(label.count("\n") + 1 for label in labels) / columns
    grow(figure, max(0, math.ceil(entries) - LEGEND_LINES), SMALL_POINTS)
    legend.get_title().set_multialignment("center")
    grow(figure, max(0, legend.get_title().get_text().count("\n") - 1), FONT_POINTS)


def wrapped(figure: Figure, text: str, points: float, share: float = 0.97) -> str:
    """Return `text` with every line broken to fit a share of the figure's width."""
    return filled(text, points, share * _width_points(figure))


def filled(text: str, points: float, most_points: float) -> str:
    """Return `text` with every line broken to fit a width, points."""
    return "\n".join(_filled(line, points, most_points) for line in drawable(text).splitlines())


def _filled(line: str, points: float, most_points: float) -> str:
    """Return a line broken to the width asked, as long as parts keep ten letters."""
    letters = max(10, int(len(line) * most_points / max(text_points(line, points), 1)))
    # Letters differ in width: a part of wide ones takes more than its share.
    while letters > 10 and text_points(textwrap.fill(line, letters), points) > most_points:
        letters -= 1
    return textwrap.fill(line, letters)


def text_points(text: str, points: float) -> float:
    """Return the width of text, of its longest line, points."""
    font = FontProperties(family=FONT, size=points)
    widths = [
        text_to_path.get_text_width_height_descent(line, font, ismath=False)[0]
        for line in drawable(text).split("\n")
    ]
    return float(max(widths))


def _width_points(figure: Figure) -> float:
    return float(figure.get_figwidth()) * POINTS_PER_INCH


def layer_names(layers: Sequence[LayerReport]) -> LayerNames:
    """Return short names of layers, with * where they are kept at 8 bits."""
    return LayerNames.of(
        [drawable(printable(layer.name)) for layer in layers],
        LONGEST_LAYER_LABEL,
        marks=["*" if layer.kept_8bit else "" for layer in layers],
        taken=[TOTAL],
    )


def cycles_unit(most_cycles: int) -> tuple[int, str]:
    """Return the unit in which so many cycles are a short number, and its name."""
    for unit, name in ((10**9, "billions"), (10**6, "millions"), (10**3, "thousands")):
        if most_cycles >= 2 * unit:
            return unit, name
    return 1, "count"


def design_label(report: Report) -> str:
    """Return a design's name, with ~ where its cycles depend on values."""
    return marked(report.pe.spec, varying=report.pe.cycles_depend_on_values)


def marked(spec: str, *, varying: bool) -> str:
    """Return a design's name, with ~ where its cycles depend on values (`varying`)."""
    return printable(spec) + (" ~" if varying else "")


def value_note(reports: Sequence[Report]) -> str:
    """Return which designs' cycles values can change."""
    return varying_note([report.pe.cycles_depend_on_values for report in reports])


def varying_note(varying: Sequence[bool]) -> str:
    """Return the same, from whether each design's cycles depend on values."""
    return FIXED_NOTE if not any(varying) else VARYING_NOTE if all(varying) else MIXED_NOTE


def equal_groups(series: Mapping[str, object]) -> list[list[str]]:
    """Return names whose series are equal together: they share one bar, line or mark."""
    groups: list[list[str]] = []
    for name, values in series.items():
        same = next((group for group in groups if series[group[0]] == values), None)
        if same is None:
            groups.append([name])
        else:
            same.append(name)
    return groups


def group_label(names: Sequence[str]) -> str:
    """Return what names designs that share a bar, line or mark: the first few of them."""
    more = len(names) - MOST_NAMED
    return " = ".join([*names[:MOST_NAMED], *([f"{more} more"] if more > 0 else [])])


def group_notes(groups: Sequence[Sequence[str]]) -> list[str]:
    """Return which designs the labels of groups only count, as notes."""
    return [
        f"{group[0]} = {', '.join(group[MOST_NAMED:])}, too"
        for group in groups
        if len(group) > MOST_NAMED
    ]


def result_notes(reports: Sequence[Report]) -> list[str]:
    """Return what must be known of cycles on a trace: of which inputs and share, how timed, and
    what else than the design differs.
    """
    return [*coverage_notes(reports), *timing_lines(reports), *confound_lines(reports)]


def confound_lines(reports: Sequence[Report], free: Collection[str] = ()) -> list[str]:
    """Return what reports differ in beside the design; `free`: facts that may."""
    return [printable(note) for note in confound_notes([each.card for each in reports], free)]


def coverage_notes(reports: Sequence[Report]) -> list[str]:
    """Return for how many inputs cycles are, and what share is not simulated, as one note."""
    return [coverage_note(stated_coverage(reports), reports[0].totals.macs)]


def coverage_note(coverage: Coverage, macs: int) -> str:
    """Return the same of a coverage; `macs`: multiply-accumulates that are simulated."""
    inputs = coverage.inputs_text()
    cycles = f"cycles of {inputs}" if coverage.inputs else inputs
    return "; ".join(filter(None, (cycles, coverage.left_out_text(macs))))


def timing_lines(reports: Iterable[Report]) -> list[str]:
    """Return what must be known of designs that time themselves, beside others."""
    return note_lines(timing_notes(report.pe for report in reports))


def reading_notes(reports: Sequence[Report]) -> list[str]:
    """Return what a reader of layers side by side must know, as one note."""
    where = where_kept(reports)
    kept = [f"* kept at 8 bits: run {where}"] if kept_layers(reports) else []
    designs = [report.pe.spec for report in reports if signed_layers(report)]
    signed = [f"int8 layers by sign and magnitude, ours: {', '.join(designs)}"] if designs else []
    return ["; ".join([value_note(reports), *kept, *signed]), *result_notes(reports)]
