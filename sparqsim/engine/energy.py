"""The energy of layers, beside their reports: what is counted as rows pass, and what it costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.cost.counting import LayerCounter
from sparqsim.cost.plan import EnergyPlan
from sparqsim.engine.assignment import Assignment
from sparqsim.engine.models import EngineModel, Task
from sparqsim.results.energy import EnergyInfo
from sparqsim.results.layer_report import LayerReport
from sparqsim.trace import Layer

#: Designs of a layer, told apart also where they are equal but for a key.
Key = tuple[str, EngineModel]


@dataclass(frozen=True)
class Metering:
    """A plan for the energy of runs.

    Parameters
    ----------
    plan : EnergyPlan
    array : ArrayConfig
    stepped : bool
        Whether counts are those of the definition: every PE, step by step.
    with_memory : bool
        Whether a memory system is modelled.
    """

    plan: EnergyPlan
    array: ArrayConfig
    stepped: bool
    with_memory: bool

    @classmethod
    def of(
        cls, energy: EnergyPlan | str, array: ArrayConfig, *, stepped: bool, with_memory: bool
    ) -> Metering:
        """Return the metering of a plan, or of a table by its name or file.

        Raises InputError for a table that is not there, or nodes that its rule does not cover.
        """
        plan = energy if isinstance(energy, EnergyPlan) else EnergyPlan.of(energy)
        plan.check_nodes(with_memory=with_memory)
        return cls(plan, array, stepped, with_memory)

    def absences(self, runs: Sequence[Assignment], layers: Sequence[Layer]) -> list[str]:
        """Return for each assignment why its energy is not known; '' where it is.

        Raises InputError where none is known.
        """
        reasons = [self.why_not(run, layers) for run in runs]
        if all(reasons):
            raise InputError(f"energy: {reasons[0]}")
        return reasons

    def why_not(self, running: Assignment, layers: Sequence[Layer]) -> str:
        """Return why an assignment's energy is not known, naming a layer; '' where it is."""
        for layer in layers:
            model = running.bound(layer)
            reason = self.plan.why_not(model.pass_designs, self.array)
            if reason:
                return f"{model.spec}, layer {layer.name!r}: {reason}"
        return ""

    def counters(self, task: Task, models: Sequence[Key]) -> dict[Key, LayerCounter]:
        """Return what counts a layer, for each model of which the plan knows something."""
        weights = task.lowered.weights
        return {
            key: LayerCounter(key[1].pass_designs, weights, stepped=self.stepped)
            for key in models
            if not self.plan.why_not(key[1].pass_designs, self.array)
        }

    def with_energy(
        self, report: LayerReport, model: EngineModel, counter: LayerCounter
    ) -> LayerReport:
        """Return a layer's report with its energy."""
        energy = self.plan.energy(
            model.pass_designs,
            self.array,
            counter.toggles(self.array.rows, self.array.cols),
            report.cycles.total,
            report.macs,
            report.traffic,
        )
        return report.model_copy(update={"energy_pj": energy})

    def info(self, running: Assignment, layers: Sequence[Layer]) -> EnergyInfo:
        """Return what a report says of its energies."""
        models = {layer.name: running.bound(layer) for layer in layers}
        circuits = [design.circuit for each in models.values() for design in each.pass_designs]
        known = dict.fromkeys(circuits)
        remarks = [*_unmeasured(models), *_signed(layers), *_several(known)]
        return self.plan.info(known, with_memory=self.with_memory, remarks=remarks)


def _unmeasured(models: Mapping[str, EngineModel]) -> list[str]:
    """Return a remark on layers that run in a mode of the circuit that no gate-level run had."""
    modes = [name for name, model in models.items() if model.kept_mode]
    if not modes:
        return []
    told = (
        f"{', '.join(modes)}: on the design's own circuit in a mode that was not measured; its "
        "counts with the circuit's coefficients."
    )
    return [told]


def _signed(layers: Sequence[Layer]) -> list[str]:
    """Return a remark on layers of int8 activations."""
    names = [layer.name for layer in layers if layer.signed]
    if not names:
        return []
    told = (
        f"{', '.join(names)}: int8 activations, with coefficients of circuits that take unsigned "
        "ones; the table says how wrong that was where it was tried."
    )
    return [told]


def _several(circuits: Collection[str]) -> list[str]:
    """Return a remark on layers that run on arrays of different circuits."""
    if len(circuits) < 2:
        return []
    told = (
        f"Circuits {', '.join(circuits)}: each layer as if its circuit had an array of its own; "
        "what the others cost meanwhile (clock pins, leakage) is not counted."
    )
    return [told]
