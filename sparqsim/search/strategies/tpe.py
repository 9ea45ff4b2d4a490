"""Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sparqsim.search.log import Trial
from sparqsim.search.problem import Problem
from sparqsim.search.strategies.base import Strategy
from sparqsim.search.strategies.optuna_study import optuna_for, quiet, sampled


@dataclass(frozen=True)
class Tpe(Strategy):
    """Points are drawn where good ones are dense and others are not (Optuna's `TPESampler`, extra
    `search`); points beyond the budget are told as such and not answered. `trials`: points that
    are answered; `together`: points drawn before any of them is told; `seed`: of what is drawn.
    """

    name: ClassVar[str] = "tpe"
    words: ClassVar[str] = (
        "ours: best quality within a budget, points drawn by Optuna's TPE; no proof of an optimum"
    )

    trials: int = field(default=200, metadata={"least": 1, "most": 100_000})
    together: int = field(default=8, metadata={"least": 1, "most": 1000})
    seed: int = field(default=0, metadata={"least": 0, "most": 2**31 - 1})

    def search(self, problem: Problem) -> Trial:
        """Return the best trial. Raises InputError where Optuna is not installed."""
        optuna = optuna_for(self.spec)
        with quiet(optuna):
            sampler = optuna.samplers.TPESampler(seed=self.seed)
            study = optuna.create_study(sampler=sampler, direction="maximize")
            tried = sampled(study, problem, self.trials, self.together)
        return problem.best_of([*problem.measure(problem.space.uniform()), *tried])
