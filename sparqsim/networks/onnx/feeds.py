"""What a network's inputs take: pictures for one input, or arrays by name for one or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.networks.images import Pictures
from sparqsim.networks.preprocess import Layout

Array = NDArray[Any]

INPUT_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(uint32)": np.uint32,
    "tensor(int32)": np.int32,
    "tensor(uint64)": np.uint64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
#: Types that pictures can be prepared to.
PIXEL_TYPES = (np.float32, np.uint8, np.int8)


@dataclass(frozen=True)
class Port:
    """One input. shape: numbers, and None for free sizes."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        """Return name, type and shape; '?' for a free size."""
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name!r}: {self.dtype} ({sizes})"

    @property
    def layout(self) -> Layout:
        """'nhwc' where the last axis is 1 or 3 and the second is not, else 'nchw'."""
        shape = self.shape
        last = len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3)
        return "nhwc" if last else "nchw"

    def takes(self, sizes: tuple[int, ...]) -> bool:
        """Return whether one picture, or whatever stands for one, of these sizes fits."""
        return len(sizes) == len(self.shape) - 1 and all(
            own in (None, size) for own, size in zip(self.shape[1:], sizes, strict=True)
        )


def port_of(value: Any, path: object) -> Port:
    """Return onnxruntime's input as a port. Raises InputError for types that are not fed here."""
    if value.type not in INPUT_TYPES or not value.shape:
        raise InputError(
            f"{path}: input {value.name!r} is {value.type} {value.shape}, expected a tensor of "
            "numbers with a batch axis"
        )
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in value.shape)
    return Port(value.name, np.dtype(INPUT_TYPES[value.type]), shape)


def fixed_batch(ports: Sequence[Port]) -> int | None:
    """Return how many pictures the inputs take at a time, None where they say no number."""
    return next((port.shape[0] for port in ports if port.shape[0] is not None), None)


def feeds_of(
    ports: Sequence[Port], pictures: Pictures, size: int, path: object
) -> Iterator[dict[str, Array]]:
    """Yield input name -> values, batch after batch.

    Raises
    ------
    InputError
        When pictures or arrays do not fit the inputs: number, names, shapes, types.
    """
    fixed = fixed_batch(ports)
    size = size if fixed is None else fixed
    for feeds in _batches(ports, pictures, size, path):
        count = len(next(iter(feeds.values())))
        if fixed is not None and count != fixed:
            raise InputError(
                f"{path}: takes exactly {fixed} pictures at a time, and {len(pictures)} is not a "
                "multiple of it; expected another number of pictures (--limit; of accuracy also "
                "--calibrate-on, --trace-pictures)"
            )
        for port in ports:
            _check_shape(port, feeds[port.name], path)
        yield {port.name: _typed(port, feeds[port.name], path) for port in ports}


def _batches(
    ports: Sequence[Port], pictures: Pictures, size: int, path: object
) -> Iterator[dict[str, Array]]:
    if pictures.arrays:
        missing = [port for port in ports if port.name not in pictures.arrays]
        if missing:
            raise InputError(
                f"{path}: no array for input {missing[0]}, the file holds "
                f"{', '.join(pictures.arrays)}; expected one array of each input's name"
            )
        for start in range(0, len(pictures), size):
            yield {port.name: pictures.arrays[port.name][start : start + size] for port in ports}
        return
    if len(ports) != 1:
        shown = "; ".join(map(str, ports)) or "none"
        raise InputError(
            f"{path}: inputs are {shown}; expected one input of pictures, or --images FILE.npz "
            "with one array of each input's name"
        )
    port = ports[0]
    pixels = np.float32 if port.dtype.kind == "f" else port.dtype.type
    if pictures.are_pixels and pixels not in PIXEL_TYPES:
        raise InputError(
            f"{path}: input {port} takes no pictures, expected --images FILE.npy of {port.dtype}"
        )
    if pictures.array is not None and (not pictures.are_pixels or _is_stored_so(port, pictures)):
        for start in range(0, len(pictures), size):
            yield {port.name: pictures.array[start : start + size]}
        return
    for batch in pictures.batches(size, port.layout, pixels):
        yield {port.name: batch}


def _is_stored_so(port: Port, pictures: Pictures) -> bool:
    """Return whether a uint8 array is the input as it stands, and no pictures: its axes say so."""
    if pictures.array is None or pictures.preprocess.spec:
        return False
    _, height, width, channels = stored = pictures.array.shape
    arranged = (channels, height, width) if port.layout == "nchw" else (height, width, channels)
    return port.takes(stored[1:]) and not port.takes(arranged)


def _check_shape(port: Port, batch: Array, path: object) -> None:
    batch_size = port.shape[0]
    if batch_size not in (None, len(batch)) or not port.takes(batch.shape[1:]):
        raise InputError(
            f"{path}: input {port}, the prepared pictures are {batch.shape}; expected --preprocess "
            "steps (resize, crop, layout), or arrays, that fit"
        )


def _typed(port: Port, values: Array, path: object) -> Array:
    """Return values in the input's type. Whole numbers may become any type that holds them all."""
    if port.dtype.kind == "f" and values.dtype.kind in "fiub":
        with np.errstate(over="ignore"):
            real = np.ascontiguousarray(values, dtype=port.dtype)
        # A mask of attention may hold infinities itself.
        if not np.array_equal(np.isinf(real), np.isinf(values)):
            raise InputError(
                f"{path}: input {port} is fed {values.dtype} values that {port.dtype} cannot hold, "
                "expected smaller ones"
            )
        return real
    typed = values.astype(port.dtype)
    if values.dtype.kind == "f" or not np.array_equal(typed.astype(values.dtype), values):
        raise InputError(
            f"{path}: input {port} is fed {values.dtype} values that are not all {port.dtype}, "
            "expected values of that type"
        )
    return np.ascontiguousarray(typed)
