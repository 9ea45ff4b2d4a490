"""A trace: a network's layers, and how they were made."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sparqsim.errors import InputError
from sparqsim.files import replaced
from sparqsim.record import faults_of
from sparqsim.trace.layer import Layer
from sparqsim.trace.schema import TraceDocument

Array = NDArray[Any]

METADATA_KEY = "sparqsim"
ARRAYS = "arrays/"


class Trace:
    """The 8-bit operands of a network's layers, in the order they ran.

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
        self._digest = digest or (lambda: hashlib.sha256(self._to_bytes()).hexdigest())
        try:
            self.metadata = TraceDocument(
                layers=tuple(layer.record for layer in self.layers), **document
            )
        except ValidationError as error:
            raise InputError(f"trace: {faults_of(error)[0]}") from None
        faults = name_faults([layer.name for layer in self.layers])
        if faults:
            raise InputError(f"trace: {faults[0]}")

    @property
    def sha256(self) -> str:
        """SHA-256 of the trace file's bytes, as `sha256sum` prints it (unsaved: of the bytes `save` would write)."""
        return self._digest()

    def save(self, path: str | Path) -> None:
        """Write the trace file; an earlier file stays whole until the new one is complete.

        Raises
        ------
        InputError
            When the path cannot be written, naming it.
        """
        with replaced(path) as temporary:
            temporary.write_bytes(self._to_bytes())

    def _to_bytes(self) -> bytes:
        from safetensors.numpy import save

        tensors = {ARRAYS + name: np.asarray(values) for name, values in self.arrays.items()}
        for layer in self.layers:
            tensors |= _tensors(layer)
        contiguous = {
            name: np.ascontiguousarray(values) for name, values in sorted(tensors.items())
        }
        text = json.dumps(self.metadata.model_dump(mode="json"), sort_keys=True)
        return save(contiguous, metadata={METADATA_KEY: text})


def _tensors(layer: Layer) -> dict[str, Array]:
    tensors = {
        f"{layer.name}/activations": layer.activations,
        f"{layer.name}/weights": layer.weights,
    }
    if layer.bias is not None:
        tensors[f"{layer.name}/bias"] = layer.bias
    return tensors


def name_faults(names: Sequence[str]) -> list[str]:
    """Return what is wrong with the layers' names as a whole, one line each."""
    if not names:
        return ["layers is empty, expected at least one layer"]
    return [
        f"layer name {name!r} is used {count} times, expected unique names"
        for name, count in Counter(names).items()
        if count > 1
    ]
