"""Traces of what is no network: arrays of one's own, and shapes whose values are drawn."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from sparqsim.base.errors import InputError, printable
from sparqsim.base.wording import counted
from sparqsim.trace.drawn import Values, save_synthetic
from sparqsim.trace.synthetic import Distribution, LayerShape


def import_trace(
    source: str,
    target: str,
    distribution: Distribution | None = None,
    *,
    calibrate: str = "mean-max",
    skip: Collection[str] = (),
    sizes: str = "",
    values: Values = "drawn",
) -> list[str]:
    """Write the trace of a topology, a graph or a directory of .npy files; return what to know of
    it.

    Parameters
    ----------
    source : str
        SCALE-Sim topology (.csv) or ONNX graph (.onnx), of which only shapes are taken; or a
        directory of act-*.npy and wgt-*.npy.
    target : str
        The trace file.
    distribution : Distribution, optional
        How the values of shapes are drawn; the trace says so in `synthetic`.
    calibrate : str
        How scales of .npy arrays are found.
    skip : collection of str
        Nodes or operators of a graph to leave out.
    sizes : str
        Free sizes of a graph, 'NAME=N,...'.
    values : {'drawn', 'stored'}
        Whether the file of a topology or graph says how values are drawn, or stores them.

    Raises
    ------
    InputError
        For another kind of source, or one that cannot be used.
    """
    place = Path(source)
    if sizes and place.suffix.lower() != ".onnx":
        raise InputError(f"--size {sizes}: {source} has no free sizes, expected an ONNX graph")
    if place.is_dir():
        return [_import_arrays(place, target, calibrate)]
    drawn = distribution or Distribution()
    shapes, notes, document = _shapes(place, skip, sizes)
    save_synthetic(target, shapes, drawn, values=values, network=printable(place.name), **document)
    kept = "stored" if values == "stored" else "drawn when they are read"
    layers = counted(len(shapes), "layer")
    return [*notes, f"{target}: {layers}; SYNTHETIC values, {kept}: {drawn}"]


def _import_arrays(folder: Path, target: str, calibrate: str) -> str:
    from sparqsim.trace.npy import read_directory

    trace = read_directory(folder, calibrate)
    trace.save(target)
    layers = counted(len(trace.layers), "layer")
    return f"{target}: {layers} from .npy files; scales: {trace.metadata.calibrator}"


def _shapes(
    place: Path, skip: Collection[str], sizes: str
) -> tuple[list[LayerShape], list[str], dict[str, Any]]:
    """Return the layers of a topology or graph, notes, and fields of the trace's document."""
    provenance: dict[str, Any] = {}
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
            f"{place}: expected a topology (.csv), a graph (.onnx), or a directory of "
            "act-*.npy and wgt-*.npy"
        )
    document = {
        "origin": f"sparqsim trace import ({origin})",
        "provenance": {"notes": list(notes)} | provenance,
    }
    return shapes, notes, document
