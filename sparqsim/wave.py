"""One tile's wavefront, cycle by cycle, as a VCD waveform for a viewer such as GTKWave: one time unit is one cycle.

The array advances in lockstep: PE (i, j) does the streamed item s in wave s + i + j, and a wave takes as long as its
slowest step. Every step is the design's plain `step`, so the waveform is the definition at work, not its fast form.
Signals of `pe_I_J`:

* `x0`.., `w0`..: the operands of the step, lane by lane; padded ones are zero. They stay when the PE has nothing more
  to do.
* `valid`: a step is in the PE. `busy`: the PE works at it; a PE that is done before its wave is over waits with
  `valid` alone.
* `psum`: the partial sum's register, written when the step ends. It stays in the PE (`os`) or moves down a column
  (`ws`, `is`).
* `ctl_...`: the control codes of the step, as the design names them.

`load`, `stream` and `drain` say what the array does, `wave` counts the waves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from vcd import VCDWriter

from sparqsim.config import ArrayConfig
from sparqsim.errors import InputError, nearest
from sparqsim.files import replaced
from sparqsim.pe import PEDesign, Step
from sparqsim.pe.base import Array, arranged
from sparqsim.trace import Layer, Trace

#: Rows and columns of the largest array that is drawn.
LARGEST_SIDE = 16
#: Enough for 2^32 products of an 8-bit activation and an 8-bit weight.
PSUM_BITS = 48
CONTROL_BITS = 32
WAVE_BITS = 32

#: A value that a signal takes: cycle, scope, signal, value.
Change = tuple[int, str, str, int]


@dataclass(frozen=True)
class Tile:
    """One tile of a layer on an array, padded to the array's sides.

    `x` holds the operands of each step, lists (M, steps, lanes) and `w` (N, steps, lanes); along the rows of the array
    lie M (os) or steps (ws, is), along its columns N (os, ws) or M (is).
    """

    pe: PEDesign
    array: ArrayConfig
    signed: bool
    x: list[list[list[int]]]
    w: list[list[list[int]]]

    @property
    def stream(self) -> int:
        """Items streamed through the tile."""
        return {"os": len(self.x[0]), "ws": len(self.x), "is": len(self.w)}[self.array.dataflow]

    @property
    def loads(self) -> bool:
        """Whether stationary operands load before the stream; else sums drain after it."""
        return self.array.dataflow != "os"

    def operands(self, i: int, j: int, s: int) -> tuple[list[int], list[int]]:
        """Return the activations and weights of PE (i, j) at streamed item s."""
        m, n, step = {"os": (i, j, s), "ws": (s, j, i), "is": (j, s, i)}[self.array.dataflow]
        return self.x[m][step], self.w[n][step]

    def waves(self) -> Iterator[list[tuple[int, int, int, Step]]]:
        """Yield the steps of each wave: row, column, streamed item, step; lower rows first."""
        rows, cols = self.array.rows, self.array.cols
        for wave in range(self.stream + rows + cols - 2):
            places = [(i, j, wave - i - j) for i in reversed(range(rows)) for j in range(cols)]
            yield [(i, j, s, self.pe.step(*self.operands(i, j, s), self.signed))
                   for i, j, s in places if 0 <= s < self.stream]


def write_wave(path: str | Path, trace: Trace, pe: PEDesign, array: ArrayConfig, layer: str | None = None,
               tile: int = 0, *, kept: PEDesign | None = None) -> None:
    """Write the waveform of one tile.

    Parameters
    ----------
    path : path of the .vcd file
    trace, pe, array
        As for `simulate`; the array at most 16x16, in lockstep, nothing overlapped.
    layer : str, optional
        A layer's name; by default the first one that `pe` runs.
    tile : int
        Counted from 0, as tiles run: group by group, then by columns, rows innermost.
    kept : PEDesign, optional
        The design that runs layers marked keep_8bit, if not `pe`.

    Raises
    ------
    InputError
        For an array, design, layer or tile that cannot be drawn, or a path that cannot be written.
    """
    chosen = _layer(trace, layer, skip_kept=kept is not None)
    design = kept if kept is not None and chosen.keep_8bit else pe
    drawn = tile_of(chosen, design, array, tile)
    with replaced(path) as temporary, temporary.open("w", encoding="ascii") as file:
        comment = f"{design.spec}, array {array}, layer {chosen.name}, tile {tile}".encode("ascii", "replace").decode()
        with VCDWriter(file, timescale="1 ns", date="", version="sparqsim", comment=comment) as writer:
            _write(writer, drawn)


def tile_of(layer: Layer, pe: PEDesign, array: ArrayConfig, tile: int = 0) -> Tile:
    """Return tile number `tile` of a layer."""
    _check(layer, pe, array)
    lowered = layer.lower()
    steps = pe.steps(lowered.k)
    rows_of, cols_of = {"os": ("m", "n"), "ws": ("s", "n"), "is": ("s", "m")}[array.dataflow]
    whole = {"m": lowered.m, "n": lowered.n, "s": steps}
    row_tiles, col_tiles = -(-whole[rows_of] // array.rows), -(-whole[cols_of] // array.cols)
    tiles = lowered.groups * row_tiles * col_tiles
    if not 0 <= tile < tiles:
        raise InputError(f"wave tile={tile}: layer {layer.name!r} has {tiles} tiles, expected 0 to {tiles - 1}")
    group, place = divmod(tile, row_tiles * col_tiles)
    parts = {axis: (0, size) for axis, size in whole.items()}
    parts[rows_of] = (place % row_tiles * array.rows, array.rows)
    parts[cols_of] = (place // row_tiles * array.cols, array.cols)
    (m, _), (n, _) = parts["m"], parts["n"]
    x = lowered.rows(m, m + parts["m"][1])[group]
    w = lowered.weights[group].T[n:n + parts["n"][1]]
    order = pe.k_order(lowered.k)
    return Tile(pe, array, layer.signed, _padded(arranged(x, order), parts["m"][1], parts["s"]),
                _padded(arranged(w, order), parts["n"][1], parts["s"]))


def _padded(operands: Array, length: int, steps: tuple[int, int]) -> list[list[list[int]]]:
    """Return `length` lines of the steps (first, count) of (lines, steps, lanes), zeros beyond the end."""
    part = operands[:, steps[0]:steps[0] + steps[1]]
    short = ((0, length - part.shape[0]), (0, steps[1] - part.shape[1]), (0, 0))
    lines: list[list[list[int]]] = np.pad(part, short).tolist()
    return lines


def _layer(trace: Trace, name: str | None, *, skip_kept: bool) -> Layer:
    names = [layer.name for layer in trace.layers]
    if name is not None and name not in names:
        raise InputError(f"wave layer={name!r}: the trace has no such layer{nearest(name, names)}; "
                         f"expected one of {', '.join(names)}")
    wanted = [layer for layer in trace.layers if (layer.name == name if name else not (skip_kept and layer.keep_8bit))]
    return (wanted or list(trace.layers))[0]


def _check(layer: Layer, pe: PEDesign, array: ArrayConfig) -> None:
    if max(array.rows, array.cols) > LARGEST_SIDE:
        raise InputError(f"wave: array {array.rows}x{array.cols} is too large to look at, "
                         f"expected at most {LARGEST_SIDE}x{LARGEST_SIDE}")
    if array.coupling != "lockstep" or array.overlap:
        raise InputError(f"wave: array {array}, expected lockstep and overlap off: a waveform shows one tile alone")
    if pe.times_itself:
        raise InputError(f"wave: {pe.spec} times itself through queues of its own, expected a design timed in lockstep")
    if array.dataflow not in pe.dataflows:
        raise InputError(f"dataflow={array.dataflow!r}: {pe.spec} supports {', '.join(pe.dataflows)}")
    try:
        pe.check_signedness(layer.signed)
    except InputError as error:
        raise InputError(f"layer {layer.name!r}: {error}") from None


def _write(writer: VCDWriter, tile: Tile) -> None:
    """Register every signal, then write its changes in time."""
    operands = [f"{side}{lane}" for side in "xw" for lane in range(tile.pe.lanes)]
    controls = sorted({name for wave in tile.waves() for *_, step in wave for name in step.controls})
    unknown = dict.fromkeys(operands, 8) | {f"ctl_{name}": CONTROL_BITS for name in controls}
    signals = _registered(writer, "array", {"load": 1, "stream": 1, "drain": 1, "wave": WAVE_BITS}, 0)
    for i, j in np.ndindex(tile.array.rows, tile.array.cols):
        signals |= _registered(writer, f"array.pe_{i}_{j}", unknown, "x")
        signals |= _registered(writer, f"array.pe_{i}_{j}", {"valid": 1, "busy": 1, "psum": PSUM_BITS}, 0)
    for cycle, scope, name, value in changes(tile):
        writer.change(signals[scope, name], cycle, value)


def _registered(writer: VCDWriter, scope: str, bits: Mapping[str, int], first: int | str) -> dict[tuple[str, str], Any]:
    """Return new signals of a scope, given their widths and their first value ('x': unknown)."""
    return {(scope, name): writer.register_var(scope, name, "wire", size=size, init=first)
            for name, size in bits.items()}


def changes(tile: Tile) -> Iterator[Change]:
    """Yield every change of every signal, in time: load (ws, is), the edge's registers, the waves, drain (os)."""
    loaded = tile.array.rows if tile.loads else 0
    if tile.loads:
        yield 0, "array", "load", 1
        yield from _loading(tile)
        yield loaded, "array", "load", 0
    yield loaded, "array", "stream", 1
    psums = dict.fromkeys(np.ndindex(tile.array.rows, tile.array.cols), 0)
    cycle = loaded + tile.pe.edge_cycles
    for number, wave in enumerate(tile.waves()):
        cycles = max(step.cycles for *_, step in wave)
        yield cycle, "array", "wave", number
        yield from sorted(_wave(tile, wave, cycle, cycles, psums), key=lambda change: change[0])
        cycle += cycles
    yield cycle, "array", "stream", 0
    if not tile.loads:
        yield from _draining(tile, psums, cycle)


def _wave(tile: Tile, wave: list[tuple[int, int, int, Step]], cycle: int, cycles: int,
          psums: dict[tuple[int, ...], int]) -> Iterator[Change]:
    """Yield the changes of a wave that starts at `cycle` and takes `cycles`; add its values to the partial sums."""
    for i, j, s, step in wave:
        scope, end = f"array.pe_{i}_{j}", cycle + step.cycles
        for name, value in _named(tile.operands(i, j, s), step.controls):
            yield cycle, scope, name, value
        yield cycle, scope, "valid", 1
        yield cycle, scope, "busy", 1
        # A column's sums move down one PE per wave; lower rows come first, so the PE above still holds this item's sum.
        psums[i, j] = step.value + (psums.get((i - 1, j), 0) if tile.loads else psums[i, j])
        yield end, scope, "psum", psums[i, j]
        last = s == tile.stream - 1
        if last or step.cycles < cycles:
            yield end, scope, "busy", 0
        if last:
            yield cycle + cycles, scope, "valid", 0


def _named(operands: tuple[list[int], list[int]], controls: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    for side, values in zip("xw", operands, strict=True):
        for lane, value in enumerate(values):
            yield f"{side}{lane}", value
    for name, value in controls.items():
        yield f"ctl_{name}", value


def _loading(tile: Tile) -> Iterator[Change]:
    """Yield the stationary operands on their way down: the last row's go in first."""
    rows, cols = tile.array.rows, tile.array.cols
    side = "w" if tile.array.dataflow == "ws" else "x"
    for cycle in range(rows):
        for i, j in np.ndindex(cycle + 1, cols):
            values = tile.operands(rows - 1 - cycle + i, j, 0)["xw".index(side)]
            for lane, value in enumerate(values):
                yield cycle + 1, f"array.pe_{i}_{j}", f"{side}{lane}", value


def _draining(tile: Tile, psums: Mapping[tuple[int, ...], int], start: int) -> Iterator[Change]:
    """Yield the sums on their way down the columns, out of the last row."""
    rows, cols = tile.array.rows, tile.array.cols
    yield start, "array", "drain", 1
    for cycle in range(1, rows + 1):
        for i, j in np.ndindex(rows, cols):
            yield start + cycle, f"array.pe_{i}_{j}", "psum", psums.get((i - cycle, j), 0)
    yield start + rows, "array", "drain", 0
