"""Measure what the default designs cost on the shipped trace and on ResNet-18: cycles, area, own
clocks, energy; and write docs/costs.md and its figure.

    python workloads/measure_costs.py                                        # digits, a minute
    SPARQSIM_SHARED=../shared python workloads/measure_costs.py resnet18     # longer

Records go to docs/costs/NAME.json; `cost_tables.py` makes the tables from them, by itself too, and
`docs/figures/make.py` the figure. ResNet-18 needs the extra `torch`; its weights and pictures are
the shared data's, and nothing of them is copied.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from cost_tables import FOLDER, PARTS, write_tables
from page_tables import ROOT

import sparqsim
from sparqsim.base.files import write_text
from sparqsim.engine.simulation import DEFAULT_PES
from sparqsim.results.comparison import Comparison
from sparqsim.results.energy import Energy
from sparqsim.results.iso_area import Range
from sparqsim.results.report import Report
from sparqsim.trace.source import TensorSource

ENERGY_TABLE = "osu018"
SEED = 0

Row = dict[str, Any]


def digits() -> sparqsim.Trace:
    """Return the trace that ships."""
    return sparqsim.load_trace(ROOT / "workloads" / "digits_resnet.safetensors")


def resnet18() -> sparqsim.Trace:
    """Return the trace of one ImageNet sample; 60 set the scales."""
    from measure_predictions import traced

    return traced("resnet18")


def random_operands(trace: sparqsim.Trace) -> sparqsim.Trace:
    """Return the layers with every operand drawn uniformly from all of its codes; borders stay
    zero.
    """
    rng = np.random.default_rng(SEED)

    def drawn(source: TensorSource) -> TensorSource:
        codes = np.iinfo(source.dtype)
        values = rng.integers(codes.min, codes.max, source.shape, source.dtype, endpoint=True)
        return TensorSource.of(values)

    layers = [
        replace(
            layer,
            activations_source=drawn(layer.activations_source),
            weights_source=drawn(layer.weights_source),
        )
        for layer in trace.layers
    ]
    return sparqsim.Trace(layers, synthetic=f"uniform codes, seed {SEED}")


def measured(name: str, trace: sparqsim.Trace) -> Row:
    """Return the record of a network."""
    real = sparqsim.compare(trace, DEFAULT_PES, iso="area", clock="own", energy=ENERGY_TABLE)
    drawn = sparqsim.compare(random_operands(trace), DEFAULT_PES, energy=ENERGY_TABLE)
    rows = [_row(real, drawn, pe) for pe in DEFAULT_PES]
    return {"network": name, **_about(real), "rows": rows}


def _about(real: Comparison) -> Row:
    """Return what all figures of a record are of."""
    report = real.reports[real.baseline]
    energy, clock, iso = report.energy, real.clock, real.iso_area
    if energy is None or clock is None or iso is None:
        raise ValueError("energy, clock and equal area were asked for")
    cells = energy.cells
    reports = real.reports
    remarks = [each.energy.remarks for each in reports.values() if each.energy is not None]
    return {
        "array": report.array.words,
        "inputs": report.coverage.inputs,
        "macs": report.totals.macs,
        "areas": f"{iso.source}, {iso.combinations} libraries and flows",
        "clocks": {"source": clock.source, "library": clock.library, "corner": clock.corner},
        "energies": {
            "library": cells.library,
            "node_nm": cells.node_nm,
            "corner": cells.corner,
            "voltage_v": cells.voltage_v,
            "clock_ns": cells.clock_ns,
            "source": cells.source,
            "remarks": list(dict.fromkeys(remark for each in remarks for remark in each)),
            "absent": {
                pe: each.energy_absent for pe, each in reports.items() if each.energy_absent
            },
        },
    }


def _row(real: Comparison, drawn: Comparison, pe: str) -> Row:
    iso, clock = real.iso_area, real.clock
    if iso is None or clock is None:
        raise ValueError("clock and equal area were asked for")
    at_area, timed = iso.designs[pe], clock.designs[pe]
    if timed.equal_area is None:
        raise ValueError("equal area was asked for")
    energies = {"real": _energy(real.reports[pe]), "random": _energy(drawn.reports[pe])}
    return {
        "pe": pe,
        "cycles": real.reports[pe].cycles.total,
        "speedup": real.speedup(pe),
        "pe_area": _three(at_area.relative_pe_area[real.baseline]),
        "speedup_per_area": _three(at_area.speedup_per_area),
        "shortest_period_ns": timed.shortest_period_ns,
        "time_us": timed.time_us,
        "speedup_in_time": timed.speedup,
        "speedup_per_area_own_clock": _three(timed.equal_area.speedup_per_area),
        "pj_per_mac": energies,
    }


def _three(figure: Range) -> list[float]:
    return [figure.low, figure.middle, figure.high]


def _energy(report: Report) -> Row | None:
    """Return the array's energy by part, pJ per multiply-accumulate of the exact layers; None where
    the report says why there is none.
    """
    energy = report.totals.energy_pj
    return energy and {part: _part(energy, part) / energy.macs for part in PARTS}


def _part(energy: Energy, part: str) -> float:
    return energy.edge.total if part == "edge" else getattr(energy.pe, part)


SUBJECTS: Mapping[str, tuple[str, Callable[[], sparqsim.Trace]]] = {
    "digits": ("the shipped trace (residual CNN, handwritten digits)", digits),
    "resnet18": ("ResNet-18", resnet18),
}


def main() -> None:
    """Measure, and write records and tables."""
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or ["digits"]:
        title, traced = SUBJECTS[name]
        text = json.dumps(measured(title, traced()), indent=1)
        write_text(FOLDER / f"{name}.json", text + "\n")
    write_tables()


if __name__ == "__main__":
    main()
