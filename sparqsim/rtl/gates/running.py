"""Sampled outputs of a layer through a design's netlists: energies, and every check on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import PEDesign
from sparqsim.rtl.check import MismatchError
from sparqsim.rtl.gates.circuits import DesignGates, Gates
from sparqsim.rtl.gates.costs import Energies, energies
from sparqsim.rtl.gates.driving import (
    WARM_UP,
    Drive,
    Planes,
    drive,
    packed_samples,
    sample_bits,
    sum_bits,
)
from sparqsim.rtl.gates.icarus import driven_nets
from sparqsim.rtl.gates.samples import Operands, Steps, steps_of
from sparqsim.rtl.gates.toggles import LANES, Toggles, input_nets, simulated

#: Cycles of a sample that run in Icarus, which takes a second for some thousand.
ICARUS_CYCLES = 1024


@dataclass(frozen=True)
class Ran:
    """One netlist driven by up to 64 samples. `settled`: every net in each of the first cycles."""

    stimulus: NDArray[np.uint64]
    toggles: Toggles
    settled: NDArray[np.uint64]


@dataclass(frozen=True)
class Checks:
    """What was compared, without a difference.

    `sums`: accumulators x cycles of the netlist with the simulator. `nets`: nets x cycles of the
    netlist, by the fast form and in Icarus. `outputs`: output bits x cycles, of the netlist and of
    the RTL in Icarus.
    """

    sums: int = 0
    nets: int = 0
    outputs: int = 0

    def __add__(self, other: Checks) -> Checks:
        return Checks(self.sums + other.sums, self.nets + other.nets, self.outputs + other.outputs)


@dataclass(frozen=True)
class Inputs:
    """What inputs did, summed over samples, int64 (input bits,): cycles of steps in which they were
    1, and transitions.
    """

    ones: NDArray[np.int64]
    transitions: NDArray[np.int64]

    def __add__(self, other: Inputs) -> Inputs:
        return Inputs(self.ones + other.ones, self.transitions + other.transitions)


@dataclass(frozen=True)
class Measured:
    """Energies of samples, of their PE and of the edge of their row, and what was compared.

    `inputs`: of `pe` and of `edge`. `step_cycles`: int64 (samples,), cycles of each sample's steps.
    """

    pe: Energies
    edge: Energies
    step_cycles: NDArray[np.int64]
    checks: Checks
    inputs: Mapping[str, Inputs]


def measure(
    design: PEDesign,
    gates: DesignGates,
    operands: Operands,
    checked: int = 0,
) -> Measured:
    """Return the energies of sampled outputs of a layer.

    Parameters
    ----------
    design : PEDesign
        Bound to the layer.
    gates : DesignGates
    operands : Operands
    checked : int
        How many samples, the first ones, are run in Icarus too, netlist and RTL, for their first
        `ICARUS_CYCLES` cycles.

    Raises
    ------
    MismatchError
        Where netlist, RTL and simulator differ.
    """
    steps = steps_of(design, operands)
    old_sums = np.roll(steps.sums[:, -1], 1)
    parts = []
    for start in range(0, len(steps.cycles), LANES):
        some = slice(start, start + LANES)
        driven = drive(design, gates.circuit, gates.widths, _some(steps, some), old_sums[some])
        in_icarus = range(start, min(checked, start + LANES, len(steps.cycles)))
        ran = run(gates, driven, ICARUS_CYCLES if in_icarus else 0)
        checks = _sums_checked(design, gates, driven, ran["pe"])
        for sample in in_icarus:
            checks += _icarus_checked(design, gates, ran, sample - start)
        pe = energies(ran["pe"].toggles, gates.pe.costs, driven.step_cycles)
        edge = energies(ran["edge"].toggles, gates.edge.costs, driven.step_cycles)
        inputs = {
            "pe": _inputs(gates.pe, ran["pe"], driven.pe_working),
            "edge": _inputs(gates.edge, ran["edge"], driven.edge_working),
        }
        parts.append(Measured(pe, edge, driven.step_cycles, checks, inputs))
    return _joined(parts)


def run(gates: DesignGates, driven: Drive, settled: int = 0) -> dict[str, Ran]:
    """Run the edge, then the PE with what leaves the edge; keep every net of `settled` cycles."""
    edge = _run(gates.edge, driven.edge, driven.edge_from, driven.edge_working, settled)
    ports = gates.edge.by_port(edge.toggles.outputs)
    from_edge = {
        "a": ports["out_data"],
        "valid": ports["out_valid"],
        "first": ports["out_flags"][:, 1:],
        "last": ports["out_flags"][:, :1],
    }
    pe = _run(gates.pe, driven.pe | from_edge, driven.pe_from, driven.pe_working, settled)
    return {"pe": pe, "edge": edge}


def _run(
    gates: Gates,
    planes: Planes,
    counted_from: int,
    working: NDArray[np.uint64],
    settled_cycles: int,
) -> Ran:
    stimulus = gates.stimulus(planes)
    settled = np.zeros((min(len(stimulus), settled_cycles), gates.wiring.nets), np.uint64)
    toggles = simulated(gates.program, stimulus, counted_from, working, settled=settled)
    return Ran(stimulus, toggles, settled)


def _inputs(gates: Gates, ran: Ran, working: NDArray[np.uint64]) -> Inputs:
    ones = np.bitwise_count(ran.stimulus & working[:, None]).sum(0, dtype=np.int64)
    nets = input_nets(gates.program)
    return Inputs(ones, (ran.toggles.rises + ran.toggles.falls)[nets].sum(1))


def _some(steps: Steps, some: slice) -> Steps:
    tiles = type(steps.tiles)(steps.tiles.x[some], steps.tiles.w[some])
    cycles = steps.cycles[some]
    longest = int(cycles.sum(1).max())
    return Steps(tiles, cycles, steps.sums[some, :longest], steps.sums_above[some])


def _sums_checked(design: PEDesign, gates: DesignGates, driven: Drive, ran: Ran) -> Checks:
    """Compare the netlist's accumulator and its stalls with the simulator, in every cycle."""
    ports = gates.pe.by_port(ran.toggles.outputs)
    used = packed_samples(np.ones(driven.sums.shape[:1], bool))
    expected = {
        "below": packed_samples(sum_bits(driven.sums)),
        "stall": driven.stall[:, None],
    }
    for port, told in expected.items():
        wrong = ((ports[port] & used) != told)[WARM_UP - 1 :]
        if wrong.any():
            cycle, bit = np.argwhere(wrong)[0]
            raise MismatchError(
                f"{design.spec}: the netlist's {port!r} differs from the simulator in cycle "
                f"{cycle + WARM_UP - 1}, bit {bit}"
            )
    return Checks(sums=driven.sums[:, WARM_UP - 1 :].size)


def _icarus_checked(
    design: PEDesign,
    gates: DesignGates,
    ran: dict[str, Ran],
    sample: int,
) -> Checks:
    """Compare one sample with the same netlist, and its RTL, in Icarus, cycle by cycle."""
    checks, start = Checks(), WARM_UP - 1
    cycles = slice(start, ICARUS_CYCLES)
    for name, part in (("pe", gates.pe), ("edge", gates.edge)):
        inputs = sample_bits(ran[name].stimulus[:ICARUS_CYCLES], sample)
        driven = driven_nets(part.wiring, gates.cells)
        nets = sample_bits(ran[name].settled[cycles, driven], sample)
        outputs = sample_bits(ran[name].toggles.outputs[cycles], sample)
        for kind, ours in (("gates", nets), ("rtl", outputs)):
            theirs = gates.benches[f"{kind} {name}"].run(inputs, start)
            if not np.array_equal(ours, theirs):
                cycle, bit = np.argwhere(ours != theirs)[0]
                raise MismatchError(
                    f"{design.spec}: {name}: the fast form differs from the {kind} in Icarus in "
                    f"cycle {cycle + start}, bit {bit} of {ours.shape[1]}"
                )
        checks += Checks(nets=nets.size, outputs=outputs.size)
    return checks


def _joined(parts: list[Measured]) -> Measured:
    pe = Energies.joined([part.pe for part in parts])
    edge = Energies.joined([part.edge for part in parts])
    cycles = np.concatenate([part.step_cycles for part in parts])
    inputs = {name: reduce(add, (part.inputs[name] for part in parts)) for name in ("pe", "edge")}
    return Measured(pe, edge, cycles, reduce(add, (part.checks for part in parts)), inputs)
