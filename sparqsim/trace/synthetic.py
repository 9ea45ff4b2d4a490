"""Layers of which only shapes are known, filled with drawn values.

Activations are uint8: a Gaussian per element, cut off below a threshold that leaves the wanted
share of zeros, as ReLU does:

    g = rho * (g one channel before, same position) + sqrt(1 - rho^2) * noise  (channel innermost)
    t = the standard normal's quantile of `zeros`
    x = 0 where g <= t, else ceil(255 * (g - t) / (TOP - t)), at most 255

so `zeros` is the expected share of zeros and `correlation` = rho that of neighbouring channels
before the cut. Weights are int8, Gaussian with a standard deviation of 32 steps, and know no
correlation. Every layer has a random stream of its own, from `seed` and the layer's number. None of
this is measured on a network: a trace so made says so in `synthetic`, and every report made from it
too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, shown
from sparqsim.trace.layer import Layer
from sparqsim.trace.schema import STREAM, ConvGeometry, LayerRecord
from sparqsim.trace.source import TensorSource, runs

#: Standard deviations that become 255.
TOP = 4.0
WEIGHT_DEVIATION = 32.0
LARGEST_SEED = 2**63 - 1
#: Elements of a block: drawn together, between two states that are kept.
BLOCK_ELEMENTS = 1 << 18
#: Blocks that are kept, of all tensors together: rows of an image, and parts of many groups, are
#: read again and again.
KEPT_BLOCKS = 256
#: The beginning of the stream of seed 0, by which a generator is known.
STREAM_BEGINNING = "3d0e8f3f4f8db1bf9867dabee5b74dbf2bf7193f0f9699bdda80743dd11803bd"


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
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(
                f"seed={shown(self.seed)}, expected an integer from 0 to {LARGEST_SEED}"
            )

    def __str__(self) -> str:
        """Return the label that traces and reports carry."""
        return (
            f"cut Gaussian activations (zeros={self.zeros:g}, channel "
            f"correlation={self.correlation:g}), Gaussian weights, seed={self.seed}"
        )

    def activations(self, shape: tuple[int, ...], layer: int) -> NDArray[np.uint8]:
        """Return activations of `shape` (..., channels), uint8, for layer number `layer`."""
        return self.activation_source(shape, layer).load()

    def weights(self, shape: tuple[int, ...], layer: int) -> NDArray[np.int8]:
        """Return weights of `shape`, int8, for layer number `layer`."""
        return self.weight_source(shape, layer).load()

    def activation_source(self, shape: tuple[int, ...], layer: int) -> TensorSource:
        """Return the same, drawn when it is read."""
        dtype = np.dtype(np.uint8)
        drawn = DrawnTensor(shape, [self.seed, layer, 0], dtype, self._to_activations)
        return TensorSource(shape, dtype, drawn.read)

    def weight_source(self, shape: tuple[int, ...], layer: int) -> TensorSource:
        """Return the same, drawn when it is read."""
        dtype = np.dtype(np.int8)
        drawn = DrawnTensor(shape, [self.seed, layer, 1], dtype, _to_weights)
        return TensorSource(shape, dtype, drawn.read)

    def _correlate(self, values: NDArray[np.float32]) -> None:
        """Mix every channel with the one before it, in place."""
        before = np.float32(self.correlation)
        fresh = np.float32(np.sqrt(1 - self.correlation**2))
        for channel in range(1, values.shape[-1]):
            values[..., channel] = before * values[..., channel - 1] + fresh * values[..., channel]

    def _to_activations(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        if self.correlation:
            self._correlate(values)
        threshold = NormalDist().inv_cdf(self.zeros) if self.zeros else -np.inf
        lowest = max(threshold, -TOP)
        steps = np.ceil((values - np.float32(lowest)) * np.float32(255 / (TOP - lowest)))
        return np.where(values > threshold, np.clip(steps, 1, 255), 0).astype(np.uint8)


def _to_weights(values: NDArray[np.float32]) -> NDArray[np.int8]:
    steps = np.rint(values * np.float32(WEIGHT_DEVIATION))
    weights: NDArray[np.int8] = np.clip(steps, -127, 127).astype(np.int8)
    return weights


class DrawnTensor:
    """Values of one random stream, drawn block by block when they are asked for.

    The stream is drawn in the order of memory, whatever is read first: where blocks begin, the
    generator's state is kept, so a value depends on the seed alone.

    Parameters
    ----------
    shape : (..., channels)
    seed : sequence of int
    dtype : dtype
        Of the values.
    finish : callable
        Makes values of standard normal ones, float32 (positions, channels).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        seed: Sequence[int],
        dtype: np.dtype[Any],
        finish: Callable[[NDArray[np.float32]], NDArray[Any]],
    ) -> None:
        self._shape, self._dtype, self._finish = shape, dtype, finish
        self._positions, self._channels = math.prod(shape[:-1]), shape[-1]
        self._block = max(1, BLOCK_ELEMENTS // max(1, self._channels))  # positions
        self._random = np.random.default_rng(seed)
        self._states = [self._random.bit_generator.state]

    def read(self, part: tuple[slice, ...]) -> NDArray[Any]:
        """Return a part of the tensor, as `TensorSource.read`."""
        _check_stream()
        shape, ranges = runs(self._shape, part)
        pieces = (piece for elements in ranges for piece in self._pieces(elements))
        values, filled = np.empty(math.prod(shape), self._dtype), 0
        for piece in pieces:
            values[filled : filled + len(piece)] = piece
            filled += len(piece)
        return values.reshape(shape)

    def _pieces(self, elements: range) -> Iterator[NDArray[Any]]:
        block_elements, start = self._block * self._channels, elements.start
        while start < elements.stop:
            number = start // block_elements
            stop = min(elements.stop, (number + 1) * block_elements)
            first = number * block_elements
            yield self._values(number)[start - first : stop - first]
            start = stop

    def _values(self, number: int) -> NDArray[Any]:
        """Return the values of block `number`, in the order of memory."""
        is_small = self._block * self._channels <= BLOCK_ELEMENTS
        return _kept_values(self, number) if is_small else self.block(number)

    def block(self, number: int) -> NDArray[Any]:
        """Draw the values of block `number`, in the order of memory."""
        while len(self._states) <= number:
            self._draw(len(self._states) - 1)
        return self._finish(self._draw(number)).reshape(-1)

    def _draw(self, number: int) -> NDArray[np.float32]:
        """Draw block `number` from its state, and keep the state behind it."""
        self._random.bit_generator.state = self._states[number]
        positions = min(self._block, self._positions - number * self._block)
        values = self._random.standard_normal((positions, self._channels), np.float32)
        if len(self._states) == number + 1:
            self._states.append(self._random.bit_generator.state)
        return values


@lru_cache(maxsize=KEPT_BLOCKS)
def _kept_values(tensor: DrawnTensor, number: int) -> NDArray[Any]:
    return tensor.block(number)


@lru_cache(maxsize=1)
def _check_stream() -> None:
    """Raise InputError where this NumPy draws other numbers than traces were made with.

    NumPy promises equal streams for equal versions only.
    """
    length = len(bytes.fromhex(STREAM_BEGINNING)) // np.dtype(np.float32).itemsize
    found = np.random.default_rng(0).standard_normal(length, np.float32).astype("<f4").tobytes()
    if found.hex() != STREAM_BEGINNING:
        raise InputError(
            f"NumPy {np.__version__} draws another random stream than {STREAM!r}, expected one "
            "that draws this stream: values would not be those of the trace"
        )


@dataclass(frozen=True)
class LayerShape:
    """A layer without values.

    `record`: as in the trace. `activations`: (batch, height, width, channels) or (groups, M, K).
    `weights`: (output channel, kernel position, input channel).
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

    @property
    def elements(self) -> int:
        """Elements of the layer's tensors; in a file each takes a byte."""
        return math.prod(self.activations) + math.prod(self.weights)

    @property
    def elements_at_once(self) -> int:
        """Elements that whoever lowers the layer holds: its weights, or one padded picture."""
        if self.record.geometry is None or len(self.activations) < 4:
            return math.prod(self.weights)
        top, bottom, left, right = self.record.geometry.padding
        _, height, width, channels = self.activations[:4]
        padded = (height + top + bottom) * (width + left + right) * channels
        return max(padded, math.prod(self.weights))

    def drawn(self, distribution: Distribution, number: int) -> Layer:
        """Return the layer with values of `distribution`, drawn when they are read.

        Parameters
        ----------
        distribution : Distribution
        number : int
            Of the layer in its trace, from 0.
        """
        return Layer(
            self.record,
            distribution.activation_source(self.activations, number),
            distribution.weight_source(self.weights, number),
        )
