"""What transitions of a netlist's nets cost, from its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from sparqsim.rtl.gates.cells import CellLibrary, Pin
from sparqsim.rtl.gates.program import Program, clock_powers
from sparqsim.rtl.gates.tables import EnergyTable
from sparqsim.rtl.gates.toggles import Toggles
from sparqsim.rtl.gates.wiring import Wiring

PJ_PER_FJ = 1e-3
#: 1 nW for 1 ns.
FJ_PER_NW_NS = 1e-3
CLOCK = "clk"


@dataclass(frozen=True)
class Operating:
    """At what energies are told. slew_ns: of every input, for the tables of internal energies."""

    clock_ns: float
    slew_ns: float


@dataclass(frozen=True)
class Costs:
    """Energies in fJ: of a net's transition where it is charged or discharged (`switching`), inside
    the cells (`rise`, `fall`), per net; `clock_cycle`: of a cycle's two edges at all clock pins;
    `clock_states`: what each watched state adds to a cycle in which it holds; `leakage_cycle`.
    """

    switching: NDArray[np.float64]
    rise: NDArray[np.float64]
    fall: NDArray[np.float64]
    clock_cycle: float
    clock_states: NDArray[np.float64]
    leakage_cycle: float


@dataclass(frozen=True)
class Energies:
    """Energies in pJ by part, float64 (samples,)."""

    switching: NDArray[np.float64]
    internal: NDArray[np.float64]
    clock: NDArray[np.float64]
    leakage: NDArray[np.float64]

    @classmethod
    def joined(cls, runs: Sequence[Energies]) -> Energies:
        """Return the samples of several runs, one after another."""
        parts = [np.concatenate([getattr(run, part.name) for run in runs]) for part in fields(cls)]
        return cls(*parts)

    @property
    def total(self) -> NDArray[np.float64]:
        """The sum of the parts."""
        return self.switching + self.internal + self.clock + self.leakage


def loads_ff(wiring: Wiring, library: CellLibrary) -> NDArray[np.float64]:
    """Return the capacitance of the pins on each net in fF; wires have none."""
    loads = np.zeros(wiring.nets)
    for instance in wiring.instances:
        pins = library.cell(instance.cell).pins
        for name, net in instance.pins.items():
            if not pins[name].output:
                loads[net] += pins[name].capacitance_ff
    return loads


def costs_of(
    program: Program,
    library: CellLibrary,
    at: Operating,
    beyond_ff: Mapping[str, Sequence[float]] | None = None,
) -> Costs:
    """Return what transitions cost.

    Parameters
    ----------
    program : Program
    library : CellLibrary
    at : Operating
    beyond_ff : mapping of str to sequence of float, optional
        What bits of output ports drive outside: it slows cells, and is charged where it stands.
    """
    wiring = program.wiring
    own = loads_ff(wiring, library)
    driven = own.copy()
    for port, loads in (beyond_ff or {}).items():
        np.add.at(driven, list(wiring.outputs[port]), loads)
    rise, fall = np.zeros(wiring.nets), np.zeros(wiring.nets)
    clock_cycle, leakage_nw = 0.0, 0.0
    for instance in wiring.instances:
        cell = library.cell(instance.cell)
        leakage_nw += cell.leakage_nw
        clock_pin = cell.register.clock if cell.register else None
        for name, net in instance.pins.items():
            if name != clock_pin:
                load = driven[net] if cell.pins[name].output else 0.0
                risen, fallen = _internal(cell.pins[name], load, at.slew_ns)
                rise[net] += risen
                fall[net] += fallen
        in_any_state = [power for power in clock_powers(cell) if power.when is None]
        clock_cycle += sum(_edges(power.rise, power.fall, at) for power in in_any_state)
    clock_nets = list(wiring.inputs.get(CLOCK, ()))
    square = library.voltage_v**2
    clock_cycle += float(own[clock_nets].sum()) * square
    switching = own * square / 2
    switching[clock_nets] = 0
    states = [_edges(watched.power.rise, watched.power.fall, at) for watched in program.watched]
    leakage = leakage_nw * at.clock_ns * FJ_PER_NW_NS
    return Costs(switching, rise, fall, clock_cycle, np.array(states), leakage)


def _edges(rise: EnergyTable, fall: EnergyTable, at: Operating) -> float:
    return rise.at(0.0, at.slew_ns) + fall.at(0.0, at.slew_ns)


def _internal(pin: Pin, load_ff: float, slew_ns: float) -> tuple[float, float]:
    """Return what a rise and a fall of a pin cost, its states and causes being equally likely."""
    if not pin.powers:
        return 0.0, 0.0
    return (
        fmean(power.rise.at(load_ff, slew_ns) for power in pin.powers),
        fmean(power.fall.at(load_ff, slew_ns) for power in pin.powers),
    )


def energies(toggles: Toggles, costs: Costs, cycles: NDArray[np.int64]) -> Energies:
    """Return each sample's energies; `cycles` (samples,): how long its clock is counted."""
    samples = len(cycles)
    rises, falls = toggles.rises[:, :samples], toggles.falls[:, :samples]
    states = toggles.states[:, :samples]
    clock = (costs.clock_cycle * cycles + costs.clock_states @ states).astype(np.float64)
    return Energies(
        PJ_PER_FJ * (costs.switching @ (rises + falls)),
        PJ_PER_FJ * (costs.rise @ rises + costs.fall @ falls),
        PJ_PER_FJ * clock,
        np.asarray(PJ_PER_FJ * costs.leakage_cycle * cycles, np.float64),
    )
