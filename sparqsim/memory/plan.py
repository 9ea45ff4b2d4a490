"""How a layer is moved: formats, how its stream is cut to fit, the loop order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.base.limits import MEMORY_TILES
from sparqsim.memory.blocks import (
    Fetches,
    Formats,
    Writes,
    activation_fetches,
    output_writes,
    weight_fetches,
)
from sparqsim.memory.config import MemoryConfig
from sparqsim.memory.footprint import InputMap, elements_fetched
from sparqsim.memory.nest import OPERANDS, Nest, axes_of, orders_of


@dataclass(frozen=True)
class Job:
    """What one layer asks of the memory system.

    Parameters
    ----------
    name : str
        The layer's, for errors.
    sizes : dict of str to int
        m, k and n of one group.
    groups, lanes : int
    source : InputMap
    pair_bits, weight_bits : int
        Bits in memory of two adjacent activations and of a weight.
    storage : str
        The storage in effect.
    resumes, finishes : bool
        Of a pass, see `Formats`.
    """

    name: str
    sizes: dict[str, int]
    groups: int
    lanes: int
    source: InputMap
    pair_bits: int
    weight_bits: int
    storage: str
    resumes: bool = False
    finishes: bool = True


@dataclass(frozen=True)
class Plan:
    """One group's loops and the transfers they need, the same for every group."""

    nest: Nest
    formats: Formats
    activations: Fetches
    weights: Fetches
    outputs: Writes

    @property
    def dram_bytes(self) -> int:
        """Bytes moved for one group."""
        outputs = self.outputs
        return int(
            self.activations.sizes.sum()
            + self.weights.sizes.sum()
            + outputs.sizes.sum()
            + outputs.reload_sizes.sum()
        )

    @property
    def held_bytes(self) -> dict[str, int]:
        """For each operand, the bytes of its fullest scratchpad half."""
        return {operand: getattr(self, operand).largest for operand in OPERANDS}


def plans_of(job: Job, array: ArrayConfig, memory: MemoryConfig) -> list[Plan]:
    """Return the plans of a layer in the loop orders that the configuration leaves open.

    The configured order alone; with 'auto' those of the fewest DRAM bytes; with 'auto-cycles' all
    of the dataflow.

    Raises
    ------
    InputError
        For an order of another dataflow, operands that fit no scratchpad half, or more tiles than
        `MEMORY_TILES` allows.
    """
    orders, asked = orders_of(array.dataflow), memory.loop_order
    if asked in orders:
        return [plan_order(job, array, memory, asked)]
    if asked not in {"auto", "auto-cycles"}:
        raise InputError(
            f"loop_order={asked!r}: dataflow {array.dataflow} runs {', '.join(orders)} or auto "
            "(fewest DRAM bytes), auto-cycles (fewest cycles)"
        )
    plans = [plan_order(job, array, memory, order) for order in orders]
    if asked == "auto-cycles":
        return plans
    fewest = min(plan.dram_bytes for plan in plans)
    return [plan for plan in plans if plan.dram_bytes == fewest]


def plan_order(job: Job, array: ArrayConfig, memory: MemoryConfig, order: str) -> Plan:
    """Return the plan of a layer in one loop order.

    The stream is cut into the fewest equal chunks of a sequence that starts at one chunk and grows
    in proportion to the block that fits worst.

    Raises
    ------
    InputError
        Naming the layer and the operand where even one streamed step does not fit.
    """
    stream = axes_of(array.dataflow)[2]
    length = -(-job.sizes[stream] // (job.lanes if stream == "k" else 1))
    chunks = 1
    while True:
        plan = _plan(job, array, memory, order, -(-length // chunks))
        worst, ratio = _worst(plan, memory)
        if ratio <= 1:
            return plan
        if stream not in OPERANDS[worst] or chunks == length:
            raise _does_not_fit(job, plan, memory, worst)
        chunks = min(length, max(chunks + 1, int(chunks * ratio)))


def _plan(job: Job, array: ArrayConfig, memory: MemoryConfig, order: str, chunk: int) -> Plan:
    nest = Nest.of(job.sizes, array, job.lanes, order, chunk)
    what = f"layer {job.name!r} in tiles of array {array.rows}x{array.cols} with a memory system"
    MEMORY_TILES.check(nest.items, what)
    formats = Formats(
        job.pair_bits,
        job.weight_bits,
        memory.output_bits,
        memory.psum_bits,
        job.storage,
        job.resumes,
        job.finishes,
    )
    return Plan(
        nest,
        formats,
        activation_fetches(nest, formats, memory.activations.half_bytes, job.source),
        weight_fetches(nest, formats, memory.weights.half_bytes),
        output_writes(nest, formats, memory.outputs.half_bytes),
    )


def _worst(plan: Plan, memory: MemoryConfig) -> tuple[str, float]:
    """Return the operand that fits worst, and its bytes over the half's; uncuttable ones first."""
    held = plan.held_bytes
    ratios = {operand: held[operand] / getattr(memory, operand).half_bytes for operand in OPERANDS}
    stream = plan.nest.order[2]
    return max(
        ratios.items(),
        key=lambda entry: (entry[1] > 1 and stream not in OPERANDS[entry[0]], entry[1]),
    )


def _does_not_fit(job: Job, plan: Plan, memory: MemoryConfig, operand: str) -> InputError:
    pad = getattr(memory, operand)
    return InputError(
        f"layer {job.name!r}: {operand}.size_kib={pad.size_kib}: a block of {operand} takes "
        f"{plan.held_bytes[operand]} bytes, half of the scratchpad holds {pad.half_bytes}; "
        f"expected at least {plan.held_bytes[operand] * 2 / 1024:.3f} KiB, or a smaller array"
    )


def used_bytes(job: Job, memory: MemoryConfig) -> dict[str, int]:
    """Return the bytes of each operand that is used; input that no window touches left out."""
    sizes = job.sizes
    whole = [np.array([[0, sizes[dim]]], np.int64) for dim in "mk"]
    elements = int(elements_fetched(job.source, whole[0], whole[1], np.zeros(1, np.int64))[0])
    per_group = {
        "activations": -(-elements * job.pair_bits // 16),
        "weights": -(-sizes["k"] * sizes["n"] * job.weight_bits // 8),
        "outputs": -(-sizes["m"] * sizes["n"] * memory.output_bits // 8),
    }
    return {operand: count * job.groups for operand, count in per_group.items()}
