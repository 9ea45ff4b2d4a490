"""Records of energy: what adds up, and what is never added."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.results.energy import (
    CellEnergy,
    CellsInfo,
    Energy,
    EnergyInfo,
    MemoryEnergyInfo,
    SramEnergy,
    WordEnergy,
)
from sparqsim.results.report import Report

DIGITS = Path(__file__).parent.parent / "workloads" / "digits_resnet.safetensors"
CELLS = CellsInfo(
    library="cells.lib 0123",
    node_nm=45.0,
    corner="typical",
    voltage_v=1.1,
    clock_ns=2.0,
    source="made up",
    tools="none",
    method="made up",
    fit_layers=1,
    test_layers=0,
)
WORD = WordEnergy(
    name="SRAM", word_bits=64, read_pj=32.4, write_pj=26.2, node_nm=45.0, source="made up"
)
MEMORY = MemoryEnergyInfo(sram=WORD, dram=WORD.model_copy(update={"node_nm": None}))


def _cells(unit: float) -> CellEnergy:
    return CellEnergy(switching=unit, internal=2 * unit, clock=3 * unit, leakage=4 * unit)


def _energy(unit: float = 1.0, macs: int = 10, *nodes: float) -> Energy:
    return Energy(
        pe=_cells(unit),
        edge=_cells(unit / 10),
        sram=SramEnergy(activations=1.0, weights=2.0, outputs=3.0),
        dram=100.0,
        macs=macs,
        time_ns=50.0,
        nodes_nm=nodes or (45.0,),
    )


def _report(info: EnergyInfo | None, energy: Energy | None, absent: str = "") -> Report:
    plain = sparqsim.simulate(_trace(), "mac-8b8b")
    layers = tuple(
        layer.model_copy(
            update={"energy_pj": energy and energy.model_copy(update={"macs": layer.macs})}
        )
        for layer in plain.layers
    )
    told = plain.model_copy(update={"layers": layers, "energy": info, "energy_absent": absent})
    return Report(
        **{name: getattr(told, name) for name in Report.model_fields if name != "schema_"}
    )


def _trace() -> sparqsim.Trace:
    return sparqsim.load_trace(DIGITS)


def test_parts_add_up() -> None:
    energy = _energy()
    assert energy.pe.total == 10.0
    assert energy.array == 11.0
    assert energy.total == 11.0 + 6.0 + 100.0
    assert energy.per_mac == pytest.approx(11.7)
    assert energy.delay_product_nj_us == pytest.approx(117.0 * 50.0 * 1e-6)


def test_layers_add_up_whatever_their_order() -> None:
    parts = [_energy(10.0**power) for power in (-9, 9, -3, 3)]
    assert Energy.sum_of(parts) == Energy.sum_of(parts[::-1])
    assert Energy.sum_of(parts).macs == 40


def test_figures_of_different_nodes_are_never_added() -> None:
    both = Energy.sum_of([_energy(1.0, 10, 45.0), _energy(1.0, 10, 180.0)])
    assert both.nodes_nm == (45.0, 180.0)
    assert both.total is both.per_mac is both.delay_product_nj_us is None
    assert both.array == 22.0


def test_a_report_with_energies_is_read_back() -> None:
    info = EnergyInfo(table="made-up", cells=CELLS, memory=MEMORY)
    report = _report(info, _energy())
    assert Report.from_json(report.to_json()) == report
    row = report.flat_rows()[0]
    assert row["energy_pj_pe_switching"] == 1.0
    assert row["energy_pj_total"] == 117.0
    assert row["energy_library"] == "cells.lib 0123"
    assert row["energy_clock_ns"] == 2.0
    assert "words of 64 bits" in row["energy_memory"]


def test_a_report_without_energies_says_nothing_of_them() -> None:
    report = sparqsim.simulate(_trace(), "mac-8b8b")
    document = json.loads(report.to_json())
    assert document.pop("card")["hardware"]["energy_source"] == "none"
    assert "energy" not in json.dumps(document)
    assert not [name for name in report.flat_rows()[0] if "energy" in name]


@pytest.mark.parametrize(
    ("info", "energy", "absent"),
    [
        (None, _energy(), ""),
        (EnergyInfo(table="t", cells=CELLS), None, ""),
        (EnergyInfo(table="t", cells=CELLS), _energy(), "none was measured"),
    ],
)
def test_energies_and_what_they_are_of_come_together(
    info: EnergyInfo | None, energy: Energy | None, absent: str
) -> None:
    with pytest.raises(ValueError, match="energy"):
        _report(info, energy, absent)


def test_a_changed_part_is_found_when_read() -> None:
    info = EnergyInfo(table="made-up", cells=CELLS)
    text = _report(info, _energy()).to_json().replace('"switching": 1.0', '"switching": 2.0', 1)
    with pytest.raises(InputError, match="energy_pj"):
        Report.from_json(text)
