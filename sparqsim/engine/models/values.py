"""What an engine makes of a layer's values, from its outputs alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sparqsim.engine.measure import Measurement, pair_classes
from sparqsim.engine.squares import sum_of_squares
from sparqsim.pe.base import Array
from sparqsim.results.layer_report import Error, Pairs
from sparqsim.trace.lowering import LoweredLayer

Outputs = Callable[[LoweredLayer, Array], NDArray[np.int64]]


class OutputMeter:
    """Collects the error of outputs, and the classes of pairs of activations that are used whole.

    Parameters
    ----------
    outputs : callable
        `outputs(lowered, x)`: int64 (groups, rows, N), zero points corrected.
    lowered : LoweredLayer
    """

    def __init__(self, outputs: Outputs, lowered: LoweredLayer) -> None:
        self._outputs, self._lowered = outputs, lowered
        self._errors: list[Error] = []
        self._pairs: list[Pairs] = []

    def add(self, x: Array, exact: NDArray[np.int64], signal: int) -> None:
        """Count a block of rows."""
        outputs = self._outputs(self._lowered, x)
        self._errors.append(error_of(outputs, exact, signal))
        self._pairs.append(pair_classes(x, x))

    def add_exact(self, x: Array, exact: NDArray[np.int64], signal: int) -> None:
        """Count a block of rows whose outputs are the exact ones."""
        self._errors.append(Error(outputs=exact.size, signal=signal, noise=0, max_abs=0))
        self._pairs.append(pair_classes(x, x))

    def measurement(self, macs_nonzero: int) -> Measurement:
        """Return what was collected; no windows, no parts, no steps that values make longer."""
        return Measurement(
            error=Error.sum_of(self._errors),
            pairs=Pairs.sum_of(self._pairs),
            windows={},
            activity={},
            macs_nonzero=macs_nonzero,
            step_cycles=None,
        )


def error_of(outputs: NDArray[np.int64], exact: NDArray[np.int64], signal: int) -> Error:
    """Return the error of outputs; `signal`: the sum of squares of the exact ones."""
    difference = outputs - exact
    return Error(
        outputs=exact.size,
        signal=signal,
        noise=sum_of_squares(difference),
        max_abs=int(np.abs(difference).max(initial=0)),
    )
