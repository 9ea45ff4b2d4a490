"""`prune-2of4`: of every four weights that are adjacent along K, the two largest stay.

K runs over kernel positions, row-major, with the input channel of the group innermost, as a layer
is lowered to a matrix product. The two smaller `|w|` of a group of four become 0; of equal ones the
lower index stays. A last group of three keeps two, one of two or one keeps all. Each filter by
itself.

*Source*: the pattern is that of NVIDIA's sparse tensor cores (Mishra et al., arXiv:2104.08378),
which prune by magnitude and then train again; this does not train.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.trace.layer import Layer
from sparqsim.trace.source import TensorSource
from sparqsim.trace.transforms.base import Transform, Transformed

Array = NDArray[Any]

GROUP, STAYING = 4, 2


@dataclass(frozen=True)
class Prune2Of4(Transform):
    """Weights: of every four adjacent along K two stay. kept: as of `requantise`."""

    name: ClassVar[str] = "prune-2of4"

    kept: Literal["skip", "include"] = "skip"

    def apply(self, layer: Layer) -> Transformed:
        """Return the layer with at most two weights other than 0 in every four."""
        if layer.keep_8bit and self.kept == "skip":
            return Transformed(layer, {"left_alone": "kept at 8 bits"})
        if any(layer.record.weight_zero_points):
            raise InputError(
                f"layer {layer.name!r}: "
                f"weight_zero_points={layer.record.weight_zero_points[:3]}..., prune-2of4 writes "
                "the code 0, expected zero points of 0"
            )
        source = pruned_source(layer.weights_source)
        zeros = [_zeros(each) for each in (layer.weights_source, source)]
        facts = {
            "weights": int(np.prod(source.shape)),
            "zeros_before": zeros[0],
            "zeros_after": zeros[1],
        }
        return Transformed(replace(layer, weights_source=source), {**facts})


def pruned_source(source: TensorSource) -> TensorSource:
    """Return weights (output channel, kernel position, input channel), pruned when they are read.

    A group of four can reach over kernel positions, so filters are read whole.
    """

    def read(part: tuple[slice, ...]) -> Array:
        filters = source.read(part[:1])
        flat = filters.reshape(len(filters), -1)
        return pruned(flat).reshape(filters.shape)[(slice(None), *part[1:])]

    return TensorSource(source.shape, source.dtype, read)


def pruned(weights: Array) -> Array:
    """Return int8 (filters, K) with the smaller two of every four along K at 0."""
    filters, k = weights.shape
    padded = np.pad(weights, ((0, 0), (0, -k % GROUP))).reshape(filters, -1, GROUP)
    # A stable sort puts the lower index first where magnitudes are equal; 16 bits hold |-128|.
    order = np.argsort(-np.abs(padded.astype(np.int16)), axis=-1, kind="stable")
    result = padded.copy()
    np.put_along_axis(result, order[..., STAYING:], 0, axis=-1)
    return result.reshape(filters, -1)[:, :k]


def _zeros(source: TensorSource) -> int:
    return sum(int(np.count_nonzero(block == 0)) for block in source.blocks())
