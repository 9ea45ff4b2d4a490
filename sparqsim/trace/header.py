"""The header of a safetensors file: names, types and places of its tensors, read once and checked.

Eight bytes of length (little endian), a JSON object of that length, then the tensors' bytes. An
entry of the object is {"dtype": code, "shape": [...], "data_offsets": [start, end]}, counted from
the end of the header; `__metadata__` holds texts. The tensors cover the rest of the file without
gap or overlap. Source: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparqsim.base.errors import InputError, shown
from sparqsim.base.textfile import json_of

#: safetensors' codes, in the order in which the format's own writer puts tensors: widest first.
DTYPES: Mapping[str, np.dtype[Any]] = {
    code: np.dtype(dtype)
    for code, dtype in (
        ("U64", np.uint64),
        ("I64", np.int64),
        ("F64", np.float64),
        ("F32", np.float32),
        ("U32", np.uint32),
        ("I32", np.int32),
        ("F16", np.float16),
        ("U16", np.uint16),
        ("I16", np.int16),
        ("I8", np.int8),
        ("U8", np.uint8),
        ("BOOL", np.bool_),
    )
}
LENGTH_BYTES = 8
#: The format's own bound.
LONGEST_HEADER_BYTES = 100_000_000
METADATA = "__metadata__"
ENTRY_KEYS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True)
class TensorEntry:
    """A tensor of the file; `start` and `stop` are offsets in bytes from the start of the file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """The tensors of a file, by name in sorted order, and its texts."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]


def header_bytes(start: bytes, file_bytes: int) -> int:
    """Return the length of the header that a file's first bytes announce.

    Raises
    ------
    InputError
        For a length that the file cannot hold.
    """
    length = int.from_bytes(start, "little")
    if len(start) < LENGTH_BYTES or not 2 <= length <= min(
        file_bytes - LENGTH_BYTES, LONGEST_HEADER_BYTES
    ):
        raise InputError(
            f"its first {LENGTH_BYTES} bytes announce a header of {length} bytes, and the file has "
            f"{file_bytes}"
        )
    return length


def parsed_header(
    text: bytes, file_bytes: int, dtypes: Mapping[str, np.dtype[Any]] = DTYPES
) -> Header:
    """Return the header that `text` holds, for a file of `file_bytes` bytes.

    Parameters
    ----------
    text : bytes
    file_bytes : int
    dtypes : mapping of str to dtype
        Codes that a tensor may have, and what its bytes are read as.

    Raises
    ------
    InputError
        Naming the tensor and what of it is not as the format demands.
    """
    document = json_of(text, "header", "the header of a safetensors file")
    if not isinstance(document, dict):
        raise InputError("header is no JSON object")
    metadata = document.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise InputError(f"{METADATA} is {shown(metadata)}, expected texts by name")
    base = LENGTH_BYTES + len(text)
    tensors = {name: _entry(name, document[name], base, dtypes) for name in sorted(document)}
    _check_places(tensors, base, file_bytes)
    return Header(tensors, metadata)


def _entry(name: str, value: Any, base: int, dtypes: Mapping[str, np.dtype[Any]]) -> TensorEntry:
    if not isinstance(value, dict) or set(value) != ENTRY_KEYS:
        raise InputError(f"tensor {name!r} is {shown(value)}, expected {', '.join(ENTRY_KEYS)}")
    code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or code not in dtypes:
        raise InputError(f"tensor {name!r} is {shown(code)}, expected one of {', '.join(dtypes)}")
    if not _are_sizes(shape):
        raise InputError(f"tensor {name!r}: shape {shown(shape)}, expected whole numbers from 0")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise InputError(f"tensor {name!r}: data_offsets {shown(offsets)}, expected [start, end]")
    start, stop = offsets
    size = math.prod(shape) * dtypes[code].itemsize
    if stop - start != size:
        raise InputError(
            f"tensor {name!r}: {stop - start} bytes for {code} {tuple(shape)}, expected {size}"
        )
    return TensorEntry(tuple(shape), dtypes[code], base + start, base + stop)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(size) is int and 0 <= size < 1 << 63 for size in value
    )


def _check_places(tensors: Mapping[str, TensorEntry], base: int, file_bytes: int) -> None:
    end = base
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            raise InputError(
                f"tensor {name!r} starts at byte {entry.start}, expected {end}, where the one "
                "before it ends"
            )
        end = entry.stop
    if end != file_bytes:
        raise InputError(f"its tensors end at byte {end}, and the file has {file_bytes}")


def written_header(
    tensors: Iterable[tuple[str, tuple[int, ...], np.dtype[Any]]], metadata: Mapping[str, str]
) -> tuple[bytes, list[str]]:
    """Return the start of a file, and the names of its tensors in the order of their bytes.

    Both are those of the format's own writer: equal content gives equal bytes.

    Parameters
    ----------
    tensors : iterable of (name, shape, dtype)
    metadata : mapping of str to str

    Raises
    ------
    InputError
        For a dtype that the format does not have.
    """
    tensors = list(tensors)
    for name, _, dtype in tensors:
        if dtype not in DTYPES.values():
            raise InputError(f"tensor {name!r} is {dtype}, expected one of {', '.join(DTYPES)}")
    codes = {dtype: code for code, dtype in DTYPES.items()}
    order = list(DTYPES.values())
    placed = sorted(tensors, key=lambda tensor: (order.index(tensor[2]), tensor[0]))
    entries: dict[str, Any] = {METADATA: dict(metadata)}
    end = 0
    for name, shape, dtype in placed:
        start, end = end, end + math.prod(shape) * dtype.itemsize
        entries[name] = {"dtype": codes[dtype], "shape": list(shape), "data_offsets": [start, end]}
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % LENGTH_BYTES)
    return len(header).to_bytes(LENGTH_BYTES, "little") + header, [name for name, *_ in placed]
