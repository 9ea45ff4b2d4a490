"""What a waveform shows: the tiles around one tile, run by the event model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Work
from sparqsim.array.grid import TileGrid
from sparqsim.array.registry import get_dataflow
from sparqsim.array.timing import check_dataflow
from sparqsim.base.errors import InputError
from sparqsim.base.wording import counted
from sparqsim.engine.models import EngineModel, get_model
from sparqsim.event.array import Run, StepFunction, StepRecord
from sparqsim.event.array import Tile as Operands
from sparqsim.event.layer import LayerTiles, Operand, step_of
from sparqsim.event.run import run_tiles
from sparqsim.pe import PEDesign
from sparqsim.pe.encoded import EncodedLayer
from sparqsim.trace import Layer

#: Rows and columns of the largest array that is drawn.
LARGEST_SIDE = 16
#: PE-steps that are drawn at most; a file of half as many has some 40 MB.
LARGEST_WAVE = 1_000_000


@dataclass(frozen=True)
class Window:
    """Successive tiles of a layer on an array, and what the array of processes did with them.

    `first`: the first one's number in the layer. `run.steps` count tiles from there. `step`: the
    design's, given the operands from the left and from above (os) or held (ws, is). `late`: cycles
    by which a sum follows its step.
    """

    array: ArrayConfig
    first: int
    tiles: list[Operands]
    run: Run
    step: StepFunction
    late: int

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


def window_of(
    layer: Layer, design: PEDesign | EngineModel, array: ArrayConfig, tile: int = 0
) -> Window:
    """Run tile number `tile` of a layer, with the tiles that overlap it in the array."""
    pe = _timed_by_array(get_model(design).bound_to(layer))
    _check(layer, pe, array)
    lowered, flow = pe.encoded(layer.lower()), get_dataflow(array.dataflow)
    signed = lowered.signed if isinstance(lowered, EncodedLayer) else layer.signed
    grid = flow.grid(Work(lowered.m, pe.steps(lowered.k), lowered.n, lowered.groups), array)
    shown = _shown(grid, array, tile, layer.name)
    cut = LayerTiles(lowered, pe, flow, grid)
    step = cache(step_of(pe, flow, signed=signed))
    tiles = [cut.tile(number) for number in shown]
    run = run_tiles(tiles, step, array, pe.edge_cycles, pe.stage_cycles)
    return Window(array, shown.start, tiles, run, step, pe.stage_cycles)


def _timed_by_array(model: EngineModel) -> PEDesign:
    """Return the design of the array's PEs.

    Raises InputError for an engine that the array does not time.
    """
    if model.pe is None or not model.follows_array:
        raise InputError(
            f"wave: {model.spec} {model.kind}, which a waveform cannot show; "
            "expected a design that the array times"
        )
    return model.pe


def _check(layer: Layer, pe: PEDesign, array: ArrayConfig) -> None:
    if max(array.rows, array.cols) > LARGEST_SIDE:
        raise InputError(
            f"wave: array {array.rows}x{array.cols} is too large to look at, "
            f"expected at most {LARGEST_SIDE}x{LARGEST_SIDE}"
        )
    check_dataflow(pe, array)
    try:
        pe.check_signedness(layer.signed)
    except InputError as error:
        raise InputError(f"layer {layer.name!r}: {error}") from None


def _shown(grid: TileGrid, array: ArrayConfig, tile: int, layer: str) -> range:
    """Return the tiles to run: with overlap also those in the array together with `tile`."""
    if not 0 <= tile < grid.tiles:
        raise InputError(
            f"wave tile={tile}: layer {layer!r} has {counted(grid.tiles, 'tile')}, expected "
            f"0 to {grid.tiles - 1}"
        )
    # A tile is in the array for stream + skew + 1 waves; the next starts max(stream, R) after it.
    in_array = grid.stream + array.skew_cycles
    reach = in_array // max(grid.stream, grid.rows) if array.overlap else 0
    shown = range(max(0, tile - reach), min(grid.tiles, tile + reach + 1))
    steps = len(shown) * grid.stream * array.pes
    if steps > LARGEST_WAVE:
        raise InputError(
            f"wave: {steps:,} PE-steps in {counted(len(shown), 'tile')} of layer {layer!r}, "
            f"expected at most {LARGEST_WAVE:,}: take a smaller array, or overlap off"
        )
    return shown
