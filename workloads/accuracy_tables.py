"""Make the tables of docs/accuracy.md from docs/accuracy/*.json.

python workloads/accuracy_tables.py            # writes them
python workloads/accuracy_tables.py --check    # exit code 1 if the document holds others
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from page_tables import ROOT, Pages, markdown_table

from sparqsim.results.accuracy_report import AccuracyReport, AccuracyRow, Trial

FILES = ROOT / "docs" / "accuracy"
DOCUMENT = ROOT / "docs" / "accuracy.md"

KEPT_WORDS = {
    "8bit": "computed as `mac-8b8b`",
    "float": "computed in float",
    "design": "computed by the design all the same",
}


def _about(report: AccuracyReport) -> list[str]:
    kept = ", ".join(f"`{layer.name}`" for layer in report.layers if layer.kept) or "none"
    array = report.array
    return [
        (
            f"{report.data}; scales from {report.calibration}. Compared with: {report.reference}. "
            f"Cycles of {_counted(report.traced_pictures)} on {array.rows}x{array.cols} PEs, "
            f"{array.dataflow}, overlap {'on' if array.overlap else 'off'}, {array.coupling}. SQNR "
            f"of {_counted(report.error_pictures)}. Layers kept out of the design "
            f"({KEPT_WORDS[report.kept_as]}): {kept}."
        )
    ]


def _counted(pictures: int) -> str:
    return f"{pictures} picture{'s' if pictures > 1 else ''}"


def _share(count: int | None, of: int) -> str:
    return "" if count is None else f"{count}/{of} ({count / of:.1%})"


def _sqnr(report: AccuracyReport, row: AccuracyRow) -> str:
    found = report.sqnr_db(row).values()
    return f"{median(found):.1f} / {min(found):.1f}" if found else "exact" if row.layers else ""


def _scales(report: AccuracyReport, row: AccuracyRow) -> str:
    float_network = row.pe is None and report.reference == "float network"
    parts = [
        "" if float_network else row.calibrator,
        "BN recalibrated" if row.recalibrated_bn else "",
    ]
    return ", ".join(filter(None, parts))


Cell = Callable[[AccuracyReport, AccuracyRow], str]
COLUMNS: Sequence[tuple[str, Cell]] = (
    ("design", lambda report, row: report.reference if row.pe is None else f"`{row.pe}`"),
    ("scales", _scales),
    ("top-1", lambda report, row: _share(row.hits.top1, report.pictures)),
    ("top-5", lambda report, row: _share(row.hits.top5, report.pictures)),
    ("agree", lambda report, row: _share(row.hits.agree, report.pictures)),
    ("SQNR of layers, dB: median / lowest", _sqnr),
    ("cycles", lambda _, row: "" if row.cycles is None else f"{row.cycles:,}"),
    ("speedup", lambda _, row: "" if row.speedup is None else f"{row.speedup:.3f}"),
)


def _designs(report: AccuracyReport) -> list[str]:
    rows = [[show(report, row) for _, show in COLUMNS] for row in report.rows]
    return markdown_table([name for name, _ in COLUMNS], rows)


def predicted_orders() -> Iterator[tuple[str, str, str]]:
    """Yield (what is predicted, the design said to be better, the other)."""
    five, three, two, static = "sparq-5opt", "sparq-3opt", "sparq-2opt", "mac-4b8b"
    for finer, coarser in ((five, three), (three, two), (two, static), (five, static)):
        yield f"`{finer}` >= `{coarser}`", finer, coarser
        yield (
            f"`{finer}` >= `{coarser}`, without rounding",
            f"{finer}:rounding=trim",
            f"{coarser}:rounding=trim",
        )
    sparq = (five, three, two, "sparq-6opt", "sparq-7opt")
    for name in (*sparq, static, "mac-4b4b"):
        yield f"rounding helps `{name}`", name, f"{name}:rounding=trim"
    for name in sparq:
        yield f"the pair rule helps `{name}`", name, f"{name}:pairing=off"


def _orders(report: AccuracyReport) -> list[str]:
    """Return in how many layers each predicted order of SQNR is seen, and where it is not."""
    own = report.rows[0].calibrator
    levels = {
        row.pe: _levels(report, row)
        for row in report.rows
        if row.trial == Trial(row.pe, own) and row.pe
    }
    lines = []
    for words, better, worse in predicted_orders():
        if better in levels and worse in levels:
            one, other = levels[better], levels[worse]
            broken = [f"`{name}`" for name in one if one[name] < other[name]]
            more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
            seen = f"{len(one) - len(broken)} of {len(one)}"
            lines.append([words, seen, ", ".join(broken[:3]) + more])
    if not lines:
        return []
    return [
        "",
        "Orders of SQNR that the method predicts, and the layers in which they are seen:",
        "",
        *markdown_table(["predicted", "layers", "not in"], lines),
    ]


def _levels(report: AccuracyReport, row: AccuracyRow) -> dict[str, float]:
    """Return the SQNR of every layer that the design computed, infinite where nothing was lost."""
    found = report.sqnr_db(row)
    return {
        layer.name: found.get(layer.name, math.inf)
        for layer in report.layers
        if not layer.kept or report.kept_as == "design"
    }


def _corrected(report: AccuracyReport) -> list[str]:
    """Return, for a network with corrected zero points, pairs with a zero and SQNR of both kinds of
    layers.
    """
    if not any(layer.zero_point for layer in report.layers):
        return []
    parts = {
        "zero point 0": [layer.zero_point == 0 for layer in report.layers],
        "zero point corrected": [layer.zero_point != 0 for layer in report.layers],
    }
    rows = [
        row
        for row in report.rows
        if row.layers and row.pe in ("sparq-5opt", "sparq-2opt", "mac-4b8b")
    ]
    lines = []
    for words, which in parts.items():
        layers = [layer for layer, inside in zip(report.layers, which, strict=True) if inside]
        pairs = sum(layer.pairs for layer in layers)
        zeros = sum(layer.zero_pairs for layer in layers)
        middles = [_middle(row, which) for row in rows]
        lines.append([words, str(len(layers)), f"{zeros / pairs:.1%}", *middles])
    designs = [f"`{row.pe}`" for row in rows]
    names = ["activations", "layers", "pairs with an integer zero", *designs]
    return [
        "",
        "Layers by the zero point of their activations; median SQNR in dB:",
        "",
        *markdown_table(names, lines),
    ]


def _middle(row: AccuracyRow, which: Sequence[bool]) -> str:
    known = [
        layer.sqnr_db
        for layer, inside in zip(row.layers, which, strict=True)
        if inside and layer.sqnr_db is not None
    ]
    return f"{median(known):.1f}" if known else "exact"


def lines_of(name: str) -> list[str]:
    """Return the lines of a network's tables."""
    report = AccuracyReport.load(FILES / f"{name}.json")
    return [*_about(report), "", *_designs(report), *_orders(report), *_corrected(report)]


PAGES = Pages(lambda: [DOCUMENT], lines_of, spaced=False)
rendered, write_tables = PAGES.rendered, PAGES.write


if __name__ == "__main__":
    PAGES.write_or_check()
