"""What a way to search must give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from sparqsim.base.errors import InputError
from sparqsim.base.keys import spec_of
from sparqsim.search.log import Trial
from sparqsim.search.problem import Problem


class Strategy(ABC):
    """A way to search: a frozen dataclass, whose fields are keys that a user sets.

    `name`: what finds it. `words`: what a record says of it, and whose it is. `budget`: whether it
    needs one, takes one, or refuses it. What it draws at random follows from a field `seed` alone.
    """

    name: ClassVar[str]
    words: ClassVar[str]
    budget: ClassVar[Literal["needed", "taken", "refused"]] = "taken"

    @property
    def spec(self) -> str:
        """Its name with the keys that are not at their defaults."""
        return spec_of(self)

    def check_budget(self, budget: str) -> None:
        """Raise InputError for a budget that it does not take, or for none where it needs one."""
        if budget and self.budget == "refused":
            raise InputError(
                f"--method {self.spec}: takes no budget, and --budget {budget} is one; expected "
                "another method, or no --budget"
            )
        if not budget and self.budget == "needed":
            raise InputError(f"--method {self.spec}: searches within a budget, expected --budget")

    @abstractmethod
    def search(self, problem: Problem) -> Trial:
        """Return the chosen trial: one that was measured, within the budget.

        The points of uniform bits are measured by whoever calls this, and count as measured.
        """
