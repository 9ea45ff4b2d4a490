"""Transitions of every net of a netlist, 64 samples at a time.

The definition is `icarus.py`: the same netlist in Icarus Verilog, one sample after the other. Both
know of a cycle only what nets settle to: gates have no delay, so glitches are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit
from sparqsim.rtl.gates.program import Program

#: Samples in a word.
LANES = 64
#: Bits of a count.
PLANES = 24


@dataclass(frozen=True)
class Toggles:
    """What the nets of a netlist did.

    `rises`, `falls`: int64 (nets, samples), transitions in the counted cycles. `states`: int64
    (watched, samples), counted cycles in which each watched state held. `outputs`: uint64 (cycles,
    port bits): what the outputs settled to in every cycle, a sample per bit of a word.
    """

    rises: NDArray[np.int64]
    falls: NDArray[np.int64]
    states: NDArray[np.int64]
    outputs: NDArray[np.uint64]


def simulated(
    program: Program,
    stimulus: NDArray[np.uint64],
    counted_from: int,
    working: NDArray[np.uint64],
    *,
    settled: NDArray[np.uint64] | None = None,
) -> Toggles:
    """Run a netlist and count.

    Parameters
    ----------
    program : Program
    stimulus : uint64 (cycles, input bits)
        Bits of all inputs but the clock, ports in the order of the netlist, lowest bits first; bit
        i of a word is of sample i.
    counted_from : int
        The first cycle whose transitions, against the cycle before, are counted; at least 1.
    working : uint64 (cycles,)
        The samples for which watched states are counted, in each cycle.
    settled : uint64 (cycles, nets), optional
        Takes the value of every net in each of the first cycles.
    """
    inputs = np.array(input_nets(program), np.int32)
    outputs = [net for nets in program.wiring.outputs.values() for net in nets]
    nets = program.wiring.nets
    words = np.zeros(program.words, np.uint64)
    recorded = np.zeros((len(stimulus), len(outputs)), np.uint64)
    counts = np.zeros((nets, PLANES), np.uint64)
    states = np.zeros((len(program.watched), PLANES), np.uint64)
    every = np.zeros((0, nets), np.uint64) if settled is None else settled
    first, last = _run(
        program.operations,
        program.registers,
        inputs,
        np.array(outputs, np.int32),
        np.array([watched.word for watched in program.watched], np.int32),
        stimulus,
        working,
        counted_from,
        words,
        counts,
        states,
        recorded,
        every,
    )
    transitions = _per_sample(counts)
    rise_surplus = _bits(last) - _bits(first)
    rises = (transitions + rise_surplus) // 2
    return Toggles(rises, transitions - rises, _per_sample(states), recorded)


def input_nets(program: Program) -> list[int]:
    """Return the nets that `simulated` drives, in the order of its stimulus."""
    ports = program.wiring.inputs.items()
    return [net for name, nets in ports if name != "clk" for net in nets]


def _per_sample(counts: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return counts whose bits stand in `PLANES` words as int64 (counted, samples)."""
    weights = np.int64(1) << np.arange(counts.shape[1])
    total: NDArray[np.int64] = np.einsum("cps,p->cs", _bits(counts), weights)
    return total


def _bits(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return (...) words as (..., samples) bits."""
    in_bytes = np.ascontiguousarray(words).astype("<u8")[..., None].view(np.uint8)
    return np.unpackbits(in_bytes, axis=-1, bitorder="little").astype(np.int64)


@jit
def _run(
    operations: NDArray[np.int32],
    registers: NDArray[np.int32],
    inputs: NDArray[np.int32],
    outputs: NDArray[np.int32],
    watched: NDArray[np.int32],
    stimulus: NDArray[np.uint64],
    working: NDArray[np.uint64],
    counted_from: int,
    words: NDArray[np.uint64],
    counts: NDArray[np.uint64],
    states: NDArray[np.uint64],
    recorded: NDArray[np.uint64],
    settled: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Run all cycles; return the nets before the first counted cycle and after the last."""
    nets = len(counts)
    before = np.zeros(nets, np.uint64)
    first = np.zeros(nets, np.uint64)
    taken = np.zeros(len(registers), np.uint64)
    words[1] = ~np.uint64(0)
    for cycle in range(len(stimulus)):
        _edge(registers, taken, words)
        for at in range(len(inputs)):
            words[inputs[at]] = stimulus[cycle, at]
        _settle(operations, words)
        for at in range(len(outputs)):
            recorded[cycle, at] = words[outputs[at]]
        if cycle < len(settled):
            settled[cycle] = words[:nets]
        if cycle == counted_from:
            first[:] = before
        if cycle >= counted_from:
            for net in range(nets):
                _add(counts, net, words[net] ^ before[net])
            for at in range(len(watched)):
                _add(states, at, words[watched[at]] & working[cycle])
        before[:] = words[:nets]
    return first, before


@jit
def _edge(
    registers: NDArray[np.int32], taken: NDArray[np.uint64], words: NDArray[np.uint64]
) -> None:
    """Let every register take what stands at its input."""
    for at in range(len(registers)):
        taken[at] = words[registers[at, 0]]
    for at in range(len(registers)):
        words[registers[at, 1]] = taken[at]


@jit
def _settle(operations: NDArray[np.int32], words: NDArray[np.uint64]) -> None:
    """Compute every gate; the numbers are those of `Operation`."""
    for at in range(len(operations)):
        what = operations[at, 0]
        x, y = words[operations[at, 1]], words[operations[at, 2]]
        if what == 0:
            z = x & y
        elif what == 1:
            z = x | y
        elif what == 2:
            z = x ^ y
        elif what == 3:
            z = ~x
        else:
            z = x
        words[operations[at, 3]] = z


@jit
def _add(counts: NDArray[np.uint64], at: int, carry: np.uint64) -> None:
    """Add a word of ones to a counter per sample, whose bits stand in a row of words."""
    plane = 0
    while carry:
        held = counts[at, plane]
        counts[at, plane] = held ^ carry
        carry &= held
        plane += 1
