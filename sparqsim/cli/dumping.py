"""What `sparqsim trace dump` and `sparqsim trace import` do once the command line is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sparqsim.base.errors import InputError, printable
from sparqsim.base.wording import counted
from sparqsim.cli.cells import json_text, percent
from sparqsim.cli.tables import Shown, Table
from sparqsim.networks.images import Pictures
from sparqsim.trace.drawn import Values, save_synthetic
from sparqsim.trace.dumpreport import DumpedLayer, DumpReport, clipping_warning
from sparqsim.trace.synthetic import Distribution


def dump_model(
    model: str,
    pictures: Pictures,
    calibration: Pictures,
    target: str,
    *,
    calibrate: str,
    skip: Collection[str],
    keep_8bit: Collection[str] | None,
    license_note: str,
    batch: int | None = None,
) -> DumpReport:
    """Dump a model by its kind of file. Raises InputError for other kinds."""
    suffix = Path(model).suffix.lower()
    if suffix == ".onnx":
        from sparqsim.networks.onnx.dump import dump as dump_onnx
        from sparqsim.networks.onnx.network import calibrated

        network = calibrated(
            model, calibration, calibrate, skip=skip, keep_8bit=keep_8bit, batch=batch
        )
        return dump_onnx(network, pictures, target, license_note=license_note)
    check_batch_option(model, batch)
    if suffix == ".tflite":
        from sparqsim.networks.tflite.dump import dump as dump_tflite

        return dump_tflite(
            model, pictures, target, skip=skip, keep_8bit=keep_8bit, license_note=license_note
        )
    raise InputError(
        f"{model}: unknown kind of network, expected .onnx or .tflite (PyTorch: sparqsim.networks.torch.dump)"
    )


def check_batch_option(model: str, batch: int | None) -> None:
    """Refuse --batch for a model that fixes its batch itself."""
    if batch is not None:
        raise InputError(
            f"--batch {batch}: {model} says itself how many pictures it takes at a time, expected "
            "--batch for .onnx only"
        )


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
                "notes": list(report.notes),
            }
        ),
    )


def _layers_table(report: DumpReport, target: str) -> Table:
    table = Table(
        f"{target}: {counted(report.pictures, 'picture')}",
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


def import_source(
    source: str,
    target: str,
    distribution: Distribution,
    calibrate: str,
    skip: Collection[str],
    sizes: str = "",
    values: Values = "drawn",
) -> list[str]:
    """Write the trace of a topology, a graph or a directory of .npy files; return what to tell the user.

    values: whether the file of a topology or graph says how values are drawn, or stores them.
    """
    place = Path(source)
    provenance: dict[str, Any] = {}
    if sizes and place.suffix.lower() != ".onnx":
        raise InputError(f"--size {sizes}: {source} has no free sizes, expected an ONNX graph")
    if place.is_dir():
        from sparqsim.trace.npy import read_directory

        trace = read_directory(place, calibrate)
        trace.save(target)
        return [
            f"{target}: {counted(len(trace.layers), 'layer')} from .npy files; scales: {trace.metadata.calibrator}"
        ]
    if place.suffix.lower() == ".csv":
        from sparqsim.trace.topology import read_topology

        topology = read_topology(place)
        shapes, notes, origin = list(topology.layers), list(topology.notes), "SCALE-Sim topology"
    elif place.suffix.lower() == ".onnx":
        from sparqsim.networks.onnx.shapes import parsed_sizes, read_shapes

        graph = read_shapes(place, frozenset(skip), parsed_sizes(sizes))
        shapes, notes = list(graph.layers), list(graph.notes)
        provenance = graph.coverage.entry()
        origin = "ONNX graph, shapes only"
    else:
        raise InputError(
            f"{source}: expected a topology (.csv), a graph (.onnx), or a directory of act-*.npy and wgt-*.npy"
        )
    save_synthetic(
        target,
        shapes,
        distribution,
        values=values,
        network=printable(place.name),
        origin=f"sparqsim trace import ({origin})",
        provenance={"notes": list(notes)} | provenance,
    )
    kept = "stored" if values == "stored" else "drawn when they are read"
    told = f"{target}: {counted(len(shapes), 'layer')}; SYNTHETIC values, {kept}: {distribution}"
    return [*notes, told]
