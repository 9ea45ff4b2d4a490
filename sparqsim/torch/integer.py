"""A site's integers, laid out as a trace lays them out, and its exact integer product under a PE design.

Speed: designs transform activations before they meet weights, so each activation is transformed once, not once per
kernel position it appears in; and the integer product is computed in float32 blocks of K short enough that every sum
stays below 2^24, where float32 holds integers exactly whatever the order of additions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sparqsim.pe import PEDesign
from sparqsim.trace.schema import ConvGeometry

#: Integers up to here are exact in float32.
FLOAT32_EXACT = 1 << 24
#: Elements of X in work at once; as float32 64 MiB.
BLOCK_ELEMENTS = 1 << 24


@dataclass(frozen=True)
class Integers:
    """The operands of one layer on one batch, as in a trace.

    `x`: uint8 or int8, (batch, height, width, channels) with a geometry, else (groups, M, K).
    `w`: int8 (output channel, kernel position, input channel of the group).
    """

    x: Tensor
    w: Tensor
    geometry: ConvGeometry | None
    groups: int

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(batch, height, width, channels), or (groups, M, N)."""
        if self.geometry is None:
            return (self.groups, self.x.shape[1], self.w.shape[0] // self.groups)
        return (self.x.shape[0], *self.geometry.output_size(self.x.shape[1], self.x.shape[2]), self.w.shape[0])

    @property
    def weights(self) -> Tensor:
        """W as matrices, int8 (groups, K, N)."""
        return self.w.reshape(self.groups, -1, self.w.shape[1] * self.w.shape[2]).transpose(1, 2).contiguous()

    def products(self, pe: PEDesign) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (result of `pe`, exact result), float64 integers (groups, M, N), block of rows by block.

        For a design that leaves operands as they are the two are the same tensor.
        """
        w = self.weights.numpy()
        of_weights = pe.used_operands(np.zeros((0, w.shape[1]), np.uint8), w)
        if of_weights is None:
            for rows in _blocks(self.x, self):
                yield torch.from_numpy(pe.matmul(rows.numpy(), w)).double(), exact_product(rows, self.weights)
            return
        used_w = torch.from_numpy(np.ascontiguousarray(of_weights[1]))
        if self._pairs_stay_together(pe):
            used_x = _used(pe, self.x)
            for used, rows in zip(_blocks(used_x, self), _blocks(self.x, self), strict=True):
                yield self._both(used, used_w, rows)
            return
        for rows in _blocks(self.x, self):
            yield self._both(_used(pe, rows), used_w, rows)

    def result(self, pe: PEDesign) -> Tensor:
        """Return what `pe` computes, float64 integers, shaped `output_shape`."""
        return self.shaped([used for used, _ in self.products(pe)])

    def shaped(self, blocks: list[Tensor]) -> Tensor:
        """Put blocks of rows (groups, rows, N) together in the layer's `output_shape`."""
        product = torch.cat(blocks, dim=1)
        if self.geometry is not None:
            product = product.permute(1, 0, 2)
        return product.reshape(self.output_shape)

    def _both(self, used: Tensor, used_w: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        result = exact_product(used, used_w)
        unchanged = used_w.dtype == torch.int8 and torch.equal(used_w, self.weights) and torch.equal(used, rows)
        return result, result if unchanged else exact_product(rows, self.weights)

    def _pairs_stay_together(self, pe: PEDesign) -> bool:
        """Whether each step of a design takes adjacent channels of one pixel, so that pixels can be transformed.

        A step sees `lanes` adjacent elements of K (unless the design orders K by itself), and channels are innermost.
        """
        return type(pe).k_order is PEDesign.k_order and self.w.shape[2] % pe.lanes == 0


def _used(pe: PEDesign, x: Tensor) -> Tensor:
    """Return activations (..., channels) as the multipliers see them."""
    flat = x.reshape(-1, x.shape[-1]).numpy()
    used = pe.used_operands(flat, np.zeros((flat.shape[1], 0), np.int8))
    if used is None:
        raise TypeError(f"{pe.spec} has no operands of its own: what becomes of one depends on the other matrix")
    return torch.from_numpy(np.ascontiguousarray(used[0])).reshape(x.shape)


def _blocks(x: Tensor, layer: Integers) -> Iterator[Tensor]:
    """Yield the rows of X, (groups, rows, K), a few million elements at a time, whole pictures each."""
    if layer.geometry is None:
        yield x
        return
    _, height, width, _ = layer.output_shape
    elements = height * width * layer.w.shape[1] * layer.w.shape[2] * layer.groups
    for pictures in torch.split(x, max(1, BLOCK_ELEMENTS // elements)):
        yield patches(pictures, layer.geometry, layer.groups)


def patches(x: Tensor, geometry: ConvGeometry, groups: int) -> Tensor:
    """Return X of a convolution, (groups, M, K), channel innermost, from (batch, height, width, channels)."""
    top, bottom, left, right = geometry.padding
    padded = functional.pad(x, (0, 0, left, right, top, bottom)).contiguous()
    batch, _, _, channels = x.shape
    rows, columns = geometry.output_size(x.shape[1], x.shape[2])
    image, line, pixel, channel = padded.stride()
    (down, across), (step_down, step_across) = geometry.stride, geometry.dilation
    depth = channels // groups
    view = padded.as_strided(
        (groups, batch, rows, columns, *geometry.kernel, depth),
        (depth * channel, image, down * line, across * pixel, step_down * line, step_across * pixel, channel))
    return view.reshape(groups, batch * rows * columns, -1)


def exact_product(x: Tensor, w: Tensor) -> Tensor:
    """Return x @ w, integers (groups, M, K) and (groups, K, N), exactly, as float64."""
    k = x.shape[2]
    pieces = pieces_of_k(x, w)
    if pieces is None:
        return x.double() @ w.double()
    x32, w32 = x.float(), w.float()
    total = x.new_zeros((x.shape[0], x.shape[1], w.shape[2]), dtype=torch.float64)
    for start in range(0, k, pieces):
        stop = min(k, start + pieces)
        total += x32[:, :, start:stop] @ w32[:, start:stop]
    return total


def pieces_of_k(x: Tensor, w: Tensor) -> int | None:
    """Return how much of K float32 may sum up exactly; None where float64 has to.

    A sum over part of K is at most max|x| * (sum of |w| over the part) in size, whatever the order of additions.
    """
    if torch.get_float32_matmul_precision() != "highest":  # the user let PyTorch round float32 operands
        return None
    largest = max(abs(int(value)) for value in torch.aminmax(x)) if x.numel() else 0
    k = w.shape[1]
    weight_sums = w.double().abs().cumsum(dim=1)
    pieces = k
    while pieces > 16:
        ends = [*range(pieces, k, pieces), k]
        reached = weight_sums[:, [end - 1 for end in ends]]
        parts = torch.diff(reached, dim=1, prepend=torch.zeros_like(reached[:, :1]))
        if largest * float(parts.max()) <= FLOAT32_EXACT:
            return pieces
        pieces = -(-pieces // 2)
    return None


def as_array(values: Tensor) -> NDArray[Any]:
    """Return a tensor as a C-contiguous array."""
    return np.ascontiguousarray(values.numpy())
