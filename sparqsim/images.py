"""Pictures for a network, batch by batch: a directory of image files, or an array in an .npz or .npy file."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.errors import InputError
from sparqsim.preprocess import Layout, Preprocess

Array = NDArray[Any]

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def needed(module: str, extra: str) -> Any:
    """Import an optional library.

    Raises
    ------
    InputError
        Naming the extra that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module.partition('.')[0]} cannot be imported ({error}); expected the extra {extra!r}: "
            f"pip install 'sparqsim[{extra}]'"
        ) from None


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
    array : uint8 (N, H, W, C) pictures, or (N, ...) values that are fed as they are, or None
    arrays : dict
        Name -> (N, ...): values that are fed as they are, for networks with named inputs.
    labels : int64 (N,) or None
        Classes, where the file of arrays holds them.
    """

    names: tuple[str, ...]
    preprocess: Preprocess
    files: tuple[Path, ...] = ()
    array: Array | None = field(default=None, repr=False)
    labels: NDArray[np.int64] | None = field(default=None, repr=False)
    arrays: dict[str, Array] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, path: str | Path, preprocess: str = "") -> Pictures:
        """Return the pictures at `path`, in name order for a directory.

        Raises
        ------
        InputError
            When there are none, or the file holds no pictures.
        """
        place, steps = Path(path), Preprocess.parse(preprocess)
        if place.is_dir():
            files = tuple(
                sorted(file for file in place.iterdir() if file.suffix.lower() in SUFFIXES)
            )
            if not files:
                raise InputError(f"{path}: no image files, expected some of {', '.join(SUFFIXES)}")
            return cls(tuple(file.name for file in files), steps, files)
        array, labels, arrays = _stored_array(place)
        first = next(iter(arrays.values())) if array is None else array
        names = tuple(str(at) for at in range(len(first)))
        opened = cls(names, steps, array=array, labels=labels, arrays=arrays)
        if preprocess and not opened.are_pixels:
            raise InputError(
                f"{path}: holds {first.dtype} values that are fed as they are, expected no --preprocess"
            )
        return opened

    @property
    def are_pixels(self) -> bool:
        """Whether these are pictures to prepare, not values that are fed as they are."""
        return not self.arrays and (self.array is None or _is_pictures(self.array))

    def __len__(self) -> int:
        return len(self.names)

    def first(self, count: int | None) -> Pictures:
        """Return the first `count` pictures; all where None."""
        if count is None or count >= len(self):
            return self
        return self.at(slice(count))

    def at(self, places: slice | Sequence[int]) -> Pictures:
        """Return the pictures at some places, in that order."""
        rows = range(len(self))[places] if isinstance(places, slice) else places
        chosen = places if isinstance(places, slice) else list(places)
        return Pictures(
            tuple(self.names[row] for row in rows),
            self.preprocess,
            tuple(self.files[row] for row in rows if self.files),
            None if self.array is None else self.array[chosen],
            None if self.labels is None else self.labels[chosen],
            {name: array[chosen] for name, array in self.arrays.items()},
        )

    def batches(self, size: int, layout: Layout, dtype: Any = np.float32) -> Iterator[Array]:
        """Yield batches of at most `size` pictures as the network takes them.

        Raises
        ------
        InputError
            Naming the picture that cannot be read, or whose size differs from the first one's.
        """
        if self.arrays:
            raise InputError(
                f"the file holds the arrays {', '.join(self.arrays)}, and this network takes one: "
                "expected one array, named 'images'"
            )
        for start in range(0, len(self), size):
            wanted = range(start, min(start + size, len(self)))
            pictures = [self._prepared(at, layout, np.dtype(dtype)) for at in wanted]
            odd = [at for at, picture in enumerate(pictures) if picture.shape != pictures[0].shape]
            if odd:
                raise InputError(
                    f"picture {self.names[start + odd[0]]}: prepared to {pictures[odd[0]].shape}, the "
                    f"batch's first to {pictures[0].shape}, expected one size (--preprocess resize, crop)"
                )
            yield np.stack(pictures)

    def _prepared(self, at: int, layout: Layout, dtype: np.dtype[Any]) -> Array:
        if self.array is not None and not self.are_pixels:
            values = np.asarray(self.array[at])
            return values.astype(np.float32) if values.dtype.kind == "f" else values
        pixels = _read_picture(self.files[at]) if self.array is None else self.array[at]
        try:
            return self.preprocess.apply(pixels, layout, dtype)
        except InputError as error:
            raise InputError(f"picture {self.names[at]}: {error}") from None


def _read_picture(path: Path) -> Array:
    """Return the RGB pixels of an image file, uint8 (height, width, 3)."""
    image = needed("PIL.Image", "onnx")
    try:
        with image.open(path) as opened:
            return np.asarray(opened.convert("RGB"))
    except (OSError, ValueError, image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable picture ({error})") from None


def _stored_array(
    path: Path,
) -> tuple[Array | None, NDArray[np.int64] | None, dict[str, Array]]:
    """Return the pictures of an .npz or .npy file, the labels if it holds any; or arrays by name."""
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {"images": loaded}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise InputError(
            f"{path}: cannot be read as pictures ({error}); expected a directory of image files, "
            "or a .npz or .npy file"
        ) from None
    given = arrays.get("labels") if len(arrays) > 1 else None
    inputs = {name: array for name, array in arrays.items() if len(arrays) == 1 or name != "labels"}
    if "images" in inputs:
        inputs = {"images": inputs["images"]}
    for name, array in inputs.items():
        if not array.ndim or not len(array) or array.dtype.kind not in "fiub":
            raise InputError(
                f"{path}: {name} is {array.dtype} {array.shape}, expected uint8 pictures (N, height, "
                "width, 3 or 1), or numbers (N, ...) that are ready for the network"
            )
    counts = {name: len(array) for name, array in inputs.items()}
    if len(set(counts.values())) != 1:
        raise InputError(
            f"{path}: holds {counts or 'nothing'} values on the first axis, expected an array named "
            "'images', or one of each input's name, all for the same inputs"
        )
    first = next(iter(inputs.values()))
    labels = None if given is None else checked_labels(path, given, len(first))
    return (first, labels, {}) if len(inputs) == 1 else (None, labels, inputs)


def _is_pictures(array: Array) -> bool:
    return array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] in (1, 3)


def load_labels(path: str | Path, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the class of each picture, int64 (N,).

    Parameters
    ----------
    path : str or Path
        A .csv file with columns 'file' and 'class' (or the first two columns), or a .npy file in picture order.
    names : sequence of str
        The pictures' file names.

    Raises
    ------
    InputError
        Naming the file and the first picture without a class.
    """
    place = Path(path)
    if place.suffix == ".npy":
        return checked_labels(place, np.load(place, allow_pickle=False), len(names))
    classes = _classes_by_name(place)
    missing = [name for name in names if name not in classes]
    if missing:
        raise InputError(
            f"{path}: no class for picture {missing[0]!r} (and {len(missing) - 1} more), "
            "expected columns file,class"
        )
    return np.array([classes[name] for name in names], np.int64)


def _classes_by_name(path: Path) -> dict[str, int]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); expected a CSV file of labels"
        ) from None
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    name_at, class_at = (
        (header.index("file"), header.index("class"))
        if {"file", "class"} <= set(header)
        else (0, 1)
    )
    found = {}
    for number, row in enumerate(rows, 1):
        digits = row[class_at].strip() if len(row) > max(name_at, class_at) else ""
        if digits.isascii() and digits.isdigit():
            found[row[name_at].strip()] = int(digits)
        elif number > 1:
            raise InputError(f"{path}: line {number}: class {digits!r}, expected a number from 0")
    return found


def checked_labels(path: Path, labels: Array, count: int) -> NDArray[np.int64]:
    """Return labels as int64. Raises InputError unless they are `count` integers from 0."""
    if (
        labels.ndim != 1
        or labels.dtype.kind not in "iu"
        or len(labels) != count
        or labels.min() < 0
    ):
        raise InputError(
            f"{path}: labels are {labels.dtype} {labels.shape}, expected {count} integers from 0"
        )
    return labels.astype(np.int64)
