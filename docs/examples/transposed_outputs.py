"""A dataflow of one's own: output-stationary, with rows and columns of the array exchanged.

python docs/examples/transposed_outputs.py TRACE
"""

import sys
from dataclasses import dataclass
from typing import ClassVar

import sparqsim
from sparqsim.array.dataflows.output_stationary import OutputStationary
from sparqsim.dataflow import Timing, Work, get_dataflow
from sparqsim.event.array import Tile
from sparqsim.event.run import run_tiles
from sparqsim.pe import Step


@dataclass(frozen=True)
class TransposedOutputs(OutputStationary):
    """Sums stay in the PEs, as in `os`; rows hold N, columns hold M, the steps of K are
    streamed.
    """

    name: ClassVar[str] = "transposed-os"
    roles: ClassVar[str] = "snm"


def process_cycles(timing: Timing, work: Work, array: sparqsim.ArrayConfig) -> int:
    """Return the cycles that the array of processes takes for tiles of this size, every step one
    cycle long.
    """
    tile = Tile(rows=[[0] * work.steps] * array.rows, cols=[[0] * work.steps] * array.cols)
    return (
        timing.tiles
        * run_tiles([tile], lambda _left, _above: Step(0), array, work.edge_cycles).cycles
    )


def main() -> None:
    """Time every layer of a trace both ways."""
    trace = sparqsim.load_trace(sys.argv[1])
    array, pe = sparqsim.ArrayConfig(rows=16, cols=8), sparqsim.get_pe("mac-4b8b")
    for layer in trace.layers:
        shape = layer.gemm
        work = Work(shape.m, pe.steps(shape.k), shape.n, shape.groups, pe.edge_cycles)
        usual, ours = (
            flow.timing(work, array) for flow in (get_dataflow("os"), TransposedOutputs())
        )
        if ours.total != process_cycles(ours, work, array):
            sys.exit(f"{layer.name}: the processes take other cycles")
        print(
            f"{layer.name:20}  m={shape.m} k={shape.k} n={shape.n}:  os {usual.total:,}  "
            f"transposed {ours.total:,}"
        )


if __name__ == "__main__":
    main()
