"""Every point of a small space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sparqsim.base.errors import InputError
from sparqsim.search.log import Trial
from sparqsim.search.problem import Problem
from sparqsim.search.strategies.base import Strategy

#: More points than anybody waits for.
MOST_POINTS = 10**6


@dataclass(frozen=True)
class Exact(Strategy):
    """Every point that keeps the budget is tried, so the chosen one is the best there is."""

    name: ClassVar[str] = "exact"
    words: ClassVar[str] = "ours: best quality within a budget, every point within it tried"

    def search(self, problem: Problem) -> Trial:
        """Return the best point of all.

        Raises InputError for a space of more than `MOST_POINTS` points.
        """
        if problem.space.size > MOST_POINTS:
            raise InputError(
                f"--method {self.spec}: {problem.space.size:.3g} points, expected at most "
                f"{MOST_POINTS:,}: another method, or fewer bits to choose from (--least-bits, "
                "--keep-8bit)"
            )
        within = [point for point in problem.space.points() if problem.keeps(point)]
        return problem.best_of(problem.measure(within))
