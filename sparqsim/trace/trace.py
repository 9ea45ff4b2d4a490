"""A trace: a network's layers, and how they were made."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sparqsim.base.errors import InputError
from sparqsim.base.files import replaced
from sparqsim.base.record import faults_of
from sparqsim.base.tabular import Row, Tabular, short_name
from sparqsim.base.wording import counted
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.header import written_header
from sparqsim.trace.layer import SHAPE_COLUMNS, Layer
from sparqsim.trace.schema import TraceDocument
from sparqsim.trace.source import TensorSource

Array = NDArray[Any]

METADATA_KEY = "sparqsim"
ARRAYS = "arrays/"
#: Where a trace's provenance keeps what transforms did to it, one entry each, in order.
TRANSFORMS = "transforms"


class Trace(Tabular):
    """The operands of a network's layers, codes of 8 bits or fewer, in the order they ran.

    Parameters
    ----------
    layers : sequence of Layer
        At least one, names unique.
    arrays : mapping of str to array, optional
        Whatever belongs to the trace beside the layers: labels, logits.
    **document
        Fields of the document: network, calibrator, origin, license_note, synthetic, provenance.

    Raises
    ------
    InputError
        For no layers, a name used twice, or an unknown field.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        arrays: Mapping[str, Array] | None = None,
        digest: Callable[[], str] | None = None,
        **document: Any,
    ) -> None:
        self.layers = tuple(layers)
        self.arrays: Mapping[str, Array] = {} if arrays is None else arrays
        self._digest = digest or self._own_digest
        try:
            self.metadata = TraceDocument.of((layer.record for layer in self.layers), **document)
        except ValidationError as error:
            raise InputError(f"trace: {faults_of(error)[0]}") from None
        faults = name_faults([layer.name for layer in self.layers])
        if faults:
            raise InputError(f"trace: {faults[0]}")

    HTML_COLUMNS: ClassVar = SHAPE_COLUMNS

    def flat_rows(self) -> list[Row]:
        """Return a row per layer, as `Layer.flat_rows`; one layer's activations at a time are
        read.
        """
        bits = self.has_narrow_layers
        return [row for layer in self.layers for row in layer.flat_rows(bits=bits)]

    def html_rows(self) -> list[Row]:
        """Return a row per layer, without what operands would have to be read for."""
        bits = self.has_narrow_layers
        return [row for layer in self.layers for row in layer.html_rows(bits=bits)]

    @property
    def has_narrow_layers(self) -> bool:
        """Whether a layer has an operand of fewer than 8 bits."""
        return any(layer.record.is_narrow for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.gemm.macs for layer in self.layers)

    def check_computable(self) -> None:
        """Do nothing: whoever stores values has paid for them (`DrawnTrace` has a bound)."""

    def summary(self) -> str:
        """Return the network, its layers and multiply-accumulates, and whether values are drawn."""
        document = self.metadata
        drawn = " [SYNTHETIC values]" if document.synthetic else ""
        return (
            f"{short_name(document.network) or 'a network without a name'}{drawn}, "
            f"{counted(len(self.layers), 'layer')}, {counted(self.macs, 'MAC')}, "
            f"{Coverage.of(document.provenance).inputs_text()}"
        )

    def html_caption(self) -> str:
        """Return `summary`, how values were drawn, and what of the network is left out."""
        document = self.metadata
        left_out = Coverage.of(document.provenance).left_out_text(self.macs)
        drawn = f"SYNTHETIC values: {document.synthetic}" if document.synthetic else ""
        return "; ".join(filter(None, [self.summary(), drawn, left_out]))

    @property
    def sha256(self) -> str:
        """SHA-256 of the trace file's bytes (unsaved: of the bytes that `save` would write)."""
        return self._digest()

    def save(self, path: str | Path) -> None:
        """Write the trace file; an earlier file stays whole until the new one is complete.

        Raises
        ------
        InputError
            When the path cannot be written, naming it.
        """
        with replaced(path) as temporary, temporary.open("wb") as file:
            for part in self._parts():
                file.write(part)

    def _own_digest(self) -> str:
        digest = hashlib.sha256()
        for part in self._parts():
            digest.update(part)
        return digest.hexdigest()

    def _parts(self) -> Iterator[bytes | memoryview]:
        """Yield the file's bytes: its header, then the tensors, block by block."""
        tensors = self._tensors()
        text = json.dumps(self.metadata.model_dump(mode="json"), sort_keys=True)
        described = ((name, tensor.shape, tensor.dtype) for name, tensor in tensors.items())
        header, names = written_header(described, {METADATA_KEY: text})
        yield header
        for name in names:
            for block in tensors[name].blocks():
                yield np.ascontiguousarray(block).reshape(-1).view(np.uint8).data

    def _tensors(self) -> dict[str, TensorSource]:
        tensors = {
            ARRAYS + name: TensorSource.of(_native(values)) for name, values in self.arrays.items()
        }
        for layer in self.layers:
            tensors[f"{layer.name}/activations"] = layer.activations_source
            tensors[f"{layer.name}/weights"] = layer.weights_source
            if layer.bias_source is not None:
                tensors[f"{layer.name}/bias"] = layer.bias_source
        return tensors


def _native(values: Array) -> Array:
    """Return an array in this machine's byte order."""
    array = np.asarray(values)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def name_faults(names: Sequence[str]) -> list[str]:
    """Return what is wrong with the layers' names as a whole, one line each."""
    if not names:
        return ["layers is empty, expected at least one layer"]
    return [
        f"layer name {name!r} is used {count} times, expected unique names"
        for name, count in Counter(names).items()
        if count > 1
    ]
