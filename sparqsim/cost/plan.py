"""How the energy of a run is found: which tables, at which node, for which designs and arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import get_dataflow
from sparqsim.base.errors import InputError
from sparqsim.cost.memory import DEFAULT, MemoryTable, load_memory
from sparqsim.cost.model import array_energy
from sparqsim.cost.nodes import FACTORS, RULE, factor
from sparqsim.cost.paths.registry import path_of
from sparqsim.cost.table import DesignCosts, EnergyTable, load_table
from sparqsim.cost.toggles import Toggles
from sparqsim.memory.traffic import Traffic
from sparqsim.pe.base import PEDesign
from sparqsim.results.energy import CellsInfo, Energy, EnergyInfo, Scaled

#: Roles of the only dataflow whose PEs were measured: sums stay, in rows of M and columns of N.
MEASURED_ROLES = "smn"
METHOD = (
    "fast model: toggled bits, products, sums and cycles, counted exactly, times coefficients that "
    "were fitted on gate-level runs of sampled outputs"
)
NOT_COUNTED = (
    "Not counted: skew registers at the edge, control, wires, the clock tree, glitches, adders of "
    "PEs that wait for others."
)
WITHOUT_MEMORY = "Memory is not modelled (no --config): the total is that of the array alone."


@dataclass(frozen=True)
class EnergyPlan:
    """What energies are found with.

    Parameters
    ----------
    table : EnergyTable
        Of the cells.
    memory : MemoryTable
        Of words; not used where memory is not modelled.
    to_nm : float, optional
        The node to which the figures of the chip are brought; None: they stay as they are.
    """

    table: EnergyTable
    memory: MemoryTable
    to_nm: float | None = None

    @classmethod
    def of(
        cls,
        table: str | Path | EnergyTable,
        memory: str | Path | MemoryTable = DEFAULT,
        to_nm: float | None = None,
    ) -> EnergyPlan:
        """Return the plan with tables given, or named: shipped ones or files.

        Raises InputError for a table that is not there.
        """
        return cls(
            table if isinstance(table, EnergyTable) else load_table(table),
            memory if isinstance(memory, MemoryTable) else load_memory(memory),
            to_nm,
        )

    def check_nodes(self, *, with_memory: bool) -> None:
        """Raise InputError for nodes that the rule of scaling does not cover, where it is asked."""
        factors = [self._cells_factor, *([self._sram_factor] if with_memory else [])]
        if not all(factors):
            raise ValueError(f"factors {factors}: expected more than 0")

    @property
    def _cells_factor(self) -> float:
        node = self.table.node_nm
        return 1.0 if self.to_nm is None else factor(node, self.to_nm, "the cells are")

    @property
    def _sram_factor(self) -> float:
        node = self.memory.sram.node_nm
        if self.to_nm is None or node is None:
            return 1.0
        return factor(node, self.to_nm, "the scratchpads are")

    def why_not(self, designs: Sequence[PEDesign], array: ArrayConfig) -> str:
        """Return why the model knows nothing of such PEs in such an array; '' where it does.

        `designs`: what the PEs are in each pass over a layer; none for an engine that has no PEs.
        """
        if not designs:
            return "no array of PEs: only PEs were measured"
        roles = get_dataflow(array.dataflow).roles
        if roles != MEASURED_ROLES or array.link_depth or array.broadcast or array.overlap:
            overlap = "on" if array.overlap else "off"
            return (
                f"table {self.table.name!r} is of dataflow os, lockstep, overlap off; this is "
                f"dataflow {array.dataflow}, {array.coupling}, overlap {overlap}"
            )
        for design in designs:
            if design.circuit not in self.table.designs or path_of(design) is None:
                known = ", ".join(self.table.designs)
                return (
                    f"table {self.table.name!r} has no coefficients of {design.circuit}; it has "
                    f"those of {known}"
                )
        return ""

    def costs(self, designs: Sequence[PEDesign]) -> DesignCosts:
        """Return the coefficients of the circuit that all passes run on."""
        circuits = {design.circuit for design in designs}
        if len(circuits) != 1:
            raise InputError(f"energy: passes on several circuits ({', '.join(sorted(circuits))})")
        return self.table.costs(circuits.pop())

    def energy(
        self,
        designs: Sequence[PEDesign],
        array: ArrayConfig,
        toggles: Toggles,
        cycles: int,
        macs: int,
        traffic: Traffic | None,
    ) -> Energy:
        """Return the energy of a layer.

        Parameters
        ----------
        designs : sequence of PEDesign
            What the PEs are in each pass.
        array : ArrayConfig
        toggles : Toggles
            Of all passes.
        cycles, macs : int
        traffic : Traffic, optional
            What the memory system moved; None where it is not modelled.
        """
        cells = array_energy(
            self.costs(designs),
            toggles,
            cycles * array.pes,
            cycles * array.rows,
            self._cells_factor,
        )
        sram = dram = None
        if traffic is not None:
            sram = self.memory.sram_energy(traffic, self._sram_factor)
            dram = self.memory.dram_energy(traffic)
        return Energy(
            pe=cells.pe,
            edge=cells.edge,
            sram=sram,
            dram=dram,
            macs=macs,
            time_ns=cycles * self.table.clock_ns,
            nodes_nm=self._nodes(with_memory=traffic is not None),
        )

    def _nodes(self, *, with_memory: bool) -> tuple[float, ...]:
        """Return the nodes of the figures of the chip."""
        if self.to_nm is not None:
            return (self.to_nm,)
        sram = self.memory.sram.node_nm
        nodes = {self.table.node_nm} | ({sram} if with_memory and sram is not None else set())
        return tuple(sorted(nodes))

    def info(
        self, circuits: Iterable[str], *, with_memory: bool, remarks: Sequence[str] = ()
    ) -> EnergyInfo:
        """Return what a report says of its energies: of which cells and memory, and what to know.

        `circuits`: those that ran a layer; the errors told are the largest of theirs.
        """
        scaled = None
        if self.to_nm is not None:
            scaled = Scaled(
                rule=RULE,
                to_nm=self.to_nm,
                cells_factor=self._cells_factor,
                sram_factor=self._sram_factor if with_memory else None,
            )
        told = [NOT_COUNTED, *remarks, *([] if with_memory else [WITHOUT_MEMORY])]
        told += self._why_no_total(self._nodes(with_memory=with_memory))
        return EnergyInfo(
            table=self.table.name,
            cells=self._cells([self.table.costs(each) for each in circuits]),
            memory=self.memory.info if with_memory else None,
            scaled=scaled,
            remarks=tuple(told),
        )

    def _cells(self, costs: Sequence[DesignCosts]) -> CellsInfo:
        table = self.table
        medians = [each.median_percent for each in costs if each.median_percent is not None]
        worst = [each.worst_percent for each in costs if each.worst_percent is not None]
        return CellsInfo(
            library=table.library,
            node_nm=table.node_nm,
            corner=table.corner,
            voltage_v=table.voltage_v,
            clock_ns=table.clock_ns,
            source=f"gate-level runs of this project's own RTL on {table.trace}, no wires",
            tools=", ".join(table.tools),
            method=METHOD,
            fit_layers=min(len(each.fitted) for each in costs),
            test_layers=min(len(each.measured_tests) for each in costs),
            test_median_percent=max(medians, default=None),
            test_worst_percent=max(worst, default=None),
        )

    @staticmethod
    def _why_no_total(nodes: Sequence[float]) -> list[str]:
        if len(nodes) == 1:
            return []
        named = " and ".join(f"{node:g} nm" for node in nodes)
        covered = ", ".join(f"{node:g}" for node in FACTORS)
        told = (
            f"No total: cells and scratchpads are of {named}, and figures of different nodes are "
            "not added. A memory table of the cells' node gives one (--memory-energy FILE), or, "
            f"between {covered} nm, --scale-to."
        )
        return [told]
