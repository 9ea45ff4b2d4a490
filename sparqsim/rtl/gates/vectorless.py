"""What a statistical model of activity would have said, for comparison with what was counted.

It knows of each input how often it is 1 and how often it changes from one cycle to the next, and
takes the inputs of every gate as independent of one another; a register's output does what its
input does. Own few lines of what tools do where nobody gives them the operands. As in what is
counted, a net changes at most once in a cycle: a model that adds up the changes that inputs pass on
(transition density) would count glitches, too, and say several times more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sparqsim.rtl.gates.cells import CellLibrary
from sparqsim.rtl.gates.circuits import Gates
from sparqsim.rtl.gates.costs import PJ_PER_FJ
from sparqsim.rtl.gates.functions import Function
from sparqsim.rtl.gates.toggles import input_nets
from sparqsim.rtl.gates.wiring import ONE_NET

#: Passes through the registers, at most, and the change of a probability that ends them.
MOST_PASSES, SETTLED = 100, 1e-3
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """Of each net: how often it is 1, and transitions per cycle."""

    ones: Floats
    transitions: Floats


@dataclass(frozen=True)
class _Step:
    """An output of a gate: the nets of its function's pins; where the function is 1, with an axis
    of two for each; whether it changes, with an axis of four (before and after: 00, 01, 10, 11).
    """

    inputs: tuple[int, ...]
    output: int
    ones: Floats
    changes: Floats


def vectorless_pj(
    gates: Gates, library: CellLibrary, ones: Floats, transitions: Floats, cycles: float
) -> float:
    """Return the energy in pJ that the model expects of `cycles` cycles.

    Parameters
    ----------
    gates : Gates
    library : CellLibrary
    ones, transitions : float64 (input bits,)
        Of the inputs, in the order of the netlist's ports: the part of cycles in which they are 1,
        and transitions per cycle.
    cycles : float
    """
    statistics = propagated(gates, library, ones, transitions)
    costs = gates.costs
    per_transition = costs.switching + (costs.rise + costs.fall) / 2
    states = _states(gates, library, statistics)
    cycle = (
        per_transition @ statistics.transitions
        + costs.clock_cycle
        + costs.clock_states @ states
        + costs.leakage_cycle
    )
    return float(PJ_PER_FJ * cycle * cycles)


def propagated(gates: Gates, library: CellLibrary, ones: Floats, transitions: Floats) -> Statistics:
    """Return the statistics of every net, given those of the inputs."""
    wiring, program = gates.wiring, gates.program
    found = Statistics(np.full(wiring.nets, 0.5), np.zeros(wiring.nets))
    found.ones[0], found.ones[ONE_NET] = 0, 1
    inputs = input_nets(program)
    found.ones[inputs], found.transitions[inputs] = ones, transitions
    found.ones[0], found.ones[ONE_NET] = 0, 1
    registers, steps = [], []
    for at in program.order:
        instance = wiring.instances[at]
        cell = library.cell(instance.cell)
        for pin in cell.pins.values():
            if not pin.output or pin.function is None or pin.name not in instance.pins:
                continue
            output = instance.pins[pin.name]
            if cell.register is None:
                steps.append(_step(pin.function, instance.pins, output))
            else:
                inverted = pin.function.value({cell.register.state: 0, cell.register.inverse: 1})
                taken = _step(cell.register.next_state, instance.pins, output)
                registers.append((taken, bool(inverted)))
    for _ in range(MOST_PASSES):
        for step in steps:
            found.ones[step.output], found.transitions[step.output] = _through(step, found)
        moved = 0.0
        for step, inverted in registers:
            one, change = _through(step, found)
            one = 1 - one if inverted else one
            moved = max(moved, abs(one - found.ones[step.output]))
            moved = max(moved, abs(change - found.transitions[step.output]))
            found.ones[step.output], found.transitions[step.output] = one, change
        if moved < SETTLED:
            break
    return found


def _step(function: Function, pins: Mapping[str, int], output: int) -> _Step:
    ones, changes = _tables(function)
    return _Step(tuple(pins[name] for name in sorted(function.pins)), output, ones, changes)


@cache
def _tables(function: Function) -> tuple[Floats, Floats]:
    names = sorted(function.pins)
    ones = np.zeros((2,) * len(names))
    for values in product((0, 1), repeat=len(names)):
        ones[values] = function.value(dict(zip(names, values, strict=True)))
    changes = np.zeros((4,) * len(names))
    for cases in product(range(4), repeat=len(names)):
        before, after = tuple(case >> 1 for case in cases), tuple(case & 1 for case in cases)
        changes[cases] = ones[before] != ones[after]
    return ones, changes


def _through(step: _Step, known: Statistics) -> tuple[float, float]:
    """Return how often a gate's output is 1 and how often it changes."""
    ones, changes = step.ones, step.changes
    for net in step.inputs:
        one, half = known.ones[net], known.transitions[net] / 2
        half = min(half, one, 1 - one)
        both = np.array([1 - one - half, half, half, one - half])
        ones = np.array([1 - one, one]) @ ones.reshape(2, -1)
        changes = both @ changes.reshape(4, -1)
    return ones.item(), changes.item()


def _states(gates: Gates, library: CellLibrary, known: Statistics) -> Floats:
    """Return how likely each watched state of a register is."""
    likely = []
    for instance in gates.wiring.instances:
        cell = library.cell(instance.cell)
        if cell.register is None:
            continue
        for power in cell.pins[cell.register.clock].powers:
            if power.when is not None:
                step = _step(power.when, instance.pins, 0)
                likely.append(_through(step, known)[0])
    return np.array(likely)
