"""A trace of a TFLite network: the interpreter runs it, and its own 8-bit integers are stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.wording import counted
from sparqsim.networks.images import Pictures
from sparqsim.networks.tflite.fixedpoint import codes_of
from sparqsim.networks.tflite.leftout import left_out
from sparqsim.networks.tflite.macs import MacOperator, described, read_operators, skipped_operators
from sparqsim.networks.tflite.model import Array, Model, Tensor
from sparqsim.networks.tflite.quantised import check_activation, is_quantised
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.dumpreport import DumpedLayer, DumpReport
from sparqsim.trace.writer import TraceWriter

ORIGIN = "sparqsim trace dump (TFLite interpreter)"
#: What an input may be.
INPUT_DTYPES = (np.float32, np.float16, np.uint8, np.int8)


def kept_layers(macs: list[MacOperator], chosen: Collection[str] | None) -> frozenset[str]:
    """Return the layers that stay at 8 bits: those chosen, or first convolution and last layer."""
    names = [mac.name for mac in macs]
    if chosen is None:
        return frozenset(
            {next((mac.name for mac in macs if mac.geometry is not None), names[-1]), names[-1]}
        )
    for name in chosen:
        if name not in names:
            raise InputError(f"--keep-8bit {name!r}: no such layer{nearest(name, names)}")
    return frozenset(chosen)


def only_input(model: Model) -> Tensor:
    """Return the tensor that pictures go to. Raises InputError for another number of inputs."""
    inputs = [model.tensors[at] for at in model.inputs]
    if len(inputs) != 1:
        names = ", ".join(repr(tensor.name) for tensor in inputs) or "none"
        raise InputError(
            f"{model.path}: takes {counted(len(inputs), 'input')} ({names}), expected one"
        )
    if inputs[0].dtype not in INPUT_DTYPES:
        raise InputError(
            f"{model.path}: input {inputs[0].name!r} is {inputs[0].kind}, expected one of "
            f"{', '.join(np.dtype(dtype).name for dtype in INPUT_DTYPES)}"
        )
    return inputs[0]


def prepared(model: Model, pictures: Pictures) -> Iterator[Array]:
    """Yield inputs as the model takes them, one by one.

    Real numbers that are ready for an 8-bit input are quantised by its scale, as QUANTIZE does.
    """
    tensor = only_input(model)
    ready = pictures.ready
    real_to_codes = ready is not None and ready.dtype.kind == "f" and tensor.dtype != np.float32
    if real_to_codes and not is_quantised(tensor):
        check_activation(tensor)
    for batch in pictures.batches(1, "nhwc", np.float32 if real_to_codes else tensor.dtype):
        yield codes_of(batch[0], tensor) if real_to_codes else batch[0]


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
    kept, skipped = kept_layers(macs, keep_8bit), skipped_operators(model, skip)
    only_input(model)
    coverage = Coverage(
        inputs=len(pictures),
        left_out=tuple(left_out(model, operator, len(pictures)) for operator in skipped),
    )
    names = tuple(map(described, skipped))
    layers = {
        mac.name: DumpedLayer(mac.name, mac.op, mac.codes.reason, mac.name in kept) for mac in macs
    }
    about = {
        "pictures": len(pictures),
        "preprocess": pictures.preprocess.spec,
        "skipped": list(names),
        # Batch norms that the converter folded leave no mark in the file: nothing is said of them.
        **coverage.entry(),
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
    return DumpReport(tuple(layers.values()), names, len(pictures), coverage)
