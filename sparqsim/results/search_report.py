"""What a search for bits of layers found: every trial, the one chosen, and the front.

JSON in and out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from sparqsim.base.record import Name, Record, Text
from sparqsim.base.tabular import Row, Tabular, short_name
from sparqsim.base.wording import counted
from sparqsim.results.card import Card
from sparqsim.results.energy import EnergyInfo, energy_field
from sparqsim.results.search_cost import CostName, amount
from sparqsim.results.setting import ArrayInfo

SEARCH_SCHEMA: Final = "sparqsim.search/1"


class SearchedEdge(Record):
    """What had bits of its own.

    kind: activations, shared by all layers of `layers`, or the weights of one. choices: its bits,
    most first.
    """

    kind: Literal["activations", "weights"]
    layers: tuple[Name, ...] = Field(min_length=1)
    choices: tuple[int, ...] = Field(min_length=1)


class SearchTrial(Record):
    """One point that was measured.

    bits: of every edge, in their order. agree: pictures whose first answer is the reference
    network's. top1: pictures whose class is the first answer; None without labels. cycles: of the
    traced pictures, all layers. energy_pj: of the array on them, without memory, by the energy
    model; absent unless it was asked for.
    """

    bits: tuple[int, ...]
    agree: int = Field(ge=0)
    top1: int | None = Field(ge=0)
    cycles: int = Field(ge=1)
    energy_pj: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, exclude_if=lambda each: each is None
    )

    @property
    def total_bits(self) -> int:
        """The sum over edges: what HAGO compares equals by."""
        return sum(self.bits)


class SearchReport(Tabular, Record):
    """A search for bits of a network's layers.

    method: how the point was chosen, by its name and keys; method_words: what that is, and whose.
    objective: what quality is: 'agree' with the reference network, or 'top1' of the pictures'
    classes. cost: what quality is weighed against: 'cycles', 'energy' of the array, or 'time' at
    the design's own clock. budget: the most of it that the chosen point may take on the traced
    pictures, in cycles, nJ or us; None where none was asked for. period_ns: the design's shortest
    clock period; None where it was not timed. energy: what energies are of; absent where they were
    not asked for. hardware: what the design takes, in words. pictures: that answered.
    calibration_pictures: that scales were found on; none of them answered. seed: of what was drawn;
    None: nothing. trials: each point once, in the order they were asked for. chosen: the place of
    one among them. recipe: that point as the fields of a recipe. card: what cycles of the chosen
    point depend on.
    """

    schema_: Literal["sparqsim.search/1"] = Field(default=SEARCH_SCHEMA, alias="schema")
    version: Text
    network: Text
    method: Name
    method_words: Text
    objective: Literal["agree", "top1"]
    cost: CostName
    budget: float | None = Field(gt=0, allow_inf_nan=False)
    period_ns: float | None = Field(gt=0, allow_inf_nan=False)
    energy: EnergyInfo | None = energy_field()
    design: Name
    hardware: Text
    accumulator_bits: int
    array: ArrayInfo
    reference: Text
    calibrator: Text
    weights: Text
    preprocess: Text
    pictures: int = Field(ge=1)
    traced_pictures: int = Field(ge=1)
    calibration_pictures: int = Field(ge=1)
    seed: int | None = None
    edges: tuple[SearchedEdge, ...] = Field(min_length=1)
    trials: tuple[SearchTrial, ...] = Field(min_length=1)
    chosen: int = Field(ge=0)
    recipe: dict[str, Any]
    card: Card

    HTML_COLUMNS: ClassVar = {
        "bits": "bits of edges",
        "agree": "agree",
        "top1": "top-1",
        "cycles": "cycles",
    }

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.chosen >= len(self.trials):
            raise ValueError(f"chosen={self.chosen}, expected below {len(self.trials)} trials")
        unknown = [number for number, each in enumerate(self.trials) if self._amount(each) is None]
        if unknown:
            raise ValueError(
                f"trials.{unknown[0]}: no {self.cost}, which quality is weighed against"
            )
        if self.budget is not None and self.cost_of(self.best) > self.budget:
            raise ValueError(f"trials.{self.chosen}: above the budget")
        if len({trial.bits for trial in self.trials}) < len(self.trials):
            raise ValueError("trials: the same bits twice, expected each point once")
        for number, trial in enumerate(self.trials):
            counts = [trial.agree, trial.top1 or 0]
            if len(trial.bits) != len(self.edges) or max(counts) > self.pictures:
                raise ValueError(
                    f"trials.{number}: expected bits of {len(self.edges)} edges, and no more "
                    f"than {self.pictures} pictures"
                )
        if self.objective == "top1" and any(trial.top1 is None for trial in self.trials):
            raise ValueError("objective='top1', but trials have no top1")
        return self

    @property
    def best(self) -> SearchTrial:
        """The trial that was chosen."""
        return self.trials[self.chosen]

    @property
    def default(self) -> SearchTrial:
        """The trial at every edge's limit: the first one."""
        return self.trials[0]

    def quality(self, trial: SearchTrial) -> int:
        """Return the pictures that a trial answered well, by the objective."""
        return trial.agree if self.objective == "agree" else int(trial.top1 or 0)

    def _amount(self, trial: SearchTrial) -> float | None:
        return amount(self.cost, trial.cycles, trial.energy_pj, self.period_ns)

    def cost_of(self, trial: SearchTrial) -> float:
        """Return what a trial takes: cycles, nJ or us, by `cost`."""
        found = self._amount(trial)
        assert found is not None  # noqa: S101 - checked when the record is made
        return found

    def gain(self, trial: SearchTrial) -> float:
        """Return how many times less a trial takes than that at every edge's limit."""
        return self.cost_of(self.default) / self.cost_of(trial)

    @property
    def front(self) -> tuple[SearchTrial, ...]:
        """Trials that no other beats (as good in quality and cost, better in one), dearest
        first; of equal ones that of fewest bits.
        """
        kept: list[SearchTrial] = []
        for trial in sorted(self.trials, key=self._cheapest_first):
            if not kept or self.quality(trial) > self.quality(kept[-1]):
                kept.append(trial)
        return tuple(reversed(kept))

    def _cheapest_first(self, trial: SearchTrial) -> tuple[float, int, int, tuple[int, ...]]:
        return self.cost_of(trial), -self.quality(trial), trial.total_bits, trial.bits

    @property
    def uniform(self) -> tuple[SearchTrial, ...]:
        """Trials with the same bits at every edge, as far as edges have them."""
        return tuple(trial for trial in self.trials if self._is_uniform(trial.bits))

    def _is_uniform(self, bits: Sequence[int]) -> bool:
        top = max(bits)
        lowered = [
            next((each for each in edge.choices if each <= top), edge.choices[-1])
            for edge in self.edges
        ]
        return list(bits) == lowered

    def layer_bits(self, trial: SearchTrial) -> dict[str, tuple[int, int]]:
        """Return bits of activations and of weights of every layer that has an edge."""
        found: dict[str, dict[str, int]] = {}
        for edge, bits in zip(self.edges, trial.bits, strict=True):
            for layer in edge.layers:
                found.setdefault(layer, {})[edge.kind] = bits
        return {
            layer: (each.get("activations", 8), each.get("weights", 8))
            for layer, each in found.items()
        }

    def flat_rows(self) -> list[Row]:
        """Return a row per trial."""
        return [
            {
                "trial": number,
                "bits": " ".join(map(str, trial.bits)),
                "total_bits": trial.total_bits,
                "agree": trial.agree,
                "top1": trial.top1,
                "cycles": trial.cycles,
                "speedup": self.default.cycles / trial.cycles,
                "energy_pj": trial.energy_pj,
                "time_us": amount("time", trial.cycles, None, self.period_ns),
                "chosen": number == self.chosen,
            }
            for number, trial in enumerate(self.trials)
        ]

    def html_rows(self) -> list[Row]:
        """Return the rows of a notebook's table."""
        return self.flat_rows()

    def summary(self) -> str:
        """Return what was searched, in a line."""
        return f"{short_name(self.network)}, {self.design}, {counted(len(self.trials), 'trial')}"
