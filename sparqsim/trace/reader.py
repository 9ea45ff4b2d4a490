"""Reading trace files: `load_trace` for use, `check_trace` for every fault there is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sparqsim.base.errors import InputError
from sparqsim.base.limits import LAYERS
from sparqsim.base.record import faults_of
from sparqsim.base.textfile import json_of
from sparqsim.trace.codebits import ALL_BITS, checked
from sparqsim.trace.layer import Layer, LayerFault, tensor_place
from sparqsim.trace.schema import DRAWN_FORMAT, FORMAT, DrawnDocument, LayerRecord, TraceDocument
from sparqsim.trace.source import TensorSource
from sparqsim.trace.tensorfile import TensorFile
from sparqsim.trace.trace import ARRAYS, METADATA_KEY, Trace, name_faults


def load_trace(path: str | Path) -> Trace:
    """Open a trace file; operands are read from it layer by layer, when used.

    A file of drawn values (`sparqsim.trace.drawn`) gives a `DrawnTrace`: operands are drawn.

    Raises
    ------
    InputError
        When the file is not a sound trace; the line names the file, the layer and the field.
    """
    file = TensorFile(path)
    document, faults = _document(file)
    if document is None:
        raise InputError(f"{path}: {_first_of(faults)}")
    if isinstance(document, DrawnDocument):
        from sparqsim.trace.drawn import drawn_trace_of

        faults += _drawn_faults(file, document)
        if faults:
            raise InputError(f"{path}: {_first_of(faults)}")
        return drawn_trace_of(document, lambda: file.sha256)
    layers = []
    for record in document.layers:
        layer, found = _layer(file, record)
        faults += found
        layers += [layer] if layer else []
    if faults:
        raise InputError(f"{path}: {_first_of(faults)}")
    arrays = StoredArrays(file)
    return Trace(layers, arrays=arrays, digest=lambda: file.sha256, **document.about)


def as_trace(trace: Trace | str | os.PathLike[str]) -> Trace:
    """Return a trace, loaded where it is named by its file.

    Raises
    ------
    InputError
        For anything else, and for a file that is no sound trace.
    """
    if isinstance(trace, Trace):
        return trace
    if isinstance(trace, str | os.PathLike):
        return load_trace(Path(trace))
    raise InputError(
        f"trace is a {type(trace).__name__}, expected a Trace or the path of a trace file"
    )


def check_trace(path: str | Path) -> list[str]:
    """Return every fault of a trace file, one line each; an empty list means it is sound.

    Shapes and dtypes are checked from the header, or from the document that says how values are
    drawn; only tensors of fewer than 8 bits are read, for codes that do not fit, and none is drawn.
    """
    try:
        file = TensorFile(path)
    except InputError as error:
        return [str(error).removeprefix(f"{path}: ")]
    document, faults = _document(file)
    if isinstance(document, DrawnDocument):
        return faults + _drawn_faults(file, document)
    if document is None:
        # What the document says of single layers may be sound all the same: their tensors are
        # looked at, too.
        records: Sequence[LayerRecord]
        records, names = _sound_records(file.metadata.get(METADATA_KEY, ""))
        faults += name_faults(names) if names else []
    else:
        records, names = document.layers, [record.name for record in document.layers]
    for record in records:
        layer, found = _layer(file, record)
        faults += found
        if layer is not None:
            faults += [_without_path(fault, file) for fault in layer.code_faults()]
    return faults + (_stray_tensors(file, names) if names else [])


def trace_remarks(path: str | Path) -> list[str]:
    """Return what is odd about the values of a sound trace, and no fault, one line each.

    That is layers whose weights or activations are all zero: a network may hold such a layer, and
    inputs may leave one dark. Tensors are read once, layer by layer. Drawn values are not looked
    at, and the remark says so.

    Raises
    ------
    InputError
        For a file with faults.
    """
    from sparqsim.trace.drawn import DrawnTrace

    trace = load_trace(path)
    if isinstance(trace, DrawnTrace):
        told = "values are drawn when they are read, and none was drawn for this check"
        return [f"{trace.elements:,} {told}: {trace.distribution}"]
    return [
        f"layer {layer.name!r}: {what} are all zero: all of its products are zero"
        for layer in trace.layers
        for what, values in (("weights", layer.weights), ("activations", layer.activations))
        if not np.any(values)
    ]


class StoredArrays(Mapping[str, NDArray[Any]]):
    """The arrays beside the layers in a trace file, each read when asked for."""

    def __init__(self, file: TensorFile) -> None:
        self._file = file
        self._names = {
            name.removeprefix(ARRAYS): None for name in file.names if name.startswith(ARRAYS)
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        return self._file.source(ARRAYS + name).load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _first_of(faults: list[str]) -> str:
    more = f" (and {len(faults) - 1} more: see `sparqsim trace check`)" if len(faults) > 1 else ""
    return faults[0] + more


def _document(
    file: TensorFile,
) -> tuple[TraceDocument | DrawnDocument | None, list[str]]:
    """Return the file's document and its faults; None where the document cannot be read at all."""
    text = file.metadata.get(METADATA_KEY)
    if text is None:
        fault = (
            f"metadata key {METADATA_KEY!r} is missing (a safetensors file, but no trace); "
            f"expected {FORMAT!r}"
        )
        return None, [fault]
    try:
        fields = json_of(text, f"metadata key {METADATA_KEY!r}", "a trace document")
        document = _kind(fields).model_validate_json(text)
        LAYERS.check(len(document.layers), "layers")
    except ValidationError as error:
        return None, faults_of(error)
    except InputError as error:
        return None, [str(error)]
    return document, name_faults([record.name for record in document.layers])


def _kind(fields: Any) -> type[TraceDocument | DrawnDocument]:
    """Return what a document is, by its format; an unknown format is a fault of stored operands."""
    is_drawn = isinstance(fields, dict) and fields.get("format") == DRAWN_FORMAT
    return DrawnDocument if is_drawn else TraceDocument


def _drawn_faults(file: TensorFile, document: DrawnDocument) -> list[str]:
    """Return what is wrong with a file of drawn values whose document can be read."""
    from sparqsim.trace.drawn import drawn_trace_of, shape_of
    from sparqsim.trace.synthetic import Distribution

    faults = [
        f"tensor {name!r} stands in the file, and all values are drawn ({DRAWN_FORMAT}): "
        "expected no tensors"
        for name in file.names
    ]
    for record in document.layers:
        try:
            shape_of(record).drawn(Distribution(), record.number)
        except LayerFault as error:
            faults += error.faults
    if not faults:
        try:
            drawn_trace_of(document, lambda: file.sha256)
        except InputError as error:
            faults.append(str(error))
    return faults


def _sound_records(text: str) -> tuple[list[LayerRecord], list[str]]:
    """Return the sound records of an unsound document, and every layer's name in it."""
    try:
        layers = json_of(text, "document")["layers"]
        entries = [entry for entry in layers if isinstance(entry, dict)][: LAYERS.most]
    except (InputError, LookupError, TypeError):
        return [], []
    records = []
    for entry in entries:
        with suppress(ValidationError):
            records.append(LayerRecord.model_validate_json(json.dumps(entry)))
    return records, [entry["name"] for entry in entries if isinstance(entry.get("name"), str)]


def _layer(file: TensorFile, record: LayerRecord) -> tuple[Layer | None, list[str]]:
    """Return the layer `record` describes, or None and its faults."""
    wanted = [f"{record.name}/{tensor}" for tensor in ("activations", "weights")]
    missing = [
        f"layer {record.name!r}: tensor {name!r} is missing" for name in wanted if name not in file
    ]
    if missing:
        return None, missing
    if (bias := f"{record.name}/bias") in file:
        wanted.append(bias)
    try:
        return Layer(record, *[_source(file, record, name) for name in wanted]), []
    except LayerFault as error:
        return None, error.faults
    except InputError as error:
        return None, [_without_path(str(error), file)]


def _source(file: TensorFile, record: LayerRecord, name: str) -> TensorSource:
    """Return a tensor whose codes are checked against the layer's bits, errors with the file's
    path.
    """
    operand = name.removeprefix(f"{record.name}/")
    place = f"{file.path}: {tensor_place(record.name, operand)}"
    return checked(file.source(name), record.bits.get(operand, ALL_BITS), place)


def _without_path(fault: str, file: TensorFile) -> str:
    return fault.removeprefix(f"{file.path}: ")


def _stray_tensors(file: TensorFile, layers: Iterable[str]) -> list[str]:
    known = {
        f"{layer}/{tensor}" for layer in layers for tensor in ("activations", "weights", "bias")
    }
    return [
        f"tensor {name!r} belongs to no layer, expected NAME/activations, NAME/weights, "
        "NAME/bias or arrays/NAME"
        for name in file.names
        if name not in known and not name.startswith(ARRAYS)
    ]
