"""Writing a trace batch by batch: no more than one batch of one layer is in memory at a time.

    with TraceWriter("net.safetensors", network="...", calibrator="mean-max") as writer:
        for record, weights, bias in layers:
            writer.add_layer(record, weights, bias)
        for batch in batches:
            for name, x in inputs_of(batch):
                writer.append(name, x)

The bytes go to temporary files beside the target and are put together at the end; the target
appears whole or not at all. The file is byte for byte the one that `Trace.save` writes for the same
content.
"""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sparqsim.base.errors import InputError
from sparqsim.base.files import check_writable, replaced, temporary_path, unwritable
from sparqsim.base.record import faults_of
from sparqsim.trace.codebits import ALL_BITS, CodeRange
from sparqsim.trace.header import DTYPES, written_header
from sparqsim.trace.layer import Layer
from sparqsim.trace.schema import LayerRecord, TraceDocument
from sparqsim.trace.source import TensorSource
from sparqsim.trace.trace import ARRAYS, METADATA_KEY, name_faults

Array = NDArray[Any]


@dataclass
class Spool:
    """One tensor on its way to the file: its bytes so far, in a temporary file, and its shape,
    grown along `axis`.

    target: the trace file, for messages. bits: of its codes.
    """

    name: str
    path: Path
    axis: int
    target: Path
    bits: int = ALL_BITS
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None

    def append(self, values: Array) -> None:
        """Add `values` along the axis.

        Raises InputError where dtype or the other sizes differ from the first batch, and for a code
        that does not fit.
        """
        if values.dtype not in DTYPES.values():
            raise InputError(
                f"tensor {self.name!r} is {values.dtype}, expected one of "
                f"{', '.join(dtype.name for dtype in DTYPES.values())}"
            )
        if self.dtype is None:
            self.shape, self.dtype = _resized(values.shape, self.axis, 0), values.dtype
        kept = _without(self.shape, self.axis)
        if (
            values.dtype != self.dtype
            or _without(values.shape, self.axis) != kept
            or np.prod(kept[: self.axis]) != 1
        ):
            raise InputError(
                f"tensor {self.name!r}: a batch is {values.dtype} {values.shape}, expected "
                f"{self.dtype} {self.shape} but for axis {self.axis}, which grows (axes before it: "
                "size 1)"
            )
        if self.bits < ALL_BITS:
            codes = CodeRange.of(self.bits, signed=values.dtype == np.int8)
            start = (0,) * self.axis + (self.shape[self.axis],)
            codes.check(values, f"tensor {self.name!r}", start)
        try:
            with self.path.open("ab") as file:
                file.write(np.ascontiguousarray(values).data)
        except OSError as error:
            raise unwritable(self.target, error) from None
        grown = self.shape[self.axis] + values.shape[self.axis]
        self.shape = _resized(self.shape, self.axis, grown)

    @property
    def source(self) -> TensorSource:
        """The tensor's shape and dtype, for checking; it is not loaded."""
        return TensorSource(self.shape, np.dtype(self.dtype), _never_loaded)


def _resized(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _never_loaded(*_: object) -> Array:
    raise io.UnsupportedOperation("a tensor that is being written cannot be read")


@dataclass
class Pending:
    """A layer being written: its record, and whether weights come with each batch (`stacked`)."""

    record: LayerRecord
    stacked: bool
    tensors: dict[str, Spool] = field(default_factory=dict)

    def finished(self) -> Layer:
        """Return the checked layer. Raises InputError where its parts disagree."""
        record, tensors = self.record, self.tensors
        if self.stacked:
            channels = tensors["weights"].shape[0]
            record = record.model_copy(
                update={
                    "groups": tensors["activations"].shape[0],
                    "weight_scales": record.weight_scales * channels,
                }
            )
        bias = tensors.get("bias")
        return Layer(
            record,
            tensors["activations"].source,
            tensors["weights"].source,
            None if bias is None else bias.source,
        )


class TraceWriter:
    """Writes one trace file; a context manager. Leaving the block normally puts the file in place.

    Parameters
    ----------
    path : str or Path
        The target; an earlier file stays whole until the new one is complete.
    **document
        Fields of the document: network, calibrator, origin, license_note, synthetic, provenance.

    Raises
    ------
    InputError
        When the place cannot be written, or (on leaving) when the parts are not a sound trace.
    """

    def __init__(self, path: str | Path, **document: Any) -> None:
        self._path, self._document = Path(path), document
        self._layers: dict[str, Pending] = {}
        self._spools: dict[str, Spool] = {}
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        check_writable(self._path)
        try:
            folder = temporary_path(self._path, ".spool")
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise unwritable(self._path, error) from None
        self._folder = folder
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._assemble()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def add_layer(
        self, record: LayerRecord, weights: Array | None = None, bias: Array | None = None
    ) -> None:
        """Announce a layer; layers stand in the file in the order of announcement.

        Parameters
        ----------
        record : LayerRecord
        weights : int8 (output channel, kernel position, input channel), or None
            None for the product of two activations (op 'gemm'): `append` then brings weights too,
            `groups` is counted, and `weight_scales` holds one scale for all channels, or none.
        bias : float32 (output channel,), optional
        """
        if record.name in self._layers:
            raise InputError(f"layer name {record.name!r} is used twice, expected unique names")
        layer = self._layers[record.name] = Pending(record, stacked=weights is None)
        by_row = (
            record.op != "conv2d" and not layer.stacked
        )  # (1, M, K) grows along M, else along batch or groups
        layer.tensors["activations"] = self._spool(
            f"{record.name}/activations", int(by_row), record.activation_bits
        )
        for kind, values in (("weights", weights), ("bias", bias)):
            if values is not None or kind == "weights":
                bits = record.bits.get(kind, ALL_BITS)
                layer.tensors[kind] = self._spool(f"{record.name}/{kind}", 0, bits)
            if values is not None:
                layer.tensors[kind].append(values)

    def append(self, name: str, activations: Array, weights: Array | None = None) -> None:
        """Add one batch to the layer `name`.

        Parameters
        ----------
        activations : uint8 or int8 (batch, height, width, channels), or (groups, M, K)
            (1, M, K) for a layer announced with weights.
        weights : int8 (groups * N, 1, K)
            For a layer announced without.
        """
        layer = self._layers[name]
        layer.tensors["activations"].append(activations)
        if weights is not None:
            layer.tensors["weights"].append(weights)

    def append_array(self, name: str, values: Array) -> None:
        """Add values along axis 0 to array `name`, beside the layers (labels, logits)."""
        key = ARRAYS + name
        (self._spools.get(key) or self._spool(key, axis=0)).append(values)

    def add_provenance(self, **entries: Any) -> None:
        """Add entries to the document's provenance that are known only after the batches."""
        self._document["provenance"] = self._document.get("provenance", {}) | entries

    def _spool(self, name: str, axis: int, bits: int = ALL_BITS) -> Spool:
        if self._folder is None:
            raise RuntimeError("TraceWriter is a context manager: use it in a `with` block")
        place = self._folder / str(len(self._spools))
        self._spools[name] = Spool(name, place, axis, self._path, bits)
        return self._spools[name]

    def _assemble(self) -> None:
        faults = name_faults(list(self._layers))
        unwritten = [spool.name for spool in self._spools.values() if spool.dtype is None]
        faults += [f"tensor {name!r} was given no values" for name in unwritten]
        if faults:
            raise InputError(f"trace: {faults[0]}")
        document = self._checked_document()
        text = json.dumps(document.model_dump(mode="json"), sort_keys=True)
        described = [
            (spool.name, spool.shape, np.dtype(spool.dtype)) for spool in self._spools.values()
        ]
        header, names = written_header(described, {METADATA_KEY: text})
        with replaced(self._path) as temporary, temporary.open("wb") as file:
            file.write(header)
            for name in names:
                _move(self._spools[name].path, file)

    def _checked_document(self) -> TraceDocument:
        layers = tuple(layer.finished().record for layer in self._layers.values())
        try:
            return TraceDocument.of(layers, **self._document)
        except ValidationError as error:
            raise InputError(f"trace: {faults_of(error)[0]}") from None


def _move(source: Path, target: IO[bytes]) -> None:
    """Append a file to an open one, and delete it: the disk holds the data about once."""
    with source.open("rb") as file:
        shutil.copyfileobj(file, target, 1 << 18)
    source.unlink()
