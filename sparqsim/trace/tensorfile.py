"""A safetensors file, opened without reading the tensors."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sparqsim.errors import InputError, unreadable
from sparqsim.trace.source import TensorSource

DTYPES = {
    "U8": np.uint8,
    "I8": np.int8,
    "I16": np.int16,
    "U16": np.uint16,
    "I32": np.int32,
    "U32": np.uint32,
    "I64": np.int64,
    "U64": np.uint64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "BOOL": np.bool_,
}


class TensorFile:
    """Names, shapes and dtypes of a safetensors file; tensors are read when a source is loaded.

    Raises
    ------
    InputError
        When the file is missing, unreadable, truncated or not a safetensors file, naming it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._handle = self._opened()
        #: Tensor names in the file.
        self.names = sorted(self._handle.keys())
        #: The file's text metadata.
        self.metadata: dict[str, str] = dict(self._handle.metadata() or {})

    def source(self, name: str) -> TensorSource:
        """Return the tensor `name`, unread. Raises InputError for a missing tensor or an unknown dtype."""
        if name not in self.names:
            raise InputError(f"{self.path}: tensor {name!r} is missing")
        view = self._handle.get_slice(name)
        code = view.get_dtype()
        if code not in DTYPES:
            raise InputError(
                f"{self.path}: tensor {name!r} is {code}, expected one of {', '.join(DTYPES)}"
            )
        return TensorSource(
            tuple(view.get_shape()), np.dtype(DTYPES[code]), lambda part: self._read(name, part)
        )

    def _opened(self) -> Any:
        try:
            return cast("Any", safe_open)(str(self.path), framework="numpy")
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise InputError(
                f"{unreadable(self.path, error)}; expected a trace (.safetensors)"
            ) from None
        except (OSError, SafetensorError) as error:
            if self.path.is_dir():
                raise InputError(
                    f"{self.path}: is a directory; expected a trace (.safetensors)"
                ) from None
            raise InputError(
                f"{self.path}: not a readable safetensors file ({error}), truncated or of "
                "another kind; expected a trace written by sparqsim"
            ) from None

    def _read(self, name: str, part: tuple[slice, ...]) -> NDArray[Any]:
        # A mapping of its own for every read: else pages once read stay resident until they add up to the whole file.
        with self._opened() as handle:
            tensor: NDArray[Any] = handle.get_slice(name)[part] if part else handle.get_tensor(name)
        return tensor

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
