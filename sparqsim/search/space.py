"""The space of a search: edges that have bits, and the bits that each may have.

An edge is what a layer takes: activations, shared by all layers that take the same tensor, or the
weights of one layer. A point gives bits to every edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal, NamedTuple

from sparqsim.base.errors import InputError
from sparqsim.quantise.codes import MOST_WEIGHT_BITS

#: Bits of every edge, in the order of `Space.edges`.
Point = tuple[int, ...]
Kind = Literal["activations", "weights"]


#: Points of edges that share layers, which are all looked at for the least cost.
MOST_WAYS = 1000
#: Of a sum of costs, at most.
ROUNDING = 1e-12


class LayerBits(NamedTuple):
    """Bits of a layer's activations and weights."""

    activations: int = MOST_WEIGHT_BITS
    weights: int = MOST_WEIGHT_BITS


@dataclass(frozen=True)
class Edge:
    """What has bits of its own. layers: those that take it; choices: its bits, most first."""

    kind: Kind
    layers: tuple[str, ...]
    choices: tuple[int, ...]

    def nearest(self, bits: int) -> int:
        """Return the most choice that is no more than `bits`, or the least one of all."""
        return next((choice for choice in self.choices if choice <= bits), self.choices[-1])


@dataclass(frozen=True)
class Space:
    """All points of a search. Raises InputError for no edge that has a choice."""

    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        if not any(len(edge.choices) > 1 for edge in self.edges):
            raise InputError(
                "no layer is left to choose bits for; expected a network with layers of real "
                "weights that are not all kept at 8 bits (--keep-8bit ''), and --least-bits "
                "below --most-bits"
            )

    @property
    def default(self) -> Point:
        """The point at every edge's limit."""
        return tuple(edge.choices[0] for edge in self.edges)

    @property
    def least(self) -> Point:
        """The point of fewest bits."""
        return tuple(edge.choices[-1] for edge in self.edges)

    @property
    def size(self) -> int:
        """How many points there are."""
        return prod(len(edge.choices) for edge in self.edges)

    def points(self) -> Iterator[Point]:
        """Yield every point, that of most bits first."""
        return product(*(edge.choices for edge in self.edges))

    def uniform(self) -> tuple[Point, ...]:
        """Return the points that have the same bits at every edge, as far as edges have them."""
        all_bits = sorted({bits for edge in self.edges for bits in edge.choices}, reverse=True)
        points = (tuple(edge.nearest(bits) for edge in self.edges) for bits in all_bits)
        return tuple(dict.fromkeys(points))

    def lowered(self, point: Point, place: int) -> Iterator[Point]:
        """Yield points with fewer bits at one edge, one step after another."""
        for bits in self.edges[place].choices:
            if bits < point[place]:
                yield (*point[:place], bits, *point[place + 1 :])

    def raised(self, point: Point, place: int) -> Iterator[Point]:
        """Yield points with more bits at one edge, one step after another."""
        for bits in reversed(self.edges[place].choices):
            if bits > point[place]:
                yield (*point[:place], bits, *point[place + 1 :])

    def groups(self) -> list[tuple[int, ...]]:
        """Return the places of edges, those that share layers together."""
        groups: list[tuple[set[str], list[int]]] = []
        for place, edge in enumerate(self.edges):
            layers, places = set(edge.layers), [place]
            apart = []
            for group_layers, group_places in groups:
                if group_layers.isdisjoint(edge.layers):
                    apart.append((group_layers, group_places))
                else:
                    layers |= group_layers
                    places += group_places
            groups = [*apart, (layers, sorted(places))]
        return [tuple(places) for _, places in groups]

    def ways(self, group: Sequence[int]) -> int:
        """Return how many points the edges of a group have."""
        return prod(len(self.edges[place].choices) for place in group)

    def points_of(self, group: Sequence[int]) -> Iterator[Point]:
        """Yield every point at which edges outside of a group are at their limits."""
        for bits in product(*(self.edges[place].choices for place in group)):
            choice = dict(zip(group, bits, strict=True))
            yield tuple(choice.get(place, own) for place, own in enumerate(self.default))

    def least_cost(self, cost_of: Callable[[Point], float]) -> float:
        """Return the least that any point takes, costs of layers adding up.

        That need not be the point of fewest bits: fewer may toggle more wires. Where edges share
        layers in more than `MOST_WAYS` ways, it is taken to be.
        """
        whole, groups = cost_of(self.default), self.groups()
        if any(self.ways(group) > MOST_WAYS for group in groups):
            return cost_of(self.least)
        least = [min(map(cost_of, self.points_of(group))) for group in groups]
        # No less than a point takes: sums in another order may differ in their last digits.
        return (whole - math.fsum(whole - each for each in least)) * (1 - ROUNDING)

    def layer_bits(self, point: Point) -> Mapping[str, LayerBits]:
        """Return the bits of every layer that has an edge."""
        found: dict[str, LayerBits] = {}
        for edge, bits in zip(self.edges, point, strict=True):
            for layer in edge.layers:
                found[layer] = found.get(layer, LayerBits())._replace(**{edge.kind: bits})
        return found
