"""Optuna's NSGA-II: quality and cost as two goals, generation by generation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sparqsim.search.log import Trial
from sparqsim.search.problem import Problem
from sparqsim.search.strategies.base import Strategy
from sparqsim.search.strategies.optuna_study import optuna_for, quiet, sampled


@dataclass(frozen=True)
class Nsga2(Strategy):
    """A front is bred, generation by generation (Optuna's `NSGAIISampler`, extra `search`): quality
    goes up and cost down. Without a budget the chosen point is that of best quality, then of least
    cost: the front is what one asks this for. `trials`: points that are answered; `population`:
    points of a generation; `seed`: of what is drawn.
    """

    name: ClassVar[str] = "nsga2"
    words: ClassVar[str] = (
        "ours: a front of quality and cost, bred by Optuna's NSGA-II; no proof of an optimum"
    )

    trials: int = field(default=200, metadata={"least": 1, "most": 100_000})
    population: int = field(default=24, metadata={"least": 2, "most": 1000})
    seed: int = field(default=0, metadata={"least": 0, "most": 2**31 - 1})

    def search(self, problem: Problem) -> Trial:
        """Return the best trial. Raises InputError where Optuna is not installed."""
        optuna = optuna_for(self.spec)
        with quiet(optuna):
            sampler = optuna.samplers.NSGAIISampler(population_size=self.population, seed=self.seed)
            study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize"])
            tried = sampled(study, problem, self.trials, self.population)
        return problem.best_of([*problem.measure(problem.space.uniform()), *tried])
