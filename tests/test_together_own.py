"""Designs from outside on a large layer: those that a pass cannot share are told from those that it
can.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

import sparqsim
from sparqsim.engine import measure as measure_module
from sparqsim.engine.measure import measure
from sparqsim.pe import PEDesign, Step


class Own(PEDesign):
    """What these tests do not ask for."""

    def step(self, xs, ws, signed=False):
        return Step(0)


@dataclass(frozen=True)
class Uncounted(Own):
    """Codes as they are, parts that are not counted: no state tells pairs apart, only zeros do."""

    name = "uncounted"
    lanes = 1


@dataclass(frozen=True)
class Masked(Own):
    """A key that does not make designs unequal."""

    name = "masked"
    lanes = 1
    mask: int = field(default=0xF0, compare=False)

    def used_activations(self, x):
        return x & np.uint8(self.mask)


@dataclass(frozen=True)
class Windowed(Own):
    """Windows that no counted pairs tell."""

    name = "windowed"
    lanes = 1

    def windows(self, x):
        return {0: int(np.count_nonzero(x > 15))}


@dataclass(frozen=True)
class LargestOfFour(Own):
    """Of four neighbours the largest ones are used."""

    name = "largest-of-four"
    lanes = 4

    def used_activations(self, x):
        steps = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % 4)])
        steps = steps.reshape(*x.shape[:-1], -1, 4)
        used = np.where(steps == steps.max(axis=-1, keepdims=True), steps, 0)
        return used.reshape(*x.shape[:-1], -1)[..., : x.shape[-1]]


@dataclass(frozen=True)
class LargerOfFarOnes(Own):
    """The larger of two elements half of K apart is used."""

    name = "larger-of-far-ones"
    lanes = 2

    def k_order(self, k):
        steps = self.steps(k)
        far = np.arange(steps, 2 * steps)
        return np.stack([np.arange(steps), np.where(far < k, far, -1)], axis=1)

    def used_activations(self, x):
        steps = self.steps(x.shape[-1])
        near, far = x[..., :steps], x[..., steps:]
        reached = far.shape[-1]
        lone = near[..., reached:]
        near = near[..., :reached]
        kept = np.where(near >= far, near, 0), lone, np.where(near < far, far, 0)
        return np.concatenate(kept, axis=-1)


@pytest.mark.parametrize(
    "designs",
    [
        [Uncounted()],
        [Masked(), Masked(0x80)],
        [Windowed(), Uncounted()],
        [LargestOfFour(), Uncounted()],
        [LargerOfFarOnes(), Uncounted()],
    ],
    ids=lambda designs: designs[0].name,
)
def test_every_design_has_its_own_values(designs, monkeypatch):
    """In one pass, whether it shares what others ask for or not."""
    monkeypatch.setattr(measure_module, "SHARED_FROM", 0)
    rng = np.random.default_rng(2)
    x = (rng.integers(0, 256, (6, 11)) * (rng.random((6, 11)) < 0.6)).astype(np.uint8)
    w = (rng.integers(-128, 128, (11, 3)) * (rng.random((11, 3)) < 0.8)).astype(np.int8)
    layer = sparqsim.Layer.from_gemm("one", x, w)
    for pe, found in zip(designs, measure(layer.lower(), designs), strict=True):
        used = pe.used_activations(x)
        noise = (used.astype(object) - x.astype(object)) @ w.astype(object)
        assert (found.error.noise, found.error.max_abs) == ((noise**2).sum(), abs(noise).max())
        assert found.macs_nonzero == sum(
            int(a != 0 and b != 0)
            for row in x
            for a, of_k in zip(row, w, strict=True)
            for b in of_k
        )
        assert found.windows == {str(shift): n for shift, n in pe.windows(x[None]).items()}
        changed = np.pad(used != x, ((0, 0), (0, 1))).reshape(6, 6, 2).any(axis=2)
        both = np.pad(x != 0, ((0, 0), (0, 1))).reshape(6, 6, 2).all(axis=2)
        assert found.pairs.trimmed == (changed & both).sum()
