"""Embedding tables from files: safetensors and .npy, and the one that a package ships.

Nothing is downloaded. `wordllama` names the table of the installed package of that name (MIT
licence; 32,000 rows of 256 elements, fp16), which comes with its tokenizer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.wording import install_hint
from sparqsim.trace.arrayfile import read_npy
from sparqsim.trace.header import DTYPES
from sparqsim.trace.tensorfile import TensorFile

#: The installed package whose table is known by its name; where its files stand in it.
PACKAGED = "wordllama"
PACKAGED_TABLE = "weights/l2_supercat_256.safetensors"
PACKAGED_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
WHAT = "a table of embeddings"
#: What elements of a table may be: other real numbers are refused, integers are codes of some kind.
KINDS = "fp16, bf16, fp32 or fp64"
#: What bytes of bf16 are read as: NumPy has no such type.
BFLOAT16 = np.dtype([("bfloat16", np.uint16)])
#: Codes that a safetensors file's tensors may have here.
CODES = {**DTYPES, "BF16": BFLOAT16}


@dataclass(frozen=True, eq=False)
class Table:
    """An embedding table.

    Parameters
    ----------
    values : float32 (rows, width)
    name : str
        What results call it.
    sha256 : str
        Digest of the file that it comes from.
    dtype : str
        Of the file's elements.
    """

    values: NDArray[np.float32]
    name: str
    sha256: str
    dtype: str

    @property
    def height(self) -> int:
        """How many rows."""
        return len(self.values)

    @property
    def width(self) -> int:
        """Elements of a row."""
        return int(self.values.shape[1])


def load_table(source: str | Path, tensor: str | None = None) -> Table:
    """Return the table of a .safetensors or .npy file, or of the installed package `wordllama`.

    Parameters
    ----------
    source : str or Path
    tensor : str, optional
        The tensor of a safetensors file that is the table; needed where several could be.

    Raises
    ------
    InputError
        For another kind of file, a tensor that is no table, or a package that is not installed.
    """
    path = packaged(PACKAGED_TABLE) if str(source) == PACKAGED else Path(source)
    if path.suffix == ".npy":
        if tensor is not None:
            raise InputError(f"--tensor {tensor}: {path} is one array; expected no --tensor")
        array = _checked(read_npy(path), str(path))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return _table(array, path.name, digest, str(path))
    file = TensorFile(path, WHAT, CODES)
    name = _chosen(file, tensor)
    place = f"{path}: tensor {name!r}"
    _check_shape(file.source(name).shape, file.source(name).dtype, place)
    called = PACKAGED if str(source) == PACKAGED else path.name
    return _table(file.source(name).load(), called, file.sha256, place)


def packaged(name: str) -> Path:
    """Return a file of the installed package `wordllama`, which is not imported.

    Raises
    ------
    InputError
        Where it is not installed, or another version of it is.
    """
    found = find_spec(PACKAGED)
    if found is None or not found.submodule_search_locations:
        raise InputError(
            f"{PACKAGED}: the package is not installed; expected {install_hint('gather')}, or a "
            "table of your own (.safetensors, .npy)"
        )
    path = Path(found.submodule_search_locations[0]) / name
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected {PACKAGED} 0.4, which has it")
    return path


def _chosen(file: TensorFile, tensor: str | None) -> str:
    if tensor is not None:
        if tensor not in file:
            raise InputError(
                f"--tensor {tensor}: {file.path} has no such tensor; expected one of "
                f"{_listed(file.names)}"
            )
        return tensor
    matrices = [
        name
        for name in file.names
        if len(file.source(name).shape) == 2 and _is_real(file.source(name).dtype)
    ]
    if len(matrices) == 1:
        return matrices[0]
    if len(file.names) == 1:
        return file.names[0]
    raise InputError(
        f"{file.path}: {len(matrices)} tensors could be the table; expected --tensor with one of "
        f"{_listed(matrices or file.names)}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _checked(array: NDArray[np.generic], place: str) -> NDArray[np.generic]:
    _check_shape(array.shape, array.dtype, place)
    return array


def _check_shape(shape: tuple[int, ...], dtype: np.dtype[np.generic], place: str) -> None:
    if len(shape) != 2 or not _is_real(dtype) or 0 in shape:
        raise InputError(
            f"{place}: {_called(dtype)} {shape}, expected rows x elements of {KINDS}, at least one "
            "of each"
        )


def _is_real(dtype: np.dtype[np.generic]) -> bool:
    return dtype.kind == "f" or dtype == BFLOAT16


def _called(dtype: np.dtype[np.generic]) -> str:
    return "bfloat16" if dtype == BFLOAT16 else str(dtype)


def _widened(codes: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the numbers of bf16 codes, exactly: they are the upper halves of those of fp32."""
    return (codes.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _table(array: NDArray[np.generic], name: str, digest: str, place: str) -> Table:
    dtype = _called(array.dtype)
    if array.dtype == BFLOAT16:
        array = _widened(array)
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(array, dtype=np.float32)
    odd = ~np.isfinite(values)
    if odd.any():
        row, column = (int(at) for at in np.argwhere(odd)[0])
        raise InputError(
            f"{place}: row {row}: element {column} is {array[row, column]}, expected finite "
            "numbers that fp32 holds"
        )
    return Table(values, name, digest, dtype)
