"""By sensitivities of single edges, step by step into a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from sparqsim.search.log import Trial
from sparqsim.search.problem import Problem
from sparqsim.search.space import Point
from sparqsim.search.strategies.base import Strategy

#: Quality lost by each edge alone, by its place and bits.
Losses = Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class BySensitivity(Strategy):
    """Each edge alone is measured at each of its bits. From the default, bits go down where the
    least quality is lost per cost saved, losses being taken to add up, until the budget is kept.
    Then edges go up again where budget is left and quality gains. That is no proof of an optimum.
    """

    name: ClassVar[str] = "by-sensitivity"
    words: ClassVar[str] = (
        "ours: best quality within a budget, found by sensitivities of single edges; no proof of "
        "an optimum"
    )
    budget: ClassVar[Literal["needed", "taken", "refused"]] = "needed"

    def search(self, problem: Problem) -> Trial:
        """Return the best trial within the budget."""
        losses = losses_of_edges(problem)
        tried = _into_budget(problem, losses)
        tried += _raised(problem, tried[-1])
        return problem.best_of([*problem.measure(problem.space.uniform()), *tried])


def losses_of_edges(problem: Problem) -> Losses:
    """Return the quality that each edge loses alone, at each of its bits; 0 at its limit."""
    space = problem.space
    own = problem.quality(problem.measured(space.default))
    places = range(len(space.edges))
    alone = [(place, point) for place in places for point in space.lowered(space.default, place)]
    trials = problem.measure([point for _, point in alone])
    losses = {(place, space.default[place]): 0 for place in places}
    for (place, point), trial in zip(alone, trials, strict=True):
        losses[place, point[place]] = own - problem.quality(trial)
    return losses


def _into_budget(problem: Problem, losses: Losses) -> list[Trial]:
    """Return the trials on the way from the default into the budget."""
    point = problem.space.default
    tried = [problem.measured(point)]
    while not problem.keeps(point):
        if point == problem.space.least:
            raise problem.too_little()
        step = _cheapest_step(problem, point, losses)
        # Where no edge alone saves anything, all together do.
        point = problem.space.least if step is None else step
        tried.append(problem.measured(point))
    return tried


def _raised(problem: Problem, best: Trial) -> list[Trial]:
    """Return the trials of raising edges again, one after another, within the budget."""
    tried: list[Trial] = []
    for place in range(len(problem.space.edges)):
        for point in problem.space.raised(best.point, place):
            if not problem.keeps(point):
                break
            trial = problem.measured(point)
            tried.append(trial)
            if problem.quality(trial) > problem.quality(best):
                best = trial
    return tried


def _cheapest_step(problem: Problem, point: Point, losses: Losses) -> Point | None:
    """Return the step down that loses least per cost saved, None where none saves any.

    Among equals the one that saves most, then that of the first edge.
    """
    before, steps = problem.cost_of(point), []
    for place in range(len(problem.space.edges)):
        for lower in problem.space.lowered(point, place):
            saved = before - problem.cost_of(lower)
            if saved > 0:
                lost = losses[place, lower[place]] - losses[place, point[place]]
                steps.append((lost / saved, -saved, place, lower))
    return min(steps)[-1] if steps else None
