"""What is asked of a search, and what of it is refused before any network is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sparqsim.base.errors import InputError
from sparqsim.base.record import faults_of
from sparqsim.base.wording import counted
from sparqsim.cost.plan import EnergyPlan
from sparqsim.engine.assignment import Assignment, Runnable, assigned
from sparqsim.networks.computing import Computing, computing
from sparqsim.networks.images import Pictures
from sparqsim.pe.base import PEDesign
from sparqsim.quantise.recipe import ACCUMULATOR_BITS
from sparqsim.results.search_cost import CostName, checked_cost
from sparqsim.search.networks import check_kind
from sparqsim.search.rules import Rules

Objective = Literal["agree", "top1"]
#: HAGO's least bits of an edge.
LEAST_BITS = 4
MOST_BITS = 8
CALIBRATORS = "mse, lp:P, mean-max, max or percentile:P"
#: Points of spaces that are searched whole where no method is named.
EXACT_POINTS = 256
#: Of the pictures, this part finds scales where it is not said, and no more than MOST_CALIBRATION.
CALIBRATION_PART = 4
MOST_CALIBRATION = 64


@dataclass(frozen=True)
class Search:
    """What to search, and how.

    pe: one PE design. budget: 'N' cycles, nJ or us, or 'P%' of what every edge's limit takes; '':
    none. cost: what the budget is of. energy: what energies are found with; needed where cost is
    'energy'. method: a way to search by its name and keys; '': with a budget 'exact' for small
    spaces and 'by-sensitivity' for others, else HAGO's greedy. objective: 'agree' or 'top1'.
    calibrator, weights: names that BITS are added to. keep_8bit: as a recipe says it.
    calibrate_on: the first pictures, so many, find scales and do not answer. traced: the first
    pictures that answer, so many, have their cycles simulated.
    """

    pe: Runnable
    budget: str = ""
    cost: CostName = "cycles"
    energy: EnergyPlan | None = None
    method: str = ""
    objective: Objective = "agree"
    accumulator_bits: int = ACCUMULATOR_BITS
    most_bits: int = MOST_BITS
    least_bits: int = LEAST_BITS
    calibrator: str = "mse"
    weights: str = "nearest"
    keep_8bit: str | tuple[str, ...] = "first-last"
    calibrate_on: int | None = None
    traced: int = 1
    exact_points: int = EXACT_POINTS
    signed: str = "magnitude"
    batch: int | None = None

    def rules(self, pictures: int) -> Rules:
        """Return how layers become integers; `pictures`: how many find scales."""
        return Rules(
            calibrator=self.calibrator,
            weights=self.weights,
            kept=self.keep_8bit,
            accumulator_bits=self.accumulator_bits,
            pictures=pictures,
        )

    @property
    def computing(self) -> Computing:
        """What layers compute as: the one design that is searched for, by itself or, where int8
        layers are taken by sign and magnitude, as the assignment that says so.

        Raises InputError for several designs.
        """
        found = computing(assigned(self.pe), self.signed)
        if isinstance(found, Assignment) and found.own_rules:
            raise InputError(
                f"--pe {self.pe}: several designs, expected one whose layers' bits are to be found"
            )
        return found

    @property
    def design(self) -> PEDesign:
        """The design itself."""
        found = self.computing
        design = found.default.pe if isinstance(found, Assignment) else found
        assert design is not None  # noqa: S101 - `computing` refuses engines without PEs
        return design

    def check(self, model: str, labels: NDArray[np.int64] | None) -> None:
        """Raise InputError for what needs no network to be refused."""
        check_kind(model)
        self._check_cost()
        if self.objective == "top1" and labels is None:
            raise InputError(
                "--objective top1: the pictures have no labels, expected --labels FILE or "
                "--objective agree"
            )
        if not 2 <= self.least_bits <= self.most_bits <= MOST_BITS:
            raise InputError(
                f"--least-bits {self.least_bits} --most-bits {self.most_bits}: expected 2 to "
                f"{MOST_BITS}, and no more least bits than most"
            )
        if self.weights != "nearest" and not self.weights.startswith("lp:"):
            raise InputError(
                f"--weights {self.weights}: expected nearest or lp:P, which quantise each layer by "
                "itself"
            )
        if self.calibrator.count(":") > self.calibrator.startswith(("lp:", "percentile:")):
            raise InputError(
                f"--calibrate {self.calibrator}: names bits or a file; expected {CALIBRATORS}, to "
                "which the search adds bits"
            )
        try:
            self.rules(1).recipe({})
        except ValidationError as error:
            raise InputError(f"search: {faults_of(error)[0]}") from None

    def _check_cost(self) -> None:
        checked_cost(self.cost)
        if self.cost == "energy" and self.energy is None:
            raise InputError(
                "--cost energy: energy is not asked for; expected --energy osu018, or another "
                "table, too"
            )


def split(pictures: Pictures, asked: Search) -> tuple[Pictures, Pictures]:
    """Return the pictures that answer and those that scales are found on, no two the same.

    Raises InputError where there are too few, or one is in both.
    """
    count = asked.calibrate_on
    if count is None:
        count = max(1, min(MOST_CALIBRATION, len(pictures) // CALIBRATION_PART))
    if not 0 < count < len(pictures):
        raise InputError(
            f"{counted(len(pictures), 'picture')}, of which {count} find scales: none is left to "
            "answer; expected more pictures, or a smaller --calibrate-on"
            if count > 0
            else f"--calibrate-on {count}: expected at least 1 picture that scales are found on"
        )
    calibration, shown = pictures.first(count), pictures.at(range(count, len(pictures)))
    seen = dict(zip(calibration.digests(), calibration.names, strict=True))
    for name, digest in zip(shown.names, shown.digests(), strict=True):
        if digest in seen:
            raise InputError(
                f"picture {name}: the same as {seen[digest]}, which scales are found on; expected "
                "pictures that answer to be others"
            )
    return shown, calibration
