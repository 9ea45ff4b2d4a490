"""Directories of .npy files: `act-LAYER-BATCH.npy` (or `act-LAYER.npy`) and `wgt-LAYER.npy`, as
DNNsim uses them.

Activations are (batch, channels[, height, width]), weights (filters, channels of a group[, kernel
height, kernel width]). `model.csv` in the same folder gives the order and the geometry:
`layer,conv|fc,stride,padding`, a '/' in a name stands as '-' in file names. Without it, layers come
in name order and only products and 1x1 convolutions can be read.

Integers are taken as they are: activations 0..255 (or -128..127 with a negative one), weights
-128..127. Real values are quantised, activations by the calibrator, weights per filter as SPARQ
does. Nothing is cut off without a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, shown
from sparqsim.base.parse import require_whole_number
from sparqsim.base.textfile import csv_lines, read_text
from sparqsim.quantise.calibrate import calibrator
from sparqsim.quantise.codes import WeightCodes, quantise
from sparqsim.trace.arrayfile import finite_float32, read_npy
from sparqsim.trace.layer import Layer
from sparqsim.trace.trace import Trace

Array = NDArray[Any]

MODEL_COLUMNS = "layer,conv|fc,stride,padding"
#: Longest stride or padding.
MOST_PIXELS = 65536


@dataclass(frozen=True)
class LayerFiles:
    """One layer's files; `stride` and `padding` are None where no model.csv says them."""

    name: str
    activations: tuple[Path, ...]
    weights: Path
    stride: int | None
    padding: int | None


def read_directory(folder: str | Path, calibrate: str = "mean-max") -> Trace:
    """Return the trace of a directory.

    Raises
    ------
    InputError
        Naming the file, and what is wrong with it.
    """
    place = Path(folder)
    found = _layer_files(place)
    layers = [_layer(files, calibrate) for files in found]
    scales = any(layer.record.activation_scale != 1 for layer in layers)
    return Trace(
        layers,
        network=place.resolve().name,
        origin="sparqsim trace import (.npy files)",
        calibrator=calibrator(calibrate).spec if scales else "none: the files hold 8-bit integers",
    )


def _layer_files(folder: Path) -> list[LayerFiles]:
    weights = {file.name[4:-4]: file for file in sorted(folder.glob("wgt-*.npy"))}
    if not weights:
        raise InputError(
            f"{folder}: no wgt-*.npy files, expected act-LAYER-BATCH.npy and wgt-LAYER.npy"
        )
    described = _described(folder / "model.csv")
    unknown = [name for name in described if name not in weights]
    if unknown:
        raise InputError(
            f"{folder / 'model.csv'}: layer {unknown[0]!r} has no file wgt-{unknown[0]}.npy"
        )
    return [
        _files_of(folder, name, weights[name], described.get(name, (None, None)))
        for name in (described or weights)
    ]


def _files_of(
    folder: Path, name: str, weights: Path, walk: tuple[int | None, int | None]
) -> LayerFiles:
    numbered = {
        int(match[1]): file
        for file in folder.glob("act-*.npy")
        if (match := re.fullmatch(rf"act-{re.escape(name)}-([0-9]+)\.npy", file.name))
    }
    activations = [numbered[batch] for batch in sorted(numbered)]
    alone = folder / f"act-{name}.npy"
    activations = activations or ([alone] if alone.exists() else [])
    if not activations:
        raise InputError(
            f"{folder}: no activations for {weights.name}, expected act-{name}-0.npy or "
            f"act-{name}.npy"
        )
    return LayerFiles(name, tuple(activations), weights, *walk)


def _described(path: Path) -> dict[str, tuple[int | None, int | None]]:
    """Return layer -> (stride, padding) of a model.csv, or {} where there is none."""
    if not path.exists():
        return {}
    described: dict[str, tuple[int | None, int | None]] = {}
    for line in csv_lines(read_text(path, MODEL_COLUMNS), path, MODEL_COLUMNS):
        if line.is_empty:
            continue
        what, cells = f"{path}: line {line.number}", line.cells
        if len(cells) < 4 or cells[1] not in ("conv", "fc"):
            raise InputError(f"{what} is {shown(','.join(cells))}, expected {MODEL_COLUMNS}")
        # A fully connected layer has no stride; 0 stands for it.
        least = 1 if cells[1] == "conv" else 0
        stride = require_whole_number(cells[2], f"{what}: stride", least, MOST_PIXELS)
        padding = require_whole_number(cells[3], f"{what}: padding", 0, MOST_PIXELS)
        described[cells[0].replace("/", "-")] = (stride, padding)
    return described


def _layer(files: LayerFiles, calibrate: str) -> Layer:
    weights = _loaded(files.weights)
    batches = [_loaded(file) for file in files.activations]
    odd = [
        file
        for file, batch in zip(files.activations, batches, strict=True)
        if batch.shape[1:] != batches[0].shape[1:]
    ]
    if odd:
        raise InputError(
            f"{odd[0]}: shape differs from that of {files.activations[0].name}, expected "
            "batches of one shape"
        )
    activations = np.concatenate(batches)
    x, scale = _activations(files.activations[0], activations, calibrate)
    w = _weights(files.weights, weights)
    fields = {"activation_scale": scale, **w.fields}
    if weights.ndim == 4 and not (weights.shape[2:] == (1, 1) and activations.ndim == 2):
        return _convolution(files, x, w, weights.shape, fields)
    return Layer.linear(
        files.name, x.reshape(len(x), -1), w.codes.reshape(len(w.codes), -1), **fields
    )


def _convolution(
    files: LayerFiles, x: Array, w: WeightCodes, shape: tuple[int, ...], fields: dict[str, Any]
) -> Layer:
    if files.stride is None and shape[2:] != (1, 1):
        raise InputError(
            f"{files.weights}: a {shape[2]}x{shape[3]} convolution, and nothing says its stride "
            "and padding; expected model.csv with layer,conv,stride,padding"
        )
    if x.ndim != 4 or x.shape[1] % shape[1]:
        raise InputError(
            f"{files.activations[0]}: shape {x.shape}, expected (batch, channels, height, width) "
            f"with a multiple of the weights' {shape[1]} channels"
        )
    codes = np.ascontiguousarray(w.codes.reshape(shape[0], shape[1], -1).transpose(0, 2, 1))
    return Layer.conv2d(
        files.name,
        np.ascontiguousarray(x.transpose(0, 2, 3, 1)),
        codes,
        kernel=shape[2:],
        stride=(files.stride or 1,) * 2,
        padding=(files.padding or 0,) * 4,
        groups=x.shape[1] // shape[1],
        **fields,
    )


def _loaded(path: Path) -> Array:
    """Return the numbers of a file: integers as they are, real numbers as finite float32."""
    array = read_npy(path)
    if array.ndim not in (2, 4):
        raise InputError(f"{path}: {array.dtype} {array.shape}, expected numbers with 2 or 4 axes")
    return finite_float32(array, f"{path}:") if array.dtype.kind == "f" else array


def _is_integer(array: Array) -> bool:
    return array.dtype.kind != "f" or bool((array == np.rint(array)).all())


def _activations(path: Path, values: Array, calibrate: str) -> tuple[Array, float]:
    """Return 8-bit activations and their scale (1 for integers)."""
    if _is_integer(values):
        lowest, highest = int(values.min()), int(values.max())
        if lowest >= 0 and highest <= 255:
            return values.astype(np.uint8), 1.0
        if lowest >= -128 and highest <= 127:
            return values.astype(np.int8), 1.0
        raise InputError(f"{path}: integers {lowest:g}..{highest:g}, expected 0..255 or -128..127")
    observer = calibrator(calibrate).observer()
    observer.update(values)
    scale = observer.scale()
    return quantise(values, scale, observer.signed).codes, scale


def _weights(path: Path, values: Array) -> WeightCodes:
    if not _is_integer(values):
        return WeightCodes.of_real(values)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < -128 or highest > 127:
        raise InputError(f"{path}: integers {lowest:g}..{highest:g}, expected -128..127")
    return WeightCodes.of_network(values.astype(np.int8), np.ones(1), np.zeros(1, np.int64))
