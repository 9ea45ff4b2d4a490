"""Layers that stay at 8 bits, on the circuit of a design that trims others.

`kept_run` asks the design how (`PEDesign.kept_8bit`); what it says runs pass after pass on the
engine of its PEs. Every pass is timed, and moves operands, as a layer of its own; sums are added
outside the array, and zero points corrected by whole operands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing
from sparqsim.base.jit import SMALL
from sparqsim.engine.measure import Measurement, Sharer, is_large
from sparqsim.engine.models.base import KEPT, Capacity, Defined, EngineModel, Meter, Task
from sparqsim.engine.models.registry import get_model, made_of, resolve
from sparqsim.engine.models.values import OutputMeter
from sparqsim.pe.activity import PartCounter
from sparqsim.pe.arithmetic import Factors
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.binding import facts_of
from sparqsim.results.actions import Actions, added
from sparqsim.results.layer_report import LayerReport
from sparqsim.trace import Layer
from sparqsim.trace.lowering import LoweredLayer

if TYPE_CHECKING:
    from sparqsim.engine.together import Sharing, Together
    from sparqsim.memory.system import Loops

#: Rows from which it is worth proving that passes add up: once for all rows.
MANY_ROWS = 64
#: Weights that are looked at at a time.
BLOCK_WEIGHTS = 1 << 20


def kept_run(model: EngineModel, layer: Layer) -> EngineModel:
    """Return what runs a layer that stays at 8 bits, ready for it.

    An engine that is no array of PEs runs it as any other layer. A design that does not say how its
    circuit runs it leaves it to `KEPT`.
    """
    if model.pe is None:
        return model.bound_to(layer)
    mode = model.pe.kept_8bit(facts_of(layer))
    if mode is None:
        return get_model(KEPT).bound_to(layer)
    if mode.passes == (model.pe,):
        return model.bound_to(layer)
    passes = tuple(made_of(pe).bound_to(layer) for pe in mode.passes)
    return InPasses(model.pe, passes, mode.words)


def ran(
    part: LayerReport, layer: Layer, known: Collection[EngineModel | PEDesign] = ()
) -> EngineModel:
    """Return what ran a layer, ready for it, by the layer's report; `known` as `resolve` takes
    it.
    """
    model = resolve(part.run_as, known=known)
    return kept_run(model, layer) if part.kept_8bit else model.bound_to(layer)


@dataclass(frozen=True)
class InPasses(EngineModel):
    """An array whose PEs go over a layer in passes.

    Parameters
    ----------
    design : PEDesign
        As the user named it.
    passes : tuple of EngineModel
        Made of PEs, bound to the layer.
    words : str
        What the circuit does.
    """

    design: PEDesign
    passes: tuple[EngineModel, ...]
    words: str

    @property
    def spec(self) -> str:
        """The design's name and keys."""
        return self.design.spec

    @property
    def kept_mode(self) -> str:
        """What the circuit does."""
        return self.words

    @property
    def pe(self) -> PEDesign:
        """What the PEs are in the first pass."""
        return self.pass_designs[0]

    @property
    def pass_designs(self) -> tuple[PEDesign, ...]:
        """What the PEs are in each pass."""
        return tuple(pe for each in self.passes for pe in each.pass_designs)

    @property
    def follows_array(self) -> bool:  # type: ignore[override] # a pass decides
        """Whether the array times the first pass."""
        return self.passes[0].follows_array

    @property
    def cycles_depend_on_values(self) -> bool:
        """Whether those of a pass do."""
        return any(each.cycles_depend_on_values for each in self.passes)

    def capacity(self, array: ArrayConfig) -> Capacity:
        """Return that of the first pass."""
        return self.passes[0].capacity(array)

    def refuse_array(self, array: ArrayConfig) -> None:
        """Refuse what a pass refuses."""
        for each in self.passes:
            each.refuse_array(array)

    def refuse_layer(self, layer: Layer, array: ArrayConfig) -> None:
        """Refuse what a pass refuses."""
        for each in self.passes:
            each.refuse_layer(layer, array)

    def refuse_definition(self, layer: Layer, array: ArrayConfig) -> None:
        """Refuse what a pass refuses."""
        for each in self.passes:
            each.refuse_definition(layer, array)

    def meter(self, lowered: LoweredLayer) -> Meter:
        """Return what collects error and part activity."""
        return _Meter(self, lowered)

    def outputs(self, lowered: LoweredLayer, x: Array) -> NDArray[np.int64]:
        """Return the sums of all passes, zero points corrected."""
        w = lowered.weights
        product = np.sum([pe.matmul(x, w) for pe in self.pass_designs], axis=0)
        return lowered.corrected(product, x, w)

    def unit_steps(self, task: Task) -> int:
        """Return the steps of all passes."""
        return sum(each.unit_steps(task) for each in self.passes)

    def time(self, task: Task, measured: Measurement | None = None) -> Timing:
        """Time each pass by its fast form."""
        return Timing.sum_of(tuple(each.time(task) for each in self.passes))

    def define(self, task: Task) -> Defined:
        """Run each pass by its definition, and add the sums."""
        done = [each.define(task) for each in self.passes]
        activity: Counter[str] = Counter()
        for each in done:
            activity.update(each.activity or {})
        timing = Timing.sum_of(tuple(each.timing for each in done))
        return Defined(timing, self._added(task.lowered, done), dict(activity))

    def _added(self, layer: LoweredLayer, done: list[Defined]) -> NDArray[np.int64] | None:
        """Return the corrected sums of the layer, given those of each pass; None where one has
        none.
        """
        x, total = layer.rows(), np.zeros((layer.groups, layer.m, layer.n), np.int64)
        for pe, each in zip(self.pass_designs, done, strict=True):
            if each.outputs is None:
                return None
            # A pass corrects by the operands it uses: what that adds to a product of 0 goes.
            correction = Factors(layer, pe).corrected(np.zeros_like(total), x)
            total += each.outputs - correction
        return layer.corrected(total, x, layer.weights)

    def actions(
        self, task: Task, timing: Timing, measured: Measurement, unit_cycles: int
    ) -> Actions:
        """Return what was done in all passes; waiting for the memory is counted in the first."""
        units = self.capacity(task.array).units
        waiting, tables = unit_cycles - units * timing.total, []
        for model, each in zip(self.passes, timing.passes, strict=True):
            tables.append(model.actions(task, each, measured, units * each.total + waiting))
            waiting, measured = 0, replace(measured, activity={})  # those are of all passes
        return added(tables)

    def loops(self, task: Task, timing: Timing) -> Loops:
        """Return the loops of each pass."""
        first, *then = (
            model.loops(task, each) for model, each in zip(self.passes, timing.passes, strict=True)
        )
        return replace(first, then=tuple(then))


def adds_up(passes: Sequence[PEDesign], w: Array, signed: bool) -> bool:
    """Return whether products of some passes add up to x * w for every code x, at each weight.

    False, too, where a pass takes activations otherwise than one by one.

    Parameters
    ----------
    passes : sequence of PEDesign
    w : int8 (groups, K, N)
    signed : bool
        Whether x is int8, else uint8.
    """
    if not all(_one_by_one(pe) for pe in passes):
        return False
    codes = np.arange(256, dtype=np.uint8).view(np.int8 if signed else np.uint8)[:, None]
    used = np.stack([pe.used_activations(codes)[:, 0].astype(np.int64) for pe in passes])
    parts = [pe.used_weights(w) for pe in passes]
    stored, taken = _by_code(w, parts) or _by_place(w, parts)
    return np.array_equal(taken.T @ used, stored[:, None] * codes[:, 0].astype(np.int64))


def _is_exact(passes: Sequence[PEDesign], lowered: LoweredLayer) -> bool:
    """Return whether passes are known to add up to the exact sums of a layer."""
    signed, w = lowered.stored_signed, lowered.weights
    if adds_up(passes, w, signed):
        return True
    if len(passes) > 1 or not is_large(lowered):
        return False
    from sparqsim.pe.pairwise import is_pairwise, on_pairs

    if not is_pairwise(passes[0]):
        return False
    pairs = on_pairs(passes[0], signed)
    unchanged = pairs is not None and not pairs.change.largest
    return unchanged and np.array_equal(passes[0].used_weights(w), w)


def _one_by_one(pe: PEDesign) -> bool:
    alone = pe.one_by_one or (pe.lanes == 1 and pe.takes_adjacent)
    return alone and not (pe.values_by_pair or pe.encodes)


#: Codes that weights have, and what each pass takes of each: int64 (codes,), (passes, codes).
Taken = tuple[NDArray[np.int64], NDArray[np.int64]]


def _by_code(w: Array, parts: Sequence[Array]) -> Taken | None:
    """Return what passes take of each code; None where a weight's neighbours matter."""
    codes = np.ascontiguousarray(w).reshape(-1)
    flat = [part.reshape(-1) for part in parts]
    places = codes.view(np.uint8)
    blocks = [slice(at, at + BLOCK_WEIGHTS) for at in range(0, codes.size, BLOCK_WEIGHTS)]
    stored, taken = np.zeros(256, np.int64), np.zeros((len(parts), 256), np.int64)
    met = np.zeros(256, bool)
    for block in blocks:
        met[places[block]] = True
        stored[places[block]] = codes[block]
        for table, part in zip(taken, flat, strict=True):
            table[places[block]] = part[block]
    for table, part in zip(taken, flat, strict=True):
        if not all(np.array_equal(table[places[block]], part[block]) for block in blocks):
            return None
    return stored[met], taken[:, met]


def _by_place(w: Array, parts: Sequence[Array]) -> Taken:
    """Return every code once with all that passes take of it together: integers -256..255."""
    beside = np.stack([w, *parts]).astype(np.int64).reshape(1 + len(parts), -1)
    key = np.zeros(beside.shape[1], np.int64)
    for row in beside:
        key = key * 512 + row
    stored, *taken = beside[:, np.unique(key, return_index=True)[1]]
    return stored, np.array(taken)


class _Meter(OutputMeter, Sharer):
    """Collects the error of the sums of all passes, and the activity of parts in each."""

    def __init__(self, model: InPasses, lowered: LoweredLayer) -> None:
        super().__init__(model.outputs, lowered)
        self._designs, self._lowered = model.pass_designs, lowered
        self._counters: dict[PEDesign, PartCounter] = {}
        few = lowered.m < MANY_ROWS  # multiplied sooner than proved
        self._exact = not few and _is_exact(self._designs, lowered)
        self._shared: tuple[Together, int] | None = None

    def sharings(self) -> list[Sharing]:
        """Return each pass as it counts its parts, where all of them are proved to add up."""
        layer, signed = self._lowered, self._lowered.stored_signed
        if not self._exact or not is_large(layer):
            return []
        from sparqsim.engine.together import Sharing
        from sparqsim.pe.pairwise import unchanged_pairs

        return [Sharing(pe, unchanged_pairs(pe, signed), layer.weights) for pe in self._designs]

    def share(self, together: Together, at: int) -> None:
        """Leave errors and pairs to a shared pass, and parts that follow from pairs."""
        self._shared = together, at

    def add(self, x: Array, exact: NDArray[np.int64], signal: int) -> None:
        """Count a block of rows; nothing is multiplied where the passes are proved to add up."""
        if self._exact and self._shared is None:
            self.add_exact(x, exact, signal)
        elif not self._exact:
            super().add(x, exact, signal)
        for number, pe in enumerate(self._designs):
            if not self._parts_shared(number):
                self._add_parts(pe, x)

    def _parts_shared(self, number: int) -> bool:
        """Return whether a shared pass counts the parts of a pass over the layer."""
        return self._shared is not None and self._shared[0].counts_parts(self._shared[1] + number)

    def _add_parts(self, pe: PEDesign, x: Array) -> None:
        states = pe.activation_states(x)
        if states is None:
            return
        if pe not in self._counters:
            small = SMALL if self._shared is None else 0  # a shared pass has loaded numba
            self._counters[pe] = PartCounter(pe, self._lowered.weights, small)
        self._counters[pe].add(states)

    def measurement(self, macs_nonzero: int) -> Measurement:
        """Return what was collected, with the parts of all passes."""
        activity: Counter[str] = Counter()
        for counter in self._counters.values():
            activity.update(counter.cycles())
        if self._shared is None:
            measured = super().measurement(macs_nonzero)
            return replace(measured, activity=dict(sorted(activity.items())))
        together, at = self._shared
        for number in range(len(self._designs)):
            if self._parts_shared(number):
                activity.update(together.activity(at + number))
        return Measurement(
            error=together.error(at),
            pairs=together.pairs(at),
            windows={},
            activity=dict(sorted(activity.items())),
            macs_nonzero=macs_nonzero,
            step_cycles=None,
        )
