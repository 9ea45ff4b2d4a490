"""Measuring passes: what one design makes of one layer's values, kept for all arrays.

A pass is computed once by a worker, kept in the store, and handed to the workers that compute
points of the design. Its key is of all that decides it: the trace's content, the layer, the
settings of the design, and the package. An array is no part of it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.base.limits import UNPACKED_BYTES
from sparqsim.engine.measure import Measurement
from sparqsim.results.layer_report import Error, Pairs

#: The form of `packed_pass`; another number is another key.
FORM = 1
#: What of a point's facts decides its passes.
DECISIVE = (
    "trace_sha256",
    "pe",
    "pe_source_sha256",
    "all_layers",
    "kept",
    "signed",
    "engine",
    "version",
    "sources_sha256",
)
#: Step cycles hardly shrink further with more effort.
EFFORT = 1


def pass_key(facts: Mapping[str, Any], layer: int, name: str) -> str:
    """Return the key of a layer's pass under the design and settings of a point's facts.

    `layer`: its place in the trace, from 0. `name`: its own.
    """
    decisive = {fact: facts[fact] for fact in DECISIVE}
    content = json.dumps([FORM, decisive, layer, name], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def packed_pass(measured: Measurement) -> bytes:
    """Return a measurement as bytes: a line of JSON, step cycles behind it, compressed.

    Raises InputError for one of another class, which may hold anything.
    """
    if type(measured) is not Measurement:
        raise InputError(f"{type(measured).__name__}: expected a Measurement, to be kept")
    cycles = measured.step_cycles
    head = {
        "error": measured.error.model_dump(include=set(Error.model_fields)),
        "pairs": measured.pairs.model_dump(include=set(Pairs.model_fields)),
        "windows": measured.windows,
        "activity": measured.activity,
        "macs_nonzero": measured.macs_nonzero,
        "step_cycles": None if cycles is None else cycles.shape,
    }
    data = b"" if cycles is None else cycles.tobytes()
    return zlib.compress(json.dumps(head).encode() + b"\n" + data, EFFORT)


def unpacked_pass(data: bytes) -> Measurement:
    """Return what `packed_pass` was given. Raises InputError for anything else."""
    try:
        line, _, rest = inflated(data, UNPACKED_BYTES.most).partition(b"\n")
        head = json.loads(line)
        shape = head["step_cycles"]
        # A copy: what is read is not written to, but arrays of bytes are read-only for kernels.
        cycles = None if shape is None else np.frombuffer(rest, np.uint8).reshape(shape).copy()
        return Measurement(
            error=Error(**head["error"]),
            pairs=Pairs(**head["pairs"]),
            windows=dict(head["windows"]),
            activity=dict(head["activity"]),
            macs_nonzero=int(head["macs_nonzero"]),
            step_cycles=cycles,
        )
    except (KeyError, RecursionError, TypeError, ValueError, zlib.error) as error:
        told = " ".join(str(error).split())[:120]
        raise InputError(f"a kept pass cannot be read ({told}); expected a store's own") from None


def inflated(data: bytes, most_bytes: int) -> bytes:
    """Undo zlib's compression.

    Raises ValueError or zlib.error for data that zlib did not make, and for far too much of it.
    """
    stream = zlib.decompressobj()
    content = stream.decompress(data, most_bytes)
    if not stream.eof or stream.unused_data:
        raise ValueError(f"it is cut, or longer than {most_bytes:,} bytes")
    return content
