"""Real inputs of a layer as rows of its matrix product: what weight quantisers are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.networks.site import Site
from sparqsim.quantise.codes import ActivationCodes
from sparqsim.quantise.weights import Rows
from sparqsim.trace.lowering import patches

Array = NDArray[Any]

#: Elements of rows in work at once; as float32 64 MiB.
BLOCK_ELEMENTS = 1 << 24


def rows_of(site: Site, real: Array, codes: Array) -> Iterator[Rows]:
    """Yield a batch of a layer's inputs as rows, some pictures at a time.

    Parameters
    ----------
    site : Site
        With weights.
    real : float32
        Inputs laid out as `Operands.activations` are: (batch, height, width, channels), or (1, M,
        K).
    codes : uint8 or int8
        Inputs as the array takes them, laid out likewise; not always codes of `real`.
    """
    held = as_real(codes, site.activation)
    for start, stop in _cuts(site, real):
        yield Rows(_rows(site, real, start, stop), _rows(site, held, start, stop))


def as_real(codes: Array, activation: ActivationCodes) -> NDArray[np.float32]:
    """Return the real values that stored codes stand for, float32."""
    centred = codes.astype(np.float32) - np.float32(activation.stored_zero_point)
    return centred * np.float32(activation.scale)


def _cuts(site: Site, values: Array) -> Iterator[tuple[int, int]]:
    """Yield ranges of pictures, or of rows, that are no more than a block."""
    count = values.shape[1] if site.geometry is None else len(values)
    elements = values[:, :1].size if site.geometry is None else _patch_elements(site, values)
    step = max(1, BLOCK_ELEMENTS // max(1, elements))
    for start in range(0, count, step):
        yield start, min(count, start + step)


def _patch_elements(site: Site, images: Array) -> int:
    """Return how many elements the rows of one picture have, all groups together."""
    assert site.geometry is not None  # noqa: S101 - for the type checker
    height, width = site.geometry.output_size(*images.shape[1:3])
    kernel = site.geometry.kernel
    return int(height * width * kernel[0] * kernel[1] * images.shape[3])


def _rows(site: Site, values: Array, start: int, stop: int) -> NDArray[np.float32]:
    """Return part of a layer's inputs as rows, float32 (groups, M, K); padding is zeros."""
    if site.geometry is None:
        return np.ascontiguousarray(values[:, start:stop])
    images = values[start:stop]
    pixels = site.geometry.output_size(*images.shape[1:3])
    view = patches(images, site.geometry, site.groups, pixels, 0)
    depth = site.geometry.kernel[0] * site.geometry.kernel[1] * images.shape[3] // site.groups
    return np.ascontiguousarray(view).reshape(site.groups, -1, depth)
