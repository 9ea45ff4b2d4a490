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

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.parse import real_number
from sparqsim.base.plugins import EXPECTED, SourceClass
from sparqsim.quantise.observers import (
    HistogramObserver,
    Largest,
    LeastError,
    MeanOfMaxima,
    Observer,
    OutlierVictim,
    Percentile,
)

__all__ = ["Calibrator", "HistogramObserver", "Observer", "calibrator"]

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
