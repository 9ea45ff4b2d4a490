"""The gate-level reference of energy: sampled outputs of a trace's layers, design by design."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError, nearest
from sparqsim.pe.base import PEDesign
from sparqsim.pe.binding import bound_to
from sparqsim.pe.encoded import Entering, signed_in_array
from sparqsim.rtl.circuits.base import Circuit
from sparqsim.rtl.designs import circuit_of
from sparqsim.rtl.gates.cells import CellLibrary, load_cells
from sparqsim.rtl.gates.circuits import DesignGates, design_gates
from sparqsim.rtl.gates.costs import Operating
from sparqsim.rtl.gates.cycles import measured_cycles
from sparqsim.rtl.gates.record import (
    Compared,
    DesignSamples,
    EnergyReference,
    LayerSamples,
    LeftOut,
    LibraryInfo,
    PartEnergies,
    Vectorless,
)
from sparqsim.rtl.gates.running import Measured, measure
from sparqsim.rtl.gates.samples import Operands, operands_of, sampled_positions
from sparqsim.rtl.gates.vectorless import vectorless_pj
from sparqsim.rtl.runner import tool_version
from sparqsim.rtl.synthesis import FLOWS, FLOWS_FOR_SPEED, Library
from sparqsim.trace import Layer, Trace

CLOCK_NS, SLEW_NS, SAMPLES = 10.0, 0.1, 128
FLOW = "default"
Report = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How energies are measured.

    Parameters
    ----------
    library : Library
        Cells to map to.
    operating : Operating
    array : ArrayConfig
        Whose tiles are sampled, and whose columns share an edge unit.
    samples : int
        Outputs of each layer.
    checked : int
        Samples of each layer that also run in Icarus, as netlist and as RTL.
    seed : int
    random : bool
        Draw operands at random, each of the layer's codes as likely, instead of the trace's.
    vectorless : bool
        Tell beside each layer what a statistical model of activity expects.
    flow : str
        Of synthesis, one of `synthesis.FLOWS` or `FLOWS_FOR_SPEED`.
    """

    library: Library
    operating: Operating = field(default_factory=lambda: Operating(CLOCK_NS, SLEW_NS))
    array: ArrayConfig = field(default_factory=lambda: ArrayConfig(16, 16))
    samples: int = SAMPLES
    checked: int = 1
    seed: int = 0
    random: bool = False
    vectorless: bool = False
    flow: str = FLOW

    def __post_init__(self) -> None:
        flows = {**FLOWS, **FLOWS_FOR_SPEED}
        if self.flow not in flows:
            raise InputError(
                f"flow={self.flow!r}: expected one of {', '.join(flows)}{nearest(self.flow, flows)}"
            )


def measured_energies(
    trace: Trace,
    name: str,
    designs: Sequence[PEDesign],
    plan: Plan,
    layers: Iterable[str] | None = None,
    report: Report = lambda _: None,
) -> EnergyReference:
    """Run sampled outputs of layers through the netlists of designs.

    Parameters
    ----------
    trace : Trace
    name : str
        Of the trace, for the record.
    designs : sequence of PEDesign
    plan : Plan
    layers : iterable of str, optional
        Names; all by default. Every layer runs on the design, those marked keep_8bit too.
    report : callable
        Is told each step.

    Raises
    ------
    InputError
        For a design without RTL, a layer that is not there, a library without the cells, or
        without Yosys and Icarus Verilog.
    MismatchError
        Where netlist, RTL and simulator differ.
    """
    if plan.library.liberty is None:
        raise InputError("energy needs cells; expected a liberty file")
    for design in designs:
        circuit_of(design)
    cells = load_cells([plan.library.liberty, *plan.library.more])
    chosen = _chosen(trace, layers)
    measured = []
    for design in designs:
        report(design.spec)
        measured.append(_design(design, chosen, plan, cells, report))
    return EnergyReference(
        trace=name,
        trace_sha256=trace.sha256,
        tools=(tool_version("yosys", "-V"), tool_version("iverilog", "-V")),
        library=_library_info(plan.library, cells),
        flow=plan.flow,
        clock_ns=plan.operating.clock_ns,
        slew_ns=plan.operating.slew_ns,
        rows=plan.array.rows,
        cols=plan.array.cols,
        seed=plan.seed,
        samples=plan.samples,
        random=plan.random,
        designs=tuple(measured),
    )


def _chosen(trace: Trace, names: Iterable[str] | None) -> list[tuple[int, Layer]]:
    numbered = list(enumerate(trace.layers))
    if names is None:
        return numbered
    known = [layer.name for layer in trace.layers]
    wanted = list(names)
    for name in wanted:
        if name not in known:
            raise InputError(f"--layers: has no layer {name!r}; expected of {', '.join(known)}")
    return [(number, layer) for number, layer in numbered if layer.name in wanted]


def _library_info(library: Library, cells: CellLibrary) -> LibraryInfo:
    return LibraryInfo(
        files=(library.name,), names=cells.names, corner=cells.corner, voltage_v=cells.voltage_v
    )


def _design(
    design: PEDesign,
    layers: list[tuple[int, Layer]],
    plan: Plan,
    cells: CellLibrary,
    report: Report,
) -> DesignSamples:
    @cache
    def gates_of(circuit: Circuit) -> DesignGates:
        return design_gates(circuit, plan.library, cells, plan.flow, plan.operating)

    measured, left_out, cycles = [], [], None
    for number, layer in layers:
        bound = bound_to(layer, design)
        try:
            entering = bound.encoded(layer.lower())
            circuit = circuit_of(bound, signed=signed_in_array(entering, stored=layer.signed))
        except InputError as error:
            left_out.append(LeftOut(layer=layer.name, reason=str(error)))
            continue
        gates = gates_of(circuit)
        operands = layer_operands(layer, entering, number, plan)
        if cycles is None:
            cycles = measured_cycles(bound, gates, operands)
        measured.append(_layer(bound, gates, layer, operands, plan))
        report(f"{design.spec} {layer.name}: {measured[-1].pj_per_mac(plan.array.cols):.4g} pJ/MAC")
    if cycles is None:
        raise InputError(f"{design.spec}: runs none of the layers ({left_out[0].reason})")
    return DesignSamples(
        design=design.spec,
        pe_cells=len(gates.pe.wiring.instances),
        edge_cells=len(gates.edge.wiring.instances),
        pe_cycles=cycles[0],
        edge_cycles=cycles[1],
        layers=tuple(measured),
        left_out=tuple(left_out),
    )


def layer_operands(layer: Layer, entering: Entering, number: int, plan: Plan) -> Operands:
    """Return the sampled operands of layer `number` of a trace, as they enter a design's array:
    the same outputs for every design, and, but for codes of a design's own, the same operands.
    """
    rng = np.random.default_rng([plan.seed, number])
    sizes = (entering.groups, entering.m, entering.n)
    positions = sampled_positions(sizes, plan.array, plan.samples, rng)
    operands = operands_of(entering, positions, plan.array)
    return _at_random(layer, operands, rng) if plan.random else operands


def _at_random(layer: Layer, operands: Operands, rng: np.random.Generator) -> Operands:
    """Return operands of the same shapes, every code of the layer's bits as likely."""
    record = layer.record
    least, beyond = (
        (-(1 << record.activation_bits - 1), 1 << record.activation_bits - 1)
        if layer.signed
        else (0, 1 << record.activation_bits)
    )
    shape, dtype = operands.x.shape, operands.x.dtype
    w = rng.integers(1 - (1 << record.weight_bits - 1), 1 << record.weight_bits - 1, shape)
    x, above = (rng.integers(least, beyond, shape).astype(dtype) for _ in range(2))
    above[~operands.inner] = 0
    return replace(operands, x=x, w=w.astype(np.int8), x_above=above)


def _layer(
    design: PEDesign, gates: DesignGates, layer: Layer, operands: Operands, plan: Plan
) -> LayerSamples:
    result = measure(design, gates, operands, plan.checked)
    checks = result.checks
    expected = _vectorless(gates, result) if plan.vectorless else None
    return LayerSamples(
        layer=layer.name,
        signed=layer.signed,
        macs=operands.x.shape[1],
        positions=tuple((at.group, at.m, at.n) for at in operands.positions),
        step_cycles=tuple(result.step_cycles.tolist()),
        pe=PartEnergies.of(result.pe),
        edge=PartEnergies.of(result.edge),
        compared=Compared(sums=checks.sums, nets=checks.nets, outputs=checks.outputs),
        vectorless=expected,
    )


def _vectorless(gates: DesignGates, result: Measured) -> Vectorless:
    """Return what a sample would cost by a model that knows the inputs' statistics alone."""
    cycles = int(result.step_cycles.sum())
    mean_cycles = cycles / len(result.step_cycles)
    found = {
        name: vectorless_pj(
            part,
            gates.cells,
            result.inputs[name].ones / cycles,
            result.inputs[name].transitions / cycles,
            mean_cycles,
        )
        for name, part in (("pe", gates.pe), ("edge", gates.edge))
    }
    return Vectorless(pe_pj=found["pe"], edge_pj=found["edge"])
