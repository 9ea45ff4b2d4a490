"""Cycles of a layer before anything is simulated: lower bounds, by a roofline and by the array.

    compute   ceil(steps x least cycles of a step / PEs): every PE works in every cycle
    DRAM      bytes that must move at least, at the channel's bandwidth: each used byte once
    array     the tiles of the dataflow with their skew, loads and drains, every step at the least
              that one takes: what shapes and the array say

The roofline is the larger of the first two, the prediction the larger of all. All are bounds of
what sparqsim simulates, for every array, dataflow and memory: a PE takes at least the cycles of its
steps, and each byte that is used crosses the channel at least once. The roofline leaves out ragged
tiles, skew, loads and drains. Both leave out steps that values make longer, waiting for slower PEs,
refetches, latency, ports of scratchpads, and that array and memory wait for each other.

**Where shapes alone decide cycles and no memory is modelled, `array` is the simulator's own closed
form**: the prediction is exact by construction, and only the roofline's error says anything.

*Source*: the roofline of HCM (`hcm.py`): ceiling PEs x operations per cycle, slope bandwidth over
operations per bit moved. HCM takes as many PEs as fit an area; here they are the array's. The bound
`array` is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Work
from sparqsim.array.registry import get_dataflow
from sparqsim.array.timing import fixed_cycles
from sparqsim.memory.config import UNLIMITED, MemoryConfig, rate
from sparqsim.memory.plan import used_bytes
from sparqsim.memory.system import Stored, job_of
from sparqsim.pe.base import PEDesign
from sparqsim.trace import Layer

#: Of a design whose values decide how long a step takes: what the shortest one takes.
LEAST_STEP_CYCLES = 1


def least_step_cycles(pe: PEDesign) -> int:
    """Return the cycles that a step takes at least, whatever the values."""
    return fixed_cycles(pe) or LEAST_STEP_CYCLES


def compute_cycles(layer: Layer, passes: Sequence[PEDesign], pes: int) -> int:
    """Return the cycles of a layer if all PEs worked all the time.

    Parameters
    ----------
    layer : Layer
    passes : sequence of PEDesign
        What the PEs are in each pass over the layer, bound to it.
    pes : int
        PEs of the array.
    """
    shape = layer.gemm
    outputs = shape.groups * shape.m * shape.n
    return sum(-(-outputs * pe.steps(shape.k) * least_step_cycles(pe) // pes) for pe in passes)


def work_of(layer: Layer, pe: PEDesign) -> Work:
    """Return what a layer asks of an array of such PEs."""
    shape = layer.gemm
    registers = pe.edge_cycles, pe.stage_cycles
    return Work(shape.m, pe.steps(shape.k), shape.n, shape.groups, *registers)


def array_cycles(layer: Layer, passes: Sequence[PEDesign], array: ArrayConfig) -> int:
    """Return the cycles of a layer on the array, every step at its least.

    PEs that run through queues of their own are not timed by the array: for them, compute cycles.
    """
    flow = get_dataflow(array.dataflow)
    return sum(
        flow.timing(work_of(layer, pe), array, least_step_cycles(pe)).total
        if pe.runs_on == PEDesign.runs_on
        else compute_cycles(layer, (pe,), array.pes)
        for pe in passes
    )


def least_dram_bytes(layer: Layer, passes: Sequence[PEDesign], memory: MemoryConfig) -> int:
    """Return the bytes that cross the DRAM channel at least.

    Every pass fetches what it uses of activations and weights, each byte once; between two passes
    partial sums leave and come back; finished outputs leave once.
    """
    used = [_used_bytes(layer, pe, memory) for pe in passes]
    fetched = sum(each["activations"] + each["weights"] for each in used)
    shape = layer.gemm
    partial_sums = shape.groups * -(-shape.m * shape.n * memory.psum_bits // 8)
    between_passes = 2 * (len(passes) - 1) * partial_sums
    return fetched + between_passes + used[-1]["outputs"]


def _used_bytes(layer: Layer, pe: PEDesign, memory: MemoryConfig) -> dict[str, int]:
    """Return the bytes that a pass uses of each operand."""
    stored = Stored(pe.lanes, pe.weight_bits, pe.pair_bits_of(layer))
    return used_bytes(job_of(layer, stored, memory), memory)


def dram_cycles(moved_bytes: int, memory: MemoryConfig) -> int:
    """Return the cycles that the DRAM channel takes for so many bytes; 0 without a limit."""
    part_bytes, cycles = rate(memory.dram.bandwidth_bytes_per_cycle)
    return 0 if part_bytes == UNLIMITED else -(-moved_bytes * cycles // part_bytes)
