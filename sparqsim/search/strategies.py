"""Two ways to search. Both see a point's quality (pictures answered well) and its cycles only.

`greedy` is HAGO's (ZihengJiang/tvm-hago at 6e71860): edge by edge, bits go down as long as quality
does not drop, so among equal quality fewer bits win. Its objective is quality alone.

`within_budget` is ours: best quality with cycles <= budget. Spaces of at most `exact_points` points
are searched whole; larger ones by sensitivities: each edge alone is measured at each of its
choices, then bits go down from the default where the least quality is lost per cycle saved, losses
being taken to add up, until the budget is kept; last, edges go up again where cycles are left and
quality gains. That is no proof of an optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sparqsim.base.errors import InputError
from sparqsim.search.log import Trial
from sparqsim.search.space import Point, Space

Measure = Callable[[Point], Trial]
Quality = Callable[[Trial], int]
CyclesOf = Callable[[Point], int]


def greedy(space: Space, measure: Measure, quality: Quality) -> Trial:
    """Return the point that no edge leaves downwards without loss, edge by edge."""
    best = measure(space.default)
    for place in range(len(space.edges)):
        for point in space.lowered(best.point, place):
            trial = measure(point)
            if quality(trial) < quality(best):
                break
            best = trial
    return best


def within_budget(
    space: Space,
    measure: Measure,
    quality: Quality,
    cycles_of: CyclesOf,
    budget_cycles: int,
    *,
    exact_points: int,
) -> Trial:
    """Return the best point found within the budget.

    Raises InputError for a budget that the point of least bits does not keep.
    """
    if cycles_of(space.least) > budget_cycles:
        raise InputError(
            f"a budget of {budget_cycles} cycles: at the fewest bits the network takes "
            f"{cycles_of(space.least)}; expected at least that"
        )
    if space.size <= exact_points:
        tried = [measure(point) for point in space.points()]
    else:
        uniform = [measure(point) for point in space.uniform()]
        tried = [*uniform, *_by_sensitivity(space, measure, quality, cycles_of, budget_cycles)]
    return best_of((trial for trial in tried if trial.cycles <= budget_cycles), quality)


def best_of(trials: Iterable[Trial], quality: Quality) -> Trial:
    """Return the trial of best quality; among equals that of fewest cycles, then of fewest bits."""
    return min(
        trials, key=lambda trial: (-quality(trial), trial.cycles, sum(trial.point), trial.point)
    )


def _by_sensitivity(
    space: Space, measure: Measure, quality: Quality, cycles_of: CyclesOf, budget_cycles: int
) -> list[Trial]:
    """Return the trials on the way into the budget, and of raising edges again."""
    default = measure(space.default)
    losses = _losses(space, measure, quality)
    point, tried = space.default, [default]
    while cycles_of(point) > budget_cycles:
        step = _cheapest_step(space, point, losses, cycles_of)
        # Where no edge alone saves a cycle, all together do.
        point = space.least if step is None else step
        tried.append(measure(point))
    best = tried[-1]
    for place in range(len(space.edges)):
        for raised in space.raised(best.point, place):
            if cycles_of(raised) > budget_cycles:
                break
            trial = measure(raised)
            tried.append(trial)
            if quality(trial) > quality(best):
                best = trial
    return tried


def _losses(space: Space, measure: Measure, quality: Quality) -> dict[tuple[int, int], int]:
    """Return the quality lost by each edge alone, by its place and bits."""
    own = quality(measure(space.default))
    losses = {(place, edge.choices[0]): 0 for place, edge in enumerate(space.edges)}
    for place in range(len(space.edges)):
        for point in space.lowered(space.default, place):
            losses[place, point[place]] = own - quality(measure(point))
    return losses


def _cheapest_step(
    space: Space, point: Point, losses: dict[tuple[int, int], int], cycles_of: CyclesOf
) -> Point | None:
    """Return the step down that loses least per cycle saved, None where none saves any.

    Among equals the one that saves most, then that of the first edge.
    """
    before, steps = cycles_of(point), []
    for place in range(len(space.edges)):
        for lower in space.lowered(point, place):
            saved = before - cycles_of(lower)
            if saved > 0:
                lost = losses[place, lower[place]] - losses[place, point[place]]
                steps.append((lost / saved, -saved, place, lower))
    return min(steps)[-1] if steps else None
