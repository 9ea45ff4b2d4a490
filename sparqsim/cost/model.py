"""The fast model: energy of cells = counts x coefficients + cycles x clock and leakage."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sparqsim.cost.table import EDGE_COUNTS, PE_COUNTS, Costs, PerCycle
from sparqsim.cost.toggles import Toggles
from sparqsim.results.energy import CellEnergy


@dataclass(frozen=True)
class ArrayEnergy:
    """Energy of the PEs of an array and of the units at its edge."""

    pe: CellEnergy
    edge: CellEnergy


def array_energy(
    costs: Costs, toggles: Toggles, pe_cycles: int, edge_cycles: int, factor: float = 1.0
) -> ArrayEnergy:
    """Return the energy of an array.

    Parameters
    ----------
    costs : Costs
    toggles : Toggles
    pe_cycles, edge_cycles : int
        Cycles x PEs, cycles x edge units: all that are there, whatever they do.
    factor : float
        What energies are multiplied with, to bring them to another node.
    """
    return ArrayEnergy(
        _cells(costs, toggles, PE_COUNTS, costs.pe_cycle, pe_cycles, factor),
        _cells(costs, toggles, EDGE_COUNTS, costs.edge_cycle, edge_cycles, factor),
    )


def _cells(
    costs: Costs,
    toggles: Toggles,
    names: Iterable[str],
    cycle: PerCycle,
    cycles: int,
    factor: float,
) -> CellEnergy:
    counts = [(getattr(toggles, name), costs.counts[name]) for name in names]
    return CellEnergy(
        switching=factor * math.fsum(count * each.switching_pj for count, each in counts),
        internal=factor * math.fsum(count * each.internal_pj for count, each in counts),
        clock=factor * (cycles * cycle.clock_pj),
        leakage=factor * (cycles * cycle.leakage_pj),
    )
