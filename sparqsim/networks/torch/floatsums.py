"""Integer sums by PyTorch's float32 products: exact, and as quick as the float network's own.

Float32 holds integers up to 2^24. Where no sum of a layer's products can be larger
(`sparqsim.networks.sums.Signs`), every partial sum is exact, whatever the order of additions; where
one can, input channels are multiplied in pieces.

That needs an algorithm that adds up products: direct, or a matrix product. Winograd's and Fourier's
transform operands first, and round. PyTorch asks oneDNN for the direct one; NNPACK, which
transforms, is turned off here. What a build for another processor does is not known, so products
are compared with float64 ones: of large numbers, for each shape once, and of every layer's own
codes on the first batch of each shape. Where they differ there is no sum, and the caller computes
in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sparqsim.base.exact import FLOAT32_EXACT, float_product
from sparqsim.networks.sums import SHORTEST_PIECE, Factor, Signs
from sparqsim.trace.lowering import patches
from sparqsim.trace.schema import ConvGeometry

Array = NDArray[Any]

#: Sums below this size, and differences of two, fit the integers of `kernels`.
LARGEST_SUM = 1 << 29
#: Output pixels, or rows, and output channels of a group, at which products are compared with
#: float64 ones.
PLACES, CHANNELS = 48, 16


@dataclass(frozen=True)
class Product:
    """A convolution (`geometry`), or a matrix product, of float tensors without bias."""

    geometry: ConvGeometry | None
    groups: int = 1

    def __call__(self, x: Tensor, w: Tensor) -> Tensor:
        """Return the product.

        Parameters
        ----------
        x : (batch, channels, height, width), or (rows, K)
        w : (output channels, channels of the group, kernel height, width), or (columns, K)
        """
        with torch.autocast("cpu", enabled=False), torch.backends.nnpack.flags(enabled=False):
            if self.geometry is None:
                return functional.linear(x, w)
            return self._convolved(x, w, self.geometry)

    def _convolved(self, x: Tensor, w: Tensor, geometry: ConvGeometry) -> Tensor:
        top, bottom, left, right = geometry.padding
        padding = top, left
        if padding != (bottom, right):
            x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
        return functional.conv2d(
            x, w, None, geometry.stride, padding, geometry.dilation, self.groups
        ).contiguous()

    def exact_at_some(self, x: Tensor, w: Tensor, y: Tensor) -> bool:
        """Return whether all of y = self(x, w) are integers, and some are the float64 product."""
        if not bool((y == y.trunc()).all()):
            return False
        if self.geometry is None:
            rows, columns = _spread(len(x), PLACES), _spread(len(w), CHANNELS)
            some = y[rows][:, columns].double()
            return torch.equal(some, x[rows].double() @ w[columns].double().T)
        found, true = self._some_pixels(x, w, y, self.geometry)
        return np.array_equal(found, true)

    def _some_pixels(
        self, x: Tensor, w: Tensor, y: Tensor, geometry: ConvGeometry
    ) -> tuple[Array, Array]:
        """Return some outputs (groups, pixels, channels) of the first and last picture, and what
        they should be.
        """
        ends = [0, len(x) - 1]
        height, width = y.shape[2], y.shape[3]
        places = _spread(2 * height * width, PLACES)
        picture, row, column = np.unravel_index(places, (2, height, width))

        pictures = np.ascontiguousarray(x[ends].permute(0, 2, 3, 1).double().numpy())
        windows = patches(pictures, geometry, self.groups, (height, width), 0)
        rows = windows[:, picture, row, column].reshape(self.groups, len(places), -1)

        by_group = w.numpy().reshape(self.groups, -1, *w.shape[1:])
        channels = _spread(by_group.shape[1], CHANNELS)
        filters = by_group[:, channels].transpose(0, 1, 3, 4, 2).astype(np.float64)
        columns = filters.reshape(self.groups, len(channels), -1).swapaxes(1, 2)

        outputs = y[ends].double().numpy()[picture, :, row, column]
        of_groups = outputs.reshape(len(places), self.groups, -1)[:, :, channels]
        return of_groups.swapaxes(0, 1), float_product(rows, columns)


def _spread(size: int, count: int) -> NDArray[np.int64]:
    """Return up to `count` of the numbers below `size`, the first and the last among them."""
    return np.unique(np.linspace(0, size - 1, count).astype(np.int64))


class Setting(NamedTuple):
    """What may decide on the algorithm that PyTorch takes: shapes, and its own settings."""

    product: Product
    x_shape: torch.Size
    w_shape: torch.Size
    threads: int
    precision: str


@lru_cache(maxsize=1024)
def adds_products(setting: Setting) -> bool:
    """Return whether float32 products are exact for sums almost as large as float32 takes."""
    product, x_shape, w_shape = setting[:3]
    largest = max(1, min(127, FLOAT32_EXACT // (255 * w_shape[1:].numel())))
    x = 255 - _drawn(x_shape, 64)
    w = largest - _drawn(w_shape, largest // 4 + 1)
    return product.exact_at_some(x, w, product(x, w))


def _drawn(shape: torch.Size, below: int) -> Tensor:
    """Return random integers from 0, below a limit; float32, along the first axis alike."""
    one = np.random.default_rng(0).integers(0, below, tuple(shape[1:]), np.uint8)
    return torch.from_numpy(one.astype(np.float32)).expand(shape)


class FloatSums:
    """The sums of integers x with the weights of a layer, in float32.

    Parameters
    ----------
    product : Product
    factor : Factor
        The weights, integers (groups, K, N).
    lowest, highest : int
        Of x; 0 between them.
    """

    def __init__(self, product: Product, factor: Factor, lowest: int, highest: int) -> None:
        self._product = product
        groups, k, n = factor.integers.shape
        kernel = (1, 1) if product.geometry is None else product.geometry.kernel
        depth = k // (kernel[0] * kernel[1])
        by_position = Signs.of(factor.integers.reshape(groups, -1, depth, n))
        by_channel = Signs(*(_over_positions(w) for w in by_position))
        shortest = SHORTEST_PIECE // (k // depth)
        piece = by_channel.longest_piece(lowest, highest, shortest)
        #: A bound of the size of sums.
        self.largest = by_channel.largest_sum(lowest, highest)
        self._trusted = piece is not None and self.largest < LARGEST_SUM
        self._trusted &= groups == 1 or piece == depth
        self._parts: list[tuple[slice, Tensor]] = []
        self._compared: set[tuple[int, torch.Size]] = set()
        if self._trusted:
            w = _weights(factor.integers, kernel, matrix=product.geometry is None)
            starts = range(0, depth, piece or depth)
            parts = [slice(start, start + (piece or depth)) for start in starts]
            self._parts = [(part, w[:, part].contiguous()) for part in parts]

    def __call__(self, x: Tensor) -> Tensor | None:
        """Return the sums of float32 x, shaped as `Product` has them.

        Returns
        -------
        Tensor of integers, contiguous; float32, or float64 where x is multiplied in pieces; None
        where they would not be exact.
        """
        if not self._trusted:
            return None
        total = None
        for number, (channels, w) in enumerate(self._parts):
            some = x if len(self._parts) == 1 else x[:, channels].contiguous()
            sums = self._product(some, w)
            if not self._is_exact(number, some, w, sums):
                self._trusted = False
                return None
            if len(self._parts) == 1:
                return sums
            total = sums.double() if total is None else total.add_(sums)
        return total

    def _is_exact(self, number: int, x: Tensor, w: Tensor, sums: Tensor) -> bool:
        """Compare the first batch of each shape."""
        if (number, x.shape) in self._compared:
            return True
        own = torch.get_num_threads(), torch.get_float32_matmul_precision()
        if not adds_products(Setting(self._product, x.shape, w.shape, *own)):
            return False
        self._compared.add((number, x.shape))
        return self._product.exact_at_some(x, w, sums)


def _over_positions(w: Array) -> Array:
    """Return sums of (groups, positions, depth, N) over positions."""
    return w[:, 0] if w.shape[1] == 1 else w.sum(axis=1, dtype=np.int64)


def _weights(integers: Array, kernel: tuple[int, int], matrix: bool) -> Tensor:
    """Return integers (groups, K, N) as PyTorch's float32 weights of a product."""
    groups, k, n = integers.shape
    filters = integers.transpose(0, 2, 1).astype(np.float32)
    if matrix:
        return torch.from_numpy(filters.reshape(groups * n, k))
    return torch.from_numpy(filters.reshape(groups * n, *kernel, -1)).permute(0, 3, 1, 2)
