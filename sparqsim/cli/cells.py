"""The cells, labels and headings that tables share."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sparqsim.base.errors import printable
from sparqsim.cli.tables import Table
from sparqsim.results.layer_report import Cycles, LayerReport, Measured
from sparqsim.results.report import Report

PARTS = ("compute", "fill", "drain", "pe_stall", "memory_stall")


def json_text(value: object) -> str:
    """Return JSON as reports write it."""
    return json.dumps(value, sort_keys=True, indent=1) + "\n"


def new_table(first: str, *others: str, title: str) -> Table:
    """Return an empty table: names in the first column, figures in the others."""
    return Table(title, [first, *others])


def heading_of(design: str) -> str:
    """Return a design's name as the heading of a narrow column."""
    return design.replace("-", "-\n", 1).replace(":", ":\n").replace(",", ",\n")


def layer_label(layer: LayerReport) -> str:
    """Return a layer's name, with '*' where it was kept at 8 bits."""
    return printable(layer.name) + ("*" if layer.kept_8bit else "")


def short(name: str) -> str:
    """Return a design's name without its family: '8b8b' of 'mac-8b8b'."""
    return name.removeprefix("mac-")


def parts_shown(cycles: Sequence[Cycles]) -> list[str]:
    """Return the attribution classes to show: a stall class only where somebody stalls."""
    return [
        part for part in PARTS if "stall" not in part or any(getattr(each, part) for each in cycles)
    ]


def measured_cells(measured: Measured, network: Cycles) -> list[str]:
    """Return the cells of one layer or the total: cycles, attribution, utilization, SQNR."""
    cycles, use = measured.cycles, measured.utilization
    return [
        f"{cycles.total:,}",
        *(f"{getattr(cycles, part):,}" for part in parts_shown([network])),
        percent(use.used_pes),
        percent(use.array),
        percent(use.effective),
        decibels(measured),
    ]


def decibels(measured: Measured) -> str:
    """Return SQNR in dB, '-' for an exact result."""
    value = measured.error.sqnr_db
    return "-" if value is None else f"{value:.1f}"


def percent(share: float) -> str:
    """Return a share in percent with one decimal."""
    return f"{100 * share:.1f}"


def mark(report: Report) -> str:
    """Return '~' for a design whose cycles depend on values."""
    return "~" if report.pe.cycles_depend_on_values else ""


def mean_text(mean: float) -> str:
    """Return a mean count: whole where it is one or large, else with one decimal."""
    return f"{mean:,.0f}" if mean >= 1000 or mean == int(mean) else f"{mean:,.1f}"
