"""What the interpreter's process and the one that started it say to each other: JSON and arrays."""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

LENGTH_BYTES = 8


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Send a JSON object."""
    text = json.dumps(message).encode()
    stream.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any]:
    """Return the next JSON object. Raises EOFError where the other side is gone."""
    length = int.from_bytes(exactly(stream, LENGTH_BYTES), "little")
    message: dict[str, Any] = json.loads(exactly(stream, length))
    return message


def send_array(stream: IO[bytes], values: NDArray[Any]) -> None:
    """Send an array of numbers."""
    send(stream, {"dtype": values.dtype.str, "shape": values.shape})
    stream.write(np.ascontiguousarray(values).tobytes())
    stream.flush()


def receive_array(stream: IO[bytes]) -> NDArray[Any]:
    """Return the next array. Raises EOFError where the other side is gone."""
    header = receive(stream)
    dtype, shape = np.dtype(header["dtype"]), tuple(header["shape"])
    size_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return np.frombuffer(exactly(stream, size_bytes), dtype).reshape(shape)


def exactly(stream: IO[bytes], size_bytes: int) -> bytes:
    """Return so many bytes. Raises EOFError where there are fewer."""
    content = stream.read(size_bytes)
    if len(content) < size_bytes:
        raise EOFError
    return content
