"""`olive:4`: outlier-victim pairs of 4-bit codes, a scale per output channel.

Codes are integers of 8 bits in units of one normal step, as `sparqsim.quantise.olive` lists them:
+-1 .. +-7, and outliers up to +-96 whose neighbours along K are 0. Pairs are adjacent along K:
kernel positions, row-major, with the input channel of the group innermost. Stored so they take 8
bits a code; a circuit that has them takes a byte for a pair.

*Source*: the quantiser of OliVe (Guo et al., ISCA 2023), rule and scales as in
`sparqsim.quantise.olive`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from sparqsim.quantise.codes import MOST_WEIGHT_BITS, float32, spanning_scales
from sparqsim.quantise.olive import BITS, SIGNED, coded, weight_scales
from sparqsim.quantise.weights.base import WeightQuantiser
from sparqsim.quantise.weights.codes import QuantisedWeights
from sparqsim.quantise.weights.facts import LayerFacts


@dataclass(frozen=True)
class Olive(WeightQuantiser):
    """Codes in outlier-victim pairs, at the scale of least squared error."""

    name: ClassVar[str] = "olive"
    stored_bits: ClassVar[int] = MOST_WEIGHT_BITS

    bits: int = field(default=BITS, metadata={"least": BITS, "most": BITS})

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        """Return the codes of one layer."""
        with layer.named():
            spanning = spanning_scales(layer.weights, MOST_WEIGHT_BITS)
        flat = layer.weights.reshape(len(spanning), -1)
        # In units of the 8-bit step of each channel: squares of tiny or huge weights have none.
        in_steps = flat.astype(np.float64) / spanning.astype(np.float64)[:, None]
        found = weight_scales(in_steps) * spanning
        scales = np.maximum(float32(found), np.finfo(np.float32).tiny)
        codes = coded(flat / scales.astype(np.float64)[:, None], SIGNED)
        shaped = codes.reshape(layer.weights.shape).astype(np.int8)
        return QuantisedWeights(shaped, scales, MOST_WEIGHT_BITS)
