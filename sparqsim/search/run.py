"""A search from a network to a record: what is measured, what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.base.parse import real_number, whole_number
from sparqsim.base.version import VERSION
from sparqsim.networks.images import Pictures
from sparqsim.quantise.recipe import Recipe
from sparqsim.results.search_cost import UNITS, amount, in_words
from sparqsim.results.search_report import SearchedEdge, SearchReport, SearchTrial
from sparqsim.results.setting import ArrayInfo
from sparqsim.rtl.timing import period
from sparqsim.search.asked import Search
from sparqsim.search.log import Trial, TrialLog
from sparqsim.search.plan import Plan, Ready
from sparqsim.search.problem import Problem
from sparqsim.search.space import Point, Space
from sparqsim.search.strategies import Strategy, get_strategy
from sparqsim.search.work import Evaluate, evaluating
from sparqsim.sweep.processes import Start

__all__ = ["Found", "Search", "search"]
MOST_BUDGET = 10**18


@dataclass(frozen=True)
class Found:
    """A search's record, and its point as a recipe."""

    report: SearchReport
    recipe: Recipe


def search(
    model: str,
    pictures: Pictures,
    labels: NDArray[np.int64] | None,
    asked: Search,
    array: ArrayConfig,
    trials: Path,
    each: Callable[[int], None] = lambda _: None,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    start: Start = "spawn",
) -> Found:
    """Return the bits found for a network's layers.

    Parameters
    ----------
    model : str
        .onnx, of real weights, or 'FILE.py:FUNCTION' that returns a PyTorch module.
    pictures : Pictures
        The first find scales, the others answer.
    labels : int64 (pictures,) or None
    asked : Search
    array : ArrayConfig
    trials : Path
        Every trial goes there as soon as it is measured; those that are there are not measured
        again.
    each : callable
        Told how many trials there are, after each of them.
    jobs : int
        Points that are measured at once, in as many processes; 1: in this one. The record is the
        same. They import the script that calls this, so it needs `if __name__ == "__main__":`.
    scheduler : str, optional
        Address of a Dask scheduler whose workers measure points instead.
    start : {'spawn', 'forkserver'}
        How processes start, as in `sparqsim.sweep.sweep`.

    Raises
    ------
    InputError
        For what cannot be searched, naming it.
    """
    if jobs < 1:
        raise InputError(f"jobs={jobs}: expected at least 1")
    strategy = get_strategy(asked.method) if asked.method else None
    if strategy is not None:
        strategy.check_budget(asked.budget)
    plan = Plan(model, pictures, labels, asked, array)
    ready = plan.ready()
    costs = _Costs.of(ready, asked)
    budget = _budget(asked, costs, ready.space)
    strategy = strategy or _default(asked, ready.space)
    log = TrialLog(trials, ready.setting, len(ready.measuring.pictures))
    with evaluating(plan, ready, jobs, scheduler, start) as evaluate:
        run = _Run(evaluate, log, each)
        problem = Problem(
            space=ready.space,
            measure=run.measure,
            quality=(lambda trial: trial.agree) if asked.objective == "agree" else _right,
            cost_of=costs.of_point,
            cost=asked.cost,
            budget=budget,
        )
        run.measure(ready.space.uniform())
        chosen = strategy.search(problem)
    return _found(ready, asked, strategy, problem, costs, run, chosen)


def _found(
    ready: Ready,
    asked: Search,
    strategy: Strategy,
    problem: Problem,
    costs: _Costs,
    run: _Run,
    chosen: Trial,
) -> Found:
    """Return the record of a search that is done."""
    measuring, space = ready.measuring, ready.space
    network = measuring.network
    recipe = network.rules.recipe(space.layer_bits(chosen.point))
    report = measuring.report(space, chosen.point)
    record = SearchReport(
        version=VERSION,
        network=network.name,
        method=strategy.spec,
        method_words=strategy.words,
        objective=asked.objective,
        cost=asked.cost,
        budget=problem.budget,
        period_ns=costs.period_ns,
        energy=report.energy,
        design=measuring.pe.spec,
        hardware=ready.hardware.words,
        accumulator_bits=asked.accumulator_bits,
        array=ArrayInfo.of(measuring.array),
        reference=network.reference_name,
        calibrator=asked.calibrator,
        weights=asked.weights,
        preprocess=measuring.pictures.preprocess.spec,
        pictures=len(measuring.pictures),
        traced_pictures=len(measuring.traced),
        calibration_pictures=len(network.calibration),
        seed=getattr(strategy, "seed", None),
        edges=tuple(
            SearchedEdge(kind=edge.kind, layers=edge.layers, choices=edge.choices)
            for edge in space.edges
        ),
        trials=tuple(map(_recorded, run.asked.values())),
        chosen=list(run.asked).index(chosen.point),
        recipe=recipe.model_dump(mode="json"),
        card=report.card,
    )
    return Found(record, recipe)


class _Run:
    """The trials of one search, in the order they were asked for; each is measured once."""

    def __init__(self, evaluate: Evaluate, log: TrialLog, each: Callable[[int], None]) -> None:
        self.asked: dict[Point, Trial] = {}
        self._evaluate, self._log, self._each = evaluate, log, each

    def measure(self, points: Sequence[Point]) -> list[Trial]:
        """Return what points give."""
        found = {point: trial for point in points if (trial := self._log.get(point)) is not None}
        missing = [point for point in dict.fromkeys(points) if point not in found]
        for trial in self._evaluate(missing):
            self._log.add(trial)
            found[trial.point] = trial
            self._each(len(self.asked.keys() | found.keys()))
        for point in points:
            self.asked.setdefault(point, found[point])
        self._each(len(self.asked))
        return [found[point] for point in points]


@dataclass(frozen=True)
class _Costs:
    """What points take, in the unit of the cost that was asked for."""

    ready: Ready
    asked: Search
    period_ns: float | None

    @classmethod
    def of(cls, ready: Ready, asked: Search) -> _Costs:
        """Look the clock period up.

        Raises InputError where time is asked for and the design was not timed, and where energy is
        and the model knows none.
        """
        clock, why = None, "coupling='broadcast' has no clock period"
        if not ready.measuring.array.broadcast:
            try:
                clock = period(asked.design).period_ns
            except InputError as error:
                why = str(error)
        if asked.cost == "time" and clock is None:
            raise InputError(f"--cost time: {why}")
        if asked.energy is not None:
            ready.measuring.costs(ready.space, ready.space.default)
        return cls(ready, asked, clock)

    def of_point(self, point: Point) -> float:
        """Return what a point takes."""
        return self._amount(*self.ready.measuring.costs(self.ready.space, point))

    def share(self, point: Point, percent: int) -> float:
        """Return so much of what a point takes, of cycles and time in whole cycles."""
        cycles, energy_pj = self.ready.measuring.costs(self.ready.space, point)
        energy = None if energy_pj is None else energy_pj * percent / 100
        return self._amount(cycles * percent // 100, energy)

    def _amount(self, cycles: int, energy_pj: float | None) -> float:
        found = amount(self.asked.cost, cycles, energy_pj, self.period_ns)
        assert found is not None  # noqa: S101 - `of` and `Search.check` saw to it
        return found


def _right(trial: Trial) -> int:
    """Return the pictures whose class a trial answered; 0 where they have none."""
    return trial.top1 or 0


def _default(asked: Search, space: Space) -> Strategy:
    """Return the way to search where none is named."""
    if not asked.budget:
        return get_strategy("hago-greedy")
    return get_strategy("exact" if space.size <= asked.exact_points else "by-sensitivity")


def _recorded(trial: Trial) -> SearchTrial:
    """Return a trial as a record has it."""
    return SearchTrial(
        bits=trial.point,
        agree=trial.agree,
        top1=trial.top1,
        cycles=trial.cycles,
        energy_pj=trial.energy_pj,
    )


def _budget(asked: Search, costs: _Costs, space: Space) -> float | None:
    """Return the budget in the unit of its cost, None where none is asked for.

    Raises InputError for one that is none, and for a design to which bits make no difference.
    """
    if not asked.budget:
        return None
    share, absolute = _read_budget(asked)
    most = costs.of_point(space.default)
    # Cycles and time do not rise with fewer bits, energy may.
    follows = asked.cost != "energy"
    least = costs.of_point(space.least) if follows else space.least_cost(costs.of_point)
    if least >= most:
        raise InputError(
            f"--budget {asked.budget}: {asked.pe} takes {in_words(asked.cost, most)} at most bits "
            f"and {in_words(asked.cost, least)} at the least: fewer bits save none; expected a "
            "design whose cycles follow bits (bitfusion, stripes, serial-w, loom), or no budget"
        )
    budget = costs.share(space.default, share) if absolute is None else absolute
    if budget < least:
        raise InputError(
            f"--budget {asked.budget}: {in_words(asked.cost, budget)}, and the network takes "
            f"{in_words(asked.cost, most)} at most bits and {in_words(asked.cost, least)} at the "
            f"least; expected {in_words(asked.cost, least)} or more"
        )
    return budget


def _read_budget(asked: Search) -> tuple[int, float | None]:
    """Return a budget's percentage, and its amount, None where a percentage says it."""
    text = asked.budget
    if text.endswith("%"):
        share = whole_number(text.removesuffix("%"), 1, 100)
        if share is not None:
            return share, None
    elif asked.cost == "cycles":
        cycles = whole_number(text, 1, MOST_BUDGET)
        if cycles is not None:
            return 100, float(cycles)
    else:
        found = real_number(text)
        if found is not None and 0 < found <= MOST_BUDGET:
            return 100, found
    kind = "a whole number from 1" if asked.cost == "cycles" else "a number above 0"
    raise InputError(
        f"--budget {text}: expected {UNITS[asked.cost]} ({kind}), or 1% to 100% of the "
        f"{asked.cost} at most bits"
    )
