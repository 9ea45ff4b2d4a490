"""A layer's operands as tiles of an array, and what each step does with them.

Indices of a tile: m, n (an output), s (a step of K), lane. In `os` the array's rows are m, its
columns n, and s is streamed; in `ws` rows are s, columns n, m is streamed; in `is` rows are s,
columns m, n is streamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import get_dataflow
from sparqsim.base.errors import InputError
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.declared import declared_cycles
from sparqsim.rtl.designs import family_of

#: Parameter FLOW of the circuit that does what is streamed, lies along the rows, along the columns.
FLOWS = {"smn": 0, "msn": 1, "nsm": 2}


@dataclass(frozen=True)
class Tiles:
    """Operands of every tile, padded with zeros to the array: `x` (tiles, m, s, lanes), `w` (tiles,
    s, n, lanes).
    """

    x: NDArray[Any]
    w: NDArray[Any]

    def only(self, tile: int) -> Tiles:
        """Return one tile."""
        return Tiles(self.x[tile : tile + 1], self.w[tile : tile + 1])

    def __len__(self) -> int:
        return len(self.x)


def circuit_flow(array: ArrayConfig) -> int:
    """Return the parameter FLOW of the array's circuit.

    Raises
    ------
    InputError
        For roles or a coupling that no circuit has.
    """
    if array.broadcast:
        raise InputError(
            "coupling='broadcast': there is no RTL of an array that broadcasts operands, only of "
            "systolic ones; expected lockstep or elastic:D"
        )
    roles = get_dataflow(array.dataflow).roles
    if roles not in FLOWS:
        raise InputError(
            f"dataflow={array.dataflow!r}: there is no RTL of an array with roles={roles!r} "
            f"(streamed, along rows, along columns); expected one of {', '.join(FLOWS)}"
        )
    return FLOWS[roles]


def _axes(dataflow: str) -> tuple[int, int, int]:
    """Return which axes of (m, s, n) are streamed, along rows, along columns."""
    stream, rows, cols = ("msn".index(role) for role in get_dataflow(dataflow).roles)
    return stream, rows, cols


def cut(design: PEDesign, array: ArrayConfig, x: Array, w: Array) -> Tiles:
    """Return X (M, K) and W (K, N) as tiles in the array's order: by columns, rows innermost.

    Sizes along the array's sides are padded to its own; the stream is whole.
    """
    by_step_x, by_step_w = (
        _by_step(design, x.T).transpose(2, 0, 1),
        _by_step(design, w).swapaxes(1, 2),
    )
    sizes = (len(x), len(by_step_w), w.shape[1])
    stream, along_rows, along_cols = _axes(array.dataflow)
    side = [0, 0, 0]
    side[stream], side[along_rows], side[along_cols] = sizes[stream], array.rows, array.cols
    blocks = [range(0, max(size, 1), length) for size, length in zip(sizes, side, strict=True)]
    xs, ws = [], []
    for col in blocks[along_cols]:
        for row in blocks[along_rows]:
            at = [0, 0, 0]
            at[along_rows], at[along_cols] = row, col
            xs.append(_block(by_step_x, at[:2], side[:2]))
            ws.append(_block(by_step_w, at[1:], side[1:]))
    return Tiles(np.stack(xs), np.stack(ws))


def _by_step(design: PEDesign, operand: Array) -> Array:
    """Return (K, other) as (steps, lanes, other), zeros where a lane has no element."""
    padded = np.concatenate([operand, np.zeros((1, operand.shape[1]), operand.dtype)])
    return padded[design.k_order(len(operand))]


def _block(operand: Array, at: list[int], side: list[int]) -> Array:
    """Return operand[at[0]:, at[1]:] of (.., .., lanes), cut or padded to `side`."""
    piece = operand[at[0] : at[0] + side[0], at[1] : at[1] + side[1]]
    return np.pad(piece, [(0, side[0] - piece.shape[0]), (0, side[1] - piece.shape[1]), (0, 0)])


def step_values(design: PEDesign, tiles: Tiles) -> NDArray[np.int64]:
    """Return what each step adds, (tiles, m, s, n), by the design's fast arithmetic."""
    return np.moveaxis(design.matmul(*_step_products(tiles)), 1, 2)


def partial_values(design: PEDesign, tiles: Tiles) -> Iterator[NDArray[np.int64]]:
    """Yield what each step has added after its first cycle, its second, ..., (tiles, m, s, n).

    Nothing for designs whose steps take one cycle.
    """
    total: Any = 0
    for x, w in family_of(design).increments(design, *_step_products(tiles)):
        total = total + x.astype(np.int64) @ w.astype(np.int64)
        yield np.moveaxis(total, 1, 2)


def step_cycles(design: PEDesign, tiles: Tiles) -> NDArray[np.uint8]:
    """Return each step's cycles, uint8 (tiles, m or 1, s, n or 1)."""
    cycles = declared_cycles(design, *_step_products(tiles))
    return np.moveaxis(cycles[..., 0, :], 1, 2)


def _step_products(tiles: Tiles) -> tuple[Array, Array]:
    """Return every step as a product of its own: (tiles, s, m, lanes) and (tiles, s, lanes, n)."""
    x, w = np.moveaxis(tiles.x, 2, 1), np.moveaxis(tiles.w, 3, 2)
    return np.ascontiguousarray(x), np.ascontiguousarray(w)


def by_place(values: NDArray[Any], dataflow: str) -> NDArray[Any]:
    """Return (tiles, m, s, n) as (tiles, stream, rows, cols)."""
    return values.transpose(0, *(1 + axis for axis in _axes(dataflow)))
