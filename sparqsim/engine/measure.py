"""What values decide, in one pass over rows: error, classes, windows, activity, step cycles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.costs import SideCosts
from sparqsim.base.jit import SMALL
from sparqsim.engine.squares import sum_of_squares
from sparqsim.pe.activity import PartCounter
from sparqsim.pe.arithmetic import Factors, row_blocks
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.declared import activation_cycles
from sparqsim.pe.layout import magnitude_pairs, padded_to
from sparqsim.results.layer_report import Error, Pairs
from sparqsim.trace.lowering import LoweredLayer

if TYPE_CHECKING:
    from sparqsim.engine.together import Sharing, Together

#: Elements of X and W from which a layer is worth a pass that designs share: kernels, and asking
#: designs about all pairs.
SHARED_FROM = 1 << 19
#: Two bytes of 1, read as one number.
BOTH = 0x0101


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

    @cached_property
    def step_costs(self) -> SideCosts | None:
        """The same for arrays to time, which keep with it what all their shapes share."""
        return None if self.step_cycles is None else SideCosts(self.step_cycles, "ms")


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
    sharers = [each for each in meters if isinstance(each, Sharer)]
    rows, counted = _together(layer, sharers), PairsOnce()
    for meter in meters:
        if isinstance(meter, Meter):
            meter.count_with(counted)
    for x in row_blocks(layer, rows.block_elements):
        exact, signal = rows.add(x)
        for meter in meters:
            meter.add(x, exact, signal)
        for watcher in watchers:
            watcher.add_rows(x)
    macs_nonzero = rows.macs_nonzero()
    return [meter.measurement(macs_nonzero) for meter in meters]


def is_large(layer: LoweredLayer) -> bool:
    """Return whether a pass that designs share over the layer is worth its while."""
    elements: int = layer.groups * layer.k * (layer.m + layer.n)
    return elements >= SHARED_FROM


def _together(layer: LoweredLayer, meters: Sequence[Sharer]) -> Together | _Exact:
    """Return what sees the rows first: for the meters that can share it, and tell them so."""
    designs: list[Sharing] = []
    places = []
    for meter in meters:
        if taking_part := meter.sharings():
            places.append((meter, len(designs)))
            designs += taking_part
    if not designs:
        return _Exact(layer)
    from sparqsim.engine.together import Together

    try:
        together = Together(layer, designs)
    except OverflowError:
        return _Exact(layer)
    for meter, at in places:
        meter.share(together, at)
    return together


class _Exact:
    """The exact sums of a layer's rows, and their zeros."""

    block_elements: int | None = None

    def __init__(self, layer: LoweredLayer) -> None:
        self._layer = layer
        self._nonzero = np.zeros((layer.groups, layer.k), np.int64)

    def add(self, x: Array) -> tuple[NDArray[np.int64], int]:
        """Count zeros of X (groups, rows, K); return its sums and those of their squares."""
        self._nonzero += np.count_nonzero(x, axis=1)
        exact = self._layer.sums(x, self._layer.weights)
        return exact, sum_of_squares(exact)

    def macs_nonzero(self) -> int:
        """Return the MACs whose operands are both non-zero."""
        return int((self._nonzero * np.count_nonzero(self._layer.weights, axis=2)).sum())


class Sharer(ABC):
    """A meter that leaves to a shared pass what that finds."""

    @abstractmethod
    def sharings(self) -> list[Sharing]:
        """Return the designs that take part; none where the meter sees the rows alone."""

    @abstractmethod
    def share(self, together: Together, at: int) -> None:
        """Take from a pass what it finds for its designs `at`, `at` + 1, ..."""


class PairsOnce:
    """The counted pairs of the block that was asked for last, which designs ask for in turn."""

    def __init__(self) -> None:
        self._last: tuple[Array, NDArray[np.int64]] | None = None

    def of(self, x: Array) -> NDArray[np.int64]:
        """Return `magnitude_pairs` of a block."""
        if self._last is None or self._last[0] is not x:
            self._last = x, magnitude_pairs(x)
        return self._last[1]


class Meter(Sharer):
    """Accumulates one design's measurement over row blocks; what a shared pass finds, it takes from
    there.
    """

    def __init__(self, pe: PEDesign, layer: LoweredLayer) -> None:
        self._pe, self._layer, self._factors = pe, layer, Factors(layer, pe)
        self._outputs = self._signal = self._noise = self._max_abs = 0
        self._pairs: list[Pairs] = []
        self._windows: Counter[int] = Counter()
        self._parts: PartCounter | None = None
        self._cycles: list[NDArray[np.uint8]] = []
        self._shared: tuple[Together, int] | None = None
        self._counted = PairsOnce()

    def sharings(self) -> list[Sharing]:
        """Return how the design takes part in a shared pass; nothing where it does not."""
        if not is_large(self._layer):
            return []
        from sparqsim.engine.together import sharing

        each = sharing(self._layer, self._pe, self._factors.weights)
        return [] if each is None else [each]

    def share(self, together: Together, at: int) -> None:
        """Leave to a shared pass what it finds for its design number `at`."""
        self._shared = together, at

    def count_with(self, counted: PairsOnce) -> None:
        """Count pairs of activations in common with other designs."""
        self._counted = counted

    def add(self, x: Array, exact: NDArray[np.int64], signal: int) -> None:
        """Count a block of X (groups, rows, K), its corrected product, and its sum of squares."""
        pe, entering = self._pe, self._factors.entering(x)
        if self._shared is None:
            self._add_error(exact, signal, x)
        if not self._windows_shared:
            self._windows.update(self._windows_of(entering))
        if not self._parts_shared:
            self._add_parts(entering)
        if pe.cost == "activations":
            self._cycles.append(activation_cycles(pe, entering))

    @property
    def _windows_shared(self) -> bool:
        return self._shared is not None and type(self._pe).windows is PEDesign.windows

    @property
    def _parts_shared(self) -> bool:
        return self._shared is not None and self._shared[0].counts_parts(self._shared[1])

    def _windows_of(self, entering: Array) -> dict[int, int]:
        pe = self._pe
        by_pairs = pe.windows_by_pairs and type(pe).windows is PEDesign.windows
        return pe.pair_windows(self._counted.of(entering)) if by_pairs else pe.windows(entering)

    def _add_parts(self, entering: Array) -> None:
        states = self._pe.activation_states(entering)
        if states is None:
            return
        if self._parts is None:
            small = SMALL if self._shared is None else 0  # a shared pass has loaded numba
            self._parts = PartCounter(self._pe, self._factors.layer.weights, small)
        self._parts.add(states)

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
        windows = self._windows_found()
        return Measurement(
            error=self._error(),
            pairs=self._classes(),
            windows={str(shift): count for shift, count in sorted(windows.items())},
            activity=self._activity(),
            macs_nonzero=macs_nonzero,
            step_cycles=np.concatenate(self._cycles, axis=1) if self._cycles else None,
        )

    def _error(self) -> Error:
        if self._shared is not None:
            return self._shared[0].error(self._shared[1])
        return Error(
            outputs=self._outputs, signal=self._signal, noise=self._noise, max_abs=self._max_abs
        )

    def _classes(self) -> Pairs:
        if self._shared is not None:
            return self._shared[0].pairs(self._shared[1])
        return Pairs.sum_of(self._pairs)

    def _windows_found(self) -> dict[int, int]:
        if self._shared is not None and self._windows_shared:
            return self._shared[0].windows(self._shared[1])
        return self._windows

    def _activity(self) -> dict[str, int]:
        if self._shared is not None and self._parts_shared:
            return self._shared[0].activity(self._shared[1])
        return {} if self._parts is None else self._parts.cycles()


def pair_classes(x: Array, used: Array | None) -> Pairs:
    """Return the classes of the pairs of activations (..., K), given the values used in their
    place.

    `used` is None where the value used depends on the weight it meets, or is of another scale.
    """
    # One byte per element: a pair read as one 16-bit number.
    present = padded_to(x != 0, 2).view(np.uint16)
    any_nonzero, both_nonzero = present != 0, present == BOTH
    nonzero, both = _number(any_nonzero), _number(both_nonzero)
    both_zero, one_zero = present.size - nonzero, nonzero - both
    if used is None:
        return Pairs(
            both_zero=both_zero,
            one_zero=one_zero,
            both_nonzero_exact=None,
            trimmed=None,
            one_zero_changed=None,
        )
    changed = padded_to(used != x, 2).view(np.uint16) != 0
    trimmed = _number(changed & both_nonzero)
    return Pairs(
        both_zero=both_zero,
        one_zero=one_zero,
        trimmed=trimmed,
        both_nonzero_exact=both - trimmed,
        one_zero_changed=_number(changed & any_nonzero) - trimmed,
    )


def _number(which: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(which))
