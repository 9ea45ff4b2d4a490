"""Transforms applied to a whole trace: what changed is counted, and stands in the new trace."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from sparqsim.base.errors import InputError
from sparqsim.trace.layer import Layer
from sparqsim.trace.reader import as_trace
from sparqsim.trace.source import BLOCK_ELEMENTS, TensorSource
from sparqsim.trace.trace import TRANSFORMS, Trace
from sparqsim.trace.transforms.base import Transform
from sparqsim.trace.transforms.registry import get_transform

Array = NDArray[Any]

#: Where a trace's provenance keeps what was done to it.
KEY = TRANSFORMS
OPERANDS = ("activations", "weights")


def transform(trace: Trace | str | PathLike[str], transforms: Sequence[str | Transform]) -> Trace:
    """Return a trace whose layers went through transforms, one after another.

    Operands are read once for what is counted, block by block, and again, changed, when the new
    trace is used or saved: it holds none of them.

    Parameters
    ----------
    trace : Trace, or the path of a trace file
    transforms : sequence of str or Transform
        'NAME', 'NAME:key=value,...' or 'FILE.py:CLASS[:key=value,...]'; at least one.

    Returns
    -------
    Trace
        Its `network` names the transforms, so that every result does. `provenance["transforms"]`
        gets an entry for each: `transform` (name and keys), `source_sha256` (of the trace given
        here), and for each layer what the transform says of itself, how many codes of each operand
        it changed, and `output_sqnr_db` against the layer of the trace given here.

    Raises
    ------
    InputError
        For an unknown transform or key, or a layer that a transform cannot change.
    """
    source = as_trace(trace)
    chosen = [get_transform(spec) for spec in transforms]
    if not chosen:
        raise InputError("transforms: none given, expected at least one")
    layers = list(source.layers)
    entries: list[JsonValue] = []
    for each in chosen:
        applied = [
            _applied(each, layer, untransformed)
            for layer, untransformed in zip(layers, source.layers, strict=True)
        ]
        layers = [layer for layer, _ in applied]
        facts: dict[str, JsonValue] = {layer.name: about for layer, about in applied}
        entries.append({"transform": each.spec, "source_sha256": source.sha256, "layers": facts})
    return Trace(layers, arrays=source.arrays, **_document(source, entries))


def _document(source: Trace, entries: Sequence[JsonValue]) -> dict[str, Any]:
    """Return the fields of the new trace's document."""
    old = source.metadata
    before = old.provenance.get(KEY, [])
    earlier = before if isinstance(before, list) else [before]
    specs = ", ".join(str(entry["transform"]) for entry in entries if isinstance(entry, dict))
    return old.about | {
        "network": f"{old.network} [transformed: {specs}]".lstrip(),
        "provenance": old.provenance | {KEY: [*earlier, *entries]},
    }


def _applied(
    each: Transform, layer: Layer, untransformed: Layer
) -> tuple[Layer, dict[str, JsonValue]]:
    """Return the changed layer, and what the provenance says of it."""
    result = each.apply(layer)
    changed = result.layer
    counts: dict[str, JsonValue] = {
        f"{operand}_changed": _changed_codes(
            getattr(layer, f"{operand}_source"), getattr(changed, f"{operand}_source")
        )
        for operand in OPERANDS
    }
    sqnr_db = output_sqnr_db(untransformed, changed)
    return changed, {**result.facts, **counts, "output_sqnr_db": sqnr_db}


def _changed_codes(before: TensorSource, after: TensorSource) -> int:
    """Return how many stored integers differ; nothing is read of a tensor that stayed."""
    if before is after:
        return 0
    pairs = zip(before.blocks(), after.blocks(), strict=True)
    return sum(int(np.count_nonzero(old != new)) for old, new in pairs)


def output_sqnr_db(before: Layer, after: Layer) -> float | None:
    """Return what a change of its operands costs a layer's outputs.

    10 log10(sum y^2 / sum (y' - y)^2) over all outputs, dB, to a hundredth: y the sums of the layer
    before, zero points corrected, y' those after, in the units of y (scales differ). None where
    nothing is lost, or all y are zero.
    """
    if before is after:
        return None
    unit = _units(after) / _units(before)
    signal, noise = [], []
    for exact, found in _sums(before, after):
        difference = found * unit - exact
        signal.append(float(np.square(exact, dtype=np.float64).sum()))
        noise.append(float(np.square(difference).sum()))
    total, lost = math.fsum(signal), math.fsum(noise)
    if not total or not lost:
        return None
    return round(10 * math.log10(total / lost), 2)


def _sums(before: Layer, after: Layer) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the corrected sums of both layers, int64 (groups, rows, N), some rows at a time."""
    one, other = before.lower(), after.lower()
    rows = max(1, BLOCK_ELEMENTS // max(1, one.groups * max(one.k, one.n)))
    for start in range(0, one.m, rows):
        yield (
            one.sums(one.rows(start, start + rows), one.weights),
            other.sums(other.rows(start, start + rows), other.weights),
        )


def _units(layer: Layer) -> NDArray[np.float64]:
    """Return the real value of 1 in sums, float64 (groups, 1, N); 1 without weight scales."""
    gemm, scales = layer.gemm, layer.record.weight_scales
    of_weights = np.asarray(scales or (1.0,), np.float64)
    per_channel = np.broadcast_to(of_weights, gemm.groups * gemm.n)
    return per_channel.reshape(gemm.groups, 1, gemm.n) * layer.record.activation_scale
