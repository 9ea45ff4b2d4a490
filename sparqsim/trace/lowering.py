"""Lowering: a layer as matrix products, the input channel innermost along K."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from sparqsim.base.exact import exact_matmul
from sparqsim.trace.schema import ConvGeometry, LayerRecord
from sparqsim.trace.source import TensorSource

Array = NDArray[Any]

#: Elements of pictures that `LoweredLayer.rows` reads at once, or one picture: where a picture has
#: few output pixels, a block of rows is many pictures.
PICTURE_ELEMENTS = 1 << 24


#: Filters that become columns at once: lines of so many stay in the nearest cache.
FILTERS = 64


class LoweredLayer:
    """The operands of one layer as GEMM operands: W in memory, X read block by block.

    X rows are output pixels (batch, row, column); K runs over kernel positions, row-major, with the
    input channel of the group innermost (SPARQ pairs two adjacent channels at one kernel position).
    Padding holds the zero point.

    Parameters
    ----------
    activations : source of (batch, height, width, channels), or (groups, M, K) without geometry
    weights : int8 (output channel, kernel position, input channel of the group)
    record : LayerRecord
    output_shape : (batch, height, width, channels) for a convolution, else (M, channels)
    """

    def __init__(
        self,
        activations: TensorSource,
        weights: Array,
        record: LayerRecord,
        output_shape: tuple[int, ...],
    ) -> None:
        channels, positions, depth = weights.shape
        self._activations, self._record = activations, record
        self._pixels = output_shape[1:3]
        self.m = int(np.prod(output_shape[:-1]))
        self.k, self.n, self.groups = positions * depth, channels // record.groups, record.groups
        #: W of every group, int8 (groups, K, N).
        self.weights = _columns(weights.reshape(self.groups, self.n, self.k))
        self._weight_zero_points = np.asarray(record.weight_zero_points or (0,), np.int64)

    @property
    def activation_zero_point(self) -> int:
        """The integer that stands for an activation of 0."""
        return self._record.activation_zero_point

    @property
    def name(self) -> str:
        """The layer's name."""
        return self._record.name

    @property
    def activation_scale(self) -> float:
        """The real value of one step of the activations' integers."""
        return float(self._record.activation_scale)

    @property
    def weight_scales(self) -> NDArray[np.float64]:
        """The same of each filter's weights, float64 (groups, N); 1 where the trace has none."""
        scales = np.asarray(self._record.weight_scales or (1.0,), np.float64)
        return np.broadcast_to(scales, self.groups * self.n).reshape(self.groups, self.n)

    @property
    def stored_signed(self) -> bool:
        """Whether activations are stored as int8."""
        return bool(self._activations.dtype == np.int8)

    @property
    def has_negatives(self) -> bool:
        """Whether real activations may be below 0."""
        return self.stored_signed or self.activation_zero_point > 0

    @property
    def has_weight_zero_points(self) -> bool:
        """Whether a weight of 0 has another code than 0."""
        return bool(self._weight_zero_points.any())

    def with_weights(self, weights: NDArray[np.int8]) -> LoweredLayer:
        """Return the layer with other weights, int8 (groups, K, N)."""
        other = copy(self)
        other.weights = weights
        return other

    @property
    def real_weights(self) -> NDArray[np.int16]:
        """Weights less their zero points, int16 (groups, K, N): real weights over their scales."""
        by_filter = np.broadcast_to(self._weight_zero_points, self.groups * self.n)
        zero_points = by_filter.reshape(self.groups, 1, self.n).astype(np.int16)
        return self.weights.astype(np.int16) - zero_points

    def stored_activations(self) -> Iterator[Array]:
        """Yield the activations as they are stored, in pieces of whole last axes (channels, or
        K).
        """
        yield from self._activations.blocks()

    def rows(self, start: int = 0, stop: int | None = None) -> Array:
        """Return rows start..stop of X of every group: (groups, stop - start, K), C-contiguous."""
        stop = self.m if stop is None else min(stop, self.m)
        geometry = self._record.geometry
        if geometry is None:
            return np.ascontiguousarray(self._activations.read((slice(None), slice(start, stop))))
        pixels = self._pixels[0] * self._pixels[1]
        step = pixels * max(1, PICTURE_ELEMENTS // math.prod(self._activations.shape[1:]))
        if stop - start > step:
            parts = [self.rows(at, min(at + step, stop)) for at in range(start, stop, step)]
            return np.concatenate(parts, axis=1)
        first = start // pixels
        images = self._activations.read((slice(first, -(-stop // pixels)),))
        view = patches(
            images, geometry, self.groups, self._pixels, self._record.activation_zero_point
        )
        picture, row, column = np.unravel_index(
            np.arange(start, stop) - first * pixels, view.shape[1:4]
        )
        return np.ascontiguousarray(
            view[:, picture, row, column].reshape(self.groups, stop - start, self.k)
        )

    def sums(self, x: Array, w: Array) -> NDArray[np.int64]:
        """Return the corrected sums of operands as a design uses them: `corrected(x @ w, x, w)`, in
        one product.

        Parameters
        ----------
        x : integers of at most 16 bits (groups, M, K)
        w : integers from -255 to 255 (groups, K, N)

        Returns
        -------
        int64 (groups, M, N)
        """
        zx, zw = self._record.activation_zero_point, self._weight_zero_points
        if zw.any():
            per_channel = np.broadcast_to(zw, self.groups * self.n).reshape(self.groups, 1, self.n)
            w = w.astype(np.int16) - per_channel.astype(np.int16)
        product = exact_matmul(x, w)
        if zx:
            product -= zx * w.sum(axis=1, keepdims=True, dtype=np.int64)
        return product

    def corrected(self, product: NDArray[np.int64], x: Array, w: Array) -> NDArray[np.int64]:
        """Return the sums of (x - zero point) * (w - zero point), exactly, given the array's sums
        of x * w.

        product - zx * sum(w) - zw * sum(x) + K * zx * zw: the first sum is known when the weights
        are, the second is one number per row of X. A design that changes operands gives the changed
        ones, here too: a real zero then stands for itself wherever the design keeps the integer
        zero point.

        Parameters
        ----------
        product : int64 (groups, M, N)
        x : integers (groups, M, K)
        w : integers (groups, K, N)
        """
        zx, zw = self._record.activation_zero_point, self._weight_zero_points
        if zx:
            product = product - zx * w.sum(axis=1, keepdims=True, dtype=np.int64)
        if zw.any():
            per_channel = np.broadcast_to(zw, self.groups * self.n).reshape(self.groups, 1, self.n)
            product = product - per_channel * (
                x.sum(axis=2, keepdims=True, dtype=np.int64) - self.k * zx
            )
        return product


def _columns(filters: Array) -> Array:
    """Return filters (groups, N, K) as columns (groups, K, N)."""
    groups, n, k = filters.shape
    columns = np.empty((groups, k, n), filters.dtype)
    for start in range(0, n, FILTERS):
        columns[..., start : start + FILTERS] = filters[:, start : start + FILTERS].swapaxes(1, 2)
    return columns


def patches(
    images: Array, geometry: ConvGeometry, groups: int, pixels: tuple[int, ...], zero_point: int
) -> Array:
    """Return the padded input by (groups, batch, out row, col, kernel row, col, channel)."""
    top, bottom, left, right = geometry.padding
    margins = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.ascontiguousarray(np.pad(images, margins, constant_values=zero_point))
    depth = images.shape[3] // groups
    image, line, pixel, channel = padded.strides
    (down, across), (step_down, step_across) = geometry.stride, geometry.dilation
    return as_strided(
        padded,
        shape=(groups, len(images), *pixels, *geometry.kernel, depth),
        strides=(
            depth * channel,
            image,
            down * line,
            across * pixel,
            step_down * line,
            step_across * pixel,
            channel,
        ),
        writeable=False,
    )
