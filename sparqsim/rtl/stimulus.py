"""Operands as the hexadecimal lines that the test benches read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Dataflow
from sparqsim.array.registry import get_dataflow
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.mac import Mac
from sparqsim.rtl.designs import Circuit
from sparqsim.rtl.tiles import Tiles
from sparqsim.rtl.timeline import Schedule

Words = NDArray[np.object_]


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
    x, w = stored_operands(design, circuit, x, w)
    return _hexadecimal(packed(x, circuit.xbits) + (packed(w, circuit.wbits) << circuit.x_width))


def _edges(
    design: PEDesign, circuit: Circuit, flow: Dataflow, tiles: Tiles
) -> tuple[Words, Words, int, int]:
    """Return what enters at the left, (tiles, advances, rows), and above, (tiles, advances, cols),
    and their bits.
    """
    x, w = stored_operands(design, circuit, tiles.x, tiles.w)
    by_step_x, by_step_w = (
        packed(x, circuit.xbits),
        packed(w, circuit.wbits),
    )  # (tiles, m, s), (tiles, s, n)
    if not flow.activations_from_left:
        return by_step_w.swapaxes(1, 2), by_step_x.swapaxes(1, 2), circuit.w_width, circuit.x_width
    west = by_step_x if flow.loads else by_step_x.swapaxes(1, 2)
    return west, by_step_w, circuit.x_width, circuit.w_width


def _stream_flags(length: int) -> Words:
    """Return {valid, first, last} of every streamed item."""
    flags = np.full(length, 4)
    flags[0] += 2
    flags[-1] += 1
    return flags.astype(object)


def stored_operands(design: PEDesign, circuit: Circuit, x: Array, w: Array) -> tuple[Array, Array]:
    """Return operands as memory holds them: the nibbles, of designs that store nibbles.

    From the design's definition, not its fast form, which is what the RTL is to check.
    """
    if not isinstance(design, Mac) or not circuit.scale:
        return x, w
    signed = x.dtype == np.int8
    every_byte = np.arange(256).astype(np.uint8)
    used_x = np.array(
        [design.used_pair(value, 0, signed)[0] for value in every_byte.view(x.dtype).tolist()]
    )
    used_w = np.array(
        [design.used_pair(0, value, signed)[1] for value in every_byte.view(np.int8).tolist()]
    )
    return used_x[x.view(np.uint8)] >> (8 - circuit.xbits), used_w[w.view(np.uint8)] >> (
        8 - circuit.wbits
    )


def packed(operands: NDArray[Any], bits: int) -> Words:
    """Return (..., items) integers of `bits` bits as one integer per list of items, item 0
    lowest.
    """
    integers = operands if operands.dtype == object else operands.astype(np.int64)
    fields = integers & ((1 << bits) - 1)
    places = np.array([1 << (bits * at) for at in range(operands.shape[-1])], object)
    total: Words = (fields.astype(object) * places).sum(-1)
    return total


def _hexadecimal(lines: Words) -> str:
    return "".join(f"{line:x}\n" for line in lines)
