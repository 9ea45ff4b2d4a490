"""Energy on the command line: options, tables, what is said beside the figures; sweeps and regressions."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from energy_cases import layer, memory, table, trace

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.html.gather import Gathered
from sparqsim.results.loading import as_comparison
from sparqsim.sweep import sweep
from sparqsim.sweep.case import Case
from sparqsim.sweep.case import run as run_case
from sparqsim.sweep.database import Database
from sparqsim.sweep.export import rows_of


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "drawn.safetensors"
    trace(layer("a", 1), layer("b", 2, keep_8bit=True)).save(file)
    return str(file)


@pytest.fixture
def at_45_nm(tmp_path: Path) -> str:
    file = tmp_path / "mine.json"
    table(45.0).save(file)
    return str(file)


def test_compare_shows_energy_its_split_and_what_it_is_of(run, path):
    ended = run("compare", path, "--energy", "osu018", "--array", "4x4")
    assert ended.code == 0, ended.err
    for said in ("pJ per", "x time", "switch-", "osu018_stdcells.lib", "180 nm", "clock of"):
        assert said in ended.out
    for said in ("Error against gate-level runs", "Not counted", "Memory is not modelled"):
        assert said in " ".join(ended.out.split())


def test_simulate_shows_it_layer_by_layer(run, path):
    ended = run("simulate", path, "--pe", "sparq-5opt", "--energy", "osu018", "--config", "edge")
    assert ended.code == 0, ended.err
    assert "SRAM" in ended.out
    assert "No total: cells and scratchpads are of 45 nm and 180 nm" in " ".join(ended.out.split())


def test_csv_and_json_have_all_of_it(run, path, at_45_nm):
    options = ("--pe", "mac-8b8b", "--energy", at_45_nm, "--config", "edge")
    as_csv = run("compare", path, *options, "--format", "csv").out
    document = json.loads(run("compare", path, *options, "--format", "json").out)
    total = list(csv.DictReader(io.StringIO(as_csv)))[-1]
    energy = document["reports"]["mac-8b8b"]["totals"]["energy_pj"]
    assert float(total["energy_pj_total"]) == energy["total"]
    assert float(total["energy_pj_pe_clock"]) == energy["pe"]["clock"]
    assert float(total["energy_pj_sram_weights"]) == energy["sram"]["weights"]
    assert float(total["energy_pj_per_mac"]) == energy["per_mac"]
    assert total["energy_library"] == "made-up.lib"
    assert total["energy_clock_ns"] == "2.0"
    assert document["reports"]["mac-8b8b"]["energy"]["cells"]["corner"] == "typical"


def test_nodes_are_brought_together_on_request(run, path, at_45_nm):
    asked = ("compare", path, "--pe", "mac-8b8b", "--energy", at_45_nm, "--config", "edge")
    ended = run(*asked, "--memory-energy", "28nm", "--scale-to", "28")
    assert ended.code == 0, ended.err
    assert "Scaled to 28 nm: cells x 0.51, scratchpads x 1" in " ".join(ended.out.split())
    refused = run(*asked, "--memory-energy", "22nm", "--scale-to", "28")
    assert refused.code == 2
    assert "not 22" in refused.err


def test_a_memory_table_of_the_cells_node_gives_a_total(run, path, tmp_path):
    words = tmp_path / "words.json"
    memory(180.0).save(words)
    ended = run(
        "compare",
        path,
        "--pe",
        "mac-8b8b",
        "--energy",
        "osu018",
        "--config",
        "edge",
        "--memory-energy",
        str(words),
        "--format",
        "json",
    )
    energy = json.loads(ended.out)["reports"]["mac-8b8b"]["totals"]["energy_pj"]
    assert energy["nodes_nm"] == [180.0]
    assert energy["total"] is not None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--energy", "osu01"), "did you mean osu018"),
        (("--energy", "osu018", "--memory-energy", "46nm", "--config", "edge"), "45nm"),
        (("--energy", "osu018", "--memory-energy", "28nm"), "expected --config too"),
        (("--energy", "osu018", "--dataflow", "ws"), "dataflow os, lockstep"),
        (("--energy", "osu018", "--scale-to", "45"), "not 180"),
        (("--scale-to", "45"), "expected --energy too"),
        (("--memory-energy", "28nm"), "expected --energy too"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(run, path, options, said):
    ended = run("compare", path, "--pe", "mac-8b8b", *options)
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_a_file_of_another_kind_is_told(run, path, tmp_path):
    report = tmp_path / "report.json"
    assert run("simulate", path, "--pe", "mac-8b8b", "-o", str(report)).code == 0
    ended = run("simulate", path, "--pe", "mac-8b8b", "--energy", str(report))
    assert ended.code == 2
    assert "the report of one design" in ended.err


@pytest.mark.parametrize("value", [-1, 1e308, "much", None])
def test_a_coefficient_that_cannot_be_is_refused_in_a_line(run, path, at_45_nm, value):
    file = Path(at_45_nm)
    document = json.loads(file.read_text())
    document["designs"]["mac-8b8b"]["pe_cycle"]["clock_pj"] = value
    file.write_text(json.dumps(document))
    ended = run("simulate", path, "--pe", "mac-8b8b", "--energy", at_45_nm)
    assert ended.code == 2
    assert "mine.json: designs.mac-8b8b.pe_cycle.clock_pj: Input should be" in ended.err
    assert len(ended.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("source", " ", "sram.source: is empty"),
        ("node_nm", None, "sram.node_nm: expected the node"),
        ("read_pj", 1e308, "more than 1e+12 pJ"),
    ],
)
def test_a_memory_without_source_or_node_is_refused_in_a_line(
    run, path, tmp_path, field, value, said
):
    document = json.loads(memory(45.0).to_json())
    document["sram"][field] = value
    file = tmp_path / "memory.json"
    file.write_text(json.dumps(document))
    options = ("--energy", "osu018", "--config", "edge", "--memory-energy", str(file))
    ended = run("simulate", path, "--pe", "mac-8b8b", *options)
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_a_design_without_coefficients_is_listed(run, path):
    ended = run("compare", path, "--pe", "mac-8b8b,stripes", "--energy", "osu018")
    assert ended.code == 0, ended.err
    assert "No energy: stripes, layer 'a'" in " ".join(ended.out.split())


def test_energies_of_different_cells_do_not_stand_side_by_side(path, at_45_nm, tmp_path):
    loaded = sparqsim.load_trace(path)
    one = sparqsim.simulate(loaded, "mac-8b8b", energy="osu018")
    other = sparqsim.simulate(loaded, "sparq-5opt", energy=at_45_nm)
    with pytest.raises(InputError, match=r"180 nm.*45 nm"):
        as_comparison([one, other])
    beside = sparqsim.simulate(loaded, "sparq-5opt", energy="osu018")
    assert as_comparison([one, beside]).reports["sparq-5opt"] == beside
    assert len(Gathered.of([one, other]).runs) == 2
    assert len(Gathered.of([one, beside]).runs) == 1


def test_a_sweep_records_energy_and_tells_tables_apart(path, at_45_nm, tmp_path):
    cases = [
        Case(trace=path, pe=pe, array="4x4", energy=energy)
        for energy in ("", "osu018", at_45_nm)
        for pe in ("mac-8b8b", "sparq-5opt", "stripes")
    ]
    store = tmp_path / "store.sqlite"
    sweep(cases, store, jobs=1)
    with Database(store) as opened:
        rows = rows_of(opened)
    assert len(rows) == 9
    with_energy = [row for row in rows if row["energy_pj_total"] is not None]
    assert {row["energy_table"] for row in with_energy} == {"osu018", "made-up"}
    assert {row["pe"] for row in with_energy} == {"mac-8b8b", "sparq-5opt"}
    refused = [row for row in rows if row["state"] == "refused"]
    assert {row["pe"] for row in refused} == {"stripes"}
    assert len(refused) == 2


def test_a_case_gives_what_simulate_gives(path):
    case = Case(trace=path, pe="sparq-5opt", array="4x4", energy="osu018")
    loaded = sparqsim.load_trace(path)
    direct = sparqsim.simulate(loaded, "sparq-5opt", sparqsim.ArrayConfig(4, 4), energy="osu018")
    assert run_case(loaded, case) == direct
