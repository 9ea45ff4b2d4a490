"""Calibrators: how a layer's activation scale is found from the values of calibration pictures.

    observer = calibrator("percentile:99.9").observer()
    for batch in batches:                 # float (B, ...), any number: only counts are kept
        observer.update(batch)
    observer.scale(), observer.signed

The scale is clip / 255 for uint8 activations and clip / 127 for int8 ones (symmetric); calibrators
differ in the clip:

| name | clip |
|---|---|
| `mean-max` | mean over pictures of the picture's largest magnitude (SPARQ's own) |
| `max` | largest magnitude of all |
| `percentile:P` | magnitude that P percent of the non-zero values do not exceed |
| `mse`, `mse:BITS` | the clip of least squared error when only the top BITS (default 8) are used |
| `lp:P`, `lp:P:BITS` | the same for the mean of error^P (LAPQ's first phase; `mse` is `lp:2`) |
| `olive:4` | that which makes a step of the 8-bit code one of OliVe's normal steps |

One of your own is a class derived from `Observer` with `look` and `clip`, in a file:
'FILE.py:CLASS', or 'FILE.py:CLASS:A:B', which makes it with the texts A and B behind `signed`.
`HistogramObserver` keeps the histogram for it, and has `look` already.

Zeros are exact at every scale, so `percentile`, `mse` and `lp` look at the other values. They see
the magnitudes as a histogram of `BINS` equal bins from 0 to the smallest power of two above the
largest magnitude, each bin standing for its middle; the range doubles when a larger value arrives,
and bins merge in pairs without rounding. So the result does not depend on how the pictures are cut
into batches. Memory is the histogram, whatever the number of pictures.

Source: `mean-max` SPARQ (NeurIPS 2021, the authors' code); `lp` LAPQ (Nahshan et al. 2019); the
histogram and the grid of clips tried are ours; `olive:4` OliVe (Guo et al., ISCA 2023), whose scale
`sparqsim.quantise.olive` tells: here from the histogram, which knows no pairs, so the search leaves
victims out. Its 8-bit codes are coarse, as 4-bit ones are: 7 or 15 steps to the three-sigma point.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.parse import real_number
from sparqsim.base.plugins import EXPECTED, SourceClass
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
NAMES = ("mean-max", "max", "percentile:P", "mse", "mse:BITS", "lp:P", "lp:P:BITS", "olive:4")


@dataclass(frozen=True)
class Calibrator:
    """A named way to find scales.

    `spec`: the name with its parameters. `make`: returns a fresh observer for `signed` True, False
    or None.
    """

    spec: str
    make: Callable[[bool | None], Observer]

    def observer(self, signed: bool | None = None) -> Observer:
        """Return an observer of one layer's activations.

        Parameters
        ----------
        signed : bool or None
            Whether the layer will be int8; None: decided by the values, int8 if any is negative.
        """
        return self.make(signed)


def calibrator(spec: str) -> Calibrator:
    """Return the calibrator that `spec` names: 'mean-max', 'max', 'percentile:99.9', 'mse:4',
    'lp:3', ..., or 'FILE.py:CLASS[:A:B]'.

    The last one runs the file, so this is for what a user has typed.

    Raises
    ------
    InputError
        For an unknown name, a parameter out of range, or a class that is no observer.
    """
    own = SourceClass.parse(spec, "calibrator")
    if own is not None:
        return _from_file(own)
    name, *values = spec.split(":")
    if (name, len(values)) in (("mean-max", 0), ("max", 0)):
        made: type[Observer] = MeanOfMaxima if name == "mean-max" else Largest
        return Calibrator(spec, made)
    if (name, len(values)) == ("percentile", 1):
        _number(spec, values[0], "P", lowest=0, highest=100)
        return Calibrator(spec, lambda signed: Percentile(signed, Fraction(values[0])))
    if name == "mse" and len(values) <= 1:
        return _least_error(spec, 2.0, values)
    if name == "lp" and 1 <= len(values) <= 2:
        return _least_error(spec, _number(spec, values[0], "P", lowest=0, highest=20), values[1:])
    if spec == "olive:4":
        return Calibrator(spec, OutlierVictim)
    raise InputError(
        f"calibrator {spec!r} is not known{nearest(spec, NAMES)}; expected one of "
        f"{', '.join(NAMES)} or {EXPECTED}"
    )


def _from_file(source: SourceClass) -> Calibrator:
    """Return the calibrator that makes observers of a user's class; records name its file without
    its folder.
    """
    made = source.load(Observer)
    if not (isinstance(made, type) and issubclass(made, Observer)):
        raise InputError(f"{source.origin} is {made!r}, expected a subclass of Observer")
    missing = sorted(getattr(made, "__abstractmethods__", ()))
    if missing:
        raise InputError(f"{source.origin} is unfinished: expected {' and '.join(missing)}")
    values = source.keys.split(":") if source.keys else []
    try:
        made(None, *values)
    except (TypeError, ValueError) as error:
        raise InputError(f"calibrator {source.origin}: {':'.join(values)!r}: {error}") from None
    spec = ":".join([source.file.name, source.class_name, *values])
    return Calibrator(spec, lambda signed: made(signed, *values))


def _least_error(spec: str, power: float, bits_text: list[str]) -> Calibrator:
    text = bits_text[0] if bits_text else "8"
    if not re.fullmatch("[2-8]", text):
        raise InputError(f"calibrator {spec!r}: BITS={text!r}, expected 2 to 8")
    return Calibrator(spec, lambda signed: LeastError(signed, power, int(text)))


def _number(spec: str, text: str, name: str, lowest: float, highest: float) -> float:
    value = real_number(text)
    if value is None or not lowest < value <= highest:
        raise InputError(
            f"calibrator {spec!r}: {name}={text!r}, expected a number above {lowest} and up "
            f"to {highest}"
        )
    return value


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
