"""ReRAM crossbars: an engine whose cells multiply by Ohm's law and whose converters are shared.

Weights lie in crossbars of `rows` x `cols` cells: the magnitude of each int8 code in 8 bits, cut
into 8 / `cell_bits` slices, weights above and below zero in columns of their own. Activations are
applied `dac_bits` at a time. A column's current is the sum of digit x cell over its rows; a
converter of R bits makes min(sum, 2^R - 1) of it, and what it made is shifted, and added to the
output, digitally. One converter, or `adcs`, serve all columns of a crossbar, so cycles follow R.

*Source* of slices, signs, 128-row tiles and 1-bit inputs: the hardware that bit-slice L1 training
is for (zjysteven/bitslice_sparsity @adcfbce; the paper itself could not be read). Of `read` and
`conv`: KRBernardy/Hybrid-CiM-simulator, 100 ns to read a 128x128 crossbar and 12.5 ns to convert,
per bit; a cycle is 12.5 ns then, hence 8 cycles and 1. *Ours*: `crossbars`, 8, which hold one block
of weights at the default keys; the order in which crossbars are filled; that conversion overlaps
with reading, by sample and hold; two's complement for int8 activations, whose sign has a phase of
its own. Cells and converters are ideal: no noise, no stuck cells, no drop along wires.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing
from sparqsim.base.errors import InputError
from sparqsim.engine.measure import Measurement
from sparqsim.engine.models.base import Capacity, Defined, EngineModel, Meter, Task
from sparqsim.engine.models.crossbar import keys
from sparqsim.engine.models.crossbar.cells import SIGNS, Phase, phases_of, slice_shifts
from sparqsim.engine.models.crossbar.costs import costs
from sparqsim.engine.models.crossbar.keys import AUTO, LOSSLESS, MOST_BITS
from sparqsim.engine.models.crossbar.plan import Converters, Cycles, Layout
from sparqsim.engine.models.crossbar.resolution import Bits, bits_above, lossless_bits
from sparqsim.engine.models.crossbar.sums import Circuit, Clipping
from sparqsim.engine.models.values import OutputMeter
from sparqsim.memory.system import Loops
from sparqsim.pe.base import Array
from sparqsim.pe.trimming import Trimming
from sparqsim.results.action_costs import ActionCosts
from sparqsim.results.actions import Actions, ConverterActions, CrossbarActions, table_of
from sparqsim.trace import GemmShape, Layer
from sparqsim.trace.codebits import ALL_BITS
from sparqsim.trace.lowering import LoweredLayer

#: Conversions that are run by definition: some seconds.
LARGEST_EVENT_RUN = 100_000
#: Who counts its actions.
COUNTER = "crossbar"


@dataclass(frozen=True)
class Reram(EngineModel):
    """ReRAM crossbars with shared converters. See the module's docstring.

    Parameters
    ----------
    rows, cols : int
        Cells of a crossbar.
    cell_bits : int
        Of a cell: 1, 2, 4 or 8.
    adc_bits : str, int or sequence of int
        Bits of converters: for all slices, or of each slice, most significant first ('6/8/8/8'); or
        'auto': found for each layer on its own operands. Where `sqnr_db` is 'lossless', the fewest
        of each slice that clip no sum; with a bound bits of which none alone can be one less, not
        of the smallest sum there is.
    adcs : int
        Converters of a crossbar.
    dac_bits : int
        Bits of activations that a driver applies at once.
    crossbars : int
        That work side by side.
    read : int
        Cycles for which a digit is applied.
    conv : int
        Cycles of a conversion, per bit.
    sqnr_db : str or float
        With 'auto': 'lossless' (no sum of the layer is clipped), or the least SQNR of the layer's
        outputs, dB.
    """

    name: ClassVar[str] = "reram"
    kind: ClassVar[str] = "is crossbars of ReRAM cells, no array of PEs"

    rows: int = field(default=128, metadata=keys.SIDE)
    cols: int = field(default=128, metadata=keys.SIDE)
    cell_bits: int = field(default=2, metadata=keys.CELL)
    adc_bits: str = field(default=AUTO, metadata=keys.CONVERTER)
    adcs: int = field(default=1, metadata=keys.SIDE)
    dac_bits: int = field(default=1, metadata=keys.DIGIT_BITS)
    crossbars: int = field(default=8, metadata=keys.CROSSBARS)
    read: int = field(default=8, metadata=keys.CYCLES)
    conv: int = field(default=1, metadata=keys.CYCLES)
    sqnr_db: str = field(default=LOSSLESS, metadata=keys.BOUND)
    #: Of the layer that it is bound to: bits of an activation's code, whether it is signed.
    codes: tuple[int, bool] = field(default=(ALL_BITS, False), metadata={"key": False})
    #: Bits of converters by slice that were found for that layer.
    found_bits: Bits = field(default=(), metadata={"key": False})

    def __post_init__(self) -> None:
        for name in ("adc_bits", "sqnr_db"):
            object.__setattr__(self, name, keys.as_text(getattr(self, name)))
        keys.check(self)
        if self.adc_bits == AUTO:
            return
        bits = keys.listed(self.adc_bits)
        if len(bits) not in {1, self.slices}:
            raise InputError(
                f"{self.name}: adc_bits={self.adc_bits!r} has {len(bits)} numbers, expected one, "
                f"or {self.slices}: one for each slice (8 / cell_bits={self.cell_bits})"
            )
        if self.sqnr_db != LOSSLESS:
            raise InputError(
                f"{self.name}: sqnr_db={self.sqnr_db!r} with adc_bits={self.adc_bits!r}, expected "
                "it with adc_bits=auto, which finds bits that keep to it"
            )
        object.__setattr__(self, "adc_bits", keys.joined(bits))

    @property
    def slices(self) -> int:
        """Slices of a weight."""
        return len(slice_shifts(self.cell_bits))

    @property
    def converter_bits(self) -> Bits:
        """Bits of converters by slice, most significant first.

        Raises InputError where they are found for each layer, and it is not bound to one.
        """
        if self.adc_bits == AUTO:
            if not self.found_bits:
                raise InputError(f"{self.spec}: adc_bits=auto is found for a layer, expected one")
            return self.found_bits
        bits = keys.listed(self.adc_bits)
        return bits * self.slices if len(bits) == 1 else bits

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases in which it applies activations of the layer that it is bound to."""
        bits, signed = self.codes
        return phases_of(bits, self.dac_bits, signed=signed)

    @property
    def circuit(self) -> Circuit:
        """What decides sums."""
        return Circuit(self.rows, self.cell_bits, self.phases)

    @property
    def cycles_depend_on_values(self) -> bool:
        """Whether bits of converters, and with them cycles, follow from values."""
        return self.adc_bits == AUTO

    @property
    def found_keys(self) -> str:
        """Bits of converters that were found for the layer."""
        return f"adc_bits={keys.joined(self.found_bits)}" if self.found_bits else ""

    @property
    def note(self) -> str:
        """What must be known to compare its cycles."""
        found = ""
        if self.adc_bits == AUTO:
            bound = (
                "the fewest bits that clip nothing"
                if self.sqnr_db == LOSSLESS
                else f"bits that keep {self.sqnr_db} dB, none of which alone can be one less,"
            )
            found = f"; converters have {bound} on each layer of this trace"
        return (
            f"cycles are of its converters' clock ({self.conv} per bit of a conversion, "
            f"{self.read} to read), not of an array's: compute is reading, pe stall what "
            f"conversions take beyond it; writing cells takes none{found}"
        )

    @property
    def trimming(self) -> Trimming:
        """What converters make of sums."""
        told = "auto" if self.adc_bits == AUTO else f"R = {self.adc_bits}"
        return Trimming(
            rounding=f"sums of columns above 2^R - 1 are clipped, none is rounded; {told}",
            rule=f"column of a crossbar, {self.rows} rows, in one phase",
        )

    @property
    def action_costs(self) -> ActionCosts:
        """What converters, drivers and adders cost."""
        return costs(COUNTER, self.dac_bits)

    def bound_to(self, layer: Layer) -> Reram:
        """Return it with the codes of a layer, and the bits of converters that the layer needs.

        Raises
        ------
        InputError
            Where no converter there can be clips nothing, or crossbars or cycles are too many to be
            counted, naming the layer.
        """
        codes = (layer.record.activation_bits, layer.signed)
        ready = replace(self, codes=codes, found_bits=())
        ready.cycles_of(layer.gemm).refuse_too_large(f"layer {layer.name!r}: {self.spec}")
        if self.adc_bits != AUTO:
            return ready
        bits = _bits_of(ready, layer)
        if max(bits) > MOST_BITS:
            raise InputError(
                f"layer {layer.name!r}: {self.spec}: sums need converters of {max(bits)} bits, "
                f"expected at most {MOST_BITS}: fewer rows, cell_bits or dac_bits"
            )
        return replace(ready, found_bits=bits)

    def capacity(self, array: ArrayConfig) -> Capacity:
        """Return its crossbars, and the whole multiplications of one per cycle, rounded up, when it
        reads all the time.
        """
        parts = SIGNS * self.slices * len(self.phases) * self.read
        return Capacity(self.crossbars, lanes=-(-self.rows * self.cols // parts))

    def layout(self, shape: GemmShape) -> Layout:
        """Return how a layer lies on the crossbars."""
        return Layout(shape, self.rows, self.cols, self.slices, self.crossbars)

    def refuse_definition(self, layer: Layer, array: ArrayConfig) -> None:
        """Refuse layers that would take more than some seconds."""
        layout = self.layout(layer.gemm)
        conversions = self.row_phases(layer.gemm) * layout.conversions_per_phase
        if conversions > LARGEST_EVENT_RUN:
            raise InputError(
                f"layer {layer.name!r}: {conversions:,} conversions of {self.spec}; engine 'event' "
                f"takes at most {LARGEST_EVENT_RUN:,} (engine 'fast' takes any number)"
            )

    def meter(self, lowered: LoweredLayer) -> Meter:
        """Return what collects the error of outputs; the layer's cells are laid out once."""
        clipping = self._clipping(lowered)
        return OutputMeter(lambda layer, x: _clipped(layer, x, clipping), lowered)

    def outputs(self, lowered: LoweredLayer, x: Array) -> NDArray[np.int64]:
        """Return the sums of some rows, zero points corrected: exact ones less what is clipped."""
        return _clipped(lowered, x, self._clipping(lowered))

    def _clipping(self, lowered: LoweredLayer) -> Clipping:
        limits = (1 << np.array(self.converter_bits, np.int64)) - 1
        return Clipping(lowered.weights, self.circuit, limits[:, None])

    def unit_steps(self, task: Task) -> int:
        """Return the cycles for which crossbars that hold any of the layer read."""
        return self.layout(task.shape).count * self.row_phases(task.shape) * self.read

    def time(self, task: Task, measured: Measurement | None = None) -> Timing:
        """Time by the closed form."""
        return self.cycles(task).timing

    def cycles(self, task: Task) -> Cycles:
        """Return the cycles of a layer, in closed form."""
        return self.bound_to(task.layer).cycles_of(task.shape)

    def cycles_of(self, shape: GemmShape) -> Cycles:
        """Return cycles of a shape; where bits are not found yet, of the most there can be."""
        searched = self.adc_bits == AUTO and not self.found_bits
        bits = (MOST_BITS,) * self.slices if searched else self.converter_bits
        converters = Converters(self.adcs, self.conv, bits)
        return Cycles(self.layout(shape), converters, self.read, self.row_phases(shape))

    def define(self, task: Task) -> Defined:
        """Run every phase of every crossbar, column by column, as processes."""
        from sparqsim.engine.models.crossbar.definition import defined  # simpy, only when used

        model = self.bound_to(task.layer)
        converters = Converters(model.adcs, model.conv, model.converter_bits)
        layout = model.layout(task.shape)
        return defined(task.lowered, layout, converters, model.cell_bits, model.phases, model.read)

    def actions(
        self, task: Task, timing: Timing, measured: Measurement, unit_cycles: int
    ) -> Actions:
        """Return what drivers, cells, converters and adders did."""
        model, shape = self.bound_to(task.layer), task.shape
        layout, row_phases = model.layout(shape), model.row_phases(shape)
        by_slice = np.bincount(layout.slice_of, layout.columns_used, layout.slices).astype(np.int64)
        conversions: dict[int, int] = {}
        for bits, columns in zip(model.converter_bits, by_slice.tolist(), strict=True):
            conversions[bits] = conversions.get(bits, 0) + columns * row_phases
        cells = layout.per_block * shape.groups * shape.k * shape.n
        counts = CrossbarActions(
            row_drives=row_phases * int(layout.rows_used.sum()),
            cell_reads=row_phases * cells,
            shift_adds=sum(conversions.values()),
            cell_writes=cells,
        )
        table = table_of(counts, COUNTER)
        for bits, count in sorted(conversions.items()):
            of_bits = ConverterActions(conversions=count)
            table |= table_of(of_bits, COUNTER, f"{COUNTER}.adc_{bits}bit")
        return table

    def loops(self, task: Task, timing: Timing) -> Loops:
        """Go through blocks of weights, columns first, all rows of X at each."""
        cycles = self.cycles(task).of_blocks
        block = ArrayConfig(self.rows, self.cols, dataflow="ws")
        return Loops.of_cycles(task.shape, block, cycles, units=self.crossbars)

    def row_phases(self, shape: GemmShape) -> int:
        """Return how often a crossbar is read in a round: in all phases of all rows of X."""
        return shape.m * len(self.phases)


def _clipped(lowered: LoweredLayer, x: Array, clipping: Clipping) -> NDArray[np.int64]:
    """Return exact sums of some rows, zero points corrected, less what is clipped."""
    sums = lowered.sums(x, lowered.weights)
    return sums if clipping.never else sums - clipping.clipped(x)[0]


#: Bits of converters that were found, by layer and engine: whatever runs a layer asks again.
_FOUND: WeakKeyDictionary[Layer, dict[Reram, Bits]] = WeakKeyDictionary()


def _bits_of(model: Reram, layer: Layer) -> Bits:
    """Return the bits of converters that are found for a layer, once."""
    found = _FOUND.setdefault(layer, {})
    if model not in found:
        lowered, circuit = layer.lower(), model.circuit
        found[model] = (
            lossless_bits(lowered, circuit)
            if model.sqnr_db == LOSSLESS
            else bits_above(lowered, circuit, float(model.sqnr_db))
        )
    return found[model]
