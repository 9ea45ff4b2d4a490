"""RTL against the simulator, for `sparqsim rtl`: random tiles, or one tile of a trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import dataflow_names, get_dataflow
from sparqsim.base.errors import InputError
from sparqsim.base.files import replaced
from sparqsim.base.wording import counted
from sparqsim.pe import PEDesign
from sparqsim.pe.base import LayerFacts
from sparqsim.pe.binding import bound_to
from sparqsim.pe.encoded import signed_in_array
from sparqsim.rtl.accumulator import Accumulator, sum_range
from sparqsim.rtl.check import (
    USUAL_ACCUMULATOR,
    Checked,
    check_gemm,
    compare,
    rtl_activity,
    simulated_activity,
)
from sparqsim.rtl.designs import circuit_of, family_of
from sparqsim.rtl.runner import whole_wave
from sparqsim.rtl.tiles import FLOWS, circuit_flow, cut
from sparqsim.trace import Layer

#: Beyond it sums go, of the accumulator's own units: random operands do not reach it.
LARGE_SUM = 1 << 23


@dataclass(frozen=True)
class Trial:
    """One product that RTL and simulator agreed on.

    size: (M, K, N). bits: of activations and of weights. largest_sum: the largest magnitude among
    the results. checked: what was compared.
    """

    array: ArrayConfig
    size: tuple[int, int, int]
    bits: tuple[int, int]
    largest_sum: int
    checked: Checked


def random_trials(
    design: PEDesign,
    rows: int = 4,
    cols: int = 5,
    *,
    steps: int = 40,
    seed: int = 0,
    accumulator: Accumulator = USUAL_ACCUMULATOR,
) -> Iterator[Trial]:
    """Run a design's RTL on random operands in every dataflow, lockstep and elastic, overlapped and
    not; a design that follows the bits of a layer at 8 bits and at random ones.

    Parameters
    ----------
    design : PEDesign
    rows, cols : int
        Of the array.
    steps : int
        Of a tile's stream; where a step can take several cycles, as many fewer.
    seed : int
        Of the operands.
    accumulator : Accumulator
        Its width, and whether sums that it may not hold are refused or wrap.

    Yields
    ------
    Trial
        Sums of every PE and cycle, results and cycles were equal.

    Raises
    ------
    InputError
        For a design without a circuit, sums that can overflow, or without Icarus Verilog.
    MismatchError
        At the first difference: where it is.
    """
    circuit_of(design)
    rng = np.random.default_rng(seed)
    circuits = [name for name in dataflow_names() if get_dataflow(name).roles in FLOWS]
    steps = max(steps // design.most_step_cycles, 3)
    arrays = product(("lockstep", "elastic:2"), circuits, (False, True))
    for (coupling, dataflow, overlap), drawn in product(arrays, _bits_of_layers(design)):
        array = ArrayConfig(rows, cols, dataflow, coupling=coupling, overlap=overlap)
        a, b = tuple(rng.integers(1, 9, 2).tolist()) if drawn else (8, 8)
        bound = design.for_layer(LayerFacts(1, activation_bits=a, weight_bits=b))
        m, k, n = _random_sizes(rng, bound, array, steps)
        x = (rng.integers(0, 1 << a, (m, k)) * (rng.random((m, k)) < 0.6)).astype(np.uint8)
        w = rng.integers(-(1 << b - 1), 1 << b - 1, (k, n)).astype(np.int8)
        x, w = family_of(bound).tried(bound, rng, x, w)
        yield _trial(design, array, x, w, (a, b), accumulator)


def largest_sums(design: PEDesign, accumulator: Accumulator = USUAL_ACCUMULATOR) -> Trial:
    """Check sums that random operands do not reach: the largest operands of either sign, until the
    accumulator's own count is beyond 2^23 (`mac-4b4b` counts products of nibbles).

    Narrower accumulators that refuse to overflow get as many steps as they surely hold. Errors as
    in `random_trials`.
    """
    step = sum_range(design, design.lanes)
    steps = LARGE_SUM // min(step.highest, -step.lowest) + 1
    if accumulator.overflow == "refuse":
        largest = (1 << accumulator.bits - 1) - 1
        steps = max(min(steps, largest // max(step.highest, -step.lowest)), 1)
    x = np.full((1, steps * design.lanes), 255, np.uint8)
    w = np.stack([np.full(x.size, 127), np.full(x.size, -128)], axis=1).astype(np.int8)
    return _trial(design, ArrayConfig(rows=1, cols=2), x, w, (8, 8), accumulator)


def _bits_of_layers(design: PEDesign) -> tuple[bool, ...]:
    """Return whether bits are drawn, for each layer to try: at least one of 8 bits."""
    wide, narrow = (design.for_layer(LayerFacts(1, False, bits, bits)) for bits in (8, 1))
    return (False,) if wide == narrow else (False, True)


def _trial(
    design: PEDesign,
    array: ArrayConfig,
    x: np.ndarray,
    w: np.ndarray,
    bits: tuple[int, int],
    accumulator: Accumulator,
) -> Trial:
    checked = check_gemm(
        design,
        array,
        x,
        w,
        activation_bits=bits[0],
        weight_bits=bits[1],
        accumulator=accumulator,
    )
    largest = int(np.abs(design.matmul(x, w)).max())
    return Trial(array, (*x.shape, w.shape[1]), bits, largest, checked)


def _random_sizes(
    rng: np.random.Generator, design: PEDesign, array: ArrayConfig, steps: int
) -> tuple[int, int, int]:
    """Return (M, K, N) of up to four tiles, ragged, with `steps` streamed; K odd where lanes
    allow.
    """
    along_rows, along_cols = (
        side + int(rng.integers(0, side + 1)) for side in (array.rows, array.cols)
    )
    roles = get_dataflow(array.dataflow).roles
    size = dict(zip(roles, (steps, along_rows, along_cols), strict=True))
    return size["m"], max(size["s"] * design.lanes - 1, 1), size["n"]


@dataclass(frozen=True)
class TileRun:
    """One tile of a layer in RTL. tiles: how many the layer has. compared: sums of PEs that were
    equal.
    """

    tiles: int
    cycles: int
    compared: int


def run_tile(
    layer: Layer, design: PEDesign, array: ArrayConfig, path: str | Path, tile: int = 0
) -> TileRun:
    """Run one tile of a layer's first group in RTL and in the simulator, and keep the waveform
    (VCD).

    Parameters
    ----------
    layer : Layer
    design : PEDesign
    array : ArrayConfig
    path : str or Path
        Of the waveform; it is written even where the two differ.
    tile : int
        From 0.

    Raises
    ------
    InputError
        For a design or dataflow without a circuit, a tile that is not there, or without Icarus
        Verilog.
    MismatchError
        At the first difference: where it is.
    """
    design = bound_to(layer, design)
    circuit_flow(array)
    entering = design.encoded(layer.lower())
    circuit_of(design, signed=signed_in_array(entering, stored=layer.signed))
    tiles = cut(design, array, entering.rows()[0], entering.weights[0])
    if tile >= len(tiles):
        raise InputError(
            f"--tile {tile}: layer {layer.name!r} has {counted(len(tiles), 'tile')} on {array}; "
            f"expected 0 to {len(tiles) - 1}"
        )
    alone = tiles.only(tile)
    simulated, plan = simulated_activity(design, array, alone)
    cycles = len(simulated.advance) + 1
    with replaced(path) as temporary:
        shown = rtl_activity(design, array, alone, plan, cycles=cycles, wave=str(temporary))
        temporary.write_bytes(whole_wave(temporary))
    compare(simulated, shown, f"{design.spec} on {array}")
    return TileRun(len(tiles), shown.cycles, simulated.psums.size)
