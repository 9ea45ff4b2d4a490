"""Energies of cycles in which a PE does nothing of use: idle, zeros, padding, draining."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparqsim.pe.base import PEDesign
from sparqsim.rtl.gates.circuits import DesignGates, Gates
from sparqsim.rtl.gates.costs import Energies, energies
from sparqsim.rtl.gates.driving import (
    RESET_CYCLES,
    WARM_UP,
    Planes,
    drive,
    packed_samples,
    sum_bits,
)
from sparqsim.rtl.gates.record import PARTS, CycleEnergies, CycleKinds
from sparqsim.rtl.gates.running import run
from sparqsim.rtl.gates.samples import Operands, steps_of
from sparqsim.rtl.gates.toggles import LANES, simulated

#: Cycles that are measured of those in which nothing depends on operands.
CYCLES = 16
NOBODY = np.uint64(0)
EVERYBODY = ~NOBODY


def measured_cycles(
    design: PEDesign, gates: DesignGates, operands: Operands
) -> tuple[CycleKinds, CycleKinds]:
    """Return the kinds of cycles of a PE and of an edge unit.

    Parameters
    ----------
    design : PEDesign
        Bound to the layer.
    gates : DesignGates
    operands : Operands
        Of a layer, for padded and draining cycles.
    """
    some = _some(operands)
    zeros = replace(
        some,
        x=np.zeros_like(some.x),
        w=np.zeros_like(some.w),
        x_above=np.zeros_like(some.x_above),
    )
    kinds = {
        "zero_operands": _steps(design, gates, zeros),
        "padded_row": _steps(design, gates, replace(some, x=zeros.x, x_above=zeros.x)),
        "padded_column": _steps(design, gates, replace(some, w=zeros.w)),
    }
    pe, edge = (
        CycleKinds(
            idle=_window(part, _resting(part, CYCLES), WARM_UP),
            **{kind: pair[at] for kind, pair in kinds.items()},
            drain=_drain(design, gates, some) if at == 0 else None,
        )
        for at, part in enumerate((gates.pe, gates.edge))
    )
    return pe, edge


def _some(operands: Operands) -> Operands:
    first = slice(0, LANES)
    return Operands(
        operands.positions[first],
        operands.x[first],
        operands.w[first],
        operands.x_above[first],
        operands.inner[first],
    )


def _steps(
    design: PEDesign, gates: DesignGates, operands: Operands
) -> tuple[CycleEnergies, CycleEnergies]:
    """Return what a cycle within the steps of samples costs, the first step and the last left out.

    A step before and one behind of zeros take the transitions at both ends.
    """
    steps = steps_of(design, operands)
    shortest = int(steps.cycles.sum(1).min())
    driven = drive(
        design, gates.circuit, gates.widths, steps, np.zeros(len(steps.cycles), np.int64)
    )
    ran = run(gates, driven)
    # The mark of the first step is in the registers behind a cycle later than in the PE, and in
    # what follows those behind the multipliers later still.
    first = WARM_UP + int(steps.cycles[:, 0].max()) + 2 + design.stage_cycles
    last = max(WARM_UP + shortest - int(steps.cycles[:, -1].max()) - 1, first + 1)
    kinds = []
    for name, part in (("pe", gates.pe), ("edge", gates.edge)):
        planes = ran[name].stimulus[:last]
        kinds.append(_window(part, planes, first, len(steps.cycles)))
    return kinds[0], kinds[1]


def _resting(gates: Gates, cycles: int) -> np.ndarray:
    """Return inputs of zeros, but `advance`, after a reset."""
    length = WARM_UP + cycles
    planes: Planes = {
        name: np.zeros((length, len(nets)), np.uint64) for name, nets in gates.wiring.inputs.items()
    }
    planes["advance"][:] = EVERYBODY
    planes["rst"][:RESET_CYCLES] = EVERYBODY
    return gates.stimulus(planes)


def _drain(design: PEDesign, gates: DesignGates, operands: Operands) -> CycleEnergies:
    """Return what a cycle costs in which a PE takes the sum above, of another output each."""
    sums = steps_of(design, operands).sums[:, -1] >> int(getattr(gates.circuit, "scale", 0))
    order = (np.arange(len(sums))[:, None] + np.arange(WARM_UP + CYCLES)) % len(sums)
    length = WARM_UP + CYCLES
    planes: Planes = {
        name: np.zeros((length, len(nets)), np.uint64)
        for name, nets in gates.pe.wiring.inputs.items()
    }
    planes["advance"][:] = EVERYBODY
    planes["rst"][:RESET_CYCLES] = EVERYBODY
    planes["shift"][RESET_CYCLES:] = EVERYBODY
    planes["above"] = packed_samples(sum_bits(sums[order]))
    return _window(gates.pe, gates.pe.stimulus(planes), WARM_UP, len(sums))


def _window(
    gates: Gates, stimulus: np.ndarray, counted_from: int, samples: int = LANES
) -> CycleEnergies:
    """Return the mean cycle of a stimulus from a cycle on to its end."""
    cycles = len(stimulus) - counted_from
    working = np.full(len(stimulus), EVERYBODY)
    toggles = simulated(gates.program, stimulus, counted_from, working)
    found = energies(toggles, gates.costs, np.full(samples, cycles))
    return _mean(found, cycles)


def _mean(found: Energies, cycles: int) -> CycleEnergies:
    means = {part: float(getattr(found, part).mean()) / cycles for part in PARTS}
    return CycleEnergies(**{f"{part}_pj": float(f"{value:.7g}") for part, value in means.items()})
