"""HAGO's greedy (ZihengJiang/tvm-hago at 6e71860)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sparqsim.search.log import Trial
from sparqsim.search.problem import Problem
from sparqsim.search.strategies.base import Strategy


@dataclass(frozen=True)
class Greedy(Strategy):
    """Edge by edge, bits go down as long as quality does not drop, so among equal quality fewer
    bits win. Its objective is quality alone.
    """

    name: ClassVar[str] = "hago-greedy"
    words: ClassVar[str] = "HAGO's greedy: bits go down edge by edge while quality does not drop"
    budget: ClassVar[Literal["needed", "taken", "refused"]] = "refused"

    def search(self, problem: Problem) -> Trial:
        """Return the point that no edge leaves downwards without loss, edge by edge."""
        space, best = problem.space, problem.measured(problem.space.default)
        for place in range(len(space.edges)):
            for point in space.lowered(best.point, place):
                trial = problem.measured(point)
                if problem.quality(trial) < problem.quality(best):
                    break
                best = trial
        return best
