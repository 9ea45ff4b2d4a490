"""A layer's sums in a design's arithmetic, for many batches: the fast form of
`arithmetic.layer_sums`.

* Designs transform activations before they meet weights, so each activation is transformed once,
  not once per kernel position that it appears in.
* Integer products are computed in float32, in pieces of K short enough that every sum stays within
  2^24, where float32 holds integers exactly whatever the order of additions; where no such piece
  is long enough, in float64.
* Weights are made ready once per layer and design.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.exact import FLOAT32_EXACT, integer_product
from sparqsim.pe import PEDesign
from sparqsim.pe.arithmetic import encoded_sums
from sparqsim.pe.binding import bound_to
from sparqsim.quantise.recipe import ACCUMULATOR_BITS
from sparqsim.trace.layer import Layer
from sparqsim.trace.lowering import patches
from sparqsim.trace.schema import ConvGeometry

Array = NDArray[Any]

#: Pieces of K that are no longer than this are not worth float32.
SHORTEST_PIECE = 16
#: Bits of the integers that sums are computed in here: an accumulator as wide never overflows.
WIDEST_BITS = 64
#: Elements of X in work at once; as float32 64 MiB.
BLOCK_ELEMENTS = 1 << 24
#: Elements of W in work at once; as float32 16 MiB.
BLOCK_WEIGHTS = 1 << 22


class Factor:
    """The second operand of products: integers (groups, K, N)."""

    def __init__(self, integers: Array) -> None:
        self.integers = integers
        self._pieces: dict[tuple[int, int], int | None] = {}

    @cached_property
    def column_sums(self) -> NDArray[np.int64]:
        """Sums over K, int64 (groups, 1, N)."""
        sums: NDArray[np.int64] = self.integers.sum(axis=1, keepdims=True, dtype=np.int64)
        return sums

    def pieces(self, lowest: int, highest: int) -> int | None:
        """Return how much of K float32 may sum up exactly for x from `lowest` to `highest`.

        None where float64 has to.
        """
        between = lowest, highest
        if between not in self._pieces:
            self._pieces[between] = Signs.of(self.integers).longest_piece(*between, SHORTEST_PIECE)
        return self._pieces[between]


class Signs(NamedTuple):
    """Weights by their sign: those above 0, those below, others at 0; integers (groups, K, N)."""

    above: Array
    below: Array

    @classmethod
    def of(cls, integers: Array) -> Signs:
        """Return integers (groups, K, N) by their sign, in their own type."""
        return cls(np.maximum(integers, 0), np.minimum(integers, 0))

    def largest_sum(self, lowest: int, highest: int, piece: int | None = None) -> int:
        """Return the largest size of any sum over pieces of K, for x from `lowest` <= 0 to
        `highest` >= 0.

        A sum over some of a piece's products lies between the sum of all that can be below 0 and
        the sum of all that can be above, whatever the order of additions. Pieces of all of K by
        default.
        """
        k = self.above.shape[1]
        largest = 0
        for start in range(0, k, piece or k):
            stop = start + (piece or k)
            above, below = (w[:, start:stop].sum(axis=1, dtype=np.int64) for w in self)
            most, least = highest * above + lowest * below, highest * below + lowest * above
            largest = max(largest, int(most.max()), -int(least.min()))
        return largest

    def longest_piece(self, lowest: int, highest: int, shortest: int) -> int | None:
        """Return how much of K float32 may sum up exactly: all of it, or that halved until it
        does.

        None if that would be `shortest` or less.
        """
        k = piece = self.above.shape[1]
        while piece == k or piece > shortest:
            if self.largest_sum(lowest, highest, piece) <= FLOAT32_EXACT:
                return int(piece)
            if piece == 1:
                break
            piece = -(-piece // 2)
        return None


class Weights:
    """W of one layer under every design.

    Parameters
    ----------
    codes : int8 (output channel, kernel position, input channel of the group)
    groups : int
    """

    def __init__(self, codes: Array, groups: int) -> None:
        rows = codes.reshape(groups, -1, codes.shape[1] * codes.shape[2])
        #: W as it is stored, int8 (groups, K, N): a view of the codes.
        self.stored = Factor(rows.transpose(0, 2, 1))
        self._used: dict[PEDesign, Factor | None] = {}

    def used(self, pe: PEDesign) -> Factor | None:
        """Return the weights that the multipliers of `pe` see.

        None where they depend on the activations they meet, or are codes of the design's own.
        """
        if pe not in self._used:
            self._used[pe] = self._made(pe)
        return self._used[pe]

    def _made(self, pe: PEDesign) -> Factor | None:
        if pe.values_by_pair or pe.encodes:
            return None
        stored = np.ascontiguousarray(self.stored.integers)
        used = pe.used_weights(stored)
        return self.stored if used is stored else Factor(np.ascontiguousarray(used))


def layer_sums(
    layer: Layer,
    pe: PEDesign,
    weights: Weights | None = None,
    accumulator_bits: int = WIDEST_BITS,
) -> NDArray[np.int64]:
    """Return what `pe` makes of a layer, in units of activation scale * weight scale.

    Zero points are corrected, outside of the accumulators.

    Parameters
    ----------
    layer : Layer
    pe : PEDesign
    weights : Weights, optional
        The layer's, where they serve many batches.
    accumulator_bits : int
        Sums of products wrap around at so many bits (`wrapped`).

    Returns
    -------
    int64 (batch, height, width, channels) of a convolution, else (groups, M, N)
    """
    pe = bound_to(layer, pe)
    if pe.encodes:
        _refuse_wrapping(pe, accumulator_bits)
        return _shaped(layer, encoded_sums(layer, pe))
    prepared = weights or Weights(layer.weights, layer.record.groups)
    used = prepared.used(pe)
    factor = prepared.stored if used is None else used
    matrix = None if used is not None else np.ascontiguousarray(factor.integers)
    blocks = []
    for rows in _rows(layer, pe, transformed=used is not None):
        product = exact_product(rows, factor) if matrix is None else pe.matmul(rows, matrix)
        held = wrapped(product, accumulator_bits)
        blocks.append(_corrected(layer, factor, held, rows))
    return _shaped(layer, np.concatenate(blocks, axis=1) if len(blocks) > 1 else blocks[0])


def _refuse_wrapping(pe: PEDesign, accumulator_bits: int) -> None:
    """Raise InputError for narrow accumulators under a design with operands of its own."""
    if accumulator_bits < ACCUMULATOR_BITS:
        raise InputError(
            f"accumulators of {accumulator_bits} bits hold sums of what a trace holds, and "
            f"{pe.spec} has operands of its own; expected at least {ACCUMULATOR_BITS}, or another "
            "design"
        )


def _shaped(layer: Layer, sums: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return sums (groups, M, N), those of a convolution by picture and pixel."""
    if layer.record.geometry is None:
        return sums
    return np.ascontiguousarray(sums.transpose(1, 0, 2)).reshape(layer.output_shape)


def wrapped(sums: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Return sums as an accumulator of two's complement holds them, modulo 2^bits.

    Wrapping sums at their end is wrapping them after each addition, in any order.
    """
    half = 1 << (bits - 1)
    if bits == WIDEST_BITS or not sums.size or (sums.max() < half and sums.min() >= -half):
        return sums
    return ((sums + half) & (2 * half - 1)) - half


def exact_product(x: Array, w: Factor) -> NDArray[np.int64]:
    """Return x @ w, integers (groups, M, K) and (groups, K, N), exactly."""
    piece = w.pieces(*_limits(x))
    if piece is None:
        return integer_product(x.astype(np.float64), w.integers.astype(np.float64))
    groups, k, n = w.integers.shape
    total = np.empty((groups, x.shape[1], n), np.int64)
    single, columns = x.astype(np.float32), max(1, BLOCK_WEIGHTS // (groups * k))
    for start in range(0, n, columns):
        block = slice(start, start + columns)
        # Kept in float32, all layers' weights would be as large as the network again.
        weights = w.integers[:, :, block].astype(np.float32)
        total[:, :, block] = _sum_of_pieces(single, weights, piece)
    return total


def _sum_of_pieces(x: Array, w: Array, piece: int) -> NDArray[np.int64]:
    """Return x @ w, whose sums over `piece` of K are exact."""
    total = integer_product(x[:, :, :piece], w[:, :piece])
    for start in range(piece, x.shape[2], piece):
        stop = start + piece
        total += integer_product(x[:, :, start:stop], w[:, start:stop])
    return total


def _limits(x: Array) -> tuple[int, int]:
    """Return bounds of x; the same for all batches of 8-bit values, so pieces are found once."""
    lowest, highest = int(x.min(initial=0)), int(x.max(initial=0))
    return (min(lowest, -255) if lowest < 0 else 0), max(highest, 255)


def _corrected(layer: Layer, w: Factor, product: NDArray[np.int64], x: Array) -> NDArray[np.int64]:
    """Return sums of (x - zx) * (w - zw), given those of x * w: see `LoweredLayer.corrected`."""
    zx = layer.record.activation_zero_point
    zw = np.asarray(layer.record.weight_zero_points or (0,), np.int64)
    if zx:
        product = product - zx * w.column_sums
    if zw.any():
        groups, k, n = w.integers.shape
        per_channel = np.broadcast_to(zw, groups * n).reshape(groups, 1, n)
        row_sums = x.sum(axis=2, keepdims=True, dtype=np.int64)
        product = product - per_channel * (row_sums - k * zx)
    return product


def _rows(layer: Layer, pe: PEDesign, *, transformed: bool) -> Iterator[Array]:
    """Yield the rows of X, (groups, rows, K), block by block; as `pe` sees them, or as stored."""
    x, geometry = layer.activations, layer.record.geometry
    if geometry is None:
        yield used_activations(pe, x) if transformed else x
        return
    padded, inner = _padded(x, geometry, layer.record.activation_zero_point)
    by_pixel = transformed and asked_by_pixel(layer.weights_source.shape[2], pe)
    if by_pixel:
        padded = used_activations(pe, padded)
    pixels = layer.output_shape[1:3]
    groups = layer.record.groups
    elements = groups * pixels[0] * pixels[1] * layer.gemm.k
    pictures = max(1, BLOCK_ELEMENTS // elements)
    for start in range(0, len(x), pictures):
        view = patches(padded[start : start + pictures], inner, groups, pixels, 0)
        rows = view.reshape(groups, -1, layer.gemm.k)
        yield rows if by_pixel or not transformed else used_activations(pe, rows)


def _padded(x: Array, geometry: ConvGeometry, zero_point: int) -> tuple[Array, ConvGeometry]:
    """Return the input with its padding, and the geometry that walks it without one."""
    if not any(geometry.padding):
        return x, geometry
    top, bottom, left, right = geometry.padding
    margins = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(x, margins, constant_values=zero_point)
    return padded, geometry.model_copy(update={"padding": (0, 0, 0, 0)})


def used_activations(pe: PEDesign, x: Array) -> Array:
    """Return activations (..., channels) as the multipliers of a design see them."""
    flat = np.ascontiguousarray(x.reshape(-1, x.shape[-1]))
    return np.ascontiguousarray(pe.used_activations(flat)).reshape(x.shape)


def asked_by_pixel(depth: int, pe: PEDesign) -> bool:
    """Whether a design can be asked about pixels in the place of rows: it uses activations one by
    one, or each step takes adjacent channels of one pixel, of `depth` in a group.

    A step sees `lanes` adjacent elements of K (unless the design orders K by itself), and channels
    are innermost.
    """
    adjacent = type(pe).k_order is PEDesign.k_order
    return pe.one_by_one or (adjacent and depth % pe.lanes == 0)
