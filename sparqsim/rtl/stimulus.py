"""Operands as the hexadecimal lines that the test benches read."""

from __future__ import annotations

import numpy as np

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Dataflow
from sparqsim.array.registry import get_dataflow
from sparqsim.pe.base import Array, PEDesign
from sparqsim.rtl.circuits.base import Circuit, Words, packed
from sparqsim.rtl.designs import family_of
from sparqsim.rtl.tiles import Tiles
from sparqsim.rtl.timeline import Schedule


def array_lines(
    design: PEDesign, circuit: Circuit, array: ArrayConfig, tiles: Tiles, plan: Schedule
) -> str:
    """Return what the array's edge is offered in each advance, for `testbench_array`."""
    flow = get_dataflow(array.dataflow)
    west, north, west_bits, north_bits = _edges(design, circuit, flow, tiles)
    lines = np.zeros(plan.advances, object)
    north_at = array.rows * west_bits
    flags_at = north_at + array.cols * north_bits
    for tile, start in enumerate(plan.streams):
        streamed, beside = packed(west[tile], west_bits), packed(north[tile], north_bits)
        lines[start : start + len(streamed)] += streamed + (
            _stream_flags(len(streamed)) << flags_at
        )
        at = plan.loads[tile] if flow.loads else start
        # Where loads follow a fixed schedule, a token comes with row 0's operand.
        by_token = flow.loads and not (array.overlap and array.link_depth)
        valid = np.arange(len(beside)) == 0 if by_token else np.ones(len(beside), bool)
        lines[at : at + len(beside)] += (beside << north_at) + (
            valid.astype(int).astype(object) << (flags_at + 3)
        )
    return _hexadecimal(lines)


def pair_lines(design: PEDesign, circuit: Circuit, x: Array, w: Array) -> str:
    """Return x, w (steps, lanes) for `testbench_pair`."""
    x_words, w_words = _words(design, circuit, x, w)
    return _hexadecimal(x_words + (w_words << circuit.x_width))


def _edges(
    design: PEDesign, circuit: Circuit, flow: Dataflow, tiles: Tiles
) -> tuple[Words, Words, int, int]:
    """Return what enters at the left, (tiles, advances, rows), and above, (tiles, advances, cols),
    and their bits.
    """
    by_step_x, by_step_w = _words(design, circuit, tiles.x, tiles.w)
    if not flow.activations_from_left:
        return by_step_w.swapaxes(1, 2), by_step_x.swapaxes(1, 2), circuit.w_width, circuit.x_width
    west = by_step_x if flow.loads else by_step_x.swapaxes(1, 2)
    return west, by_step_w, circuit.x_width, circuit.w_width


def _words(design: PEDesign, circuit: Circuit, x: Array, w: Array) -> tuple[Words, Words]:
    """Return the operands of steps (..., lanes) as memory holds them, a word each."""
    return family_of(design).words(design, circuit, x, w)


def _stream_flags(length: int) -> Words:
    """Return {valid, first, last} of every streamed item."""
    flags = np.full(length, 4)
    flags[0] += 2
    flags[-1] += 1
    return flags.astype(object)


def _hexadecimal(lines: Words) -> str:
    return "".join(f"{line:x}\n" for line in lines)
