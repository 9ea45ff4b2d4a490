"""Energy per multiply-accumulate of each design, stacked by what it went into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sparqsim.base.errors import InputError, printable
from sparqsim.plot.iso_area import write_above
from sparqsim.plot.labels import (
    MOST_NAMED,
    confound_lines,
    coverage_notes,
    design_label,
    subject_of,
    text_points,
    value_note,
)
from sparqsim.plot.panel import Panel, check_target, delivered
from sparqsim.plot.style import (
    ENERGY_LOOKS,
    INK,
    POINTS_PER_INCH,
    SMALL_POINTS,
    Saving,
    house_style,
)
from sparqsim.results.comparison import Comparison
from sparqsim.results.energy import Energy, EnergyInfo
from sparqsim.results.report import Report

PANEL_INCHES = 2.9
BAR_WIDTH = 0.7
#: Above the highest bar, of its height: room for its figure, written upwards.
ROOM_ABOVE = 0.22
LABELS = {
    "switching": "PE: switching",
    "internal": "PE: inside cells",
    "clock": "PE: clock pins",
    "leakage": "PE: leakage",
    "edge": "edge units",
    "sram": "scratchpads",
    "dram": "DRAM",
}


def plot_energy(
    result: Comparison | Report,
    path: str | Path | None = None,
    *,
    ax: Axes | None = None,
    width: str = "column",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw a bar for each design: pJ per multiply-accumulate of the exact layers, by what it went
    into, whole network.

    Scratchpads and DRAM are in the bar where memory is modelled and its figures are of the node of
    the cells: those of different nodes are never added. Designs without energy are named below.

    `path`, `ax`, `width`, `saving` and errors as in `plot_pareto`.

    Raises
    ------
    InputError
        Also for results without energy, and for energies of different tables.
    """
    check_target(path, ax)
    reports = (
        [result.reports[name] for name in result.order]
        if isinstance(result, Comparison)
        else [result]
    )
    info = _info_of(reports)
    measured = {
        design_label(report): report.totals.energy_pj
        for report in reports
        if report.energy is not None
    }
    bars = parts_of({name: each for name, each in measured.items() if each is not None})
    with house_style():
        names_inches = max(text_points(name, SMALL_POINTS) for name in bars) / POINTS_PER_INCH
        panel = Panel.of(ax, width, PANEL_INCHES + names_inches)
        shown = [part for part in ENERGY_LOOKS if any(part in bar for bar in bars.values())]
        _draw(panel.axes, bars, shown)
        handles = [_patch(part) for part in shown]
        panel.add_legend(subject_of(reports), handles, [LABELS[part] for part in shown])
        panel.add_notes(_notes(reports, info))
    return delivered(panel.figure, path, ax, title="Energy per multiply-accumulate", **saving)


energy_figure = plot_energy


def parts_of(energies: Mapping[str, Energy]) -> dict[str, dict[str, float]]:
    """Return for each design the parts of its energy, pJ per multiply-accumulate.

    What is zero in a design is left out. Memory is in it where every design has a total of it.
    """
    with_memory = all(each.total is not None for each in energies.values())
    return {name: _parts(each, with_memory=with_memory) for name, each in energies.items()}


def _parts(energy: Energy, *, with_memory: bool) -> dict[str, float]:
    cells = {name: getattr(energy.pe, name) for name in type(energy.pe).model_fields}
    found = {**cells, "edge": energy.edge.total}
    if with_memory:
        found["sram"] = 0.0 if energy.sram is None else energy.sram.total
        found["dram"] = energy.dram or 0.0
    return {name: value / energy.macs for name, value in found.items() if value}


def _info_of(reports: Sequence[Report]) -> EnergyInfo:
    """Return what the energies are of. Raises InputError where there are none, or several."""
    found = [report.energy for report in reports if report.energy is not None]
    if not found:
        raise InputError(
            f"report of {reports[0].pe.spec}: has no energy; expected a run with --energy"
        )
    bases = dict.fromkeys(each.basis for each in found)
    if len(bases) > 1:
        tables = "; ".join(map(printable, bases))
        raise InputError(f"energies of different tables ({tables}); expected all of one")
    return found[0]


def cells_text(info: EnergyInfo) -> str:
    """Return library, node, corner, voltage and clock of the cells."""
    cells = info.cells
    return printable(
        f"{cells.library}, {cells.node_nm:g} nm, {cells.corner}, {cells.voltage_v:g} V, clock "
        f"{cells.clock_ns:g} ns"
    )


def _draw(axes: Axes, bars: Mapping[str, Mapping[str, float]], shown: Sequence[str]) -> None:
    places = range(len(bars))
    below = [0.0] * len(bars)
    for part in shown:
        heights = [bar.get(part, 0.0) for bar in bars.values()]
        look = ENERGY_LOOKS[part]
        axes.bar(
            places,
            heights,
            BAR_WIDTH,
            bottom=below,
            color=look.color,
            hatch=look.hatch,
            edgecolor=INK,
        )
        below = [one + other for one, other in zip(below, heights, strict=True)]
    for place, total in zip(places, below, strict=True):
        write_above(axes, place, total, f"{total:.3g}", 1.5)
    axes.set_ylim(0, max(below) * (1 + ROOM_ABOVE))
    axes.set_xticks(list(places), list(bars), rotation=90, fontsize=SMALL_POINTS)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=True, axis="y")
    axes.set_xlabel("design")
    axes.set_ylabel("energy (pJ per MAC)")


def _patch(part: str) -> Patch:
    look = ENERGY_LOOKS[part]
    return Patch(facecolor=look.color, hatch=look.hatch, edgecolor=INK)


def _notes(reports: Sequence[Report], info: EnergyInfo) -> list[str]:
    scaled = info.scaled
    return [
        "per MAC of the exact layers, zeros included; whole network: energy of all layers / MACs",
        f"cells: {cells_text(info)}; {printable(info.cells.source)}",
        *_error_notes(reports),
        *_memory_notes(reports, info),
        *([f"scaled to {scaled.to_nm:g} nm: {printable(scaled.rule)}"] if scaled else []),
        *_remarks(reports),
        *_absent(reports),
        value_note(reports),
        *coverage_notes(reports),
        *confound_lines(reports),
    ]


def _absent(reports: Sequence[Report]) -> list[str]:
    """Return the designs without energy, and why; of more than a few only the names."""
    absent = {report.pe.spec: report.energy_absent for report in reports if report.energy_absent}
    if len(absent) > MOST_NAMED:
        return [f"no energy, the results say why: {', '.join(map(printable, absent))}"]
    return [f"no energy: {printable(name)}: {printable(why)}" for name, why in absent.items()]


def _error_notes(reports: Sequence[Report]) -> list[str]:
    """Return how far the model was off on layers that it was not fitted on, where that is known."""
    cells = [report.energy.cells for report in reports if report.energy is not None]
    medians = [each.test_median_percent for each in cells if each.test_median_percent is not None]
    worst = [each.test_worst_percent for each in cells if each.test_worst_percent is not None]
    if not medians or not worst:
        return []
    return [
        (
            "model against gate level on layers it was not fitted on: median error up to "
            f"{max(medians):.1f} %, worst layer {max(worst):.1f} %"
        )
    ]


def _remarks(reports: Sequence[Report]) -> list[str]:
    """Return every remark once, with the designs that it is of where it is not of all."""
    energies = {report.pe.spec: report.energy for report in reports if report.energy is not None}
    every = dict.fromkeys(remark for each in energies.values() for remark in each.remarks)
    found = []
    for remark in every:
        names = [name for name, each in energies.items() if remark in each.remarks]
        whose = "" if len(names) == len(energies) else f"{', '.join(names)}: "
        found.append(whose + printable(remark).rstrip("."))
    return found


def _memory_notes(reports: Sequence[Report], info: EnergyInfo) -> list[str]:
    """Return of which words of memory the figures are; of a run without memory the remarks tell."""
    if info.memory is None:
        return []
    energies = [report.totals.energy_pj for report in reports]
    if any(each is not None and each.total is None for each in energies):
        return []  # not in the bars: the remarks say why
    memories = (info.memory.sram, info.memory.dram)
    return [f"memory: {printable(each.label())}; {printable(each.source)}" for each in memories]
