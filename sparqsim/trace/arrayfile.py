"""The one guarded way into .npy and .npz files: numbers whose bytes are there, or one line.

The header of an array says how many bytes follow. It is held against those that are there before
any memory is taken for them, so that a file of 200 bytes cannot ask for terabytes. Only plain
numbers are read; nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, unreadable
from sparqsim.base.limits import UNPACKED_BYTES

Array = NDArray[Any]

#: Integers and real numbers; and truth values, which masks of networks with several inputs are.
NUMBERS, NUMBERS_AND_TRUTH = "iuf", "iufb"


def read_npy(path: Path) -> Array:
    """Return the array of an .npy file: integers or real numbers, C order, native byte order.

    Raises
    ------
    InputError
        When it cannot be read, or holds something else.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 - Path's raise for a name that is too long
        raise InputError(f"{path}: no regular file, expected an .npy file")
    try:
        with path.open("rb") as file:
            return _array(file, path.stat().st_size, str(path))
    except InputError:
        raise
    except (OSError, ValueError, MemoryError) as error:
        raise _refused(path, error) from None


def read_npz(
    path: Path, name: str, others: Sequence[str] = (), kinds: str = NUMBERS
) -> dict[str, Array]:
    """Return the array `name` of an .npz file, then those of `others` that it holds.

    `kinds`: numpy's letters of the types that they may have. An archive of one array needs no name:
    it is `name`.

    Raises
    ------
    InputError
        When it cannot be read, or does not hold the array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, name)
            chosen = [each for each in (name, *others) if name in members and each in members]
            arrays = {each: _member(archive, members[each], path, kinds) for each in chosen}
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - zipfile and its decompressors fail in many ways on a broken archive
        raise _refused(path, error) from None
    if not arrays:
        held = ", ".join(members)[:200] or "no array"
        raise InputError(f"{path}: holds {held}, expected an array named {name!r}")
    return arrays


def finite_float32(values: Array, what: str) -> Array:
    """Return real values as float32. Raises InputError for such that are no finite ones then."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if not np.isfinite(single).all():
        raise InputError(
            f"{what} holds NaN, infinite values or such that float32 cannot hold, expected finite "
            "ones"
        )
    return single


def npz_names(path: Path) -> list[str]:
    """Return the names of the arrays in an .npz file. Raises InputError when it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return list(_members(archive, "images"))
    except Exception as error:  # noqa: BLE001 - as in `read_npz`
        raise _refused(path, error) from None


def is_npz(path: Path) -> bool:
    """Return whether a file begins as an archive does."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK"
    except (OSError, ValueError):
        return False


def _members(archive: zipfile.ZipFile, name: str) -> dict[str, str]:
    """Return array name -> file name in the archive; a single one is called `name`."""
    files = [file for file in archive.namelist() if file.endswith(".npy")]
    if len(files) == 1:
        return {name: files[0]}
    return {file.removesuffix(".npy"): file for file in files}


def _member(archive: zipfile.ZipFile, name: str, path: Path, kinds: str) -> Array:
    entry = archive.getinfo(name)
    # An array that is not compressed takes no more memory than it takes of the disk.
    if entry.compress_type != zipfile.ZIP_STORED:
        UNPACKED_BYTES.check(entry.file_size, f"{path}: {name}, unpacked")
    with archive.open(entry) as file:
        content = file.read()
    return _array(io.BytesIO(content), len(content), f"{path}: {name}", kinds)


def _array(file: IO[bytes], size_bytes: int, origin: str, kinds: str = NUMBERS) -> Array:
    """Return the array, of one of numpy's `kinds`, at the beginning of a file of `size_bytes`."""
    shape, in_fortran_order, dtype = _header(file, origin)
    if dtype.kind not in kinds:
        raise InputError(f"{origin}: {_described(dtype, shape)}, expected integers or real numbers")
    expected, there = math.prod(shape) * dtype.itemsize, size_bytes - file.tell()
    is_shape = all(type(size) is int and size >= 0 for size in shape)  # True counts as 1 otherwise
    if not is_shape or expected != there:
        raise InputError(
            f"{origin}: {_described(dtype, shape)} takes {expected} bytes, and {there} are there; "
            "expected a whole .npy file"
        )
    if not expected:
        raise InputError(f"{origin}: {_described(dtype, shape)}, expected at least one element")
    flat = np.frombuffer(file.read(expected), dtype)
    ordered = flat.reshape(shape, order="F" if in_fortran_order else "C")
    # Not ascontiguousarray, which makes an axis for a single number.
    return np.asarray(ordered, dtype.newbyteorder("="), order="C")


def _header(file: IO[bytes], origin: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers that Python 2 wrote are read all the same
            if version == (1, 0):
                return np.lib.format.read_array_header_1_0(file)
            if version == (2, 0):
                return np.lib.format.read_array_header_2_0(file)
    except Exception as error:  # noqa: BLE001 - numpy evaluates the header, which fails in many ways
        raise InputError(
            f"{origin}: no header of an .npy file ({error}); expected integers or real numbers"
        ) from None
    raise InputError(f"{origin}: version {version} of .npy, expected 1.0 or 2.0")


def _described(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    """Return type and shape; both come from the file and may be long."""
    text = f"{dtype} {shape}"
    return text if len(text) <= 100 else text[:100] + "..."


def _refused(path: Path, error: Exception) -> InputError:
    reason = error if isinstance(error, OSError) else ValueError(f"{error or type(error).__name__}")
    return InputError(
        f"{unreadable(path, reason)}; expected an .npy or .npz file of integers or real numbers"
    )
