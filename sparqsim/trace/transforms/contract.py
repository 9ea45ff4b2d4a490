"""The contract of transforms, as checks that anyone can run: `check_transform(get_transform(...))`.

Each check applies the transform to small layers of every operation, signed and unsigned, and
expects what every transform must keep. What a transform does to values is for its own tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.contract import Check, Outcome, expect, expect_same_of_spec, outcomes_of
from sparqsim.base.errors import InputError
from sparqsim.trace.layer import Layer
from sparqsim.trace.source import TensorSource
from sparqsim.trace.trace import Trace
from sparqsim.trace.transforms.applying import KEY, transform
from sparqsim.trace.transforms.base import Transform
from sparqsim.trace.transforms.registry import REGISTRY

Array = NDArray[Any]

SEED = 20
OPERANDS = ("activations", "weights")


def check_transform(each: Transform) -> Iterator[Outcome]:
    """Run every check on a transform."""
    return outcomes_of(CHECKS, each)


def trial_layers() -> list[Layer]:
    """Return small layers of every operation: signed or not, grouped or not, kept or not."""
    rng = np.random.default_rng(SEED)
    layers = []
    for signed, kept in product((False, True), (False, True)):
        dtype, low, high = (np.int8, -128, 128) if signed else (np.uint8, 0, 256)
        named = f"{'signed' if signed else 'unsigned'}{', kept' if kept else ''}"
        images = rng.integers(low, high, (2, 5, 4, 6)).astype(dtype)
        filters = rng.integers(-128, 128, (4, 6, 3)).astype(np.int8)
        rows = rng.integers(low, high, (7, 9)).astype(dtype)
        matrix = rng.integers(-128, 128, (9, 5)).astype(np.int8)
        layers += [
            Layer.conv2d(
                f"conv, {named}",
                images,
                filters,
                kernel=(3, 2),
                padding=(1, 1, 0, 1),
                groups=2,
                activation_scale=0.25,
                weight_scales=[0.5, 1.0, 2.0, 4.0],
                bias=np.ones(4, np.float32),
                keep_8bit=kept,
            ),
            Layer.linear(f"linear, {named}", rows, matrix.T.copy(), keep_8bit=kept),
            Layer.from_gemm(f"gemm, {named}", rows, matrix, keep_8bit=kept),
        ]
    zeros = np.zeros((3, 4), np.uint8)
    return [*layers, Layer.from_gemm("zeros", zeros, np.zeros((4, 2), np.int8))]


def _accepted(each: Transform) -> Iterator[tuple[Layer, Layer, Mapping[str, Any]]]:
    """Yield the trial layers that the transform takes, as they were and as it leaves them."""
    taken = 0
    for layer in trial_layers():
        try:
            result = each.apply(layer)
        except InputError as error:
            expect(repr(layer.name) in str(error), f"{error}: expected the layer's name in it")
            continue
        taken += 1
        yield layer, result.layer, result.facts
    expect(taken > 0, "takes none of the trial layers")


def check_name(each: Transform) -> None:
    """Expect the name and the keys to make the same transform again."""
    expect(bool(each.name) and ":" not in each.name, f"name={each.name!r}")
    expect_same_of_spec(each, REGISTRY.what)


def check_shapes(each: Transform) -> None:
    """Expect name, operation, geometry, shapes and dtypes of the layer given, in values too."""
    for before, after, _ in _accepted(each):
        kept = ("name", "op", "geometry", "groups", "keep_8bit")
        for name in kept:
            same = getattr(before.record, name) == getattr(after.record, name)
            expect(same, f"layer {before.name!r}: {name} changed")
        for operand in OPERANDS:
            old, new = _source(before, operand), _source(after, operand)
            stated = (new.shape, new.dtype) == (old.shape, old.dtype)
            values = new.load()
            held = (values.shape, values.dtype) == (old.shape, old.dtype)
            expect(
                stated and held,
                f"layer {before.name!r}: {operand} are {values.dtype} {values.shape}, "
                f"expected {old.dtype} {old.shape}",
            )
        bias = (before.bias, after.bias)
        same = bias[0] is bias[1] or np.array_equal(*bias)  # type: ignore[arg-type]
        expect(bool(same), f"layer {before.name!r}: bias changed")


def check_determinism(each: Transform) -> None:
    """Expect the same of the same layer each time: values, scales and facts."""
    first, second = list(_accepted(each)), list(_accepted(each))
    for (before, one, facts), (_, other, again) in zip(first, second, strict=True):
        same = one.record == other.record and facts == again
        for operand in OPERANDS:
            values = _source(one, operand).load()
            same &= np.array_equal(values, _source(other, operand).load())
            same &= np.array_equal(values, _source(one, operand).load())
        expect(bool(same), f"layer {before.name!r}: differs from one time to the next")


def check_input_untouched(each: Transform) -> None:
    """Expect what was given to stay as it was, whatever is done with what comes out."""
    for layer in trial_layers():
        before = {operand: _source(layer, operand).load().copy() for operand in OPERANDS}
        record = layer.record.model_copy(deep=True)
        try:
            after = each.apply(layer).layer
        except InputError:
            continue
        for operand in OPERANDS:
            _source(after, operand).load()
            same = np.array_equal(before[operand], _source(layer, operand).load())
            expect(same, f"layer {layer.name!r}: its {operand} were written to")
        expect(record == layer.record, f"layer {layer.name!r}: its record was written to")


def check_streaming(each: Transform) -> None:
    """Expect a tensor read in parts, or in blocks, to be the tensor read whole."""
    for before, after, _ in _accepted(each):
        for operand in OPERANDS:
            source = _source(after, operand)
            whole = source.load()
            blocks = np.concatenate([block.reshape(-1) for block in source.blocks()])
            expect(
                np.array_equal(blocks, whole.reshape(-1)),
                f"layer {before.name!r}: blocks of {operand} are not the whole",
            )
            for part in _parts(source.shape):
                expect(
                    np.array_equal(source.read(part), whole[part]),
                    f"layer {before.name!r}: {operand}[{part}] read alone differs",
                )


def check_provenance(each: Transform) -> None:
    """Expect the new trace to say what was done: name and keys, the trace before, every layer."""
    layers = [before for before, _, _ in _accepted(each)]
    trace = Trace(layers, network="trial", provenance={"own": [1]})
    new = transform(trace, [each])
    told: Any = new.metadata.provenance
    expect(told["own"] == [1], "an entry of the provenance is lost")
    (entry,) = told[KEY]
    expect(entry["transform"] == each.spec, f"told {entry['transform']!r}, expected {each.spec!r}")
    expect(entry["source_sha256"] == trace.sha256, "source_sha256 is not the trace's")
    facts = entry["layers"]
    expect(list(facts) == [layer.name for layer in layers], "not every layer is told of")
    expect(json.loads(json.dumps(facts)) == facts, "facts are no JSON values")
    for before, after in zip(layers, new.layers, strict=True):
        for operand in OPERANDS:
            old, values = _source(before, operand).load(), _source(after, operand).load()
            changed = int((old != values).sum())
            counted = facts[before.name][f"{operand}_changed"]
            expect(counted == changed, f"layer {before.name!r}: {operand}_changed={counted}")


def _source(layer: Layer, operand: str) -> TensorSource:
    source = getattr(layer, f"{operand}_source")
    assert isinstance(source, TensorSource)  # noqa: S101 - for the type checker
    return source


def _parts(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Yield parts of a tensor: one entry of an axis after another, and a range of it."""
    place: tuple[slice, ...] = ()
    for size in shape:
        yield (*place, slice(size // 2, size))
        yield (*place, slice(0, max(1, size - 1)))
        place = (*place, slice(size - 1, size))


CHECKS: Mapping[str, Check[Transform]] = {
    "name and keys": check_name,
    "shapes and dtypes stay": check_shapes,
    "determinism": check_determinism,
    "what is given is not written to": check_input_untouched,
    "parts = whole": check_streaming,
    "provenance": check_provenance,
}
