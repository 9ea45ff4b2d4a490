"""Learned rounding: each weight goes up or down so that a layer's *output* keeps its value.

    learn_rounding(weights, scales, limit, moments) -> Rounding

Weights W (N, K) on a grid of steps s, one per channel, become

    Wq = s * clip(floor(W / s) + h(V), -limit, limit)
    h(V) = clip((ZETA - GAMMA) * sigmoid(V) + GAMMA, 0, 1)

and V is learned by Adam on

    mean over rows of (q Wq^T - x W^T)^2 + weight * sum(1 - abs(2 h - 1)^beta)

Rows x are what the layer multiplies in the float network, rows q what it multiplies when it is
quantised. All that the first term needs of them are two K x K matrices, `Moments`, so its gradient
is written down, and no picture is seen again. The second term draws every h to 0 or 1; it is left
out in the first fifth of the steps, and beta falls from 20 to 2 in the others. V starts where h is
the fraction that rounding leaves; in the end a weight goes up if V >= 0. There are no random
numbers.

*Source*: AdaRound (Nagel et al., arXiv 2004.10568); all constants as in BRECQ (yhhhli/BRECQ) and
MQBench (ModelTC/MQBench). **Ours**: the loss of all calibration rows at once instead of batches,
with a tenth of the steps at ten times the rate; a symmetric grid; channels for which rounding to
nearest has the smaller error on the calibration rows keep it (`kept_nearest`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.exact import float_product

Array = NDArray[Any]
Single = NDArray[np.float32]

#: The rectified sigmoid reaches from GAMMA to ZETA before it is clipped to 0..1.
ZETA, GAMMA = 1.1, -0.1
#: How many scales are tried, each a hundredth of the first below the last, and the error's power.
SHRINKS, POWER = 80, 2.4
#: Adam's (Kingma & Ba 2015).
DECAYS, TINY = (0.9, 0.999), 1e-8
#: Slopes of the first term stay below it times moments, so that their squares fit float32. Beside
#: such slopes the second term is nothing, and Adam's steps do not depend on their size.
STEEPEST = 1e9
#: Between these h counts as undecided.
UNDECIDED = (0.01, 0.99)


class Moments(NamedTuple):
    """Second moments of what a layer multiplies, means over rows, float64 (groups, K, K).

    inputs: of q with q. cross: of q (first axis) with x (second axis).
    """

    inputs: Array
    cross: Array

    def errors(self, weights: Array, quantised: Array) -> NDArray[np.float64]:
        """Return each channel's mean squared output error, less the mean square of x w^T.

        That part depends on no rounding, so the errors can be compared, and can be below 0.

        Parameters
        ----------
        weights, quantised : real (groups, N, K)

        Returns
        -------
        float64 (groups, N)
        """
        squares = (float_product(quantised, self.inputs) * quantised).sum(axis=-1)
        return np.asarray(
            squares - 2 * (float_product(quantised, self.cross) * weights).sum(axis=-1)
        )


@dataclass(frozen=True)
class Schedule:
    """How long rounding is learned, and how.

    steps, rate: Adam's. weight: of the term that draws h to 0 or 1. warm_up: the share of the
    steps without it. betas: its power in the first step with it, and towards the last.
    """

    steps: int = 2000
    rate: float = 1e-2
    weight: float = 0.01
    warm_up: float = 0.2
    betas: tuple[float, float] = (20.0, 2.0)

    def beta(self, step: int) -> float | None:
        """Return the power in a step, counted from 0; None in the warm-up."""
        start = self.warm_up * self.steps
        if step < start:
            return None
        first, last = self.betas
        return first + (last - first) * (step - start) / (self.steps - start)


@dataclass(frozen=True, eq=False)
class Rounding:
    """Weights whose rounding was learned.

    codes: int8 (groups, N, K). kept_nearest: channels that were left as rounded to nearest.
    undecided: share of the weights whose h was still between 0.01 and 0.99 in the end.
    """

    codes: NDArray[np.int8]
    kept_nearest: int
    undecided: float


def start_scales(weights: Array, limit: int) -> NDArray[np.float32]:
    """Return the scale of every channel, float32 (groups, N), that rounding is learned for.

    The first one tried reaches the channel's largest weight, the last is 79 hundredths of it
    smaller; the one of least mean |error|^2.4 wins, the larger of equally good ones. A channel of
    zeros has the scale 1.

    Parameters
    ----------
    weights : real (groups, N, K)
    limit : int
        The largest code.

    Raises
    ------
    InputError
        For NaN or infinite weights.
    """
    real = np.asarray(weights, np.float64)
    if not np.isfinite(real).all():
        raise InputError("weights hold NaN or infinite values, expected finite ones")
    reaching = np.abs(real).max(axis=-1) / limit
    reaching = np.where(reaching > 0, reaching, 1.0)
    scales, least = reaching, np.full(reaching.shape, np.inf)
    for shrunk in range(SHRINKS):
        tried = reaching * (1 - 0.01 * shrunk)
        held = nearest_codes(real, tried, limit) * tried[..., None]
        # In steps of the first scale: the order is that of the errors, whatever their size.
        score = (np.abs((real - held) / reaching[..., None]) ** POWER).mean(axis=-1)
        scales = np.where(score < least, tried, scales)
        least = np.minimum(score, least)
    return np.maximum(scales.astype(np.float32), np.finfo(np.float32).tiny)


def nearest_codes(weights: Array, scales: Array, limit: int) -> NDArray[np.int8]:
    """Return weights (..., N, K) at scales (..., N) as the nearest codes of -limit..limit, halves
    to even.
    """
    steps = np.rint(np.asarray(weights, np.float64) / scales[..., None])
    return np.clip(steps, -limit, limit).astype(np.int8)


def rectified_sigmoid(v: Array) -> Array:
    """Return h(V), 0 to 1."""
    return np.clip(_stretched(_sigmoid(v)), 0, 1)


def start_of(fraction: Array) -> Array:
    """Return the V whose h is a fraction, 0 <= fraction < 1."""
    return -np.log((ZETA - GAMMA) / (fraction - GAMMA) - 1)


def learn_rounding(
    weights: Array,
    scales: Array,
    limit: int,
    moments: Moments,
    schedule: Schedule | None = None,
    each: Callable[[int], None] = lambda _: None,
) -> Rounding:
    """Return weights rounded so that the error of the layer's output is small.

    Parameters
    ----------
    weights : real (groups, N, K)
    scales : real (groups, N)
        Above 0.
    limit : int
        The largest code: 2^(bits - 1) - 1.
    moments : Moments
    schedule : Schedule, optional
    each : callable
        Called with the number of steps done, after every step.
    """
    learned = _Learned(np.asarray(weights, np.float64), np.asarray(scales, np.float64), limit)
    descent = _Descent(learned, moments)
    for step in descent.run(schedule or Schedule()):
        each(step)
    return learned.rounding(moments)


class _Learned:
    """V of a layer, float32 (groups, N, K), and the codes that it stands for."""

    def __init__(self, weights: Array, scales: Array, limit: int) -> None:
        self.weights, self.scales, self.limit = weights, scales[..., None], limit
        #: The weights in steps.
        self.steps = weights / self.scales
        floor = np.floor(self.steps)
        self.v = start_of(self.steps - floor).astype(np.float32)
        self.floor = floor.astype(np.float32)

    def rounding(self, moments: Moments) -> Rounding:
        """Return the codes by the hard rule, or by rounding to nearest where that is better."""
        up = self.floor + (self.v >= 0)
        codes = np.clip(up, -self.limit, self.limit).astype(np.int8)
        nearest = nearest_codes(self.weights, self.scales[..., 0], self.limit)
        errors = (moments.errors(self.weights, each * self.scales) for each in (codes, nearest))
        worse = np.greater(*errors)
        codes = np.where(worse[..., None], nearest, codes)
        h = rectified_sigmoid(self.v)
        undecided = (h > UNDECIDED[0]) & (h < UNDECIDED[1])
        return Rounding(codes, int(worse.sum()), float(undecided.mean()))


class _Descent:
    """The gradient with respect to V, and Adam.

    In units of steps: with c = Wq / s, channel n of the first term has the gradient
    2 s^2 (c Q - t), where Q is `Moments.inputs` and t = (W / s) times the transposed cross moments.
    """

    def __init__(self, learned: _Learned, moments: Moments) -> None:
        self._learned = learned
        self._inputs = moments.inputs.astype(np.float32)
        meant = float_product(learned.steps, np.swapaxes(moments.cross, -1, -2))
        self._meant = meant.astype(np.float32)
        self._units = np.minimum(2 * learned.scales**2, STEEPEST).astype(np.float32)

    def run(self, schedule: Schedule) -> Iterator[int]:
        """Change V step by step; yields how many steps there have been."""
        v = self._learned.v
        mean, square = np.zeros_like(v), np.zeros_like(v)
        for step in range(1, schedule.steps + 1):
            gradient = self.gradient(schedule.beta(step - 1), schedule.weight)
            mean += (1 - DECAYS[0]) * (gradient - mean)
            square += (1 - DECAYS[1]) * (gradient * gradient - square)
            spread = np.sqrt(square / (1 - DECAYS[1] ** step)) + TINY
            v -= schedule.rate / (1 - DECAYS[0] ** step) * mean / spread
            yield step

    def gradient(self, beta: float | None, weight: float) -> Single:
        """Return the loss's gradient with respect to V, float32 (groups, N, K)."""
        sigmoid = _sigmoid(self._learned.v)
        stretched = _stretched(sigmoid)
        h = np.clip(stretched, 0, 1)
        by_h = self._by_code(self._learned.floor + h)
        if beta is not None:
            by_h -= weight * _drawing(h, beta)
        moving = (stretched > 0) & (stretched < 1)
        slope = np.where(moving, (ZETA - GAMMA) * sigmoid * (1 - sigmoid), 0)
        return np.asarray(by_h * slope, np.float32)

    def _by_code(self, codes: Single) -> Single:
        """Return the first term's gradient with respect to codes; 0 where they saturate."""
        limit = self._learned.limit
        error = float_product(np.clip(codes, -limit, limit), self._inputs) - self._meant
        inside = np.abs(codes) <= limit
        return np.asarray(np.where(inside, self._units * error, 0), np.float32)


def _drawing(h: Single, beta: float) -> Single:
    """Return the derivative of |2 h - 1|^beta."""
    centred = 2 * h - 1
    drawn = 2 * beta * np.abs(centred) ** (beta - 1) * np.sign(centred)
    return np.asarray(drawn, np.float32)


def _stretched(sigmoid: Array) -> Array:
    return (ZETA - GAMMA) * sigmoid + GAMMA


def _sigmoid(v: Array) -> Array:
    return 1 / (1 + np.exp(-v))
