"""Directories of act-*.npy and wgt-*.npy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparqsim import InputError
from sparqsim.trace.npy import read_directory

RANDOM = np.random.default_rng(2)


def put(folder: Path, **arrays: np.ndarray) -> None:
    for name, array in arrays.items():
        np.save(folder / f"{name.replace('__', '-')}.npy", array)


def test_integers_are_taken_as_they_are(tmp_path: Path) -> None:
    first, second = (RANDOM.integers(0, 256, (1, 6, 7, 8)) for _ in range(2))
    w = RANDOM.integers(-128, 128, (4, 3, 3, 3))
    put(
        tmp_path,
        act__conv__0=first.astype(np.float32),
        act__conv__1=second.astype(np.float32),
        wgt__conv=w.astype(np.int8),
    )
    (tmp_path / "model.csv").write_text("conv,conv,2,1\n")
    (layer,) = read_directory(tmp_path).layers
    assert np.array_equal(layer.activations, np.concatenate([first, second]).transpose(0, 2, 3, 1))
    assert np.array_equal(layer.weights, w.reshape(4, 3, 9).transpose(0, 2, 1))
    assert (layer.record.groups, layer.record.geometry.stride, layer.record.geometry.padding) == (
        2,
        (2, 2),
        (1, 1, 1, 1),
    )
    assert layer.record.activation_scale == 1


def test_batches_are_in_numeric_order(tmp_path: Path) -> None:
    put(
        tmp_path,
        wgt__fc=np.ones((2, 3), np.int8),
        **{f"act__fc__{n}": np.full((1, 3), n, np.uint8) for n in range(12)},
    )
    assert read_directory(tmp_path).layers[0].activations[0, :, 0].tolist() == list(range(12))


def test_model_csv_gives_the_order(tmp_path: Path) -> None:
    put(
        tmp_path,
        act__b__0=np.ones((1, 3), np.uint8),
        wgt__b=np.ones((2, 3), np.int8),
        act__a__x=np.ones((1, 3), np.uint8),
        wgt__a__x=np.ones((2, 3), np.int8),
    )
    (tmp_path / "model.csv").write_text("b,fc,1,0\na/x,fc,1,0\n")
    assert [layer.name for layer in read_directory(tmp_path).layers] == ["b", "a-x"]


def test_real_values_are_quantised(tmp_path: Path) -> None:
    x, w = RANDOM.uniform(0, 3, (5, 6)), RANDOM.normal(size=(4, 6))
    put(tmp_path, act__fc=x, wgt__fc=w)
    trace = read_directory(tmp_path, "max")
    layer = trace.layers[0]
    assert layer.activations.max() == 255
    assert (
        np.abs(layer.activations[0] * layer.record.activation_scale - x).max()
        <= layer.record.activation_scale / 2 + 1e-6
    )
    assert trace.metadata.calibrator == "max"


def test_negative_integers_are_signed(tmp_path: Path) -> None:
    put(tmp_path, act__fc=np.array([[-128, 127]]), wgt__fc=np.array([[1, 2]]))
    assert read_directory(tmp_path).layers[0].signed


@pytest.mark.parametrize(
    ("arrays", "model", "words"),
    [
        ({}, "", ("no wgt-*.npy files",)),
        ({"wgt__a": np.ones((2, 3))}, "", ("no activations for wgt-a.npy", "act-a-0.npy")),
        (
            {"wgt__a": np.ones((2, 3)), "act__a": np.full((1, 3), 256)},
            "",
            ("act-a.npy", "integers 256..256", "0..255"),
        ),
        (
            {"wgt__a": np.full((2, 3), 200), "act__a": np.ones((1, 3))},
            "",
            ("wgt-a.npy", "integers 200..200"),
        ),
        (
            {"wgt__a": np.ones((2, 3, 3, 3)), "act__a": np.ones((1, 3, 9, 9))},
            "",
            ("nothing says its stride", "model.csv"),
        ),
        (
            {"wgt__a": np.ones((2, 3, 3, 3)), "act__a": np.ones((1, 4, 9, 9))},
            "a,conv,1,0",
            ("act-a.npy", "multiple of"),
        ),
        (
            {"wgt__a": np.ones((2, 3)), "act__a": np.ones((1, 3))},
            "a,conv,one,0",
            ("model.csv: line 1: stride is 'one'",),
        ),
        (
            {"wgt__a": np.ones((2, 3)), "act__a": np.ones((1, 3))},
            "b,fc,1,0",
            ("model.csv", "layer 'b'"),
        ),
        ({"wgt__a": np.ones((2, 3)), "act__a": np.full((1, 3), np.nan)}, "", ("act-a.npy", "NaN")),
        (
            {"wgt__a": np.ones((2, 3)), "act__a": np.array([{}])},
            "",
            ("act-a.npy", "expected integers or real numbers"),
        ),
        (
            {"wgt__a": np.ones((2, 3)), "act__a__0": np.ones((1, 3)), "act__a__1": np.ones((1, 4))},
            "",
            ("act-a-1.npy", "shape"),
        ),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, arrays: dict[str, np.ndarray], model: str, words: tuple[str, ...]
) -> None:
    put(tmp_path, **arrays)
    if model:
        (tmp_path / "model.csv").write_text(model)
    with pytest.raises(InputError) as caught:
        read_directory(tmp_path)
    assert all(word in str(caught.value) for word in words)
