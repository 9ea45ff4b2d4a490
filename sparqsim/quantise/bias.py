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

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.quantise.weights import LayerFacts, QuantisedWeights

Array = NDArray[Any]


def bias_shift(layer: LayerFacts, chosen: QuantisedWeights) -> NDArray[np.float64]:
    """Return what is added to each output channel's bias, float64 (output channel,).

    Raises
    ------
    InputError
        For a layer without inputs.
    """
    real_sum, held_sum, count = np.zeros(0), np.zeros(0), 0
    for real, quantised in layer.rows():
        sums = [each.sum(axis=1, dtype=np.float64) for each in (real, quantised)]
        real_sum, held_sum = (sums[0] + real_sum, sums[1] + held_sum) if count else sums
        count += real.shape[1]
    if not count:
        raise InputError(f"layer {layer.name!r}: calibration has no rows for it, expected some")
    held = chosen.real.reshape(layer.matrix.shape)
    means = _by_channel(layer.matrix, real_sum) - _by_channel(held, held_sum)
    return means / count


def _by_channel(matrix: Array, row_sum: Array) -> NDArray[np.float64]:
    """Return weights (groups, N, K) times a row for each group (groups, K), one for each N."""
    products = matrix.astype(np.float64) @ row_sum[..., None]
    return np.asarray(products, np.float64).reshape(-1)
