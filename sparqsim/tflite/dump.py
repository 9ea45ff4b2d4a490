"""A trace of a TFLite network: the interpreter runs it, and its own 8-bit integers are stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from sparqsim.errors import InputError, nearest
from sparqsim.images import Pictures
from sparqsim.tflite.macs import MacOperator, read_operators, skipped_operators
from sparqsim.tflite.model import Array, Model
from sparqsim.trace.dumpreport import DumpedLayer, DumpReport
from sparqsim.trace.writer import TraceWriter

ORIGIN = "sparqsim trace dump (TFLite interpreter)"


def kept_layers(macs: list[MacOperator], wanted: Collection[str] | None) -> frozenset[str]:
    """Return the layers that stay at 8 bits: the first convolution and the last layer, or those `wanted`."""
    names = [mac.name for mac in macs]
    if wanted is None:
        return frozenset(
            {next((mac.name for mac in macs if mac.geometry is not None), names[-1]), names[-1]}
        )
    for name in wanted:
        if name not in names:
            raise InputError(f"--keep-8bit {name!r}: no such layer{nearest(name, names)}")
    return frozenset(wanted)


def prepared(model: Model, pictures: Pictures) -> Iterator[Array]:
    """Yield pictures as the model takes them, one by one."""
    dtype = model.tensors[model.inputs[0]].dtype
    for batch in pictures.batches(1, "nhwc", dtype):
        yield batch[0]


def dump(
    path: str | Path,
    pictures: Pictures,
    target: str | Path,
    *,
    skip: Collection[str] = (),
    keep_8bit: Collection[str] | None = None,
    **document: str,
) -> DumpReport:
    """Write the trace of `pictures`; one picture is in memory at a time.

    Parameters
    ----------
    path : str or Path
        The .tflite file.
    pictures : Pictures
    target : str or Path
        The trace file.
    skip : operators (kind or name) to leave out
    keep_8bit : layers that stay at 8 bits
        Default: the first convolution and the last layer.
    **document
        More fields of the document: license_note, ...

    Raises
    ------
    InputError
        For a model that is not 8-bit, unsupported operators, pictures that do not fit.
    """
    model = Model(path)
    macs = read_operators(model, skip)
    kept, skipped = kept_layers(macs, keep_8bit), tuple(skipped_operators(model, skip))
    layers = {
        mac.name: DumpedLayer(mac.name, mac.op, mac.codes.reason, mac.name in kept) for mac in macs
    }
    about = {
        "pictures": len(pictures),
        "preprocess": pictures.preprocess.spec,
        "skipped": list(skipped),
    }
    document = {
        "network": Path(path).name,
        "origin": ORIGIN,
        "calibrator": "the network's own scales",
    } | document
    interpreter = model.interpreter()
    sources = list(dict.fromkeys(mac.source.index for mac in macs))
    with TraceWriter(target, provenance=about, **document) as writer:
        for mac in macs:
            writer.add_layer(mac.record(mac.name in kept), mac.weights.codes, mac.bias)
        for picture in prepared(model, pictures):
            values = interpreter.run(picture, sources)
            for mac in macs:
                stored = mac.stored(values[mac.source.index])
                writer.append(mac.name, stored)
                layers[mac.name].count(np.asarray(stored))
    return DumpReport(tuple(layers.values()), skipped, len(pictures))
