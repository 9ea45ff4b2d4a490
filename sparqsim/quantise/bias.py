"""Bias correction: what quantisation shifts the mean of an output channel by goes to its bias.

    shift[n] = mean over rows of (x . w[n] - q . v[n])

x: rows that the layer takes in the float network, on the calibration pictures; q: the same as codes
give them; w, v: real weights, and those that their codes stand for. Layers are corrected one by
one: what the layers before do to x is left out.

*Source*: the per-output-channel mean that LAPQ corrects last (Nahshan et al. 2019, step 4). Its
code shifts the weights of a channel so that their mean stays; integer codes cannot hold that shift,
so its effect on the mean of the outputs goes to the bias, measured as in data-free quantization
(Nagel et al. 2019, empirical bias correction).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.exact import float_product
from sparqsim.quantise.weights import LayerFacts, QuantisedWeights, Rows, RunningNetwork

Array = NDArray[Any]


def bias_shifts(
    layers: Sequence[LayerFacts],
    chosen: Mapping[str, QuantisedWeights],
    network: RunningNetwork,
) -> dict[str, NDArray[np.float64]]:
    """Return what is added to the biases of layers: by layer, float64 (output channel,).

    Raises
    ------
    InputError
        For a layer without inputs.
    """
    sums: dict[str, RowSums] = {}
    for name, rows in network.rows_of_all([layer.name for layer in layers]):
        of_rows = RowSums.of(rows)
        sums[name] = sums[name] + of_rows if name in sums else of_rows
    for layer in layers:
        if layer.name not in sums:
            raise InputError(f"layer {layer.name!r}: calibration has no rows for it, expected some")
    return {layer.name: sums[layer.name].shift(layer, chosen[layer.name]) for layer in layers}


@dataclass(frozen=True, eq=False)
class RowSums:
    """Sums over rows of a layer, float64 (groups, K): real rows, those of codes; and how many."""

    real: NDArray[np.float64]
    quantised: NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, rows: Rows) -> RowSums:
        """Return the sums of some rows."""
        real, quantised = (each.sum(axis=1, dtype=np.float64) for each in rows)
        return cls(real, quantised, rows.real.shape[1])

    def __add__(self, more: RowSums) -> RowSums:
        return RowSums(
            self.real + more.real, self.quantised + more.quantised, self.count + more.count
        )

    def shift(self, layer: LayerFacts, chosen: QuantisedWeights) -> NDArray[np.float64]:
        """Return the mean of (x . w - q . v) of each output channel."""
        held = chosen.real.reshape(layer.matrix.shape)
        difference = _by_channel(layer.matrix, self.real) - _by_channel(held, self.quantised)
        return difference / self.count


def _by_channel(matrix: Array, row_sum: Array) -> NDArray[np.float64]:
    """Return weights (groups, N, K) times a row for each group (groups, K), one for each N."""
    products = float_product(matrix.astype(np.float64), row_sum[..., None])
    return np.asarray(products, np.float64).reshape(-1)
