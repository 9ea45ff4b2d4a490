"""One tile's wavefront, cycle by cycle, as a VCD waveform for a viewer such as GTKWave: one time unit is one cycle.

The array of processes (`sparqsim.event`) runs the tile with the design's plain `step`, and the waveform shows what it
recorded: the definition at work, in every dataflow and coupling. Without overlap the tile runs alone, from its load
to its drain. With overlap it runs between the tiles that share the array with it, the first of them into an empty
array. In lockstep nothing else can change its wavefront; with elastic links a slow step of a still earlier tile could
delay it in a whole layer. Signals of `pe_I_J`:

* `x0`.., `w0`..: the operands of the step, lane by lane; padded ones are zero. They stay when the PE has nothing more
  to do. `tile`, `item`: which tile of the layer and which of its streamed items they belong to.
* `valid`: a step is in the PE. `busy`: the PE works at it. In lockstep a PE that is done before its wave is over
  waits with `valid` alone.
* `psum`: written when the step ends. In `os` it is the PE's accumulator, and stays until the first step of the next
  tile ends (a shadow register, not shown, drains the finished sum); in `ws` and `is` it moves down a column.
* `ctl_...`: the control codes of the step, as the design names them.

`load`, `stream` and `drain` say what the array does: `load` in its first R cycles (ws, is), `drain` from the end of
the last step (os), `stream` between. `wave` counts the waves of a lockstep array.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from heapq import merge
from pathlib import Path
from typing import Any

import numpy as np
from vcd import VCDWriter

from sparqsim.config import ArrayConfig
from sparqsim.dataflow import Dataflow, Work, get_dataflow
from sparqsim.dataflow.grid import TileGrid
from sparqsim.errors import InputError, nearest, printable
from sparqsim.event.array import Run, StepFunction, StepRecord, run_tiles
from sparqsim.event.array import Tile as Operands
from sparqsim.event.layer import LayerTiles, Operand
from sparqsim.files import replaced
from sparqsim.pe import PEDesign
from sparqsim.timing import check_dataflow
from sparqsim.trace import Layer, Trace

#: Rows and columns of the largest array that is drawn.
LARGEST_SIDE = 16
#: PE-steps that are drawn at most; a file of half as many has some 40 MB.
LARGEST_WAVE = 1_000_000
#: Enough for 2^32 products of an 8-bit activation and an 8-bit weight.
PSUM_BITS = 48
COUNT_BITS = 32

#: A value that a signal takes: cycle, scope, signal, value.
Change = tuple[int, str, str, int]


@dataclass(frozen=True)
class Window:
    """Successive tiles of a layer on an array, and what the array of processes did with them.

    `first`: the first one's number in the layer. `run.steps` count tiles from there. `step`: the design's, given the
    operands from the left and from above (os) or held (ws, is).
    """

    array: ArrayConfig
    first: int
    tiles: list[Operands]
    run: Run
    step: StepFunction

    @property
    def loads(self) -> bool:
        """Whether stationary operands load before the stream; else sums drain after it."""
        return get_dataflow(self.array.dataflow).loads

    @property
    def last_step_end(self) -> int:
        """The cycle by which every step has ended."""
        return max(done.start + done.cycles for done in self.run.steps)

    def met(self, done: StepRecord) -> tuple[Operand, Operand]:
        """Return the operands of a step: from the left, and from above or held."""
        tile = self.tiles[done.tile]
        other = (
            tile.held[done.row][done.col] if tile.held else (tile.cols or [])[done.col][done.item]
        )
        return tile.rows[done.row][done.item], other

    def operands(self, done: StepRecord) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the activations and the weights of a step, lane by lane."""
        left, other = self.met(done)
        flow = get_dataflow(self.array.dataflow)
        x, w = (left, other) if flow.activations_from_left else (other, left)
        return x.values, w.values

    def controls(self, done: StepRecord) -> dict[str, int]:
        """Return the control codes of a step as signals."""
        return {f"ctl_{name}": value for name, value in self.step(*self.met(done)).controls.items()}


def write_wave(
    path: str | Path,
    trace: Trace,
    pe: PEDesign,
    array: ArrayConfig,
    layer: str | None = None,
    tile: int = 0,
    *,
    kept: PEDesign | None = None,
) -> None:
    """Write the waveform of one tile.

    Parameters
    ----------
    path : path of the .vcd file
    trace, pe, array
        As for `simulate`; the array at most 16x16. With overlap the tiles before and after the chosen one that share
        the array with it are shown, too.
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
    check_suffix(path)
    chosen = _layer(trace, layer, skip_kept=kept is not None)
    design = kept if kept is not None and chosen.keep_8bit else pe
    window = window_of(chosen, design, array, tile)
    about = f"{design.spec}, array {array}, layer {chosen.name}, tile {tile}"
    if len(window.tiles) > 1:
        about += f" between tiles {window.first} to {window.first + len(window.tiles) - 1}, from an empty array"
    with replaced(path) as temporary, temporary.open("w", encoding="ascii") as file:
        comment = _comment(about)
        with VCDWriter(
            file, timescale="1 ns", date="", version="sparqsim", comment=comment
        ) as writer:
            _write(writer, window, design.lanes)


def _comment(text: str) -> str:
    """Return text as a comment of a VCD file, which is ASCII and ends at `$end`."""
    return printable(text).encode("ascii", "backslashreplace").decode().replace("$", "\\x24")


def check_suffix(path: str | Path) -> None:
    """Refuse a file whose name would not tell a viewer what it is."""
    if Path(path).suffix.lower() != ".vcd":
        raise InputError(f"wave={str(path)!r}: expected a file name that ends in .vcd")


def window_of(layer: Layer, pe: PEDesign, array: ArrayConfig, tile: int = 0) -> Window:
    """Run tile number `tile` of a layer, with overlap between the tiles that share the array with it."""
    _check(layer, pe, array)
    lowered, flow = layer.lower(), get_dataflow(array.dataflow)
    grid = flow.grid(Work(lowered.m, pe.steps(lowered.k), lowered.n, lowered.groups), array)
    shown = _shown(grid, array, tile, layer.name)
    cut, step = LayerTiles(lowered, pe, flow, grid), _step(pe, flow, signed=layer.signed)
    tiles = [cut.tile(number) for number in shown]
    return Window(array, shown.start, tiles, run_tiles(tiles, step, array, pe.edge_cycles), step)


def _step(pe: PEDesign, flow: Dataflow, *, signed: bool) -> StepFunction:
    """Return the design's `step`, given operands as they meet in the array; each pair is worked out once."""
    step = cache(lambda x, w: pe.step(x, w, signed))
    if flow.activations_from_left:
        return lambda left, other: step(left.values, other.values)
    return lambda left, other: step(other.values, left.values)


def _shown(grid: TileGrid, array: ArrayConfig, tile: int, layer: str) -> range:
    """Return the tiles to run: with overlap also those whose wavefronts are in the array together with `tile`'s."""
    if not 0 <= tile < grid.tiles:
        raise InputError(
            f"wave tile={tile}: layer {layer!r} has {grid.tiles} tiles, expected 0 to {grid.tiles - 1}"
        )
    # A wavefront is in the array for stream + R + C - 1 waves; the next one starts max(stream, R) waves after it.
    reach = (
        (grid.stream + grid.rows + grid.cols - 2) // max(grid.stream, grid.rows)
        if array.overlap
        else 0
    )
    shown = range(max(0, tile - reach), min(grid.tiles, tile + reach + 1))
    steps = len(shown) * grid.stream * array.pes
    if steps > LARGEST_WAVE:
        raise InputError(
            f"wave: {steps:,} PE-steps in {len(shown)} tile{'s' * (len(shown) > 1)} of layer {layer!r}, "
            f"expected at most {LARGEST_WAVE:,}: take a smaller array, or overlap off"
        )
    return shown


def _layer(trace: Trace, name: str | None, *, skip_kept: bool) -> Layer:
    names = [layer.name for layer in trace.layers]
    if name is not None and name not in names:
        raise InputError(
            f"wave layer={name!r}: the trace has no such layer{nearest(name, names)}; "
            f"expected one of {', '.join(names)}"
        )
    wanted = [
        layer
        for layer in trace.layers
        if (layer.name == name if name else not (skip_kept and layer.keep_8bit))
    ]
    return (wanted or list(trace.layers))[0]


def _check(layer: Layer, pe: PEDesign, array: ArrayConfig) -> None:
    if max(array.rows, array.cols) > LARGEST_SIDE:
        raise InputError(
            f"wave: array {array.rows}x{array.cols} is too large to look at, "
            f"expected at most {LARGEST_SIDE}x{LARGEST_SIDE}"
        )
    if pe.times_itself:
        raise InputError(
            f"wave: {pe.spec} times itself through queues of its own, which a waveform cannot show; "
            "expected a design that the array times"
        )
    check_dataflow(pe, array)
    try:
        pe.check_signedness(layer.signed)
    except InputError as error:
        raise InputError(f"layer {layer.name!r}: {error}") from None


def _write(writer: VCDWriter, window: Window, lanes: int) -> None:
    """Register every signal, then write its changes in time."""
    controls = sorted({name for done in window.run.steps for name in window.controls(done)})
    unknown = dict.fromkeys((f"{side}{lane}" for side in "xw" for lane in range(lanes)), 8)
    unknown |= dict.fromkeys(("tile", "item", *controls), COUNT_BITS)
    counts = {"wave": COUNT_BITS} if window.array.link_depth is None else {}
    signals = _registered(writer, "array", {"load": 1, "stream": 1, "drain": 1} | counts, 0)
    for i, j in np.ndindex(window.array.rows, window.array.cols):
        signals |= _registered(writer, f"array.pe_{i}_{j}", unknown, "x")
        signals |= _registered(
            writer, f"array.pe_{i}_{j}", {"valid": 1, "busy": 1, "psum": PSUM_BITS}, 0
        )
    for cycle, scope, name, value in changes(window):
        writer.change(signals[scope, name], cycle, value)


def _registered(
    writer: VCDWriter, scope: str, bits: Mapping[str, int], first: int | str
) -> dict[tuple[str, str], Any]:
    """Return new signals of a scope, given their widths and their first value ('x': unknown)."""
    return {
        (scope, name): writer.register_var(scope, name, "wire", size=size, init=first)
        for name, size in bits.items()
    }


def changes(window: Window) -> Iterator[Change]:
    """Return the changes of every signal, in time."""
    wave_ends = _wave_ends(window)
    parts = [_phases(window)]
    if wave_ends:
        parts.append((start, "array", "wave", number) for number, start in enumerate(wave_ends))
    by_pe = defaultdict(list)
    for each in _with_sums(window):
        by_pe[each[0].row, each[0].col].append(each)
    for worked in by_pe.values():
        steps, sums = zip(*worked, strict=True)
        ends = [done.start + done.cycles for done in steps]
        wait_ends = [wave_ends[done.start] for done in steps] if wave_ends else ends
        parts += [
            _operands(window, steps),
            _active("busy", steps, ends),
            _active("valid", steps, wait_ends),
            _psums(steps, sums),
        ]
    return merge(*parts, key=lambda change: change[0])


def _wave_ends(window: Window) -> dict[int, int]:
    """Return for each start of a wave, in order, when it ends; nothing where there are no waves.

    The steps of a wave start together, and the slowest says how long it takes.
    """
    ends: dict[int, int] = {}
    if window.array.link_depth is None:
        for done in sorted(window.run.steps, key=lambda done: done.start):
            ends[done.start] = max(ends.get(done.start, 0), done.start + done.cycles)
    return ends


def _phases(window: Window) -> Iterator[Change]:
    """Yield load, stream and drain."""
    loaded, streamed = window.array.rows if window.loads else 0, window.last_step_end
    for name, start, end in (
        ("load", 0, loaded),
        ("stream", loaded, streamed),
        ("drain", streamed, window.run.cycles),
    ):
        if end > start:
            yield start, "array", name, 1
            yield end, "array", name, 0


def _scope(done: StepRecord) -> str:
    return f"array.pe_{done.row}_{done.col}"


def _operands(window: Window, steps: Sequence[StepRecord]) -> Iterator[Change]:
    """Yield what the steps of one PE take in, and their control codes."""
    for done in steps:
        values = {"tile": window.first + done.tile, "item": done.item}
        for side, lanes in zip("xw", window.operands(done), strict=True):
            values |= {f"{side}{lane}": value for lane, value in enumerate(lanes)}
        values |= window.controls(done)
        for name, value in values.items():
            yield done.start, _scope(done), name, value


def _active(name: str, steps: Sequence[StepRecord], ends: Sequence[int]) -> Iterator[Change]:
    """Yield a signal that is high in one PE from the start of each of its steps to the given end."""
    next_starts = [*(done.start for done in steps[1:]), None]
    for done, end, next_start in zip(steps, ends, next_starts, strict=True):
        yield done.start, _scope(done), name, 1
        if end != next_start:
            yield end, _scope(done), name, 0


def _psums(steps: Sequence[StepRecord], sums: Sequence[int]) -> Iterator[Change]:
    """Yield the sum that each step of one PE leaves, when the step ends."""
    for done, total in zip(steps, sums, strict=True):
        yield done.start + done.cycles, _scope(done), "psum", total


def _with_sums(window: Window) -> Iterator[tuple[StepRecord, int]]:
    """Yield the steps in time, each with the sum it leaves."""
    # Where sums stay a PE has one for each tile; where they move, each item has one in each column.
    sums: dict[tuple[int, int, int], int] = defaultdict(int)
    for done in sorted(window.run.steps, key=lambda done: done.start):
        place = (done.tile, done.item if window.loads else done.row, done.col)
        sums[place] += done.value
        yield done, sums[place]
