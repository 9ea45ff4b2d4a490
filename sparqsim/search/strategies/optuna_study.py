"""What ways to search by Optuna's samplers share (extra `search`): points asked for in groups of
one size, whoever measures them, so that nothing depends on how many are measured at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.base.wording import install_hint
from sparqsim.search.log import Trial
from sparqsim.search.problem import Problem
from sparqsim.search.space import Point

#: A sampler that finds no more new points within the budget is asked this often for each trial.
ASKS_PER_TRIAL = 10


def optuna_for(method: str) -> Any:
    """Return Optuna. Raises InputError where it is not installed."""
    try:
        import optuna
    except ModuleNotFoundError:
        raise InputError(
            f"--method {method}: needs Optuna, which is not installed; expected "
            + install_hint("search")
        ) from None
    return optuna


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Keep Optuna's log off stderr."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def sampled(study: Any, problem: Problem, trials: int, together: int) -> list[Trial]:
    """Return the trials of the points that a study asks for; those of uniform bits come first.

    Points beyond the budget are not answered: the study is told by how much they are beyond it.

    Parameters
    ----------
    study : optuna.Study
        Its objectives are quality, and, of two, cost.
    problem : Problem
    trials : int
        Different points that are answered.
    together : int
        Points asked for before any of them is told.
    """
    space = problem.space
    for point in space.uniform():
        study.enqueue_trial(dict(zip(_names(space.default), point, strict=True)))
    answered: dict[Point, Trial] = {}
    asked = 0
    while len(answered) < trials and asked < ASKS_PER_TRIAL * trials:
        asks = [study.ask() for _ in range(together)]
        points = [_suggested(ask, problem) for ask in asks]
        asked += together
        within = [point for point in points if problem.keeps(point)]
        answered.update(zip(within, problem.measure(within), strict=True))
        for ask, point in zip(asks, points, strict=True):
            _tell(study, ask, problem, point, answered.get(point))
    return list(answered.values())


def _names(point: Point) -> list[str]:
    return [f"edge{place}" for place in range(len(point))]


def _suggested(ask: Any, problem: Problem) -> Point:
    """Return the point that a study asks for: bits are numbers, the nearest choices alike."""
    names = _names(problem.space.default)
    return tuple(
        edge.nearest(ask.suggest_int(name, edge.choices[-1], edge.choices[0]))
        for name, edge in zip(names, problem.space.edges, strict=True)
    )


def _tell(study: Any, ask: Any, problem: Problem, point: Point, trial: Trial | None) -> None:
    cost = problem.cost_of(point)
    if problem.budget is not None:
        ask.set_constraint("budget", cost / problem.budget - 1)
    goals: Sequence[float] = (0.0 if trial is None else float(problem.quality(trial)), cost)
    study.tell(ask, goals[: len(study.directions)])
