"""What every input of a PE and of an edge unit does in every cycle of a sample.

A sample: two cycles of reset; one in which the accumulator takes the sum that a drained tile would
have left there, the final sum of the sample before; one idle; then the steps, each its cycles long;
then idle cycles until nothing moves, one more for each register behind the multipliers, since sums
follow their steps so much later. Transitions are counted from the one that brings the first
operands: those that lead from zero operands to the first and from the last back to zero are in it,
as in an array where a tile's operands follow the drain of the tile before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import PEDesign
from sparqsim.rtl.circuits.base import Circuit, Words
from sparqsim.rtl.designs import family_of
from sparqsim.rtl.gates.samples import Steps
from sparqsim.rtl.gates.toggles import LANES

RESET_CYCLES = 2
#: Cycles before the first step: reset, the accumulator's old sum, an idle one.
WARM_UP = RESET_CYCLES + 2
#: Cycles after the last step: the accumulator takes the sum, the registers behind take the zeros.
TAIL = 3

Planes = dict[str, NDArray[np.uint64]]


class Widths(NamedTuple):
    """Bits of the ports that take activations, at the edge, and weights, at the PE."""

    x: int
    w: int


@dataclass(frozen=True)
class Drive:
    """Inputs by port, uint64 (cycles, bits), a sample per bit of a word; but `a`, `valid`, `first`
    and `last` of the PE, which come from the edge unit.

    `pe_from`, `edge_from`: first counted cycles. `pe_working`, `edge_working`: uint64 (cycles,),
    the samples that are in their steps. `step_cycles`: int64 (samples,), how many cycles they are.
    `sums`: int64 (samples, cycles), what the accumulator must hold, from cycle `WARM_UP - 1` on.
    `stall`: uint64 (cycles,), the samples whose step must go on.
    """

    pe: Planes
    edge: Planes
    pe_from: int
    edge_from: int
    pe_working: NDArray[np.uint64]
    edge_working: NDArray[np.uint64]
    step_cycles: NDArray[np.int64]
    sums: NDArray[np.int64]
    stall: NDArray[np.uint64]


@dataclass(frozen=True)
class _Timing:
    """Which step the PE (`at`) and the edge (`edge_at`) are at, int64 (samples, cycles)."""

    at: NDArray[np.int64]
    edge_at: NDArray[np.int64]
    length: int

    @classmethod
    def of(cls, cycles: NDArray[np.int64], edge_cycles: int, stage_cycles: int) -> _Timing:
        """Place steps of so many cycles; the edge is `edge_cycles` steps ahead, and sums are
        `stage_cycles` behind.
        """
        at = _step_in_cycle(cycles, TAIL + stage_cycles)
        return cls(at, at + edge_cycles, cycles.shape[1])

    @property
    def working(self) -> NDArray[np.bool_]:
        """Where the PE is in a step."""
        return _within(self.at, self.length)

    @property
    def edge_working(self) -> NDArray[np.bool_]:
        """Where the edge has a step's activations."""
        return _within(self.edge_at, self.length)

    @property
    def begins(self) -> NDArray[np.bool_]:
        """Where a step is in its first cycle."""
        new: NDArray[np.bool_] = np.diff(self.at, axis=1, prepend=-2) != 0
        return self.working & new

    @property
    def ends(self) -> NDArray[np.bool_]:
        """Where a step is in its last cycle."""
        left: NDArray[np.bool_] = np.diff(self.at, axis=1, append=self.length + 1) != 0
        return self.working & left


def _within(at: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    return (at >= 0) & (at < length)


def drive(
    design: PEDesign,
    circuit: Circuit,
    widths: Widths,
    steps: Steps,
    old_sums: NDArray[np.int64],
) -> Drive:
    """Return the inputs of up to 64 samples; `old_sums` (samples,) is what accumulators hold."""
    if len(steps.cycles) > LANES:
        raise ValueError(f"{len(steps.cycles)} samples, expected at most {LANES}")
    late = design.stage_cycles
    timing = _Timing.of(steps.cycles, design.edge_cycles, late)
    scale = int(getattr(circuit, "scale", 0))
    family = family_of(design)
    x_words, stored = family.words(design, circuit, steps.tiles.x[:, 0], steps.tiles.w[:, :, 0])
    w_words = family.weights_in_pe(circuit, stored)
    old = old_sums >> scale
    above = _chosen_sums(steps.sums_above >> scale, old, _later(timing.at, late))
    return Drive(
        _pe_inputs(timing, word_planes(w_words, widths.w), above),
        _edge_inputs(timing, word_planes(x_words, widths.x)),
        WARM_UP,
        WARM_UP - design.edge_cycles,
        _planes(timing.working)[:, 0],
        _planes(timing.edge_working)[:, 0],
        steps.cycles.sum(1),
        _held(timing, steps.sums >> scale, old, late),
        _planes(timing.working & ~timing.ends)[:, 0],
    )


def _pe_inputs(timing: _Timing, w: NDArray[np.bool_], above: NDArray[np.uint64]) -> Planes:
    return {
        **_control(timing),
        "phase": _planes(timing.working & ~timing.begins),
        "shift": _planes(_only(timing.at, slice(RESET_CYCLES, RESET_CYCLES + 1))),
        "w": _chosen(w, timing.at),
        "above": above,
    }


def _edge_inputs(timing: _Timing, x: NDArray[np.bool_]) -> Planes:
    last, first = timing.edge_at == timing.length - 1, timing.edge_at == 0
    return {
        **_control(timing),
        "in_valid": _planes(timing.edge_working),
        "in_flags": _planes(last, first),
        "in_data": _chosen(x, timing.edge_at),
    }


def _control(timing: _Timing) -> Planes:
    return {
        "advance": _planes(timing.ends | ~timing.working),
        "rst": _planes(_only(timing.at, slice(0, RESET_CYCLES))),
    }


def _held(
    timing: _Timing, sums: NDArray[np.int64], old: NDArray[np.int64], late: int
) -> NDArray[np.int64]:
    """Return what accumulators hold in each cycle: each sum from the cycle after it is made."""
    held = np.repeat(sums[:, -1:], timing.at.shape[1], axis=1)
    first = WARM_UP + 1 + late
    held[:, :first] = old[:, None]
    held[:, first : first + sums.shape[1]] = sums
    return held


def _later(at: NDArray[np.int64], cycles: int) -> NDArray[np.int64]:
    """Return which step each sample was at so many cycles before, (samples, cycles)."""
    before = np.repeat(at[:, :1], cycles, axis=1)
    return np.concatenate([before, at], axis=1)[:, : at.shape[1]]


def _step_in_cycle(cycles: NDArray[np.int64], tail: int) -> NDArray[np.int64]:
    """Return which step each sample is at, (samples, cycles): -1 in the cycle before the first, -2
    earlier, `steps` and more afterwards.
    """
    samples, length = cycles.shape
    longest = int(cycles.sum(1).max())
    at = np.full((samples, WARM_UP + longest + tail), length + 1, np.int64)
    at[:, : WARM_UP - 1], at[:, WARM_UP - 1] = -2 - WARM_UP, -1
    for sample, costs in enumerate(cycles):
        steps = np.repeat(np.arange(length), costs)
        at[sample, WARM_UP : WARM_UP + len(steps)] = steps
    return at


def _only(at: NDArray[np.int64], cycles: slice) -> NDArray[np.bool_]:
    chosen = np.zeros(at.shape, bool)
    chosen[:, cycles] = True
    return chosen


def _planes(*bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return bits (samples, cycles) of a port, lowest first, as (cycles, bits) words of samples."""
    return packed_samples(np.stack(bits, axis=-1))


def packed_samples(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return (samples, ...) bits as (...) words, sample i at bit i."""
    lanes = np.zeros((LANES, *bits.shape[1:]), bool)
    lanes[: len(bits)] = bits
    packed = np.ascontiguousarray(
        np.packbits(np.moveaxis(lanes, 0, -1), axis=-1, bitorder="little")
    )
    return packed.view("<u8")[..., 0].astype(np.uint64)


def sample_bits(planes: NDArray[np.uint64], sample: int) -> NDArray[np.bool_]:
    """Return one sample's bits of (...) words."""
    bits: NDArray[np.bool_] = (planes >> np.uint64(sample) & np.uint64(1)) != 0
    return bits


def word_planes(words: Words, width: int) -> NDArray[np.bool_]:
    """Return words (samples, steps) as bits (samples, steps, width), lowest first."""
    size = -(-width // 8)
    raw = b"".join(int(word).to_bytes(size, "little") for word in words.flat)
    in_bytes = np.frombuffer(raw, np.uint8).reshape(*words.shape, size)
    bits: NDArray[np.bool_] = np.unpackbits(in_bytes, axis=-1, bitorder="little") != 0
    return bits[..., :width]


def _chosen(bits: NDArray[np.bool_], at: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return bits (samples, steps, width) in the cycles of their step, zeros in others."""
    there = (at >= 0) & (at < bits.shape[1])
    step = np.clip(at, 0, bits.shape[1] - 1)
    chosen = np.take_along_axis(bits, step[..., None], axis=1) & there[..., None]
    return packed_samples(chosen)


def _chosen_sums(
    sums: NDArray[np.int64], old: NDArray[np.int64], at: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Return the sums above: the old one, during a step what the PE above had after that step."""
    step = np.clip(at, 0, sums.shape[1] - 1)
    values = np.where(at < 0, old[:, None], np.take_along_axis(sums, step, axis=1))
    return packed_samples(sum_bits(values))


def sum_bits(sums: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return sums as their 32 bits, lowest first."""
    in_bytes = sums.astype("<i4")[..., None].view(np.uint8)
    bits: NDArray[np.bool_] = np.unpackbits(in_bytes, axis=-1, bitorder="little") != 0
    return bits
