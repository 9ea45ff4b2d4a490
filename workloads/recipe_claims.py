"""What was expected of a recipe's method, measured on a network's own pictures.

A claim takes a network made by its recipe, and returns figures for the record; `CLAIMS` says whose.
`recipe_claim_tables.py` says by them whether it holds. Needs the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from held_out import chosen_by, facts_of, points_errors, rounding_errors
from torch import Tensor, nn

from sparqsim.array.config import ArrayConfig
from sparqsim.engine.simulation import simulate
from sparqsim.networks.torch import QuantisedNetwork
from sparqsim.networks.torch.dump import trace_of
from sparqsim.quantise.codes import highest_symmetric
from sparqsim.quantise.points import greedy_points
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.weights import NetworkFacts

Figures = dict[str, Any]
Batch = tuple[Tensor, Tensor]

BITS, MOST_POINTS = 4, 4
FOUR_BIT_ARRAY = "mac-4b4b"


class Case(NamedTuple):
    """A network by its recipe; the model it is made of; pictures that calibrated nothing, and those
    that did.
    """

    network: QuantisedNetwork
    model: nn.Module
    unseen: list[Batch]
    calibration: list[Batch]
    array: ArrayConfig


def rounding_claim(case: Case) -> Figures:
    """Return output errors of layers whose rounding was learned."""
    facts = facts_of(case.network, case.unseen)
    return {"layers": rounding_errors(facts, chosen_by(case.network), BITS)}


def points_claim(case: Case) -> Figures:
    """Return output errors of layers of several points, the gain of each point, and what one point
    per channel takes.
    """
    facts = facts_of(case.network, case.unseen)
    chosen = chosen_by(case.network)
    few = [layer.name for layer in facts.layers if chosen[layer.name].bits == BITS]
    return {
        "layers": points_errors(facts, chosen, BITS),
        "weights_sqnr_db": weights_sqnr_db(facts, few),
        "one_point_cycles": one_point_cycles(case),
    }


def weights_sqnr_db(facts: NetworkFacts, layers: Iterable[str]) -> list[float]:
    """Return the power of all these layers' weights over that of what 1, 2, ... points leave."""
    power, noise = 0.0, np.zeros(MOST_POINTS)
    for layer in facts.layers:
        if layer.name not in layers:
            continue
        rows = layer.weights.reshape(len(layer.weights), -1).astype(np.float64)
        power += float((rows**2).sum())
        sums = greedy_points(rows, highest_symmetric(BITS), MOST_POINTS).sums()[1:]
        noise += [float(((rows - each) ** 2).sum()) for each in sums]
    return [float(each) for each in 10 * np.log10(power / noise)]


def one_point_cycles(case: Case) -> int:
    """Return the cycles of a picture on the 4-bit array where no channel has a second point."""
    recipe = Recipe(activations=f"mse:{BITS}", weights=f"multipoint:{BITS}:points=1")
    network = QuantisedNetwork(case.model, case.calibration, recipe=recipe)
    trace = trace_of(network, case.unseen, images=1)
    return simulate(trace, FOUR_BIT_ARRAY, array=case.array, engine="fast").cycles.total


CLAIMS: Mapping[str, Callable[[Case], Figures]] = {
    "adaround": rounding_claim,
    "multipoint": points_claim,
}
