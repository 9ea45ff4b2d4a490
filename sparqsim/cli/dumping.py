"""What `sparqsim trace dump` shows."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sparqsim.base.errors import printable
from sparqsim.base.wording import counted
from sparqsim.cli.cells import json_text, percent
from sparqsim.cli.tables import Shown, Table
from sparqsim.trace.dumpreport import DumpedLayer, DumpReport, clipping_warning


def dump_shown(report: DumpReport, target: str) -> Shown:
    """Return what was dumped, layer by layer, and what was not."""
    rows = [_record(layer) for layer in report.layers]
    return Shown(
        "",
        [_layers_table(report, target)],
        "\n".join(map(printable, _dump_notes(report))),
        lambda: rows,
        lambda: json_text(
            {
                "trace": target,
                "pictures": report.pictures,
                "layers": rows,
                "left_out": list(report.skipped),
                "macs_left_out_share": report.coverage.share_left_out(report.macs),
                "notes": list(report.notes),
            }
        ),
    )


def _layers_table(report: DumpReport, target: str) -> Table:
    table = Table(
        f"{target}: {report.coverage.inputs_text()}",
        [
            "layer",
            "op",
            "zeros\n%",
            "pairs with\na zero %",
            "clipped\n%",
            "8-bit\nkept",
            "activations",
        ],
        text=True,
    )
    for layer in report.layers:
        table.add_row(
            printable(layer.name),
            layer.op,
            percent(layer.zeros / layer.values),
            _pair_share(layer),
            _clipped_share(layer),
            "yes" if layer.keep_8bit else "",
            layer.reason.partition(":")[0],
        )
    return table


def _dump_notes(report: DumpReport) -> list[str]:
    notes = [
        f"{counted(count, 'layer')} {reason}"
        for reason, count in Counter(each.reason for each in report.layers).items()
    ]
    notes.append(
        "Pairs: adjacent channels (2i, 2i+1) at one position; with a zero: at least one of the two."
    )
    notes.append(_clipped_note(report))
    notes += [f"left out: {name}" for name in report.skipped]
    share = report.coverage.left_out_text(report.macs)
    notes += [f"left out in all: {share}"] if share else []
    notes += report.notes
    warning = clipping_warning((layer.name, layer.clipped_share) for layer in report.layers)
    return [*notes, warning] if warning else notes


def _record(layer: DumpedLayer) -> dict[str, Any]:
    return {
        "layer": layer.name,
        "op": layer.op,
        "kept_8bit": layer.keep_8bit,
        "activations": layer.values,
        "zero_activations": layer.zeros,
        "pairs": layer.pairs,
        "pairs_with_a_zero": layer.pairs_with_zero,
        "quantised": layer.quantised,
        "clipped": layer.clipped if layer.quantised else None,
        "clipped_share": layer.clipped_share,
        "reason": layer.reason,
    }


def _pair_share(layer: DumpedLayer) -> str:
    return percent(layer.pairs_with_zero / layer.pairs) if layer.pairs else "-"


def _clipped_share(layer: DumpedLayer) -> str:
    """Return the share in percent, to a thousandth: 0.2 % is much already."""
    share = layer.clipped_share
    return "-" if share is None else f"{100 * share:.3f}"


def _clipped_note(report: DumpReport) -> str:
    if all(layer.clipped_share is None for layer in report.layers):
        return "Clipped: not known, the codes are the network's own."
    return (
        "Clipped: of the real values that were given codes, those outside the code's range; "
        "- where the codes are the network's own."
    )
