"""Ideal cycles beside the real ones, and where the difference went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparqsim.base.errors import InputError
from sparqsim.base.record import Summed

if TYPE_CHECKING:  # reading a report must not load the compiler
    from sparqsim.array.dataflow import Timing


class Gap(Summed):
    """What lies between the work of a layer and its total cycles; `Bounds` says what each part
    is.
    """

    ragged_tiles: int
    fill_drain: int
    pe_waiting: int
    memory_stall: int = 0

    @property
    def total(self) -> int:
        """Cycles of all parts."""
        return self.ragged_tiles + self.fill_drain + self.pe_waiting + self.memory_stall


class Bounds(Summed):
    """Lower bounds: work_cycles + the parts of `gap_cycles` = total cycles, exactly.

    busiest_pe_cycles: no array with these tiles is faster, however freely its PEs run ahead of each
    other: the step cycles of the PE that has most of them, over all tiles, padded steps included.
    Deeper links come closer to it; links as deep as the stream reach a tile's longest path of steps
    and links, which is more where that PE waits for operands or, in ws and is, for sums that slower
    PEs pass on. work_cycles: step cycles of all PEs without padding, spread evenly over the PEs,
    rounded up: what an array without tiles, skew or waiting would need.

    gap_cycles.ragged_tiles: streamed steps at one cycle each (`compute`) less the layer's own steps
    spread evenly over the PEs, rounded up: PEs that hold padding. gap_cycles.fill_drain: the cycles
    of `fill` and `drain`, less those that slow steps took up (in elastic arrays they can).
    gap_cycles.pe_waiting: the rest of the array's own cycles, PEs waiting for slower ones, padded
    ones among them, or for free links. gap_cycles.memory_stall: cycles in which the array waits for
    its memory.
    """

    busiest_pe_cycles: int
    work_cycles: int
    gap_cycles: Gap

    @classmethod
    def of(cls, timing: Timing, real_steps: int, pes: int, memory_stall: int = 0) -> Bounds:
        """Derive the bounds of a layer.

        Parameters
        ----------
        timing : Timing
        real_steps : int
            Steps of all PEs, padding left out.
        pes : int
            PEs of the array.
        memory_stall : int
            Cycles that the memory system adds to the array's own.

        Raises
        ------
        InputError
            For fewer cycles of `compute` than there are steps.
        """
        work, steps = -(-timing.pe_work // pes), -(-real_steps // pes)
        ragged = timing.compute - steps
        if ragged < 0:
            raise InputError(
                f"compute={timing.compute} cycles, expected at least {steps}, the steps that the "
                "layer needs; an engine that skips some says so in unit_steps"
            )
        # Never negative: the total is at least the busiest PE's steps, and those are at least the
        # mean of all PEs.
        rest = timing.total - work - ragged
        fill_drain = min(rest, timing.fill + timing.drain)
        return cls(
            busiest_pe_cycles=timing.busiest_pe,
            work_cycles=work,
            gap_cycles=Gap(
                ragged_tiles=ragged,
                fill_drain=fill_drain,
                pe_waiting=rest - fill_drain,
                memory_stall=memory_stall,
            ),
        )
