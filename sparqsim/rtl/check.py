"""Run a design's RTL beside the simulator and compare: every PE's sum in every cycle, and when
results leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import get_dataflow
from sparqsim.array.timing import array_timing
from sparqsim.pe.base import Array, LayerFacts, PEDesign
from sparqsim.rtl.accumulator import Accumulator, refuse_overflow, unit_of
from sparqsim.rtl.designs import circuit_of
from sparqsim.rtl.expected import Activity, expected
from sparqsim.rtl.runner import simulate
from sparqsim.rtl.stimulus import array_lines
from sparqsim.rtl.tiles import (
    Tiles,
    by_place,
    circuit_flow,
    cut,
    partial_values,
    step_cycles,
    step_values,
)
from sparqsim.rtl.timeline import Registers, Schedule, Timeline, elastic, lockstep
from sparqsim.trace import Layer

#: Cycles that are run after the last expected result, to see that nothing more comes.
EXTRA_CYCLES = 3
USUAL_ACCUMULATOR = Accumulator()
#: Lines of stimulus that the test bench of an elastic array holds, where no more are needed.
USUAL_LINES = 4095


class MismatchError(Exception):
    """The RTL and the simulator disagree; the message names the first place."""


@dataclass(frozen=True)
class Checked:
    """What was compared: cycles run, and psums x cycles."""

    cycles: int
    comparisons: int


def check_gemm(
    design: PEDesign,
    array: ArrayConfig,
    x: Array,
    w: Array,
    *,
    activation_bits: int = 8,
    weight_bits: int = 8,
    accumulator: Accumulator = USUAL_ACCUMULATOR,
) -> Checked:
    """Run X (M, K) @ W (K, N) in RTL and compare it with the simulator, its total cycles and its
    result included.

    `activation_bits` and `weight_bits` are those of the layer, which the operands must fit. Sums
    that the accumulator may not hold are refused, or wrap.

    Raises
    ------
    MismatchError
        Where they disagree.
    InputError
        For a design without RTL, operands it cannot take, or sums that can overflow.
    """
    signed = x.dtype == np.int8
    design = design.for_layer(LayerFacts(x.shape[1], signed, activation_bits, weight_bits))
    design.check_operands(x, w)
    # A design or a dataflow without RTL is refused before any work.
    circuit_of(design, signed=signed)
    circuit_flow(array)
    if accumulator.overflow == "refuse":
        what = f"{x.shape[0]}x{x.shape[1]}x{w.shape[1]} on {array}"
        refuse_overflow(design, array, x.shape[1], accumulator.bits, signed=signed, what=what)
    tiles, where = cut(design, array, x, w), f"{design.spec} on {array}"
    runs = [tiles]
    if array.link_depth is not None and not array.overlap:
        runs = [tiles.only(tile) for tile in range(len(tiles))]
    shown = [check_tiles(design, array, run, accumulator) for run in runs]
    total = sum(activity.cycles for activity in shown)
    if total != (told := simulated_cycles(design, array, x, w)):
        raise MismatchError(f"{where}: the RTL takes {total} cycles, the simulator says {told}")
    by_tile = [results(array, run, activity) for run, activity in zip(runs, shown, strict=True)]
    result = assembled(array, np.concatenate(by_tile), x, w)
    _check_result(result, design.matmul(x, w), accumulator, unit_of(design, signed), where)
    return Checked(total, sum(activity.psums.size for activity in shown))


def _check_result(
    result: Array, expected: Array, accumulator: Accumulator, unit: int, where: str
) -> None:
    """Raise MismatchError where the RTL's result is not the simulator's.

    Folds of K are added outside the array: sums that wrapped are equal modulo the width.
    """
    ours, theirs = accumulator.held(expected, unit), accumulator.held(result, unit)
    if not np.array_equal(ours, theirs):
        raise MismatchError(
            f"{where}: the RTL's result differs from the simulator's at (m, n) "
            f"{tuple(np.argwhere(ours != theirs)[0].tolist())}"
        )


def simulated_cycles(design: PEDesign, array: ArrayConfig, x: Array, w: Array) -> int:
    """Return the cycles that the simulator gives to X @ W."""
    layer = Layer.from_gemm("operands", np.ascontiguousarray(x), np.ascontiguousarray(w))
    return array_timing(layer.lower(), design, array).total


def check_tiles(
    design: PEDesign, array: ArrayConfig, tiles: Tiles, accumulator: Accumulator = USUAL_ACCUMULATOR
) -> Activity:
    """Run tiles one after the other in RTL, compare every cycle and return what the RTL did; see
    `check_gemm`.
    """
    simulated, plan = simulated_activity(design, array, tiles)
    simulated = _wrapped(simulated, accumulator, unit_of(design, tiles.x.dtype == np.int8))
    cycles = len(simulated.advance) + EXTRA_CYCLES
    shown = rtl_activity(design, array, tiles, plan, cycles=cycles, accumulator=accumulator)
    compare(simulated, shown, f"{design.spec} on {array}")
    return shown


def _wrapped(simulated: Activity, accumulator: Accumulator, unit: int) -> Activity:
    """Return the activity of accumulators so wide: their sums are modulo 2^bits in every cycle."""
    psums, outputs = (accumulator.held(each, unit) for each in (simulated.psums, simulated.outputs))
    return replace(simulated, psums=psums, outputs=outputs)


def results(array: ArrayConfig, tiles: Tiles, shown: Activity) -> NDArray[np.int64]:
    """Return what left the array: (tiles, rows, cols) in `os`, else (tiles, stream, cols)."""
    by_column = shown.outputs.T[shown.leaving.T].reshape(array.cols, len(tiles), -1)
    return by_column.transpose(1, 2, 0)[:, :: 1 if get_dataflow(array.dataflow).loads else -1]


def assembled(
    array: ArrayConfig, parts: NDArray[np.int64], x: Array, w: Array
) -> NDArray[np.int64]:
    """Return tiles' results as one (M, N), sums of K folds added."""
    flow, sizes = get_dataflow(array.dataflow), {"m": len(x), "n": w.shape[1]}
    # A tile's results stand by the array's rows where sums stay, by streamed item where they move.
    down, across = flow.roles[0] if flow.loads else flow.roles[1], flow.roles[2]
    room = array.rows + array.cols
    total = np.zeros((sizes["m"] + room, sizes["n"] + room), np.int64)
    row_tiles = len(parts) // -(-sizes[across] // array.cols)
    for tile, part in enumerate(parts):
        col, row = divmod(tile, row_tiles)
        at = {down: 0 if flow.loads else row * array.rows, across: col * array.cols}
        block = part if down == "m" else part.T
        m, n = at["m"], at["n"]
        total[m : m + block.shape[0], n : n + block.shape[1]] += block
    return total[: sizes["m"], : sizes["n"]]


def simulated_activity(
    design: PEDesign, array: ArrayConfig, tiles: Tiles
) -> tuple[Activity, Schedule]:
    """Return what the simulator says the array does."""
    flow = array.dataflow
    values = by_place(step_values(design, tiles), flow)
    partial = (by_place(each, flow) for each in partial_values(design, tiles))
    costs = np.broadcast_to(by_place(step_cycles(design, tiles), flow), values.shape)
    plan, timeline = _timeline(design, array, costs)
    return expected(flow, array.overlap, values, partial, timeline), plan


def _timeline(
    design: PEDesign, array: ArrayConfig, costs: NDArray[np.uint8]
) -> tuple[Schedule, Timeline]:
    if array.link_depth is None:
        return lockstep(array, costs, Registers.of(design))
    return elastic(array, costs, Registers.of(design))


def rtl_activity(
    design: PEDesign,
    array: ArrayConfig,
    tiles: Tiles,
    plan: Schedule,
    *,
    cycles: int,
    wave: str | None = None,
    accumulator: Accumulator = USUAL_ACCUMULATOR,
) -> Activity:
    """Return what the RTL does in `cycles` cycles; `wave` names a file for its waveform."""
    circuit = circuit_of(design, signed=tiles.x.dtype == np.int8)
    rows, cols = array.rows, array.cols
    parameters = {
        **circuit.parameters,
        "FLOW": circuit_flow(array),
        "ROWS": rows,
        "COLS": cols,
        "OVERLAP": int(array.overlap),
        "DEPTH": array.link_depth or 0,
    }
    if array.link_depth and cycles > USUAL_LINES:
        parameters["LINES"] = 1 << cycles.bit_length()
    words_of_result = result_words(design, accumulator, signed=tiles.x.dtype == np.int8)
    wide = () if words_of_result == 1 else (f"RESULT={32 * words_of_result}",)
    start_words, valid_words = -(-rows * cols // 32), -(-cols // 32)
    sums = cols * words_of_result, rows * cols * words_of_result
    widths = [1, start_words, valid_words, *sums]
    options = {"wave": wave} if wave else {}
    words = simulate(
        "testbench_array",
        parameters,
        array_lines(design, circuit, array, tiles, plan),
        sum(widths),
        defines=(*circuit.defines, *accumulator.defines, *wide),
        cycles=cycles,
        **options,
    )
    advance, starts, valid, outputs, psums = np.split(words, np.cumsum(widths)[:-1], axis=1)
    return Activity(
        advance[:, 0] != 0,
        _bits(starts)[:, : rows * cols].reshape(-1, rows, cols),
        _numbers(psums, words_of_result).reshape(-1, rows, cols),
        _bits(valid)[:, :cols],
        _numbers(outputs, words_of_result),
    )


def result_words(design: PEDesign, accumulator: Accumulator, *, signed: bool) -> int:
    """Return the words of 32 bits that a scaled sum is recorded in."""
    scaled_bits = accumulator.bits + unit_of(design, signed).bit_length() - 1
    return -(-scaled_bits // 32)


def _numbers(words: NDArray[np.int64], each: int) -> NDArray[np.int64]:
    """Return (records, numbers of one or two signed words, the lower one first) as numbers."""
    if each == 1:
        return words
    return (words[:, 1::2] << 32) + (words[:, ::2] & 0xFFFF_FFFF)


def _bits(words: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (records, words) of 32 bits as (records, bits), the lowest first."""
    bits: NDArray[np.bool_] = (
        np.unpackbits(words.astype("<u4").view(np.uint8), axis=1, bitorder="little") != 0
    )
    return bits


def compare(simulated: Activity, shown: Activity, where: str) -> None:
    """Raise MismatchError at the first difference; after the simulator's last cycle nothing may
    start or leave.
    """
    cycles = len(simulated.advance)
    if shown.starts[cycles:].any() or shown.leaving[cycles:].any():
        raise MismatchError(
            f"{where}: the RTL works on after cycle {cycles - 1}, the simulator's last"
        )
    for part in ("advance", "starts", "psums", "leaving", "outputs"):
        ours, theirs = getattr(simulated, part), getattr(shown, part)[:cycles]
        if not np.array_equal(ours, theirs):
            place = tuple(int(at) for at in np.argwhere(ours != theirs)[0])
            raise MismatchError(
                f"{where}: {part} differ first at (cycle, PE) {place}: simulator "
                f"{int(ours[place])}, RTL {int(theirs[place])}"
            )
