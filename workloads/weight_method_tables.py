"""Tables of docs/how-to/weight-methods.md, from docs/weight-methods/resnet20.json.

python workloads/weight_method_tables.py            # writes them
python workloads/weight_method_tables.py --check    # exit code 1 if the page holds others
"""

from __future__ import annotations

import json
from collections.abc import Callable
from statistics import mean
from typing import Any

from page_tables import ROOT, Pages, markdown_table

RECORD = ROOT / "docs" / "weight-methods" / "resnet20.json"
PAGE = ROOT / "docs" / "how-to" / "weight-methods.md"
ACTIVATIONS = "mse:4"
#: What is measured in the whole network, by weight bits.
SPECS = (
    "nearest:4",
    "lp:2:4",
    "adaround:4",
    "multipoint:4",
    "nearest:3",
    "adaround:3",
    "nearest:2",
    "adaround:2",
    "multipoint:2:extra=1",
    "lapq:4:iterations=0",
    "lapq:4",
    "brecq:2",
    "brecq:3",
    "brecq:3:steps=5000",
    "brecq:4",
    "qdrop:2",
    "qdrop:3",
    "qdrop:4",
)
#: What is measured with the calibration pictures' labels, too.
LOSSES = ("lapq:4:iterations=0", "lapq:4")
#: Whose layers' errors are taken, all of them at these bits.
LAYER_SPECS = ("adaround:4", "adaround:2")

Record = dict[str, Any]


def loaded() -> Record:
    """Return the record, answers in the order of `SPECS` whenever they were measured."""
    record: Record = json.loads(RECORD.read_text(encoding="utf-8"))
    order = [*SPECS, *(f"{spec} true" for spec in LOSSES)]
    record["answers"] = {key: record["answers"][key] for key in order if key in record["answers"]}
    return record


def network_table(record: Record) -> list[str]:
    """Return answers of every quantiser."""
    heads = (
        "weights",
        "top-1, 8-bit activations",
        "agree",
        "top-1, 4-bit activations",
        "agree",
        "CPU s",
    )
    pictures = record["answered_pictures"]
    rows = []
    for key, row in record["answers"].items():
        cells = []
        for pe in ("mac-8b8b", "mac-4b8b"):
            cells += [f"{row[pe][what] / pictures:.1%}" for what in ("top1", "agree")]
        seconds = row["cpu_seconds"]
        rows.append([_named(key), *cells, "-" if seconds is None else f"{seconds:.0f}"])
    return markdown_table(heads, rows)


def layers_table(record: Record) -> list[str]:
    """Return output errors of every layer, learned over rounded to nearest."""
    found = record["layers"]
    heads = ["layer", *(f"`{spec}` / nearest, same scales; / `nearest`" for spec in found)]
    rows = [[f"`{layer}`"] for layer in next(iter(found.values()))["layers"]]
    for row in found.values():
        for cells, errors in zip(rows, row["layers"].values(), strict=True):
            same, other = (
                errors["learned"] / errors[key] for key in ("nearest_same_scales", "nearest")
            )
            cells.append(f"{same:.2f}; {other:.2f}")
    return markdown_table(heads, rows)


def blocks_table(record: Record) -> list[str]:
    """Return output errors of every block in the whole network, at bits that `brecq` has."""
    specs = [
        f"{name}:{bits}"
        for bits in (4, 3, 2)
        for name in ("nearest", "adaround", "brecq")
        if {f"{name}:{bits}", f"brecq:{bits}"} <= record["answers"].keys()
    ]
    blocks = list(record["answers"][specs[0]]["blocks"])
    rows = [
        [f"`{block}`", *(f"{record['answers'][spec]['blocks'][block]:.4f}" for spec in specs)]
        for block in blocks
    ]
    return markdown_table(["block", *(f"`{spec}`" for spec in specs)], rows)


def points_table(record: Record) -> list[str]:
    """Return columns, cycles and output errors of `multipoint`."""
    heads = (
        "weights",
        "columns / channels",
        "cycles of the array",
        "of combining",
        "of both",
        "error at random / by error, mean (layers)",
    )
    rows = []
    for spec, row in record["answers"].items():
        if not spec.startswith("multipoint"):
            continue
        cycles = [
            f"{row[key]:,}" for key in ("array_cycles", "combining_cycles", "combined_cycles")
        ]
        rows.append([_named(spec), f"{row['columns']} / {row['channels']}", *cycles])
        rows[-1].append(_gain(record["points"][spec]["layers"]))
    return markdown_table(heads, rows)


def _gain(layers: Record) -> str:
    ratios = [mean(each["random"]) / each["adaptive"] for each in layers.values()]
    better = sum(min(each["random"]) >= each["adaptive"] for each in layers.values())
    return f"{mean(ratios):.2f} (never worse in {better} of {len(layers)})"


def lapq_table(record: Record) -> list[str]:
    """Return the losses of `lapq`, on the pictures it saw and on others."""
    heads = ("weights", "loss", "least over p", "at p*", "p*", "final", "on answered pictures")
    rows = []
    for key, row in record["answers"].items():
        told = row["told"]
        if "powers" not in told:
            continue
        labelled = row["labels"] == "true"
        unseen = row["mac-4b8b"]["cross_entropy" if labelled else "divergence"]
        losses = [min(told["losses"]), told["start_loss"], told["power"]]
        final = f"{told['final_loss']:.3f}" if "final_loss" in told else "-"
        cells = [*(f"{each:.3f}" for each in losses), final, f"{unseen:.3f}"]
        rows.append([_named(key), "cross-entropy" if labelled else "divergence", *cells])
    return markdown_table(heads, rows)


def _named(key: str) -> str:
    spec, _, labels = key.partition(" ")
    return f"`{spec}`" + (", labels" if labels else "")


TABLES: dict[str, Callable[[Record], list[str]]] = {
    "network": network_table,
    "layers": layers_table,
    "blocks": blocks_table,
    "points": points_table,
    "lapq": lapq_table,
}

PAGES = Pages(lambda: [PAGE], lambda name: TABLES[name](loaded()))
rendered, write_tables = PAGES.rendered, PAGES.write


if __name__ == "__main__":
    PAGES.write_or_check()
