"""Which input elements a piece of a convolution touches: pixels with their halo, each once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit
from sparqsim.trace import Layer

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class InputMap:
    """The input of one group of a layer, as the lowering walks it. Lengths in pixels.

    A matrix is M images of one pixel with K channels.
    """

    images: int
    height: int
    width: int
    channels: int
    out_height: int = 1
    out_width: int = 1
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    top: int = 0
    left: int = 0

    @classmethod
    def of(cls, layer: Layer) -> InputMap:
        """Return the input map of a layer."""
        shape, geometry = layer.gemm, layer.record.geometry
        if geometry is None:
            return cls(shape.m, 1, 1, shape.k)
        images, height, width, channels = layer.activations_source.shape
        out_height, out_width = geometry.output_size(height, width)
        return cls(
            images,
            height,
            width,
            channels // shape.groups,
            out_height,
            out_width,
            geometry.kernel,
            geometry.stride,
            geometry.dilation,
            geometry.padding[0],
            geometry.padding[2],
        )

    @property
    def pairs_are_whole(self) -> bool:
        """Whether each pair of K stays at one kernel position, so trimmed pairs can be stored."""
        return self.channels % 2 == 0 or self.kernel == (1, 1)

    def numbers(self) -> Indices:
        """Return what the kernel needs, int64 (12,)."""
        return np.array(
            [
                self.height,
                self.width,
                self.out_height,
                self.out_width,
                *self.kernel,
                *self.stride,
                *self.dilation,
                self.top,
                self.left,
            ],
            np.int64,
        )


def elements_fetched(
    source: InputMap, rows: Indices, columns: Indices, generations: Indices
) -> Indices:
    """Return how many input elements each block brings that its generation does not hold yet.

    Parameters
    ----------
    source : InputMap
    rows : int64 (blocks, 2)
        First and last + 1 output pixel of each block.
    columns : int64 (blocks, 2)
        First and last + 1 element of K of each block.
    generations : int64 (blocks,)
        Not decreasing: what stays together in a scratchpad half.

    Returns
    -------
    int64 (blocks,)
    """
    classes = np.unique(np.append(columns % source.channels, 0))
    widths = np.diff(np.append(classes, source.channels))
    cells = columns // source.channels * len(classes) + np.searchsorted(
        classes, columns % source.channels
    )
    stamps = np.full(source.images * source.height * source.width * len(classes), -1, np.int64)
    return new_elements(source.numbers(), widths, rows, cells, generations, stamps)


@jit
def new_elements(
    source: Indices,
    widths: Indices,
    rows: Indices,
    cells: Indices,
    generations: Indices,
    stamps: Indices,
) -> Indices:
    """Kernel of `elements_fetched`: K in cells, channel classes of equal fate at one position."""
    height, width, out_height, out_width = source[0], source[1], source[2], source[3]
    classes = len(widths)
    found = np.zeros(len(rows), np.int64)
    for block in range(len(rows)):
        generation = generations[block]
        for row in range(rows[block, 0], rows[block, 1]):
            image, pixel = divmod(row, out_height * out_width)
            down = pixel // out_width * source[6] - source[10]
            across = pixel % out_width * source[7] - source[11]
            for cell in range(cells[block, 0], cells[block, 1]):
                position = cell // classes
                y = down + position // source[5] * source[8]
                x = across + position % source[5] * source[9]
                if 0 <= y < height and 0 <= x < width:
                    place = ((image * height + y) * width + x) * classes + cell % classes
                    if stamps[place] != generation:
                        stamps[place] = generation
                        found[block] += widths[cell % classes]
    return found
