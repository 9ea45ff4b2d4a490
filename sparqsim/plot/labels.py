"""What figures say in words: titles, legends, layer names, notes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from sparqsim.layer_report import LayerReport
from sparqsim.plot.style import FONT, FONT_POINTS, POINTS_PER_INCH, SMALL_POINTS
from sparqsim.report import ArrayInfo, Provenance, Report

LONGEST_LAYER_LABEL = 22
FIXED_NOTE = "values cannot change these cycles: only shapes can"
VARYING_NOTE = "~ cycles depend on values"
MIXED_NOTE = "~ cycles depend on values; those of the other designs are set by shapes alone"
#: A legend's picture beside its text, and the space to the next.
HANDLE_POINTS = 28
KEPT_NOTE = "* kept at 8 bits: run as mac-8b8b under every design"


def subject(provenance: Provenance, array: ArrayInfo) -> str:
    """Return what was simulated (synthetic values are named as such) and, on a second line, on which array."""
    source = provenance.network or f"trace {provenance.trace_sha256[:12]}"
    label = f" [SYNTHETIC values: {provenance.synthetic}]" if provenance.synthetic else ""
    return (
        f"{source}{label}\narray {array.rows}x{array.cols}, dataflow {array.dataflow}, {array.coupling}, "
        f"overlap {'on' if array.overlap else 'off'}"
    )


def subject_of(report: Report) -> str:
    """Return `subject` of a report, and whether memory is in it."""
    memory = "" if report.memory is not None else ", memory not modelled"
    return subject(report.provenance, report.array) + memory


def add_notes(figure: Figure, notes: Sequence[str]) -> None:
    """Put notes, one a line, below the figure."""
    lines = [wrapped(figure, note, SMALL_POINTS) for note in notes]
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=SMALL_POINTS, x=0.01, ha="left")


def add_legend(figure: Figure, title: str, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put the figure's title and one legend above the panels, in as many columns as fit, read line by line."""
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
    legend.get_title().set_multialignment("center")


def wrapped(figure: Figure, text: str, points: float) -> str:
    """Return `text` with every line broken to fit the figure."""
    broken = []
    for line in text.splitlines():
        letters = len(line) * 0.97 * _width_points(figure) / max(text_points(line, points), 1)
        broken.append(textwrap.fill(line, max(10, int(letters))))
    return "\n".join(broken)


def text_points(text: str, points: float) -> float:
    """Return the width of one line of text, points."""
    font = FontProperties(family=FONT, size=points)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def _width_points(figure: Figure) -> float:
    return float(figure.get_figwidth()) * POINTS_PER_INCH


def layer_label(layer: LayerReport) -> str:
    """Return a layer's name, its middle left out where it is long, with * where it is kept at 8 bits."""
    return shortened(layer.name, LONGEST_LAYER_LABEL) + ("*" if layer.kept_8bit else "")


def shortened(name: str, longest: int) -> str:
    """Return `name`, or its beginning and end in `longest` characters: names differ at both."""
    if len(name) <= longest:
        return name
    head = (longest - 1) // 3
    return f"{name[:head]}…{name[head + 1 - longest :]}"


def design_label(report: Report) -> str:
    """Return a design's name, with ~ where its cycles depend on values."""
    return marked(report.pe.spec, varying=report.pe.cycles_depend_on_values)


def marked(spec: str, *, varying: bool) -> str:
    """Return a design's name, with ~ where its cycles depend on values (`varying`)."""
    return spec + (" ~" if varying else "")


def value_note(reports: Sequence[Report]) -> str:
    """Return which designs' cycles values can change."""
    return varying_note([report.pe.cycles_depend_on_values for report in reports])


def varying_note(varying: Sequence[bool]) -> str:
    """Return the same, from whether each design's cycles depend on values."""
    return FIXED_NOTE if not any(varying) else VARYING_NOTE if all(varying) else MIXED_NOTE


def equal_note(series: Mapping[str, object]) -> list[str]:
    """Return which names have equal series, whose lines or marks hide each other, as notes."""
    groups: list[list[str]] = []
    for name, values in series.items():
        same = next((group for group in groups if series[group[0]] == values), None)
        if same is None:
            groups.append([name])
        else:
            same.append(name)
    return [
        f"equal, drawn over each other: {', '.join(group)}" for group in groups if len(group) > 1
    ]


def reading_notes(reports: Sequence[Report]) -> list[str]:
    """Return what a reader of layers side by side must know, as one note."""
    kept = [KEPT_NOTE] if any(layer.kept_8bit for layer in reports[0].layers) else []
    return ["; ".join([value_note(reports), *kept])]
