"""Pictures for a network, batch by batch: image files, or an array in an .npz or .npy file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.networks.images.decode import read_picture
from sparqsim.networks.images.labels import checked_labels
from sparqsim.networks.preprocess import Layout, Preprocess
from sparqsim.trace.arrayfile import (
    NUMBERS_AND_TRUTH,
    finite_float32,
    is_npz,
    npz_names,
    read_npy,
    read_npz,
)

Array = NDArray[Any]

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Pictures:
    """An ordered set of pictures, read when asked for.

    Parameters
    ----------
    names : tuple of str
        One per picture: file names, or numbers.
    preprocess : Preprocess
    files : tuple of Path
        Image files, or () where `array` holds the pictures.
    array : uint8 (N, height, width, channels) pictures, or (N, ...) inputs that are ready, or None
        What is ready is real or whole numbers (codes of the network's own input, token ids); uint8
        of 4 axes are pictures.
    arrays : dict
        Name -> (N, ...): inputs that are ready, for networks with several inputs; else empty.
    labels : int64 (N,) or None
        Classes, where the file of arrays holds them.
    max_pixels : int or None
        Pixels of one picture, at most; None: `limits.PICTURE_PIXELS`.
    """

    names: tuple[str, ...]
    preprocess: Preprocess
    files: tuple[Path, ...] = ()
    array: Array | None = field(default=None, repr=False)
    labels: NDArray[np.int64] | None = field(default=None, repr=False)
    max_pixels: int | None = None
    arrays: dict[str, Array] = field(default_factory=dict, repr=False)

    @classmethod
    def open(
        cls, path: str | Path, preprocess: str = "", max_pixels: int | None = None
    ) -> Pictures:
        """Return the pictures at `path`, in name order for a directory.

        Raises
        ------
        InputError
            When there are none, or the file holds no pictures.
        """
        place, steps = Path(path), Preprocess.parse(preprocess, max_pixels)
        if os.path.isdir(place):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
            files = _image_files(place)
            return cls(tuple(file.name for file in files), steps, files, max_pixels=max_pixels)
        inputs, labels = _stored_arrays(place)
        first = next(iter(inputs.values()))
        names = tuple(str(at) for at in range(len(first)))
        pictures = cls(names, steps, labels=labels, max_pixels=max_pixels)
        pictures = (
            replace(pictures, array=first) if len(inputs) == 1 else replace(pictures, arrays=inputs)
        )
        if preprocess and not pictures.are_pixels:
            raise InputError(
                f"{path}: holds {first.dtype} values that are fed as they are, expected no "
                "--preprocess"
            )
        return pictures

    def __len__(self) -> int:
        return len(self.names)

    @property
    def ready(self) -> Array | None:
        """The inputs that are fed as they are, None for pictures."""
        return None if self.array is None or _are_pictures(self.array) else self.array

    @property
    def are_pixels(self) -> bool:
        """Whether these are pictures to prepare, not values that are fed as they are."""
        return self.ready is None and not self.arrays

    def first(self, count: int | None) -> Pictures:
        """Return the first `count` pictures; all where None."""
        return self.at(range(len(self))[:count])

    def at(self, places: Sequence[int]) -> Pictures:
        """Return the pictures at some places, in that order."""
        rows = list(places)
        contiguous = rows == list(range(rows[0], rows[0] + len(rows))) if rows else True
        # A slice shares the memory of all pictures; a list of rows is copied.
        taken = slice(rows[0], rows[-1] + 1) if rows and contiguous else rows
        files = [self.files[row] for row in rows] if self.files else ()
        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            files=tuple(files),
            array=None if self.array is None else self.array[taken],
            labels=None if self.labels is None else self.labels[taken],
            arrays={name: array[taken] for name, array in self.arrays.items()},
        )

    def digests(self) -> tuple[str, ...]:
        """Return the SHA-256 of every picture as it is stored: its size, its type, its values."""
        return tuple(map(self._digest, range(len(self))))

    def _digest(self, at: int) -> str:
        found = hashlib.sha256()
        stored = {name: array[at] for name, array in self.arrays.items()}
        for name, values in (stored or {"": self._pixels(at)}).items():
            found.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
            found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()

    def batches(self, size: int, layout: Layout, dtype: Any = np.float32) -> Iterator[Array]:
        """Yield batches of at most `size` pictures as the network takes them.

        Raises
        ------
        InputError
            Naming the picture that cannot be read, whose size differs from the first one's, or
            that is not of the network's type.
        """
        if self.arrays:
            raise InputError(
                f"the file holds the arrays {', '.join(self.arrays)}, and this network takes one: "
                "expected one array, named 'images'"
            )
        for start in range(0, len(self), size):
            indices = range(start, min(start + size, len(self)))
            pictures = [self._prepared(at, layout, np.dtype(dtype)) for at in indices]
            odd = [at for at, picture in enumerate(pictures) if picture.shape != pictures[0].shape]
            if odd:
                raise InputError(
                    f"picture {self.names[start + odd[0]]}: prepared to {pictures[odd[0]].shape}, "
                    f"the batch's first to {pictures[0].shape}, expected one size (--preprocess "
                    "resize, crop)"
                )
            yield np.stack(pictures)

    def _pixels(self, at: int) -> Array:
        """Return a picture as it is stored, uint8 (height, width, channels)."""
        if self.array is not None:
            return np.asarray(self.array[at])
        return read_picture(self.files[at], self.max_pixels)

    def _prepared(self, at: int, layout: Layout, dtype: np.dtype[Any]) -> Array:
        if self.ready is not None:
            return _fed(self.ready[at], self.names[at], dtype)
        pixels = self._pixels(at)
        try:
            return self.preprocess.apply(pixels, layout, dtype)
        except InputError as error:
            raise InputError(f"picture {self.names[at]}: {error}") from None


def _fed(values: Array, name: str, dtype: np.dtype[Any]) -> Array:
    """Return one input that is ready, in the network's type."""
    if values.dtype.kind != "f":
        if values.dtype != dtype:
            raise InputError(
                f"input {name} holds {values.dtype} codes and the network takes {dtype}, expected "
                f"{'real numbers' if dtype.kind == 'f' else f'{dtype} codes'}"
            )
        return values
    if dtype.kind != "f":
        raise InputError(
            f"input {name} holds {values.dtype} numbers and the network takes {dtype}, expected "
            f"{dtype} codes, or uint8 pictures (N, height, width, channels)"
        )
    return finite_float32(values, f"input {name}")


def _image_files(folder: Path) -> tuple[Path, ...]:
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    if not files:
        raise InputError(f"{folder}: no image files, expected some of {', '.join(SUFFIXES)}")
    return tuple(files)


def _stored_arrays(path: Path) -> tuple[dict[str, Array], NDArray[np.int64] | None]:
    """Return the inputs of an .npz or .npy file by name, and the labels if it holds any."""
    arrays = _archived(path) if is_npz(path) else {"images": read_npy(path)}
    given = arrays.pop("labels", None)
    for name, array in arrays.items():
        if not array.ndim or not len(array) or array.dtype.kind not in "fiub":
            raise InputError(
                f"{path}: {name} is {array.dtype} {array.shape}, expected uint8 pictures (N, "
                "height, width, channels), or inputs (N, ...) that are ready for the network: "
                "real or whole numbers"
            )
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) != 1:
        raise InputError(
            f"{path}: holds {counts or 'nothing'} values on the first axis, expected an array "
            "named 'images', or one of each input's name, all for the same inputs"
        )
    count = next(iter(counts.values()))
    return arrays, None if given is None else checked_labels(path, given, count)


def _archived(path: Path) -> dict[str, Array]:
    """Return the array 'images' of an archive, or every array without one; labels too."""
    names = npz_names(path)
    if len(names) == 1 or "images" in names or not names:
        return read_npz(path, "images", ["labels"])
    return read_npz(path, names[0], names[1:], NUMBERS_AND_TRUTH)


def _are_pictures(array: Array) -> bool:
    return array.dtype == np.uint8 and array.ndim == 4
