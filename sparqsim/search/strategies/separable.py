"""The best point where losses of layers add up, found exactly; then looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from sparqsim.base.errors import InputError
from sparqsim.search.log import Trial
from sparqsim.search.problem import Problem
from sparqsim.search.space import Point
from sparqsim.search.strategies.base import Strategy
from sparqsim.search.strategies.sensitivity import Losses, losses_of_edges

#: Ways to give bits to edges that share layers, which are all looked at.
MOST_TOGETHER = 10**5
#: Bits of some edges, by place.
Choice = Mapping[int, int]


class Chosen(NamedTuple):
    """What some edges take less than at the default, and their bits."""

    saved: float
    bits: Choice


@dataclass(frozen=True)
class Separable(Strategy):
    """Each edge alone is measured at each of its bits; its losses are taken to add up, as costs of
    layers do. A dynamic program over layers then finds, for each whole loss, the point that takes
    least: exact for losses that add up, which those of a network do only about. The points
    within the budget of the `looks` smallest losses are measured, and the best trial is chosen.
    """

    name: ClassVar[str] = "separable"
    words: ClassVar[str] = (
        "ours: best quality within a budget, exact for losses of single edges that add up; the "
        "points so found were measured"
    )
    budget: ClassVar[Literal["needed", "taken", "refused"]] = "needed"

    looks: int = field(default=20, metadata={"least": 1, "most": 10_000})

    def search(self, problem: Problem) -> Trial:
        """Return the best trial within the budget.

        Raises InputError for edges that share layers in too many ways.
        """
        points = [point for _, point in cheapest_points(problem, losses_of_edges(problem))]
        within = [point for point in points if problem.keeps(point)]
        tried = problem.measure(within[: self.looks])
        return problem.best_of([*problem.measure(problem.space.uniform()), *tried])


def cheapest_points(problem: Problem, losses: Losses) -> list[tuple[int, Point]]:
    """Return the cheapest point of each loss, smallest loss first."""
    space = problem.space
    best: dict[int, Chosen] = {0: Chosen(0.0, {})}
    for group in space.groups():
        best = _joined(best, _choices(problem, losses, group))
    places = range(len(space.edges))
    return [
        (loss, tuple(chosen.bits[place] for place in places))
        for loss, chosen in sorted(best.items())
    ]


def _choices(problem: Problem, losses: Losses, group: tuple[int, ...]) -> dict[int, Chosen]:
    """Return the cheapest bits of a group's edges for each loss."""
    space = problem.space
    ways = space.ways(group)
    if ways > MOST_TOGETHER:
        raise InputError(
            f"--method separable: {len(group)} edges share layers and have {ways:.3g} points, "
            f"expected at most {MOST_TOGETHER:,}: another method, or fewer bits to choose from"
        )
    whole = problem.cost_of(space.default)
    found: dict[int, Chosen] = {}
    for point in space.points_of(group):
        choice = {place: point[place] for place in group}
        loss = sum(losses[place, own] for place, own in choice.items())
        _keep_cheaper(found, loss, Chosen(whole - problem.cost_of(point), choice))
    return found


def _joined(best: dict[int, Chosen], choices: dict[int, Chosen]) -> dict[int, Chosen]:
    """Return the cheapest of two parts' choices for each sum of their losses."""
    found: dict[int, Chosen] = {}
    for loss, chosen in _pairs(best, choices):
        _keep_cheaper(found, loss, chosen)
    return _undominated(found)


def _pairs(best: dict[int, Chosen], choices: dict[int, Chosen]) -> Iterator[tuple[int, Chosen]]:
    for loss, chosen in best.items():
        for more, other in choices.items():
            yield loss + more, Chosen(chosen.saved + other.saved, {**chosen.bits, **other.bits})


def _keep_cheaper(found: dict[int, Chosen], loss: int, chosen: Chosen) -> None:
    """Keep a choice where none of its loss saves as much."""
    had = found.get(loss)
    if had is None or chosen.saved > had.saved:
        found[loss] = chosen


def _undominated(found: dict[int, Chosen]) -> dict[int, Chosen]:
    """Return choices that save more than every one of smaller loss."""
    kept: dict[int, Chosen] = {}
    most = float("-inf")
    for loss, chosen in sorted(found.items()):
        if chosen.saved > most:
            kept[loss], most = chosen, chosen.saved
    return kept
