"""HAGO's greedy on a small network, by a model that shares no code with what it is compared with:
codes, sums, answers and the walk in plain NumPy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")

import onnx
from onnx import numpy_helper
from search_networks import ARRAY, three_products

from sparqsim.networks.images import Pictures
from sparqsim.search.run import Search, search

CALIBRATION, LEAST = 7, 2
NAMES = ("first", "mid.1", "last")


class Model:
    """The network at bits of its layers: (activations, weights) by name."""

    def __init__(self, folder: Path) -> None:
        graph = onnx.load(str(folder / "net.onnx")).graph
        self.weights = {
            name: numpy_helper.to_array(each).astype(np.float64)
            for name in NAMES
            for each in graph.initializer
            if each.name == f"{name}.w"
        }
        images = np.load(folder / "x.npz")["images"]
        self.seen, taken = images[CALIBRATION:], images[:CALIBRATION].astype(np.float64)
        self.largest = {}
        for name in NAMES:
            self.largest[name] = taken.max()
            taken = np.maximum(taken @ self.weights[name], 0)

    def answers(self, bits: dict[str, tuple[int, int]] | None) -> np.ndarray:
        x = self.seen.astype(np.float64)
        for name in NAMES:
            w = self.weights[name]
            x = x @ w if bits is None else self.layer(name, x, *bits.get(name, (8, 8)))
            x = x if name == NAMES[-1] else np.maximum(x, 0)
        return x.argmax(axis=1)

    def layer(self, name: str, x: np.ndarray, a: int, b: int) -> np.ndarray:
        step = self.largest[name] / 255
        codes = np.clip(np.round(x / step), 0, 255)
        unit = 2 ** (8 - a)
        codes = np.clip(np.round(codes / unit), 0, 2**a - 1) * unit
        w = self.weights[name]
        most = 2 ** (b - 1) - 1
        steps = 2 * np.abs(w).max(axis=0) / (2**b - 1)  # SPARQ's rule, as recipes have it
        return (codes @ np.clip(np.round(w / steps), -most, most)) * step * steps

    def agree(self, point: tuple[int, ...]) -> int:
        bits = {"first": point[:2], "mid.1": point[2:]}
        return int((self.answers(bits) == self.answers(None)).sum())


def walk(model: Model) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Return the points that HAGO's greedy tries, and where it ends."""
    point = [8, 8, 8, 8]
    tried = [tuple(point)]
    for place in range(4):
        while point[place] > LEAST:
            lower = [*point[:place], point[place] - 1, *point[place + 1 :]]
            tried.append(tuple(lower))
            if model.agree(tuple(lower)) < model.agree(tuple(point)):
                break
            point = lower
    return tried, tuple(point)


def test_greedy_walks_as_the_model_does_and_every_trial_answers_as_it(tmp_path: Path) -> None:
    three_products(tmp_path)
    asked = Search(
        pe="stripes",
        keep_8bit=("last",),
        least_bits=LEAST,
        calibrator="max",
        calibrate_on=CALIBRATION,
    )
    pictures = Pictures.open(tmp_path / "x.npz")
    net = str(tmp_path / "net.onnx")
    report = search(net, pictures, None, asked, ARRAY, tmp_path / "t").report
    model = Model(tmp_path)
    tried, end = walk(model)
    assert report.best.bits == end
    uniform = [(bits,) * 4 for bits in range(8, LEAST - 1, -1)]
    assert [trial.bits for trial in report.trials] == list(dict.fromkeys([*uniform, *tried]))
    found = {trial.bits: trial.agree for trial in report.trials}
    assert found == {bits: model.agree(bits) for bits in found}
    assert len(set(found.values())) > 2, "all points answer alike: nothing was compared"
    assert len(set(end)) > 1, "all edges alike: the walk was not tested"
