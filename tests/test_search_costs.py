"""Budgets of `sparqsim search` in energy and in time, and what has none is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")

from search_networks import ARRAY, three_products

from sparqsim import ArrayConfig, InputError, get_pe, simulate
from sparqsim.cli import main
from sparqsim.cost.plan import EnergyPlan
from sparqsim.networks.images import Pictures
from sparqsim.networks.modelfiles import open_network
from sparqsim.plot.search import search_points
from sparqsim.results.search_report import SearchReport, SearchTrial
from sparqsim.rtl.timing import period
from sparqsim.search.run import Found, Search, search

TABLE = EnergyPlan.of("osu018")
MAC = Search(
    pe="mac-8b8b", keep_8bit=("last",), least_bits=4, cost="energy", energy=TABLE, exact_points=0
)
TIMED = Search(pe="stripes", keep_8bit=("last",), least_bits=6, cost="time")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return three_products(tmp_path_factory.mktemp("costs"))


def found(folder: Path, asked: Search, trials: Path, array: ArrayConfig = ARRAY) -> Found:
    pictures = Pictures.open(folder / "x.npz")
    return search(str(folder / "net.onnx"), pictures, None, asked, array, trials)


@pytest.fixture(scope="module")
def saving(folder: Path) -> SearchReport:
    return found(folder, replace(MAC, budget="97%"), folder / "energy.jsonl").report


def test_energy_is_that_of_the_recipes_own_network(folder: Path, saving: SearchReport) -> None:
    """Layers are measured one by one: together they are what `simulate` says of the network."""
    pictures = Pictures.open(folder / "x.npz")
    count = saving.calibration_pictures
    recipe = found(folder, replace(MAC, budget="97%"), folder / "energy.jsonl").recipe
    network = open_network(str(folder / "net.onnx"), pictures.first(count), recipe=recipe)
    trace = network.trace(pictures.at([count]))
    energy = simulate(trace, get_pe("mac-8b8b"), ARRAY, energy="osu018").totals.energy_pj
    assert energy is not None
    assert saving.best.energy_pj == pytest.approx(energy.total, rel=1e-12)
    assert len(set(saving.best.bits)) > 1, "all edges alike: nothing mixed was tested"


def test_a_budget_of_energy_is_kept_where_cycles_follow_no_bits(saving: SearchReport) -> None:
    assert len({trial.cycles for trial in saving.trials}) == 1
    assert saving.cost_of(saving.best) <= saving.budget
    assert saving.budget == pytest.approx(0.97 * saving.default.energy_pj / 1000)
    within = [each for each in saving.uniform if saving.cost_of(each) <= saving.budget]
    assert within
    assert all(saving.best.agree >= each.agree for each in within)
    assert saving.energy is not None
    assert saving.energy.table == "osu018"


def dominates(one: SearchTrial, other: SearchTrial) -> bool:
    return (
        one.agree >= other.agree
        and one.energy_pj <= other.energy_pj
        and (one.agree, one.energy_pj) != (other.agree, other.energy_pj)
    )


def test_no_uniform_bits_dominate_the_front(saving: SearchReport) -> None:
    assert not any(dominates(one, other) for one in saving.uniform for other in saving.front)
    gains = {point.label: point.speedup for point in search_points(saving)}
    assert max(gains.values()) > 1, "the front is drawn over energy"


def test_a_budget_below_the_fewest_bits_is_kept_by_what_takes_less(folder, tmp_path) -> None:
    """Mixed bits may toggle less than the fewest everywhere: no such budget is refused."""
    asked = replace(MAC, budget="99%", method="separable:looks=99")
    cheapest = found(folder, asked, folder / "energy.jsonl").report.front[-1]
    assert cheapest.bits != (4,) * 4
    asked = replace(MAC, budget=repr(cheapest.energy_pj / 1000), method="separable:looks=99")
    assert found(folder, asked, folder / "energy.jsonl").report.best.bits == cheapest.bits
    lower = replace(asked, budget=repr(cheapest.energy_pj / 1000 * 0.9999))
    with pytest.raises(InputError, match="at the least; expected"):
        found(folder, lower, tmp_path / "t")


def test_a_budget_in_nj_says_the_same_as_its_percentage(folder, saving, tmp_path) -> None:
    asked = replace(MAC, budget=repr(saving.budget))
    same = found(folder, asked, folder / "energy.jsonl").report
    assert same.best == saving.best


def test_time_is_cycles_at_the_designs_own_clock(folder: Path, tmp_path: Path) -> None:
    by_time = found(folder, replace(TIMED, budget="80%"), tmp_path / "t").report
    assert by_time.period_ns == period("stripes").period_ns
    assert by_time.budget == by_time.default.cycles * 80 // 100 * by_time.period_ns / 1000
    by_cycles = found(folder, replace(TIMED, budget="80%", cost="cycles"), tmp_path / "t").report
    assert by_cycles.best == by_time.best
    rows = by_time.flat_rows()
    assert rows[0]["time_us"] == rows[0]["cycles"] * by_time.period_ns / 1000


@pytest.mark.parametrize(
    ("change", "array", "says"),
    [
        ({"energy": None}, ARRAY, "--cost energy: energy is not asked for; expected --energy"),
        ({"cost": "enrgy"}, ARRAY, "--cost enrgy: expected one of cycles, energy, time"),
        ({"pe": "stripes"}, ARRAY, "no coefficients of stripes; it has those of"),
        ({}, ArrayConfig(4, 4, dataflow="ws"), "is of dataflow os, lockstep, overlap off"),
        ({}, replace(ARRAY, overlap=True), "is of dataflow os, lockstep, overlap off"),
        ({"cost": "time", "pe": "serial-w"}, ARRAY, "the timing table has no 'serial-w'"),
        (
            {"cost": "time", "pe": "stripes", "energy": None},
            replace(ARRAY, coupling="broadcast"),
            "--cost time: coupling='broadcast' has no clock period",
        ),
        ({"budget": "-1"}, ARRAY, "--budget -1: expected nJ (a number above 0), or 1% to 100%"),
        ({"budget": "0"}, ARRAY, "--budget 0: expected nJ"),
        ({"budget": "nan"}, ARRAY, "--budget nan: expected nJ"),
        ({"budget": "1e400"}, ARRAY, "--budget 1e400: expected nJ"),
        ({"budget": "1e-30"}, ARRAY, "at the least; expected"),
        ({"budget": "1e-400"}, ARRAY, "--budget 1e-400: expected nJ"),
    ],
)
def test_what_has_no_such_cost_is_refused(folder, tmp_path, change, array, says) -> None:
    asked = replace(MAC, **{"budget": "97%", **change})
    with pytest.raises(InputError) as refused:
        found(folder, asked, tmp_path / "t", array)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "t").exists()


def test_the_command_draws_a_front_of_energy(folder: Path, tmp_path: Path, capsys: Any) -> None:
    command = ["search", str(folder / "net.onnx"), "--images", str(folder / "x.npz")]
    command += ["--pe", "mac-8b8b", "--keep-8bit", "last", "--array", "4x4"]
    command += [
        "--cost",
        "energy",
        "--energy",
        "osu018",
        "--budget",
        "97%",
        "--method",
        "separable",
    ]
    record = tmp_path / "s.json"
    with pytest.raises(SystemExit) as left:
        main([*command, "-o", str(record)])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert "energy (nJ)" in shown
    assert "Energy: of the array, by the fast model, table osu018" in shown
    report = SearchReport.load(record)
    assert report.method == "separable"
    with pytest.raises(SystemExit) as left:
        main(["plot", str(record), "--kind", "pareto", "-o", str(tmp_path / "p.svg")])
    assert left.value.code == 0
    drawn = (tmp_path / "p.svg").read_text()
    assert "energy saving (x)" in drawn
    assert np.isclose(report.gain(report.default), 1)
