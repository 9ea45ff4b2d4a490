"""Clips of all layers chosen together by what they make of a network's loss: LAPQ's two phases.

1. For each p of POWERS every clip is the one of least mean error^p, and the network's loss is
   taken. A parabola through (p, loss) has its least value at p* (`fitted_power`); all clips start
   there.
2. Powell's method changes all clips together, as factors on where they start, for the least loss
   (`joint_powell`).

The loss is the cross-entropy of labels (`cross_entropy`), or, without labels, the divergence from
the float network's answers (`divergence`).

*Source*: LAPQ (Nahshan et al. 2019; ynahshan/nn-quantization-pytorch). **Ours**: factors instead of
clips, their bounds, and p* kept within POWERS, or put at the p of least loss where the parabola has
no least value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError

Array = NDArray[Any]
Loss = Callable[[NDArray[np.float64]], float]

#: The powers that are tried.
POWERS = tuple(np.linspace(2, 4, 10).tolist())
#: The first step of a line search: a factor of e^STEP.
STEP = 0.1
#: How far a clip may move from where it started.
LEAST_FACTOR, MOST_FACTOR = 0.25, 4.0


class PowerFit(NamedTuple):
    """The p that clips start from.

    power: p*. vertex: the parabola's, before it was brought into the range; None where it has no
    least value.
    """

    power: float
    vertex: float | None


def fitted_power(powers: Sequence[float], losses: Sequence[float]) -> PowerFit:
    """Return where a parabola through losses, by least squares, is least.

    Parameters
    ----------
    powers : at least 3 different numbers
    losses : finite numbers
    """
    curvature, slope, _ = np.polyfit(powers, losses, 2)
    # What is left of rounding is no curvature.
    if curvature <= 1e-9 * (max(losses) - min(losses)):
        return PowerFit(float(powers[int(np.argmin(losses))]), None)
    vertex = float(-slope / (2 * curvature))
    return PowerFit(min(max(vertex, min(powers)), max(powers)), vertex)


class Descent(NamedTuple):
    """What Powell's method found.

    factors: float64 (clip,). loss: theirs. start_loss: that of factors of 1. evaluations: how often
    the loss was taken.
    """

    factors: NDArray[np.float64]
    loss: float
    start_loss: float
    evaluations: int


class _Spent(Exception):
    """As many losses were taken as were allowed."""


def joint_powell(
    loss: Loss,
    clips: int,
    *,
    iterations: int,
    evaluations: int,
    each: Callable[[int], None] = lambda _: None,
) -> Descent:
    """Return the factors on all clips of the least loss that Powell's method met.

    Parameters
    ----------
    loss : callable
        Of factors, float64 (clip,); the same ones give the same loss.
    clips : int
        At least 1.
    iterations : int
        Rounds through all directions.
    evaluations : int
        No more losses are taken.
    each : callable
        Called with the number of losses taken, after each.

    Raises
    ------
    InputError
        Where SciPy is not installed.
    """
    optimize = scipy_optimize()
    met = _Met(loss, clips, evaluations, each)
    with suppress(_Spent):
        optimize.minimize(
            lambda steps: met(factors_of(steps)),
            np.zeros(clips),
            # Without bounds: SciPy's searches within bounds can leave a point for a worse one.
            method="Powell",
            options={"maxiter": iterations, "xtol": 1e-1, "ftol": 1e-4},
        )
    return Descent(met.best, met.least, met.start, met.count)


def factors_of(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return e^(STEP * steps), within what a clip may move."""
    spread = np.clip(STEP * steps, np.log(LEAST_FACTOR), np.log(MOST_FACTOR))
    return np.asarray(np.exp(spread), np.float64)


class _Met:
    """A loss that remembers the best factors it was asked for."""

    def __init__(
        self, loss: Loss, clips: int, evaluations: int, each: Callable[[int], None]
    ) -> None:
        self._loss, self._evaluations, self._each = loss, evaluations, each
        self.best = np.ones(clips)
        self.start = self.least = float(loss(self.best))
        self.count = 1

    def __call__(self, factors: NDArray[np.float64]) -> float:
        if self.count >= self._evaluations:
            raise _Spent
        found = float(self._loss(factors))
        self.count += 1
        self._each(self.count)
        if found < self.least:
            self.least, self.best = found, np.array(factors, np.float64)
        return found


def scipy_optimize() -> Any:
    """Return SciPy's searches. Raises InputError where SciPy is not installed."""
    try:
        from scipy import optimize
    except ImportError:
        raise InputError(
            "lapq needs SciPy, which is not installed, expected sparqsim[torch] or scipy"
        ) from None
    return optimize


def cross_entropy(logits: Array, labels: Array) -> float:
    """Return the mean of -log softmax(logits)[label].

    Parameters
    ----------
    logits : real (picture, class)
    labels : int (picture,)
    """
    return float(-_log_softmax(logits)[np.arange(len(labels)), labels].mean())


def divergence(logits: Array, reference: Array) -> float:
    """Return the mean Kullback-Leibler divergence of answers from those of `reference`, in nats.

    Parameters
    ----------
    logits, reference : real (picture, class)
    """
    meant = _log_softmax(reference)
    return float((np.exp(meant) * (meant - _log_softmax(logits))).sum(axis=1).mean())


def _log_softmax(logits: Array) -> NDArray[np.float64]:
    real = np.asarray(logits, np.float64)
    shifted = real - real.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
