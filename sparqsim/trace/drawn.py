"""Traces of drawn values, and their two files: one says how values are drawn, one stores them.

A file of the first kind holds no tensors. Its document has shapes, the distribution and the seed;
whoever reads the trace draws the values, a block at a time, and they are the same bit for bit as
those of the second kind. Its format has a name of its own, `sparqsim.trace.drawn/1`, so that a
reader who knows stored operands only refuses it by that name, and the numbers of the format of
stored operands stay free for what they store.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from sparqsim.base.errors import InputError, shown
from sparqsim.base.limits import (
    DRAWN_ELEMENTS,
    DRAWN_ELEMENTS_AT_ONCE,
    DRAWN_MACS,
    SYNTHETIC_BYTES,
)
from sparqsim.base.tabular import Row
from sparqsim.trace.codebits import ALL_BITS
from sparqsim.trace.header import written_header
from sparqsim.trace.schema import DrawnDocument, DrawnLayerRecord, DrawnValues, LayerRecord
from sparqsim.trace.synthetic import Distribution, LayerShape
from sparqsim.trace.trace import METADATA_KEY, Trace

#: What a file of drawn values holds.
Values = Literal["drawn", "stored"]
VALUES: tuple[Values, ...] = ("drawn", "stored")


def checked_values(name: str) -> Values:
    """Return what a file of drawn values shall hold. Raises InputError for other names."""
    found = next((values for values in VALUES if values == name), None)
    if found is None:
        raise InputError(f"values={shown(name)}: expected {' or '.join(VALUES)}")
    return found


class DrawnTrace(Trace):
    """A trace whose values are drawn when they are read; its file says how, and holds none.

    Parameters
    ----------
    shapes : mapping of int to LayerShape
        By the number of the layer's random streams, in the order of the layers.
    distribution : Distribution
    digest : callable, optional
        Returns the SHA-256 of the file the trace was read from.
    **document
        Fields of the document: network, calibrator, origin, license_note, provenance.

    Raises
    ------
    InputError
        For shapes that do not belong together, and for more elements than `sparqsim.base.limits`
        allows.
    """

    def __init__(
        self,
        shapes: Mapping[int, LayerShape],
        distribution: Distribution,
        *,
        digest: Callable[[], str] | None = None,
        **document: Any,
    ) -> None:
        _check_sizes(shapes.values())
        _check_bits(shapes.values())
        self.distribution = distribution
        self._shapes = dict(shapes)
        super().__init__(
            [shape.drawn(distribution, number) for number, shape in shapes.items()],
            digest=digest,
            synthetic=str(distribution),
            **document,
        )

    def flat_rows(self) -> list[Row]:
        """Return a row per layer; zeros are not counted, as nothing is drawn for a table."""
        return [layer.row(zeros=None) for layer in self.layers]

    @property
    def elements(self) -> int:
        """Elements of all layers, activations and weights: what reading the whole trace draws."""
        return sum(shape.elements for shape in self._shapes.values())

    def check_computable(self) -> None:
        """Raise InputError for more multiply-accumulates than `DRAWN_MACS` allows."""
        DRAWN_MACS.check(self.macs, "computing with drawn values")

    @property
    def document(self) -> DrawnDocument:
        """The document of the trace's file."""
        distribution = self.distribution
        return DrawnDocument(
            drawn=DrawnValues(
                zeros=float(distribution.zeros),
                correlation=float(distribution.correlation),
                seed=distribution.seed,
            ),
            layers=tuple(_record(number, shape) for number, shape in self._shapes.items()),
            **_without_label(self.metadata.about),
        )

    def _parts(self) -> Iterator[bytes | memoryview]:
        text = json.dumps(self.document.model_dump(mode="json"), sort_keys=True)
        header, _ = written_header([], {METADATA_KEY: text})
        yield header


def drawn_trace_of(document: DrawnDocument, digest: Callable[[], str]) -> DrawnTrace:
    """Return the trace that a file's document describes; nothing is drawn.

    Raises
    ------
    InputError
        For parameters out of range, shapes that do not belong together, and a number used twice.
    """
    values = document.drawn
    try:
        distribution = Distribution(values.zeros, values.correlation, values.seed)
    except InputError as error:
        raise InputError(f"drawn: {error}") from None
    shapes: dict[int, LayerShape] = {}
    for record in document.layers:
        if record.number in shapes:
            raise InputError(
                f"layer {record.name!r}: number={record.number} is used twice, expected a number "
                "of its own"
            )
        shapes[record.number] = shape_of(record)
    return DrawnTrace(shapes, distribution, digest=digest, **document.about)


def shape_of(record: DrawnLayerRecord) -> LayerShape:
    """Return the layer without values that a document describes."""
    return LayerShape(record.layer, record.activations, record.weights)


def synthetic_trace(
    shapes: Sequence[LayerShape], distribution: Distribution, **document: Any
) -> DrawnTrace:
    """Return a trace of drawn values; they are drawn when they are read, a block at a time.

    Parameters
    ----------
    shapes : sequence of LayerShape
        A layer's number is its place.
    distribution : Distribution
    **document
        Fields of the document: network, origin, provenance, ...
    """
    return DrawnTrace(dict(enumerate(shapes)), distribution, **document)


def save_synthetic(
    path: str | Path,
    shapes: Sequence[LayerShape],
    distribution: Distribution,
    *,
    values: Values = "drawn",
    **document: Any,
) -> None:
    """Write a trace of drawn values.

    Parameters
    ----------
    path : str or Path
    shapes, distribution, **document
        As in `synthetic_trace`.
    values : {'drawn', 'stored'}
        Whether the file says how values are drawn, or stores them; a block is in memory at a time.

    Raises
    ------
    InputError
        Before anything is drawn: for more elements than `DRAWN_ELEMENTS` allows; where values are
        stored, for a file larger than `SYNTHETIC_BYTES` allows, or than the disk has room for.
        The line tells the size.
    """
    if values == "stored":
        _save_stored(Path(path), shapes, distribution, document)
        return
    try:
        trace = synthetic_trace(shapes, distribution, **document)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    trace.save(path)


def _save_stored(
    path: Path,
    shapes: Sequence[LayerShape],
    distribution: Distribution,
    document: Mapping[str, Any],
) -> None:
    _check_room(path, sum(shape.elements for shape in shapes))
    layers = [shape.drawn(distribution, number) for number, shape in enumerate(shapes)]
    Trace(layers, synthetic=str(distribution), **document).save(path)


def _without_label(about: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in about.items() if name != "synthetic"}


def _check_room(path: Path, size: int) -> None:
    SYNTHETIC_BYTES.check(size, f"{path}: size of the trace")
    with suppress(OSError):  # of a folder that is not there the writer tells
        free = shutil.disk_usage(path.absolute().parent).free
        if size > free:
            raise InputError(
                f"{path}: the trace would take {size:,} bytes, and the disk has {free:,} free; "
                "expected a disk with room for it"
            )


def _check_sizes(shapes: Iterable[LayerShape]) -> None:
    shapes = list(shapes)
    DRAWN_ELEMENTS.check(sum(shape.elements for shape in shapes), "values to draw")
    for shape in shapes:
        what = f"layer {shape.record.name!r}: values drawn at once"
        DRAWN_ELEMENTS_AT_ONCE.check(shape.elements_at_once, what)


def _check_bits(shapes: Iterable[LayerShape]) -> None:
    for shape in shapes:
        for operand, bits in shape.record.bits.items():
            if bits < ALL_BITS:
                raise InputError(
                    f"layer {shape.record.name!r}: {operand} of {bits} bits, and values are drawn "
                    f"with {ALL_BITS}; expected {ALL_BITS} (`sparqsim trace requantise` gives a "
                    "trace fewer)"
                )


def _record(number: int, shape: LayerShape) -> DrawnLayerRecord:
    stored = {name: getattr(shape.record, name) for name in LayerRecord.model_fields}
    return DrawnLayerRecord(
        number=number, activations=shape.activations, weights=shape.weights, **stored
    )
