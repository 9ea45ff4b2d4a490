"""`nearest:B`: the largest weight of an output channel sets its scale, every weight is rounded.

    scale = 2 max|w| / (2^B - 1), code = round-half-even(w / scale), saturated to +-(2^(B-1) - 1)

*Source*: the rule of SPARQ for 8 bits (the authors' code), for any number of bits as LAPQ has it
(Nahshan et al. 2019: delta = 2 alpha / (2^B - 1), alpha = max|w|); the symmetric limit is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sparqsim.quantise.codes import LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS, spanning_scales
from sparqsim.quantise.weights.base import WeightQuantiser
from sparqsim.quantise.weights.codes import QuantisedWeights
from sparqsim.quantise.weights.facts import LayerFacts


@dataclass(frozen=True)
class Nearest(WeightQuantiser):
    """Rounding to nearest, the scale as large as the largest weight needs."""

    name: ClassVar[str] = "nearest"

    bits: int = field(
        default=MOST_WEIGHT_BITS, metadata={"least": LEAST_WEIGHT_BITS, "most": MOST_WEIGHT_BITS}
    )

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        """Return the codes of one layer."""
        with layer.named():
            scales = spanning_scales(layer.weights, self.bits)
        return QuantisedWeights.at_scales(layer.weights, scales, self.bits)
