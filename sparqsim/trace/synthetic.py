"""Layers of which only shapes are known, filled with drawn values.

Activations are uint8: a Gaussian per element, cut off below a threshold that leaves the wanted share of zeros, as ReLU
does:

    g = rho * (g of the channel before, same position) + sqrt(1 - rho^2) * noise      (channel innermost)
    x = 0 where g <= t, else ceil(255 * (g - t) / (TOP - t)), at most 255;  t = the standard normal's quantile of
    `zeros`

so `zeros` is the expected share of zeros and `correlation` = rho that of neighbouring channels before the cut. Weights
are int8, Gaussian with a standard deviation of 32 steps, and know no correlation. Every layer has a random stream of
its own, from `seed` and the layer's number. None of this is measured on a network: a trace so made says so in
`synthetic`, and every report made from it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.errors import InputError
from sparqsim.trace.schema import ConvGeometry, LayerRecord
from sparqsim.trace.writer import TraceWriter

#: Standard deviations that become 255.
TOP = 4.0
WEIGHT_DEVIATION = 32.0


@dataclass(frozen=True)
class Distribution:
    """How values are drawn: see the module's docstring.

    Parameters
    ----------
    zeros : float
        Expected share of zero activations, 0 <= zeros < 1.
    correlation : float
        Of neighbouring channels, before the cut, -1 < correlation < 1.
    seed : int
        Not negative.
    """

    zeros: float = 0.5
    correlation: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.zeros < 1:
            raise InputError(f"zeros={self.zeros}, expected a share from 0 up to, not including, 1")
        if not -1 < self.correlation < 1:
            raise InputError(f"correlation={self.correlation}, expected a number between -1 and 1")
        if self.seed < 0:
            raise InputError(f"seed={self.seed}, expected an integer from 0")

    def __str__(self) -> str:
        """Return the label that traces and reports carry."""
        return (
            f"cut Gaussian activations (zeros={self.zeros:g}, channel correlation={self.correlation:g}), "
            f"Gaussian weights, seed={self.seed}"
        )

    def activations(self, shape: tuple[int, ...], layer: int) -> NDArray[np.uint8]:
        """Return activations of `shape` (..., channels), uint8, for layer number `layer`."""
        random = np.random.default_rng([self.seed, layer, 0])
        values = random.standard_normal(shape, np.float32)
        before, fresh = np.float32(self.correlation), np.float32(np.sqrt(1 - self.correlation**2))
        for channel in range(1, shape[-1] if self.correlation else 0):
            values[..., channel] = before * values[..., channel - 1] + fresh * values[..., channel]
        threshold = NormalDist().inv_cdf(self.zeros) if self.zeros else -np.inf
        lowest = max(threshold, -TOP)
        steps = np.ceil((values - np.float32(lowest)) * np.float32(255 / (TOP - lowest)))
        return np.where(values > threshold, np.clip(steps, 1, 255), 0).astype(np.uint8)

    def weights(self, shape: tuple[int, ...], layer: int) -> NDArray[np.int8]:
        """Return weights of `shape`, int8, for layer number `layer`."""
        random = np.random.default_rng([self.seed, layer, 1])
        drawn = random.standard_normal(shape, np.float32) * np.float32(WEIGHT_DEVIATION)
        weights: NDArray[np.int8] = np.clip(np.rint(drawn), -127, 127).astype(np.int8)
        return weights


@dataclass(frozen=True)
class LayerShape:
    """A layer without values.

    `record`: as in the trace. `activations`: (batch, height, width, channels) or (groups, M, K). `weights`: (output
    channel, kernel position, input channel).
    """

    record: LayerRecord
    activations: tuple[int, ...]
    weights: tuple[int, int, int]

    @classmethod
    def conv2d(
        cls,
        name: str,
        size: tuple[int, int],
        channels: int,
        filters: int,
        geometry: ConvGeometry,
        *,
        groups: int = 1,
        batch: int = 1,
        **fields: Any,
    ) -> LayerShape:
        """Return a convolution of an input of (height, width) pixels."""
        record = LayerRecord(name=name, op="conv2d", geometry=geometry, groups=groups, **fields)
        positions = geometry.kernel[0] * geometry.kernel[1]
        return cls(record, (batch, *size, channels), (filters, positions, channels // groups))

    @classmethod
    def gemm(cls, name: str, m: int, k: int, n: int, groups: int = 1, **fields: Any) -> LayerShape:
        """Return `groups` products (M, K) x (K, N)."""
        record = LayerRecord(name=name, op="gemm", groups=groups, **fields)
        return cls(record, (groups, m, k), (groups * n, 1, k))


def save_synthetic(
    path: str | Path, shapes: Sequence[LayerShape], distribution: Distribution, **document: Any
) -> None:
    """Write a trace of drawn values, one layer in memory at a time.

    Parameters
    ----------
    path : str or Path
    shapes : sequence of LayerShape
    distribution : Distribution
    **document
        Fields of the document: network, origin, provenance, ...
    """
    with TraceWriter(path, synthetic=str(distribution), **document) as writer:
        for at, shape in enumerate(shapes):
            values, weights = (
                distribution.activations(shape.activations, at),
                distribution.weights(shape.weights, at),
            )
            # Several products in one layer grow along their groups, and bring weights for each.
            stacked = shape.record.geometry is None and shape.record.groups > 1
            writer.add_layer(shape.record, None if stacked else weights)
            writer.append(shape.record.name, values, weights if stacked else None)
