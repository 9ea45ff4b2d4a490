"""Bytes whose axes change places, eight by eight at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit

Bytes = NDArray[np.uint8]
WordPair = tuple[np.uint64, np.uint64]

#: Bytes that a word of the processor holds.
WORD = 8


def copy_axes(values: Bytes, axes: Sequence[int], place: Bytes) -> None:
    """Copy values, uint8, to `place` with their three axes in another order."""
    if values.strides[-1] != 1:
        values = np.ascontiguousarray(values)
    last = axes.index(2)
    if last == 2:
        _copy_lines(values.transpose(axes), place)
        return
    # Lines of the last axis become columns: 8x8 bytes at a time, then what is left at two edges.
    lines = np.moveaxis(values.transpose(axes), last, -1)
    columns = np.moveaxis(place, last, 1)
    height, width = (length - length % WORD for length in lines.shape[1:])
    _turn_words(
        lines[:, :height, :width].view(np.uint64), columns[:, :width, :height].view(np.uint64)
    )
    columns[:, width:] = lines[:, :, width:].swapaxes(1, 2)
    columns[:, :width, height:] = lines[:, height:, :width].swapaxes(1, 2)


def _copy_lines(values: Bytes, place: Bytes) -> None:
    """Copy values to `place`, whole lines of the last axis at a time."""
    line = np.dtype(f"V{values.shape[-1]}")
    np.copyto(place.view(line), values.view(line))


@jit
def _turn_words(lines: NDArray[np.uint64], columns: NDArray[np.uint64]) -> None:
    """Write bytes of lines (a, b, c / 8), eight in a word, to columns (a, c, b / 8).

    Eight words are a block of 8x8 bytes. Its halves change places across the diagonal, then
    quarters within them, then single bytes.
    """
    tiles, height, words = lines.shape
    for tile in range(tiles):
        for at in range(height // 8):
            of_block = lines[tile, 8 * at : 8 * at + 8]
            for word in range(words):
                a, e = _exchanged(of_block[0, word], of_block[4, word], 32, 0x00000000FFFFFFFF)
                b, f = _exchanged(of_block[1, word], of_block[5, word], 32, 0x00000000FFFFFFFF)
                c, g = _exchanged(of_block[2, word], of_block[6, word], 32, 0x00000000FFFFFFFF)
                d, h = _exchanged(of_block[3, word], of_block[7, word], 32, 0x00000000FFFFFFFF)
                a, c = _exchanged(a, c, 16, 0x0000FFFF0000FFFF)
                b, d = _exchanged(b, d, 16, 0x0000FFFF0000FFFF)
                e, g = _exchanged(e, g, 16, 0x0000FFFF0000FFFF)
                f, h = _exchanged(f, h, 16, 0x0000FFFF0000FFFF)
                a, b = _exchanged(a, b, 8, 0x00FF00FF00FF00FF)
                c, d = _exchanged(c, d, 8, 0x00FF00FF00FF00FF)
                e, f = _exchanged(e, f, 8, 0x00FF00FF00FF00FF)
                g, h = _exchanged(g, h, 8, 0x00FF00FF00FF00FF)
                for place, turned in enumerate((a, b, c, d, e, f, g, h)):
                    columns[tile, 8 * word + place, at] = turned


@jit
def _exchanged(upper: np.uint64, lower: np.uint64, bits: int, low: int) -> WordPair:
    """Return two words whose parts of so many bits have changed places: the upper one's high parts
    and the lower one's low parts, which `low` masks.
    """
    shift, mask = np.uint64(bits), np.uint64(low)
    change = ((upper >> shift) ^ lower) & mask
    return upper ^ (change << shift), lower ^ change
