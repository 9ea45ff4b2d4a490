"""How a layer's real weights become integers: one file for each weight quantiser."""

from sparqsim.quantise.weights.base import (
    Chosen,
    Need,
    WeightQuantiser,
)
from sparqsim.quantise.weights.codes import QuantisedWeights
from sparqsim.quantise.weights.facts import (
    Gram,
    LayerFacts,
    NetworkFacts,
    Rows,
    RunningNetwork,
)
from sparqsim.quantise.weights.registry import get_weight_quantiser

__all__ = [
    "Chosen",
    "Gram",
    "LayerFacts",
    "Need",
    "NetworkFacts",
    "QuantisedWeights",
    "Rows",
    "RunningNetwork",
    "WeightQuantiser",
    "get_weight_quantiser",
]
