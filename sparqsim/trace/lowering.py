"""Lowering: a layer as matrix products, the input channel innermost along K."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from sparqsim.trace.schema import ConvGeometry

Array = NDArray[Any]


class LoweredLayer:
    """The operands of one layer in memory, given out as GEMM operands.

    X rows are output pixels (batch, row, column); K runs over kernel positions, row-major, with the input channel of
    the group innermost (SPARQ pairs two adjacent channels at one kernel position). Padding pixels hold the zero point.

    Parameters
    ----------
    activations : (batch, height, width, channels), or (groups, M, K) without geometry
    weights : int8 (output channel, kernel position, input channel of the group)
    groups : int
    geometry : ConvGeometry or None
    output_shape : (batch, height, width, channels) for a convolution
    zero_point : int
        The integer that stands for a real zero.
    """

    def __init__(self, activations: Array, weights: Array, groups: int, geometry: ConvGeometry | None,
                 output_shape: tuple[int, ...], zero_point: int = 0) -> None:
        channels, positions, depth = weights.shape
        self.m = int(np.prod(output_shape[:-1]))
        self.k, self.n, self.groups = positions * depth, channels // groups, groups
        #: W of every group, int8 (groups, K, N).
        self.weights = np.ascontiguousarray(weights.reshape(groups, self.n, self.k).transpose(0, 2, 1))
        self._patches = None
        if geometry is None:
            self._matrix = activations
        else:
            self._pixels = output_shape[:3]
            self._patches = _patches(activations, geometry, groups, self._pixels, zero_point)

    def rows(self, start: int = 0, stop: int | None = None) -> Array:
        """Return rows start..stop of X of every group: (groups, stop - start, K), C-contiguous."""
        stop = self.m if stop is None else min(stop, self.m)
        if self._patches is None:
            return np.ascontiguousarray(self._matrix[:, start:stop])
        batch, row, column = np.unravel_index(np.arange(start, stop), self._pixels)
        block = self._patches[:, batch, row, column]
        return block.reshape(self.groups, stop - start, self.k)


def _patches(activations: Array, geometry: ConvGeometry, groups: int, pixels: tuple[int, ...],
             zero_point: int) -> Array:
    """Return a view (groups, batch, out row, out column, kernel row, kernel column, channel) of the padded input."""
    top, bottom, left, right = geometry.padding
    padded = np.pad(activations, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=zero_point)
    padded = np.ascontiguousarray(padded)
    depth = activations.shape[3] // groups
    image, line, pixel, channel = padded.strides
    (down, across), (step_down, step_across) = geometry.stride, geometry.dilation
    return as_strided(
        padded,
        shape=(groups, *pixels, *geometry.kernel, depth),
        strides=(depth * channel, image, down * line, across * pixel, step_down * line, step_across * pixel, channel),
        writeable=False,
    )
