"""Classes of pictures: a .csv file by file name, or an .npy file in picture order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, shown
from sparqsim.base.limits import LABEL_BYTES
from sparqsim.base.parse import looks_like_a_number, require_whole_number
from sparqsim.base.textfile import CsvLine, csv_lines, read_text
from sparqsim.base.wording import counted
from sparqsim.trace.arrayfile import Array, read_npy

EXPECTED = "a CSV file of labels, columns file,class"
#: Classes are below this; no network has so many scores.
MOST_CLASSES = 2**31


def load_labels(path: str | Path, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the class of each picture, int64 (N,).

    Parameters
    ----------
    path : str or Path
        A .csv file with columns 'file' and 'class' (or the first two columns), or a .npy file in
        picture order.
    names : sequence of str
        The pictures' file names.

    Raises
    ------
    InputError
        Naming the file and the first picture without a class.
    """
    place = Path(path)
    if place.suffix == ".npy":
        return checked_labels(place, read_npy(place), len(names))
    classes = _classes_by_name(place)
    missing = [name for name in names if name not in classes]
    if missing:
        raise InputError(
            f"{path}: no class for picture {missing[0]!r} (and {len(missing) - 1} more), "
            "expected columns file,class"
        )
    return np.array([classes[name] for name in names], np.int64)


def _classes_by_name(path: Path) -> dict[str, int]:
    text = read_text(path, EXPECTED, LABEL_BYTES)
    lines = [line for line in csv_lines(text, path, EXPECTED) if not line.is_empty]
    header = [cell.lower() for cell in lines[0].cells] if lines else []
    name_at, class_at = 0, 1
    if {"file", "class"} <= set(header):
        name_at, class_at = header.index("file"), header.index("class")
    # The first line is a header unless it has a number where the class stands.
    has_header = len(header) <= class_at or not looks_like_a_number(header[class_at])
    classes: dict[str, int] = {}
    for line in lines[has_header:]:
        name, label = _labelled(path, line, name_at, class_at)
        if classes.setdefault(name, label) != label:
            raise InputError(
                f"{path}: line {line.number}: class {label} for {shown(name)}, which has class "
                f"{classes[name]} above; expected one class"
            )
    return classes


def _labelled(path: Path, line: CsvLine, name_at: int, class_at: int) -> tuple[str, int]:
    what, cells = f"{path}: line {line.number}", line.cells
    if len(cells) <= max(name_at, class_at):
        raise InputError(
            f"{what} has {counted(len(cells), 'column')}, expected a file name and its class"
        )
    label = require_whole_number(cells[class_at], f"{what}: class", 0, MOST_CLASSES - 1)
    return cells[name_at], label


def checked_labels(path: Path, labels: Array, count: int) -> NDArray[np.int64]:
    """Return labels as int64. Raises InputError unless they are `count` integers from 0."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != count:
        raise InputError(
            f"{path}: labels are {labels.dtype} {labels.shape}, expected {count} integers from 0"
        )
    return checked_classes(labels, str(path))


def checked_classes(labels: Array, origin: str, offset: int = 0) -> NDArray[np.int64]:
    """Return labels + offset as int64.

    Raises
    ------
    InputError
        For a class that is then below 0 or beyond what networks have; naming `origin`.
    """
    for label in (int(labels.min()), int(labels.max())):
        if not 0 <= label + offset < MOST_CLASSES:
            shift = f" with --label-offset {offset}" if offset else ""
            raise InputError(
                f"{origin}: class {label}{shift} is {label + offset}, expected 0 to "
                f"{MOST_CLASSES - 1}"
            )
    return labels.astype(np.int64) + offset
