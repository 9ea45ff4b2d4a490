"""What a point of a search answers, and what it takes.

Cycles and energy of a layer depend on its own bits alone (its operands are those of the network as
it is), so each layer is simulated once for each pair of them, however many trials have them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.cost.plan import EnergyPlan
from sparqsim.engine.simulation import simulate
from sparqsim.networks.accuracy import best_five
from sparqsim.networks.arithmetic import designs_of
from sparqsim.networks.computing import Computing
from sparqsim.networks.evaluate import hits
from sparqsim.networks.images import Pictures
from sparqsim.results.report import Report
from sparqsim.search.log import Trial
from sparqsim.search.networks.base import SearchedNetwork
from sparqsim.search.space import LayerBits, Point, Space
from sparqsim.trace.trace import Trace


class Costs(NamedTuple):
    """What layers take on the traced pictures. energy_pj: of the array; None where not asked."""

    cycles: int
    energy_pj: float | None


@dataclass
class Measuring:
    """A network, its pictures, and a design on an array.

    labels: of `pictures`, int64, or None. traced: those on which cycles and energy are simulated.
    energy: what energies are found with, None where they are not asked for.
    """

    network: SearchedNetwork
    pictures: Pictures
    labels: NDArray[np.int64] | None
    traced: Pictures
    pe: Computing
    array: ArrayConfig
    energy: EnergyPlan | None = None
    _costs: dict[tuple[str, LayerBits | None], Costs] = field(default_factory=dict)

    def space(self, limit: int, least: int) -> Space:
        """Return the edges, each from `limit` bits down to `least`."""
        return Space(self.network.edges(tuple(range(limit, least - 1, -1))))

    def trial(self, space: Space, point: Point) -> Trial:
        """Return what a point gives."""
        bits = space.layer_bits(point)
        outputs = self.network.answers(bits, self.pe, self.pictures)
        found = hits(best_five(outputs, self.labels), self._reference, self.labels)
        costs = self.costs(space, point)
        return Trial(point, found.agree, found.top1, costs.cycles, costs.energy_pj)

    def costs(self, space: Space, point: Point) -> Costs:
        """Return what all layers take, on the traced pictures."""
        chosen = space.layer_bits(point)
        layers = [self._of_layer(site.name, chosen) for site in self.network.sites]
        energies = [each.energy_pj for each in layers if each.energy_pj is not None]
        return Costs(
            sum(each.cycles for each in layers),
            None if self.energy is None else math.fsum(energies),
        )

    def _of_layer(self, name: str, chosen: Mapping[str, LayerBits]) -> Costs:
        key = name, chosen.get(name)
        if key not in self._costs:
            layer = self.network.layer(*key, self.traced)
            (found,) = self._simulated(Trace([layer])).layers
            energy = found.energy_pj
            self._costs[key] = Costs(found.cycles.total, None if energy is None else energy.total)
        return self._costs[key]

    def report(self, space: Space, point: Point) -> Report:
        """Return the report of a point on the traced pictures."""
        return self._simulated(self.network.trace(space.layer_bits(point), self.traced))

    def check_signed(self) -> None:
        """Raise InputError for a layer whose activations the design cannot take, naming it."""
        designs_of(self.network.sites, self.pe)

    @cached_property
    def _reference(self) -> NDArray[np.int64]:
        return best_five(self.network.reference(self.pictures), self.labels)

    def _simulated(self, trace: Trace) -> Report:
        return simulate(trace, self.pe, self.array, energy=self.energy)
