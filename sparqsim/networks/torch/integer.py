"""A site's integers, laid out as a trace lays them out, and its exact integer product under a PE design.

Speed: designs transform activations before they meet weights, so each activation is transformed once, not once per
kernel position it appears in; and the integer product is computed in float32 where that is exact (`weights.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sparqsim.networks.torch.weights import Weights, exact_product
from sparqsim.pe import PEDesign, get_pe
from sparqsim.pe.base import LayerFacts
from sparqsim.trace.schema import ConvGeometry

#: The design whose sums are exact.
EXACT = "mac-8b8b"
#: Elements of X in work at once; as float32 64 MiB.
BLOCK_ELEMENTS = 1 << 24


@dataclass(frozen=True)
class Integers:
    """The operands of one layer on one batch, as in a trace.

    `x`: uint8 or int8, (batch, height, width, channels) with a geometry, else (groups, M, K).
    `w`: int8 (output channel, kernel position, input channel of the group). `prepared`: its matrices, where a layer has
    made them for all of its batches.
    """

    x: Tensor
    w: Tensor
    geometry: ConvGeometry | None
    groups: int
    prepared: Weights | None = None

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(batch, height, width, channels), or (groups, M, N)."""
        if self.geometry is None:
            return (self.groups, self.x.shape[1], self.w.shape[0] // self.groups)
        return (
            self.x.shape[0],
            *self.geometry.output_size(self.x.shape[1], self.x.shape[2]),
            self.w.shape[0],
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the batch, padding included."""
        depth = self.w.shape[1] * self.w.shape[2]
        return math.prod(self.output_shape) * depth

    @cached_property
    def weights(self) -> Weights:
        """W as matrices."""
        return self.prepared or Weights(self.w, self.groups)

    def products(self, pe: PEDesign) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (result of `pe`, exact result), float64 integers (groups, M, N), block of rows by block.

        For the exact design the two are the same tensor.
        """
        exact = get_pe(EXACT)
        if pe == exact:
            yield from ((result, result) for result in self.results(pe))
        else:
            yield from zip(self.results(pe), self.results(exact), strict=True)

    def results(self, pe: PEDesign) -> Iterator[Tensor]:
        """Yield what `pe` computes, float64 integers (groups, M, N), block of rows by block."""
        depth = self.w.shape[1] * self.w.shape[2]
        pe = pe.for_layer(LayerFacts(k=depth, signed=self.x.dtype == torch.int8))
        used_w = self.weights.used(pe)
        if used_w is None:
            for rows in _blocks(self.x, self):
                yield torch.from_numpy(
                    pe.matmul(rows.numpy(), self.weights.stored.integers.numpy())
                ).double()
        elif self._pairs_stay_together(pe):
            for rows in _blocks(_used(pe, self.x).float(), self):
                yield exact_product(rows, used_w)
        else:
            for rows in _blocks(self.x, self):
                yield exact_product(_used(pe, rows).float(), used_w)

    def result(self, pe: PEDesign) -> Tensor:
        """Return what `pe` computes, float64 integers, shaped `output_shape`."""
        return self.shaped(list(self.results(pe)))

    def shaped(self, blocks: list[Tensor]) -> Tensor:
        """Put blocks of rows (groups, rows, N) together in the layer's `output_shape`."""
        product = torch.cat(blocks, dim=1) if len(blocks) > 1 else blocks[0]
        if self.geometry is not None:
            product = product.permute(1, 0, 2)
        return product.reshape(self.output_shape)

    def _pairs_stay_together(self, pe: PEDesign) -> bool:
        """Whether each step of a design takes adjacent channels of one pixel, so that pixels can be transformed.

        A step sees `lanes` adjacent elements of K (unless the design orders K by itself), and channels are innermost.
        """
        return type(pe).k_order is PEDesign.k_order and self.w.shape[2] % pe.lanes == 0


def _used(pe: PEDesign, x: Tensor) -> Tensor:
    """Return activations (..., channels) as the multipliers see them."""
    used = pe.used_activations(x.reshape(-1, x.shape[-1]).numpy())
    return torch.from_numpy(np.ascontiguousarray(used)).reshape(x.shape)


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
        (
            depth * channel,
            image,
            down * line,
            across * pixel,
            step_down * line,
            step_across * pixel,
            channel,
        ),
    )
    return view.reshape(groups, batch * rows * columns, -1)


def as_float32(values: Tensor) -> NDArray[np.float32]:
    """Return real values of any PyTorch type, bfloat16 included, as a float32 array."""
    array: NDArray[np.float32] = values.detach().float().numpy()
    return array


def as_array(values: Tensor) -> NDArray[Any]:
    """Return a tensor as a C-contiguous array."""
    return np.ascontiguousarray(values.numpy())
