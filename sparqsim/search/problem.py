"""What a way to search sees of a search: points, what they answer, what they take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sparqsim.base.errors import InputError
from sparqsim.results.search_cost import CostName, in_words
from sparqsim.search.log import Trial
from sparqsim.search.space import Point, Space


@dataclass(frozen=True)
class Problem:
    """A space, and how its points are judged.

    Parameters
    ----------
    space : Space
    measure : callable
        Returns the trials of some points, in their order; it may measure several at once.
    quality : callable
        Pictures that a trial answered well.
    cost_of : callable
        What a point takes, in the unit of `cost`; nothing is answered for it.
    cost : 'cycles', 'energy' or 'time'
    budget : float, optional
        The most that the chosen point may take; None: as much as it likes.
    """

    space: Space
    measure: Callable[[Sequence[Point]], list[Trial]]
    quality: Callable[[Trial], int]
    cost_of: Callable[[Point], float]
    cost: CostName = "cycles"
    budget: float | None = None

    def measured(self, point: Point) -> Trial:
        """Return the trial of one point."""
        return self.measure([point])[0]

    def keeps(self, point: Point) -> bool:
        """Whether a point is within the budget."""
        return self.budget is None or self.cost_of(point) <= self.budget

    def best_of(self, trials: Iterable[Trial]) -> Trial:
        """Return the trial of best quality within the budget; among equals that of least cost, then
        of fewest bits.

        Raises InputError where none is within it.
        """
        within = [trial for trial in trials if self.keeps(trial.point)]
        if not within:
            raise self.too_little()
        return min(within, key=self._best_first)

    def _best_first(self, trial: Trial) -> tuple[int, float, int, Point]:
        point = trial.point
        return -self.quality(trial), self.cost_of(point), sum(point), point

    def too_little(self) -> InputError:
        """Return the error for a budget that no point was found to keep."""
        least = in_words(self.cost, self.space.least_cost(self.cost_of))
        asked = "none" if self.budget is None else in_words(self.cost, self.budget)
        return InputError(
            f"budget of {self.cost}: no point was found within {asked} (the least that any takes "
            f"is {least}); expected a larger one, or another --method (separable)"
        )
