"""What values decide, in one pass over rows: error, classes, windows, activity, step cycles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.activity import PartCounter
from sparqsim.pe.arithmetic import Factors, row_blocks
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.declared import activation_cycles
from sparqsim.pe.layout import padded_to
from sparqsim.results.layer_report import Error, Pairs
from sparqsim.trace.lowering import LoweredLayer

#: Squares of integers below 2^21 can be added 2^21 times in int64.
HALF_BITS = 20


@dataclass(frozen=True)
class Measurement:
    """What one design makes of one layer's values.

    `macs_nonzero`: MACs with both operands non-zero. `activity`: part -> cycles, or {} where the
    design does not count its parts. `step_cycles`: uint8 (groups, M, steps), or None where
    activations do not decide them.
    """

    error: Error
    pairs: Pairs
    windows: dict[str, int]
    activity: dict[str, int]
    macs_nonzero: int
    step_cycles: NDArray[np.uint8] | None


def measure(layer: LoweredLayer, designs: list[PEDesign]) -> list[Measurement]:
    """Measure bound designs on the layer; operands are lowered and multiplied once for all."""
    return metered(layer, [Meter(pe, layer) for pe in designs])


class Watcher(Protocol):
    """What sees a layer's rows pass."""

    def add_rows(self, x: Array) -> None:
        """Take a block of X (groups, rows, K)."""


def metered(
    layer: LoweredLayer, meters: Sequence[Any], watchers: Sequence[Watcher] = ()
) -> list[Measurement]:
    """Show the layer's rows and exact sums to every meter, and return what each has collected.

    Parameters
    ----------
    layer : LoweredLayer
    meters : sequence of `Meter`, or of what has the same methods `add` and `measurement`
    watchers : sequence of Watcher
        See the rows alone.
    """
    nonzero = np.zeros((layer.groups, layer.k), np.int64)
    for x in row_blocks(layer):
        exact = layer.sums(x, layer.weights)
        signal = sum_of_squares(exact)
        nonzero += np.count_nonzero(x, axis=1)
        for meter in meters:
            meter.add(x, exact, signal)
        for watcher in watchers:
            watcher.add_rows(x)
    macs_nonzero = int((nonzero * np.count_nonzero(layer.weights, axis=2)).sum())
    return [meter.measurement(macs_nonzero) for meter in meters]


class Meter:
    """Accumulates one design's measurement over row blocks."""

    def __init__(self, pe: PEDesign, layer: LoweredLayer) -> None:
        self._pe, self._factors = pe, Factors(layer, pe)
        self._outputs = self._signal = self._noise = self._max_abs = 0
        self._pairs: list[Pairs] = []
        self._windows: Counter[int] = Counter()
        self._parts: PartCounter | None = None
        self._cycles: list[NDArray[np.uint8]] = []

    def add(self, x: Array, exact: NDArray[np.int64], signal: int) -> None:
        """Count a block of X (groups, rows, K), its corrected product, and its sum of squares."""
        pe = self._pe
        self._add_error(exact, signal, x)
        entering = self._factors.entering(x)
        self._windows.update(pe.windows(entering))
        states = pe.activation_states(entering)
        if states is not None:
            self._parts = self._parts or PartCounter(pe, self._factors.layer.weights)
            self._parts.add(states)
        if pe.cost == "activations":
            self._cycles.append(activation_cycles(pe, entering))

    def _add_error(self, exact: NDArray[np.int64], signal: int, x: Array) -> None:
        used = self._factors.used_activations(x)
        self._pairs.append(pair_classes(x, None if self._pe.real_valued else used))
        self._outputs += exact.size
        self._signal += signal
        if self._factors.exact_on(x, used):
            return
        difference = self._factors.sums(x, used) - exact
        self._noise += sum_of_squares(difference)
        self._max_abs = max(self._max_abs, int(np.abs(difference).max()))

    def measurement(self, macs_nonzero: int) -> Measurement:
        """Return what was accumulated."""
        return Measurement(
            error=Error(
                outputs=self._outputs, signal=self._signal, noise=self._noise, max_abs=self._max_abs
            ),
            pairs=Pairs.sum_of(self._pairs),
            windows={str(shift): count for shift, count in sorted(self._windows.items())},
            activity={} if self._parts is None else self._parts.cycles(),
            macs_nonzero=macs_nonzero,
            step_cycles=np.concatenate(self._cycles, axis=1) if self._cycles else None,
        )


def pair_classes(x: Array, used: Array | None) -> Pairs:
    """Return the classes of the pairs of activations (..., K), given the values used in their
    place.

    `used` is None where the value used depends on the weight it meets, or is of another scale.
    """
    first, second = np.moveaxis(padded_to(x, 2).reshape(-1, 2), 1, 0)
    zeros = (first == 0).astype(np.uint8) + (second == 0)
    both_zero, one_zero = int((zeros == 2).sum()), int((zeros == 1).sum())
    if used is None:
        return Pairs(
            both_zero=both_zero,
            one_zero=one_zero,
            both_nonzero_exact=None,
            trimmed=None,
            one_zero_changed=None,
        )
    # One byte per element: a pair read as one 16-bit number is non-zero where either element
    # changed.
    changed = padded_to(used != x, 2).view(np.uint16).ravel() != 0
    trimmed = int((changed & (zeros == 0)).sum())
    return Pairs(
        both_zero=both_zero,
        one_zero=one_zero,
        trimmed=trimmed,
        both_nonzero_exact=len(zeros) - both_zero - one_zero - trimmed,
        one_zero_changed=int((changed & (zeros == 1)).sum()),
    )


def sum_of_squares(values: NDArray[np.int64]) -> int:
    """Return the exact sum of squares of integers below 2^40 in size, as an unbounded int."""
    total = 0
    for part in np.array_split(values.ravel(), -(-values.size >> HALF_BITS) or 1):
        high, low = part >> HALF_BITS, part & ((1 << HALF_BITS) - 1)
        total += (
            (int(high @ high) << 2 * HALF_BITS)
            + (int(high @ low) << HALF_BITS + 1)
            + int(low @ low)
        )
    return total
