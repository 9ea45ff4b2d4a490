"""Traces of ResNet-50's shapes whose values are drawn by the histograms of a real trace; they say
that they are synthetic. For benchmarks of scale: `bench_stream.py`, `bench_growth.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import sparqsim
from sparqsim.trace.writer import TraceWriter

ROOT = Path(__file__).resolve().parent.parent
#: The trace that ships, of a real network.
REAL = ROOT / "workloads" / "digits_resnet.safetensors"
#: Width of a stage's 3x3 layers, blocks, stride of the first block.
STAGES = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]
EXPANSION = 4
#: Entries of the tables that drawn numbers look values up in.
TABLE = 1 << 16


@dataclass(frozen=True)
class Shape:
    """A convolution; `size`: height and width of its input, which is padded by kernel // 2."""

    name: str
    size: int
    kernel: int
    inside: int
    outside: int
    stride: int = 1


def resnet50(size: int = 224) -> Iterator[Shape]:
    """Yield the 53 convolutions of ResNet-50 (strides in the 3x3 layers) and its classifier."""
    yield Shape("conv1", size, 7, 3, 64, 2)
    size, before = size // 4, 64
    for number, (width, blocks, stride) in enumerate(STAGES, 1):
        for block in range(blocks):
            name, step = f"layer{number}.{block}", stride if block == 0 else 1
            yield Shape(f"{name}.conv1", size, 1, before, width)
            yield Shape(f"{name}.conv2", size, 3, width, width, step)
            yield Shape(f"{name}.conv3", size // step, 1, width, EXPANSION * width)
            if block == 0:
                yield Shape(f"{name}.downsample", size, 1, before, EXPANSION * width, step)
            size, before = size // step, EXPANSION * width
    yield Shape("fc", 1, 1, before, 1000)


def tables(real: Path) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Return values of activations and of weights as often as a real trace has them."""
    layers = sparqsim.load_trace(real).layers
    activations = np.sort(np.concatenate([layer.activations.ravel() for layer in layers]))
    weights = np.sort(np.concatenate([layer.weights.ravel() for layer in layers]))
    places = np.linspace(0, 1, TABLE)
    return tuple(
        values[(places * (len(values) - 1)).round().astype(np.int64)]
        for values in (activations, weights)
    )  # type: ignore[return-value]


def write(path: Path, shapes: list[Shape], pictures: int, real: Path = REAL) -> None:
    """Write a trace, a picture of a layer at a time."""
    rng, (activations, weights) = np.random.default_rng(0), tables(real)
    told = f"shapes of ResNet-50, values drawn one by one by the histograms of {real.name}"
    with TraceWriter(path, network="resnet50-shaped", synthetic=told) as writer:
        for shape in shapes:
            size = (shape.outside, shape.kernel**2, shape.inside)
            layer = sparqsim.Layer.conv2d(
                shape.name,
                np.zeros((1, shape.size, shape.size, shape.inside), np.uint8),
                weights[rng.integers(0, TABLE, size)],
                kernel=(shape.kernel, shape.kernel),
                stride=(shape.stride, shape.stride),
                padding=(shape.kernel // 2,) * 4,
            )
            writer.add_layer(layer.record, layer.weights)
            for _ in range(pictures):
                drawn = rng.integers(0, TABLE, (1, shape.size, shape.size, shape.inside))
                writer.append(shape.name, activations[drawn])
