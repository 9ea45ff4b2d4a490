"""`bitslice:8`: dynamic fixed point, one power of two for all weights of a layer.

    s = ceil(log2 max(abs(w))), scale = 2^(s - 7)
    code = sign(w) * min(127, round-half-even(abs(w) / scale))

A magnitude has 7 bits, which crossbars of 2-bit cells hold in four slices, the highest of them 0 or
1. A layer of zeros has scale 1, and one whose scale float32 does not hold the least that it does.

*Source*: bit-slice L1 (zjysteven/bitslice_sparsity @adcfbce), whose codes are magnitudes of 8 bits
at scale 2^(s - 8) beside a sign; 7 bits, so that a code is an int8, are ours, and so is half to
even.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.quantise.codes import MOST_WEIGHT_BITS
from sparqsim.quantise.weights.base import WeightQuantiser
from sparqsim.quantise.weights.codes import QuantisedWeights
from sparqsim.quantise.weights.facts import LayerFacts

Array = NDArray[Any]

MAGNITUDE_BITS = MOST_WEIGHT_BITS - 1
LEAST_SCALE = float(np.finfo(np.float32).smallest_subnormal)


@dataclass(frozen=True)
class Bitslice(WeightQuantiser):
    """Codes in units of a power of two, the same for a whole layer."""

    name: ClassVar[str] = "bitslice"

    bits: int = field(
        default=MOST_WEIGHT_BITS, metadata={"least": MOST_WEIGHT_BITS, "most": MOST_WEIGHT_BITS}
    )

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        """Return the codes of one layer."""
        with layer.named():
            scale = fixed_point_scale(layer.weights, MAGNITUDE_BITS)
        scales = np.full(len(layer.weights), scale, np.float32)
        return QuantisedWeights.at_scales(layer.weights, scales, self.bits)


def fixed_point_scale(weights: Array, magnitude_bits: int) -> float:
    """Return 2^(ceil(log2 max|w|) - magnitude_bits), exactly; 1 where all weights are 0.

    Raises
    ------
    InputError
        For NaN or infinite weights.
    """
    largest = float(np.abs(weights).max())
    if not np.isfinite(largest):
        raise InputError("weights hold NaN or infinite values, expected finite ones")
    if largest == 0:
        return 1.0
    fraction, exponent = np.frexp(largest)  # largest = fraction * 2^exponent, 1/2 <= fraction < 1
    whole = int(exponent) - int(fraction == 0.5)
    return max(float(np.ldexp(1.0, whole - magnitude_bits)), LEAST_SCALE)
