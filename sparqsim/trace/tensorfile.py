"""A safetensors file, opened without reading the tensors."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import weakref
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, unreadable
from sparqsim.trace.header import (
    DTYPES,
    LENGTH_BYTES,
    Header,
    TensorEntry,
    header_bytes,
    parsed_header,
)
from sparqsim.trace.source import TensorSource, runs

DIGEST_BLOCK_BYTES = 1 << 20


class TensorFile:
    """Names, shapes and dtypes of a safetensors file; tensors are read when a source is loaded.

    The file is opened once and its header read once. Tensors are read from the open file, not
    mapped: a file larger than the address space will do, and where another file takes its name
    the old content stays. A file that is written to while it is open is refused.

    Parameters
    ----------
    path : str or Path
    what : str
        What the file should be, for messages.
    dtypes : mapping of str to dtype
        Codes that tensors may have, and what their bytes are read as.

    Raises
    ------
    InputError
        When the file is missing, unreadable, truncated or not a safetensors file, naming it.
    """

    def __init__(
        self,
        path: str | Path,
        what: str = "a trace",
        dtypes: Mapping[str, np.dtype[Any]] = DTYPES,
    ) -> None:
        self.path, self._what, self._dtypes = Path(path), what, dtypes
        self._descriptor = self._opened()
        weakref.finalize(self, os.close, self._descriptor)
        self._lock = threading.Lock()
        self._stamp = _stamp(self._descriptor)
        header = self._header()
        self._tensors = header.tensors
        #: The file's text metadata.
        self.metadata = header.metadata

    @property
    def names(self) -> list[str]:
        """Names of the tensors in the file, sorted."""
        return list(self._tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def source(self, name: str) -> TensorSource:
        """Return the tensor `name`, unread. Raises InputError for a missing tensor."""
        if name not in self._tensors:
            raise InputError(f"{self.path}: tensor {name!r} is missing")
        entry = self._tensors[name]
        return TensorSource(entry.shape, entry.dtype, lambda part: self._read(entry, part))

    def _opened(self) -> int:
        # A pipe without a writer would block; whatever is no regular file is refused just below.
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            descriptor = os.open(self.path, flags)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{unreadable(self.path, error)}; expected {self._what} (.safetensors)"
            ) from None
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            what = "is a directory" if stat.S_ISDIR(mode) else "is no regular file"
            raise InputError(f"{self.path}: {what}; expected {self._what} (.safetensors)")
        return descriptor

    def _header(self) -> Header:
        size = self._stamp[0]
        try:
            start = self._bytes(0, min(LENGTH_BYTES, size))
            length = header_bytes(start, size)
            return parsed_header(self._bytes(LENGTH_BYTES, length), size, self._dtypes)
        except InputError as error:
            raise InputError(
                f"{self.path}: not a readable safetensors file ({error}), truncated or of "
                f"another kind; expected {self._what} written by sparqsim"
            ) from None

    def _read(self, entry: TensorEntry, part: tuple[slice, ...]) -> NDArray[Any]:
        shape, ranges = runs(entry.shape, part)
        values, item_bytes = np.empty(shape, entry.dtype), entry.dtype.itemsize
        view, filled = values.reshape(-1).view(np.uint8).data, 0
        for elements in ranges:
            count = len(elements) * item_bytes
            self._fill(view[filled : filled + count], entry.start + elements.start * item_bytes)
            filled += count
        self._check_unchanged()
        return values

    def _bytes(self, start: int, count: int) -> bytes:
        """Return `count` bytes from byte `start`."""
        buffer = bytearray(count)
        self._fill(memoryview(buffer), start)
        return bytes(buffer)

    def _fill(self, view: memoryview, start: int) -> None:
        """Fill `view` with the bytes from byte `start`."""
        filled = 0
        try:
            while filled < len(view) and (count := self._read_into(view[filled:], start + filled)):
                filled += count
        except OSError as error:
            raise InputError(f"{unreadable(self.path, error)}; expected a readable file") from None
        if filled < len(view):
            self._check_unchanged()
            raise InputError(f"{self.path}: ends at byte {start + filled}, expected more")

    def _read_into(self, view: memoryview, start: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._descriptor, [view], start)
        with self._lock:  # a descriptor has one position for all threads
            os.lseek(self._descriptor, start, os.SEEK_SET)
            data = os.read(self._descriptor, len(view))
        view[: len(data)] = data
        return len(data)

    def _check_unchanged(self) -> None:
        if _stamp(self._descriptor) != self._stamp:
            raise InputError(
                f"{self.path}: was written to after it was opened; expected a file that stays as "
                "it is while it is used"
            )

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes."""
        digest, size = hashlib.sha256(), self._stamp[0]
        for start in range(0, size, DIGEST_BLOCK_BYTES):
            digest.update(self._bytes(start, min(DIGEST_BLOCK_BYTES, size - start)))
        self._check_unchanged()
        return digest.hexdigest()


def _stamp(descriptor: int) -> tuple[int, int]:
    """Return an open file's size in bytes and when it was last written to."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns
