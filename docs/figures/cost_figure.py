"""The figure of docs/costs.md, from the records of docs/costs/: a row for each network, a panel for
each answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from sparqsim.plot.iso_area import BASELINE, ERROR_BAR, write_above
from sparqsim.plot.labels import add_legend, add_notes
from sparqsim.plot.style import (
    FONT_POINTS,
    INK,
    SMALL_POINTS,
    house_style,
    looks_of,
    new_figure,
    save_figure,
)

RECORDS = Path(__file__).resolve().parent.parent / "costs"
#: In this order, those that are there.
NETWORKS = ("digits", "resnet18")
#: Key of a figure in a row, and what stands above its panel.
ANSWERS = {
    "speedup": "equal PEs,\none clock",
    "speedup_per_area": "per area,\none clock",
    "speedup_in_time": "equal PEs,\nown clocks",
    "speedup_per_area_own_clock": "per area,\nown clocks",
}
PANEL_INCHES = 1.5
WORDS_INCHES = 1.6
RANDOM_HATCH = "/////"
#: Above the highest bar: room for its figure.
ROOM_ABOVE = 1.35

Row = Mapping[str, Any]


def draw_costs(path: Path, *, command: str) -> None:
    """Draw speedups by four definitions, and energy on real and on random operands."""
    records = [
        json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
        for name in NETWORKS
        if (RECORDS / f"{name}.json").exists()
    ]
    with house_style():
        figure = new_figure("page", PANEL_INCHES * len(records) + WORDS_INCHES)
        every = figure.subplots(len(records), len(ANSWERS) + 1, squeeze=False)
        for panels, record in zip(every, records, strict=True):
            _draw_record(panels, record)
        _draw_heads(every)
        colours = [Patch(facecolor="white", edgecolor=INK, hatch=h) for h in ("", RANDOM_HATCH)]
        names = ("operands of the network", "random operands (energy)")
        title = "What seven designs gain over mac-8b8b, and their energy per MAC"
        add_legend(figure, title, colours, names)
        add_notes(figure, _notes(records))
        save_figure(figure, path, title="What it costs", command=command)


def _draw_record(panels: Sequence[Axes], record: Row) -> None:
    rows = record["rows"]
    for axes, key in zip(panels, ANSWERS, strict=False):
        _draw_gains(axes, rows, key)
    _draw_energy(panels[-1], rows)
    panels[0].set_ylabel(f"{record['network'].partition(' (')[0]}\nspeedup (x)")


def _draw_gains(axes: Axes, rows: Sequence[Row], key: str) -> None:
    looks = looks_of([row["pe"] for row in rows])
    figures = [row[key] if isinstance(row[key], list) else [row[key]] * 3 for row in rows]
    for place, (row, (low, middle, high)) in enumerate(zip(rows, figures, strict=True)):
        look = looks[row["pe"]]
        axes.bar(place, middle, 0.8, color=look.color, hatch=look.hatch, edgecolor=INK)
        if low != high:
            axes.errorbar(place, middle, yerr=[[middle - low], [high - middle]], **ERROR_BAR)
        write_above(axes, place, high, f"{middle:.2f}", 2)
    axes.axhline(1, **BASELINE)
    axes.set_ylim(0, max(high for *_, high in figures) * ROOM_ABOVE)
    _frame(axes, rows)


def _draw_energy(axes: Axes, rows: Sequence[Row]) -> None:
    looks = looks_of([row["pe"] for row in rows])
    highest = 0.0
    for place, row in enumerate(rows):
        if None in row["pj_per_mac"].values():
            continue
        for side, operands, hatch in ((-0.2, "real", ""), (0.2, "random", RANDOM_HATCH)):
            total = sum(row["pj_per_mac"][operands].values())
            highest = max(highest, total)
            color = looks[row["pe"]].color
            axes.bar(place + side, total, 0.4, color=color, hatch=hatch, edgecolor=INK)
    axes.set_ylim(0, highest * 1.1)
    axes.set_ylabel("pJ per MAC")
    _frame(axes, rows)


def _frame(axes: Axes, rows: Sequence[Row]) -> None:
    names = [row["pe"] for row in rows]
    axes.set_xticks(range(len(rows)), names, rotation=90, fontsize=SMALL_POINTS)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=True, axis="y")


def _draw_heads(every: Sequence[Sequence[Axes]]) -> None:
    """Write what a column is above it, and designs below the last row alone."""
    for axes, head in zip(every[0], (*ANSWERS.values(), "energy"), strict=True):
        axes.set_title(head, fontsize=FONT_POINTS)
    for panels in every[:-1]:
        for axes in panels:
            axes.tick_params(axis="x", labelbottom=False)


def _notes(records: Sequence[Row]) -> list[str]:
    energies, clocks = records[0]["energies"], records[0]["clocks"]
    return [
        (
            f"areas: {records[0]['areas']}: median and range; clocks: {clocks['source']}, "
            f"{clocks['library']}; memory is not modelled"
        ),
        *(
            f"no energy: {record['network'].partition(' (')[0]}, {pe}: {why}"
            for record in records
            for pe, why in record["energies"]["absent"].items()
        ),
        (
            f"energy: of the array, {energies['library']}, {energies['node_nm']:g} nm, "
            f"{energies['corner']}, {energies['voltage_v']:g} V, clock "
            f"{energies['clock_ns']:g} ns; {energies['source']}"
        ),
    ]
