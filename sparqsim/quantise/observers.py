"""What calibrators see of values, and the clips they find: see `sparqsim.quantise.calibrate`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.quantise.codes import float32
from sparqsim.quantise.olive import PARTS_TRIED, codes_for, three_sigma

Array = NDArray[Any]

#: Bins of a histogram: at least 64 to each step of an 8-bit code that spans the values.
BINS = 1 << 15
#: Clips that `mse` and `lp` try, evenly spaced up to the first one that clips nothing.
CLIPS_TRIED = 128
#: Values whose squares, in bins, add up in int64.
MOST_SUMMED = (1 << 63) // (2 * BINS) ** 2 - 1
#: Of the sum of squares: an error that is so much larger is not the least, however it is rounded.
SURELY_WORSE = 1e-9


@dataclass(frozen=True)
class Magnitudes:
    """The magnitudes of a batch, float (B, values), and each picture's largest, float64 (B,)."""

    values: Array
    maxima: NDArray[np.float64]


class Observer(ABC):
    """What a calibrator keeps of one layer's activations: lowest and largest value, and what a
    subclass adds. The order and the sizes of batches may not matter.
    """

    def __init__(self, signed: bool | None = None) -> None:
        self._signed = signed
        #: Smallest value seen, at most 0.
        self.lowest = 0.0
        #: Largest magnitude seen.
        self.largest = 0.0

    @property
    def signed(self) -> bool:
        """Whether the layer's activations are int8: as given, else whether a value was negative."""
        return self.lowest < 0 if self._signed is None else self._signed

    @property
    def top_code(self) -> int:
        """The largest 8-bit code."""
        return 127 if self.signed else 255

    def update(self, batch: Array) -> None:
        """Look at one batch of activations, float (B, ...); the first axis counts pictures.

        Raises
        ------
        InputError
            For values that are NaN or infinite, or too large for float32.
        """
        if batch.size == 0:
            return
        values = np.abs(batch).reshape(len(batch), -1)
        maxima = values.max(axis=1).astype(np.float64)
        if not np.isfinite(float32(maxima)).all():
            raise InputError("activations hold NaN or infinite values, expected finite ones")
        self.lowest = min(self.lowest, float(batch.min()))
        self.largest = max(self.largest, float(maxima.max()))
        self.look(Magnitudes(values, maxima))

    def scale(self) -> float:
        """Return the real value of one step of the 8-bit code, a number that float32 holds.

        1.0 where every value was zero (any scale holds it). Codes are computed in float32
        (`sparqsim.quantise.codes`), so the scale that is written down is the very one they used.
        """
        if self.largest == 0:
            return 1.0
        clip = self.clip()
        if not 0 <= clip < math.inf:
            raise InputError(f"{type(self).__name__}.clip() gives {clip}, expected a magnitude")
        scale = np.float32(clip / self.top_code)
        return float(max(scale, np.finfo(np.float32).tiny))

    @abstractmethod
    def look(self, batch: Magnitudes) -> None:
        """Keep what the clip needs of a batch; `lowest` and `largest` are up to date."""

    @abstractmethod
    def clip(self) -> float:
        """Return the largest magnitude that the code shall hold; `largest` is above 0."""


class Largest(Observer):
    """`max`."""

    def look(self, batch: Magnitudes) -> None:
        """Nothing more than every observer keeps."""

    def clip(self) -> float:
        """Return the clip that the class's docstring names."""
        return self.largest


class MeanOfMaxima(Observer):
    """`mean-max`."""

    def __init__(self, signed: bool | None = None) -> None:
        super().__init__(signed)
        self._sum, self._pictures = 0.0, 0

    def look(self, batch: Magnitudes) -> None:
        """Keep what `clip` needs of a batch."""
        for largest in batch.maxima.tolist():  # one by one: batches must not matter
            self._sum += largest
        self._pictures += len(batch.maxima)

    def clip(self) -> float:
        """Return the clip that the class's docstring names."""
        return self._sum / self._pictures


class HistogramObserver(Observer):
    """Keeps a histogram of the non-zero magnitudes; see the module's docstring."""

    def __init__(self, signed: bool | None = None) -> None:
        super().__init__(signed)
        self._counts = np.zeros(BINS, np.int64)
        self._exponent: int | None = None  # the range is 0 .. 2^exponent

    def look(self, batch: Magnitudes) -> None:
        """Keep what `clip` needs of a batch."""
        if self.largest == 0:
            return
        exponent = math.frexp(self.largest)[1]
        if self._exponent is not None:
            self._widen(exponent - self._exponent)
        self._exponent = exponent
        nonzero = batch.values[batch.values != 0]
        # Scaling by a power of two is exact, so a value has one bin whatever the range was when it
        # came.
        bins = np.ldexp(nonzero, BINS.bit_length() - 1 - exponent).astype(np.int64)
        self._counts += np.bincount(bins, minlength=BINS)

    def _widen(self, doublings: int) -> None:
        for _ in range(min(doublings, BINS.bit_length())):
            pairs = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.concatenate([pairs, np.zeros(BINS // 2, np.int64)])

    def histogram(self) -> tuple[NDArray[np.int64], float]:
        """Return the count of each bin (BINS,) and the width of a bin, in real units."""
        return self._counts, math.ldexp(1.0, (self._exponent or 0) - BINS.bit_length() + 1)

    def bins(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the middles of the bins that hold values, in real units, and their counts."""
        counts, width = self.histogram()
        used = np.flatnonzero(counts)
        middles = np.asarray((used + 0.5) * width, np.float64)
        return middles, counts[used].astype(np.float64)


class Percentile(HistogramObserver):
    """`percentile:P`: the upper edge of the bin that holds the P-th percentile."""

    def __init__(self, signed: bool | None, percent: Fraction) -> None:
        super().__init__(signed)
        self._percent = percent

    def clip(self) -> float:
        """Return the clip that the class's docstring names."""
        counts, width = self.histogram()
        reached = np.cumsum(counts)
        wanted = math.ceil(self._percent * int(reached[-1]) / 100)
        return min(self.largest, (int(np.searchsorted(reached, wanted)) + 1) * width)


class LeastError(HistogramObserver):
    """`mse` and `lp`: the clip of least mean error^power for a code of which only the top `bits`
    bits are used.
    """

    def __init__(self, signed: bool | None, power: float, bits: int) -> None:
        super().__init__(signed)
        self._power, self._bits = power, bits

    def clip(self) -> float:
        """Return the clip that the class's docstring names."""
        return self.clips_of([self._power])[0]

    def clips_of(self, powers: Sequence[float]) -> list[float]:
        """Return the clip of least mean error^p for each of some powers."""
        values, weights = self.bins()
        coarse = 1 << (8 - self._bits)  # one step of the used bits, in steps of the code
        levels = self.top_code // coarse
        clips = (
            self.largest
            * self.top_code
            / (levels * coarse)
            * np.arange(1, CLIPS_TRIED + 1)
            / CLIPS_TRIED
        )
        steps = coarse * clips / self.top_code
        if list(powers) == [2.0]:
            near = self._near_least_square(steps, levels)
            clips, steps = clips[near], steps[near]
        errors = []
        for step in steps:
            held = np.minimum(np.rint(values / step), levels) * step
            sizes = np.abs(held - values)
            errors.append([weights @ sizes**power for power in powers])
        return [float(clips[place]) for place in np.argmin(errors, axis=0)]

    def _near_least_square(
        self, steps: NDArray[np.float64], levels: int
    ) -> NDArray[np.int64] | slice:
        """Return the places of all steps whose squared error may be the least.

        Values between two edges get one code c: their error is the sum of n (c step - v)^2, which
        sums of n, n v and n v^2 over bins give at once. In units of half a bin, middles are odd
        integers and those sums exact; what is left is the rounding of a few hundred products, far
        below `SURELY_WORSE` of the sum of squares.
        """
        counts, width = self.histogram()
        if int(counts.sum()) > MOST_SUMMED:
            return slice(None)
        middles = 2 * np.arange(BINS) + 1
        number, first, second = (
            np.concatenate([[0], np.cumsum(counts * middles**power)]) for power in (0, 1, 2)
        )
        held = np.arange(levels + 1) * (steps / (width / 2))[:, None]
        edges = (held[:, 1:] + held[:, :-1]) / 2
        below = np.clip(np.ceil((edges - 1) / 2), 0, BINS).astype(np.int64)
        ends = np.pad(below, ((0, 0), (1, 1)), constant_values=((0, 0), (0, BINS)))
        of_code, sum_of_code = (np.diff(sums[ends], axis=1) for sums in (number, first))
        errors = (held * (held * of_code - 2 * sum_of_code)).sum(axis=1) + second[-1]
        return np.flatnonzero(errors <= errors.min() + SURELY_WORSE * second[-1])


class _Below(HistogramObserver):
    """The values below 0."""

    def clip(self) -> float:
        """Return the largest magnitude; nobody asks."""
        return self.largest


class OutlierVictim(HistogramObserver):
    """`olive:4`: a step of the 8-bit code is one of the normal steps of OliVe's 4-bit codes."""

    def __init__(self, signed: bool | None = None) -> None:
        super().__init__(signed)
        self._values, self._below = 0, _Below()

    def update(self, batch: Array) -> None:
        """Look at one batch, and at its values below 0 alone."""
        super().update(batch)
        self._values += batch.size
        self._below.update(np.minimum(batch, 0))

    def clip(self) -> float:
        """Return the clip that the class's docstring names."""
        codes = codes_for(signed=self.signed)
        values, weights = self.bins()
        reach = self._reach(float(weights @ values), float(weights @ values**2))
        scales = [part * reach / codes.highest for part in PARTS_TRIED]
        errors = [weights @ (codes.nearest(values / each) * each - values) ** 2 for each in scales]
        return scales[int(np.argmin(errors))] * self.top_code

    def _reach(self, magnitudes: float, squares: float) -> float:
        """Return the three-sigma point, given the sums of magnitudes and of squares."""
        below, width = self._below.histogram()
        sum_below = float(below @ ((np.arange(BINS) + 0.5) * width))
        mean = (magnitudes - 2 * sum_below) / self._values
        variance = (squares - self._values * mean * mean) / max(1, self._values - 1)
        return float(three_sigma(np.array(mean), np.array(math.sqrt(max(0.0, variance)))))
