"""What the event model records of a small layer: every step of every PE. The figures draw nothing
else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import sparqsim
from sparqsim.dataflow import Work, get_dataflow
from sparqsim.event.array import Run
from sparqsim.event.layer import LayerTiles, Operand
from sparqsim.event.run import run_tiles
from sparqsim.pe import Step
from sparqsim.results.layer_report import Cycles

#: Share of zero activations, and the seed of the operands.
ZEROS, SEED = 0.4, 8


@dataclass(frozen=True)
class Recorded:
    """A run of the event model, and the simulator's attribution of the same layer."""

    pe: sparqsim.PEDesign
    array: sparqsim.ArrayConfig
    run: Run
    cycles: Cycles


def recorded(
    name: str,
    shape: str,
    dataflow: str,
    coupling: str = "lockstep",
    *,
    overlap: bool = False,
    rows: int,
    k: int,
    cols: int,
) -> Recorded:
    """Run a layer of `rows` x `k` activations and `k` x `cols` weights through the processes.

    Raises AssertionError where the processes and the simulator's closed forms and recurrences take
    different cycles.
    """
    pe = sparqsim.get_pe(name)
    array = sparqsim.ArrayConfig.parse(shape, dataflow=dataflow, coupling=coupling, overlap=overlap)
    layer = sparqsim.Layer.from_gemm("drawn", *_operands(rows, k, cols))
    cycles = sparqsim.simulate(sparqsim.Trace([layer]), pe, array).cycles
    run = _run(layer, pe, array)
    if run.cycles != cycles.total:
        raise AssertionError(
            f"{name} on {array}: the processes take {run.cycles} cycles, the simulator "
            f"{cycles.total}"
        )
    return Recorded(pe, array, run, cycles)


def _operands(rows: int, k: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(SEED)
    x = random.integers(1, 256, (rows, k), np.uint8)
    x[random.random(x.shape) < ZEROS] = 0
    return x, random.integers(-128, 128, (k, cols), np.int8)


def _run(layer: sparqsim.Layer, pe: sparqsim.PEDesign, array: sparqsim.ArrayConfig) -> Run:
    lowered, flow = layer.lower(), get_dataflow(array.dataflow)
    work = Work(lowered.m, pe.steps(lowered.k), lowered.n, lowered.groups, pe.edge_cycles)
    tiles = LayerTiles(lowered, pe, flow, flow.grid(work, array)).tiles()

    def step(left: Operand, other: Operand) -> Step:
        x, w = (other, left) if array.dataflow == "is" else (left, other)
        return pe.step(x.values, w.values)

    return run_tiles(tiles, step, array, pe.edge_cycles)
