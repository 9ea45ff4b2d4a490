"""Make the tables of docs/costs.md from docs/costs/*.json.

    python workloads/cost_tables.py            # writes them
    python workloads/cost_tables.py --check    # exit code 1 if the page holds others

All but what stands between `<!-- table KIND_NETWORK -->` and `<!-- end -->` is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from page_tables import ROOT, Pages, markdown_table

FOLDER = ROOT / "docs" / "costs"
PAGE = ROOT / "docs" / "costs.md"
#: Of the energy of an array, pJ.
PARTS = ("switching", "internal", "clock", "leakage", "edge")
BASELINE = "mac-8b8b"

Row = dict[str, Any]


def loaded(network: str) -> Row:
    """Return the record of a network."""
    record: Row = json.loads((FOLDER / f"{network}.json").read_text(encoding="utf-8"))
    return record


def row_of(record: Row, pe: str) -> Row:
    """Return the row of a design."""
    return next(row for row in record["rows"] if row["pe"] == pe)


def has_energy(row: Row) -> bool:
    """Return whether the energy of a design is known."""
    return None not in row["pj_per_mac"].values()


def energy(row: Row, operands: str) -> float:
    """Return the array's energy on 'real' or 'random' operands, pJ per multiply-accumulate."""
    return float(sum(row["pj_per_mac"][operands][part] for part in PARTS))


def saving(record: Row, row: Row, operands: str) -> float:
    """Return how much less energy a design takes than the baseline, percent of the baseline's."""
    return 100 * (1 - energy(row, operands) / energy(row_of(record, BASELINE), operands))


def gains_table(record: Row) -> list[str]:
    """Return speedups by cycles, by area, by time, by both."""
    heads = (
        "design",
        "cycles",
        "speedup, equal PEs, one clock",
        "PE area, x",
        "per area, one clock",
        "shortest period, ns",
        "time, us",
        "speedup, own clocks",
        "per area, own clocks",
    )
    rows = [
        [
            f"`{row['pe']}`",
            f"{row['cycles']:,}",
            f"{row['speedup']:.2f}",
            spread(row["pe_area"]),
            spread(row["speedup_per_area"]),
            f"{row['shortest_period_ns']:.2f}",
            f"{row['time_us']:,.0f}",
            f"{row['speedup_in_time']:.2f}",
            spread(row["speedup_per_area_own_clock"]),
        ]
        for row in record["rows"]
    ]
    return [*_about(record), *markdown_table(heads, rows)]


def spread(figure: Sequence[float]) -> str:
    """Return a median with its range, where it has one."""
    low, middle, high = figure
    return f"{middle:.2f}" + (f" ({low:.2f} to {high:.2f})" if low != high else "")


def _about(record: Row) -> list[str]:
    inputs = record["inputs"]
    return [f"{record['network']}, {inputs} input{'s' * (inputs != 1)}, {record['array']}.", ""]


def energy_table(record: Row) -> list[str]:
    """Return energies of the array on real and on random operands, and the real ones by part."""
    heads = (
        "design",
        "real operands, pJ per MAC",
        f"over `{BASELINE}`",
        "random operands, pJ per MAC",
        f"over `{BASELINE}`",
        "random / real",
        *(f"real: {part}" for part in PARTS),
    )
    rows = [
        [f"`{row['pe']}`", *(_energy_cells(record, row) if has_energy(row) else "-" * 10)]
        for row in record["rows"]
    ]
    return [*_cells(record), *markdown_table(heads, rows)]


def _energy_cells(record: Row, row: Row) -> list[str]:
    cells = []
    for operands in ("real", "random"):
        cells.append(f"{energy(row, operands):.2f}")
        cells.append(f"{0 - saving(record, row, operands):+.0f} %")
    cells.append(f"{energy(row, 'random') / energy(row, 'real'):.2f}")
    return cells + [f"{row['pj_per_mac']['real'][part]:.3g}" for part in PARTS]


def _cells(record: Row) -> list[str]:
    of = record["energies"]
    return [
        (
            f"{record['network']}: array alone. Cells {of['library']}, {of['node_nm']:g} nm, "
            f"{of['corner']}, {of['voltage_v']:g} V, clock {of['clock_ns']:g} ns; {of['source']}."
        ),
        "",
    ]


def remarks_table(record: Row) -> list[str]:
    """Return where figures come from and what was not counted, as a list."""
    clocks = record["clocks"]
    corner = ", ".join(f"{name} {value}" for name, value in clocks["corner"].items())
    return [
        f"* areas: {record['areas']}",
        f"* clocks: {clocks['source']}, {clocks['library']} ({corner})",
        *(f"* energy: {remark}" for remark in record["energies"]["remarks"]),
        *(f"* no energy: `{pe}`: {why}" for pe, why in record["energies"]["absent"].items()),
    ]


def said(record: Row, pe: str = "sparq-5opt") -> list[str]:
    """Return in a sentence what becomes of one design's speedup."""
    row = row_of(record, pe)
    real, random = (saving(record, row, operands) for operands in ("real", "random"))
    return [
        (
            f"`{pe}` on {record['network']}: {row['speedup']:.2f} times fewer cycles, "
            f"{spread(row['speedup_per_area'])} times the throughput per area, "
            f"{spread(row['speedup_per_area_own_clock'])} with each design at its own clock; "
            f"{real:.0f} % less energy per MAC than `{BASELINE}`, {random:.0f} % less on random "
            "operands."
        )
    ]


TABLES = {"said": said, "gains": gains_table, "energy": energy_table, "remarks": remarks_table}


def lines_of(name: str) -> list[str]:
    """Return the lines of the table KIND_NETWORK."""
    kind, network = name.split("_")
    return TABLES[kind](loaded(network))


PAGES = Pages(lambda: [PAGE], lines_of, spaced=False)
rendered, write_tables = PAGES.rendered, PAGES.write


if __name__ == "__main__":
    PAGES.write_or_check()
