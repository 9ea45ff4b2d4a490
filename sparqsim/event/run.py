"""A sequence of tiles through the array of processes, as its coupling asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sparqsim.array.config import ArrayConfig
from sparqsim.event.array import Run, StepFunction, StepRecord, Tile
from sparqsim.event.broadcast import BroadcastArray
from sparqsim.event.elastic import ElasticArray
from sparqsim.event.lockstep import LockstepArray


def run_tiles(
    tiles: Sequence[Tile],
    step: StepFunction,
    array: ArrayConfig,
    edge_cycles: int = 0,
    stage_cycles: int = 0,
) -> Run:
    """Run tiles through the array of processes.

    Parameters
    ----------
    tiles : sequence of Tile
        Of equal shape, each as large as the array: padded with whatever a padded PE receives.
    step : callable
        `step(left operand, other operand)` gives a `Step`.
    array : ArrayConfig
        Its sides, coupling and overlap; the tiles decide whether operands are held.
    edge_cycles : int
        Registers between the left edge and the first PE of each row.
    stage_cycles : int
        Registers between a PE's multipliers and its sum, of designs whose steps take one cycle.
    """
    model = _model(array)
    registers = edge_cycles, stage_cycles
    if array.overlap:
        return model(tiles, step, array, *registers).run()
    return joined([model([tile], step, array, *registers).run() for tile in tiles])


def _model(array: ArrayConfig) -> Callable[..., LockstepArray | ElasticArray | BroadcastArray]:
    if array.broadcast:
        return BroadcastArray
    return LockstepArray if array.link_depth is None else ElasticArray


def joined(runs: Sequence[Run]) -> Run:
    """Return runs one after another, each starting when the one before has ended."""
    whole = Run()
    for number, run in enumerate(runs):
        whole.steps += [
            StepRecord(number, s.row, s.col, s.item, s.start + whole.cycles, s.cycles, s.value)
            for s in run.steps
        ]
        whole.cycles += run.cycles
        whole.tile_cycles.append(run.cycles)
        whole.sums += run.sums
    return whole
