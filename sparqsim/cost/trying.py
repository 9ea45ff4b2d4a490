"""The model on whole layers beside the gate-level reference of their sampled outputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sparqsim.base.errors import InputError
from sparqsim.cost.counting import LayerCounter
from sparqsim.cost.fit import fitted_counts, layers_of, per_cycle, points_of
from sparqsim.cost.model import array_energy
from sparqsim.cost.table import Costs, DesignCosts, EnergyTable, Orders, TriedLayer
from sparqsim.pe.arithmetic import row_blocks
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.binding import bound_to
from sparqsim.pe.declared import activation_cycles
from sparqsim.pe.registry import get_pe
from sparqsim.rtl.gates.record import DesignSamples, EnergyReference, LayerSamples
from sparqsim.trace import Layer, Trace

#: Two designs are apart where they differ by more than so many standard errors of the difference.
SEPARATED = 2
PERCENT_DIGITS = 6


@dataclass(frozen=True)
class Measured:
    """A gate-level record and the trace whose operands it is of; `where` names it."""

    record: EnergyReference
    trace: Trace
    where: str

    def __post_init__(self) -> None:
        if self.record.random:
            raise InputError(f"{self.where}: operands were drawn at random; expected a trace's own")
        if self.record.trace_sha256 != self.trace.sha256:
            raise InputError(
                f"{self.where}: is of a trace with SHA-256 {self.record.trace_sha256[:12]}, and "
                f"this one has {self.trace.sha256[:12]}; expected the record's own"
            )
        names = [each.design for each in self.record.designs]
        if not names or len({*names}) < len(names):
            raise InputError(
                f"{self.where}: designs: {', '.join(names) or 'none'}; expected each one once, and "
                "one at least"
            )

    @property
    def network(self) -> str:
        """What the layers are of."""
        return self.trace.metadata.network or self.record.trace

    def samples(self, design: str) -> DesignSamples | None:
        """Return the samples of a design; None where it has none."""
        return next((each for each in self.record.designs if each.design == design), None)


def table_of(name: str, fit: Measured, tests: Sequence[Measured], node_nm: float) -> EnergyTable:
    """Return a table: coefficients from `fit` alone, tried on it and on `tests`.

    Raises
    ------
    InputError
        As `tried_on` does, or for a trace without a layer of its record.
    """
    record, library = fit.record, fit.record.library
    fitted = EnergyTable(
        name=name,
        library=", ".join(library.files),
        node_nm=node_nm,
        corner=library.corner,
        voltage_v=library.voltage_v,
        clock_ns=record.clock_ns,
        slew_ns=record.slew_ns,
        flow=record.flow,
        tools=record.tools,
        notes=record.notes,
        trace=record.trace,
        trace_sha256=record.trace_sha256,
        rows=record.rows,
        cols=record.cols,
        samples=record.samples,
        orders=Orders(pairs=0, separated=0, right=0),
        designs={samples.design: _fitted(samples, fit) for samples in record.designs},
    )
    return tried_on(fitted, tests)


def tried_on(table: EnergyTable, tests: Sequence[Measured]) -> EnergyTable:
    """Return a table tried on other records than it was; its coefficients stay what they are.

    Raises
    ------
    InputError
        For a test in another library, at another clock or in another flow than the fit, on its own
        trace, of none of the table's designs, or whose trace lacks a layer of its record.
    """
    for test in tests:
        _check_alike(table, test)
    designs = {
        name: _tried_on(name, costs, table.cols, tests) for name, costs in table.designs.items()
    }
    return table.model_copy(update={"designs": designs, "orders": _orders(designs)})


def _check_alike(table: EnergyTable, test: Measured) -> None:
    record = test.record
    theirs = {
        "library": ", ".join(record.library.files),
        "flow": record.flow,
        "clock_ns": record.clock_ns,
        "slew_ns": record.slew_ns,
        "cols": record.cols,
    }
    for key, value in theirs.items():
        if value != (ours := getattr(table, key)):
            raise InputError(f"{test.where}: {key}={value}; expected the fit's, {ours}")
    if record.trace_sha256 == table.trace_sha256:
        raise InputError(f"{test.where}: is of the fit's own trace; expected another network's")
    names = [each.design for each in record.designs]
    if not {*names} & {*table.designs}:
        raise InputError(
            f"{test.where}: is of {', '.join(names)}, which the table has not; expected some of "
            f"{', '.join(table.designs)}"
        )


def _fitted(samples: DesignSamples, fit: Measured) -> DesignCosts:
    design = get_pe(samples.design)
    points = points_of(design, samples, fit.trace, fit.where)
    costs = Costs(
        counts=fitted_counts(points, samples.pe_cycles),
        pe_cycle=per_cycle(samples.pe_cycles),
        edge_cycle=per_cycle(samples.edge_cycles),
    )
    constant = fmean(each.pj_per_mac(fit.record.cols) for each in samples.layers)
    trial = _Trial(design, costs, constant, fit.record.cols)
    return DesignCosts(
        counts=costs.counts,
        pe_cycle=costs.pe_cycle,
        edge_cycle=costs.edge_cycle,
        fitted=tuple(trial.layers(fit, samples)),
    )


def _tried_on(name: str, costs: DesignCosts, cols: int, tests: Sequence[Measured]) -> DesignCosts:
    constant = fmean(each.reference_pj_per_mac for each in costs.fitted)
    trial = _Trial(get_pe(name), costs, constant, cols)
    found = [(test, test.samples(name)) for test in tests]
    tested = (trial.layers(test, samples) for test, samples in found if samples)
    return costs.model_copy(update={"tested": tuple(itertools.chain.from_iterable(tested))})


class _Trial:
    """Tries coefficients of a design on layers."""

    def __init__(self, design: PEDesign, costs: Costs, constant: float, cols: int) -> None:
        self._design, self._costs = design, costs
        self._constant, self._cols = constant, cols

    def layers(self, measured: Measured, samples: DesignSamples) -> Iterable[TriedLayer]:
        """Yield every layer of a record, as predicted and as measured."""
        layers = layers_of(samples, measured.trace, measured.where)
        for each in samples.layers:
            predicted = self._pj_per_mac(layers[each.layer])
            yield self._tried(measured.network, each, predicted)

    def _tried(self, network: str, samples: LayerSamples, predicted: float) -> TriedLayer:
        reference = samples.pj_per_mac(self._cols)
        vectorless = samples.vectorless

        def percent(value: float) -> float:
            return round(100 * (value / reference - 1), PERCENT_DIGITS)

        statistical = None
        if vectorless is not None:
            statistical = (vectorless.pe_pj + vectorless.edge_pj / self._cols) / samples.macs
        return TriedLayer(
            network=network,
            layer=samples.layer,
            signed=samples.signed,
            reference_pj_per_mac=reference,
            standard_error_percent=round(
                100 * samples.standard_error(self._cols) / reference, PERCENT_DIGITS
            ),
            error_percent=percent(predicted),
            constant_error_percent=percent(self._constant),
            vectorless_error_percent=None if statistical is None else percent(statistical),
        )

    def _pj_per_mac(self, layer: Layer) -> float:
        """Return the model's energy per MAC, of PEs and their shares of edge units, of all steps:
        neither padding, filling nor draining is in the samples.
        """
        design, lowered = bound_to(layer, self._design), layer.lower()
        counter, row_cycles = LayerCounter((design,), lowered.weights), 0
        for x in row_blocks(lowered):
            counter.add_rows(x)
            row_cycles += _cycles(design, x)
        cycles = row_cycles * lowered.n
        energy = array_energy(self._costs, counter.toggles(1, 1), cycles, cycles)
        macs = layer.gemm.macs
        return (energy.pe.total + energy.edge.total / self._cols) / macs


def _cycles(design: PEDesign, x: Array) -> int:
    """Return the cycles of all steps of rows (groups, rows, K)."""
    if design.cost == "activations":
        return int(activation_cycles(design, x).sum(dtype="int64"))
    groups, rows, k = x.shape
    return int(groups * rows * design.steps(k))


def _orders(designs: Mapping[str, DesignCosts]) -> Orders:
    """Return how many pairs of designs the reference tells apart, and the model orders alike."""
    pairs = separated = right = 0
    for one, other in itertools.combinations(designs.values(), 2):
        of_other = {(each.network, each.layer): each for each in other.tested}
        for each in one.tested:
            beside = of_other.get((each.network, each.layer))
            if beside is None:
                continue
            pairs += 1
            difference = each.reference_pj_per_mac - beside.reference_pj_per_mac
            if abs(difference) > SEPARATED * _error(each, beside):
                separated += 1
                right += (_predicted(each) > _predicted(beside)) == (difference > 0)
    return Orders(pairs=pairs, separated=separated, right=right)


def _error(*layers: TriedLayer) -> float:
    """Return the standard error of a difference, pJ per MAC."""
    errors = (each.standard_error_percent / 100 * each.reference_pj_per_mac for each in layers)
    return float(sum(error**2 for error in errors) ** 0.5)


def _predicted(layer: TriedLayer) -> float:
    return layer.reference_pj_per_mac * (1 + layer.error_percent / 100)
