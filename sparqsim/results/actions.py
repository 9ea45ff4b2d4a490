"""Actions: what a design, an array and a memory did that costs energy, counted exactly.

A layer's report holds one table of them: name -> count, unit and who counts it. A name is
'COUNTER.ACTION'; parts of a PE are 'pe.PART'. What is not in the table was not counted: clocks,
wires between scratchpads and array, control, and finished sums that move down the columns while
they drain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic import Field

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.record import Name, Record
from sparqsim.memory.traffic import OperandTraffic, Traffic

#: Of operands that enter or move: a register holds what a PE takes in one step.
STEP_OPERANDS = "operands of a step"


class Action(Record):
    """How often something was done.

    count: how often, over all PEs and the whole layer. unit: what is counted; an operand of a step
    is as many elements as the PE has lanes. counter: who counts it: pe, array, memory, crossbar
    or gather, or an engine of its own.
    """

    count: int = Field(ge=0)
    unit: Name
    counter: Name


Actions = dict[str, Action]


@dataclass(frozen=True)
class PEActions:
    """What PEs of an array did.

    steps: steps on operands of the layer. padded_steps: steps of PEs that hold padding.
    step_cycles: cycles of `steps`. idle_cycles: all other cycles of all PEs: padding, waiting,
    filling, draining, and waiting for the memory.
    """

    steps: int = field(metadata={"unit": "steps"})
    padded_steps: int = field(metadata={"unit": "steps"})
    step_cycles: int = field(metadata={"unit": "cycles"})
    idle_cycles: int = field(metadata={"unit": "cycles"})


@dataclass(frozen=True)
class ArrayActions:
    """What moved in a systolic array. Padded rows and columns move operands, too, but read none.

    left_reads: operands that enter at the left edge, padding left out. top_reads: operands that
    enter at the top edge, padding left out; none where operands stay. right_hops: operands handed
    to the next PE on the right. down_hops: operands handed to the next PE below; none where
    operands stay. stationary_loads: operands put into the PE where they stay, padding left out;
    none where sums stay. psum_writes: writes of the register that holds a PE's partial sum, one for
    each step. partial_sums: sums that leave the array, those of K folds counted one by one.
    """

    left_reads: int = field(metadata={"unit": STEP_OPERANDS})
    top_reads: int = field(metadata={"unit": STEP_OPERANDS})
    right_hops: int = field(metadata={"unit": STEP_OPERANDS})
    down_hops: int = field(metadata={"unit": STEP_OPERANDS})
    stationary_loads: int = field(metadata={"unit": STEP_OPERANDS})
    psum_writes: int = field(metadata={"unit": "sums"})
    partial_sums: int = field(metadata={"unit": "sums"})


@dataclass(frozen=True)
class QueueActions:
    """What moved in an array whose PEs have operand queues.

    queue_reads: operands taken from a queue, padded ones included. partial_sums: sums that leave
    the array.
    """

    queue_reads: int = field(metadata={"unit": "operands"})
    partial_sums: int = field(metadata={"unit": "sums"})


@dataclass(frozen=True)
class MemoryActions:
    """Bytes that moved of one operand (activations, weights or outputs), or of looked-up rows
    (rows), whose scratchpad is the buffers of rows on their way and which nothing writes back.

    dram_read: from the DRAM into the scratchpad. dram_write: from the scratchpad to the DRAM.
    burst_padding: moved over the DRAM channel besides, to fill whole bursts. sram_read: out of the
    scratchpad, by the array (rows: by the lanes) and by writes to the DRAM. sram_write: into the
    scratchpad, by reads from the DRAM and by the array.
    """

    dram_read: int = field(metadata={"unit": "bytes"})
    dram_write: int = field(metadata={"unit": "bytes"})
    burst_padding: int = field(metadata={"unit": "bytes"})
    sram_read: int = field(metadata={"unit": "bytes"})
    sram_write: int = field(metadata={"unit": "bytes"})


@dataclass(frozen=True)
class CrossbarActions:
    """What crossbars of cells did. Rows and columns in use count, padding is left out.

    row_drives: digits that drivers applied to a row in one phase, zeros included. cell_reads: cells
    in use in rows that were driven, whatever they hold. shift_adds: codes that were shifted and
    added to an output, one for each conversion. cell_writes: cells that were written; cycles and
    energy of that are not modelled.
    """

    row_drives: int = field(metadata={"unit": "rows"})
    cell_reads: int = field(metadata={"unit": "cells"})
    shift_adds: int = field(metadata={"unit": "sums"})
    cell_writes: int = field(metadata={"unit": "cells"})


@dataclass(frozen=True)
class ConverterActions:
    """What analogue-to-digital converters of so many bits did.

    conversions: sums of columns that were turned into codes.
    """

    conversions: int = field(metadata={"unit": "sums"})


@dataclass(frozen=True)
class GatherActions:
    """What a gather unit did beside moving bytes.

    requests: rows that were asked for. page_opens: DRAM pages that were opened; 0 where row buffers
    of the DRAM are not modelled. dequantised: elements that lanes turned into fp32 and added to a
    pooled vector.
    """

    requests: int = field(metadata={"unit": "rows"})
    page_opens: int = field(metadata={"unit": "pages"})
    dequantised: int = field(metadata={"unit": "elements"})


#: Who counts, and where each action is explained.
EXPLAINED: dict[str, tuple[type, ...]] = {
    "pe": (PEActions,),
    "array": (ArrayActions, QueueActions),
    "memory": (MemoryActions,),
    "crossbar": (CrossbarActions, ConverterActions),
    "gather": (GatherActions,),
}


def table_of(counts: Any, counter: str, prefix: str = "") -> Actions:
    """Return a dataclass of counts, whose fields tell their unit, as actions of `counter`."""
    return {
        f"{prefix or counter}.{each.name}": Action(
            count=getattr(counts, each.name), unit=each.metadata["unit"], counter=counter
        )
        for each in fields(counts)
    }


def part_actions(activity: Mapping[str, int]) -> Actions:
    """Return the cycles in which each part of a PE worked, summed over PEs, as actions."""
    return {
        f"pe.{part}": Action(count=cycles, unit="cycles", counter="pe")
        for part, cycles in activity.items()
    }


def part_cycles(actions: Mapping[str, Action]) -> dict[str, int]:
    """Return the cycles in which each part of a PE worked: what `part_actions` made actions of."""
    of_pes = {f"pe.{each.name}" for each in fields(PEActions)}
    return {
        name.removeprefix("pe."): action.count
        for name, action in actions.items()
        if name.startswith("pe.") and name not in of_pes
    }


def memory_actions(traffic: Traffic | None) -> Actions:
    """Return the bytes of each operand at the DRAM and at its scratchpad; none where memory is not
    modelled.
    """
    if traffic is None:
        return {}
    found: Actions = {}
    for operand in ("activations", "weights", "outputs"):
        moved: OperandTraffic = getattr(traffic, operand)
        counts = MemoryActions(
            dram_read=moved.dram_read_bytes,
            dram_write=moved.dram_write_bytes,
            burst_padding=moved.burst_padding_bytes,
            sram_read=moved.sram_read_bytes,
            sram_write=moved.sram_write_bytes,
        )
        found |= table_of(counts, "memory", f"memory.{operand}")
    return found


def added(tables: Iterable[Mapping[str, Action]]) -> Actions:
    """Return the actions of several layers together; what a layer does not count adds nothing."""
    counts: Counter[str] = Counter()
    last: Actions = {}
    for table in tables:
        last |= table
        for name, action in table.items():
            counts[name] += action.count
    return {
        name: action.model_copy(update={"count": counts[name]}) for name, action in last.items()
    }


def energy_pj(actions: Mapping[str, Action], table_pj: Mapping[str, float]) -> dict[str, float]:
    """Return the energy of actions, pJ, by name: count x energy of one.

    Parameters
    ----------
    actions : mapping of str to Action
    table_pj : mapping of str to float
        Energy of one, pJ, by the action's name. Actions that it does not name cost nothing here:
        whoever makes the table says what it leaves out.

    Raises
    ------
    InputError
        For a name in the table that is no action.
    """
    for name in table_pj:
        if name not in actions:
            raise InputError(
                f"energy of {name!r}: no action of that name{nearest(name, actions)}; expected "
                f"some of {', '.join(actions) or 'none: nothing was counted'}"
            )
    return {name: actions[name].count * energy for name, energy in table_pj.items()}
