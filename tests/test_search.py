"""`sparqsim search`: what is refused, what each way to search promises, that a stopped search goes
on to the same bytes.
"""
# ruff: noqa: E402 - what needs onnx is imported after the lines that skip without it

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")


from search_networks import ARRAY, saved, three_products

from sparqsim import InputError, get_pe, simulate
from sparqsim.cli import main
from sparqsim.networks.accuracy import best_five
from sparqsim.networks.evaluate import hits
from sparqsim.networks.images import Pictures
from sparqsim.networks.modelfiles import open_network
from sparqsim.quantise.recipe import Recipe
from sparqsim.results.search_report import SearchReport
from sparqsim.search import plan
from sparqsim.search.hardware import HardwareSpec
from sparqsim.search.run import Found, Search, search
from sparqsim.search.toml import toml_of_recipe

STRIPES = Search(pe="stripes:lanes=2", keep_8bit=("last",), least_bits=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return three_products(tmp_path_factory.mktemp("search"))


def found(folder: Path, asked: Search, trials: Path, labels: Any = None, **other: Any) -> Found:
    pictures = Pictures.open(folder / "x.npz")
    return search(str(folder / "net.onnx"), pictures, labels, asked, ARRAY, trials, **other)


@pytest.fixture(scope="module")
def hago(folder: Path) -> Found:
    return found(folder, STRIPES, folder / "hago.jsonl")


@pytest.fixture(scope="module")
def budgeted(folder: Path) -> Found:
    asked = replace(STRIPES, budget="70%", exact_points=0)
    return found(folder, asked, folder / "budget.jsonl")


# HAGO first.


def test_greedy_has_no_more_bits_and_no_worse_answers(hago: Found) -> None:
    report = hago.report
    assert report.method == "hago-greedy"
    assert report.default.bits == (8, 8, 8, 8)
    assert report.best.total_bits <= report.default.total_bits
    assert report.best.agree >= report.default.agree


def test_hardware_follows_the_design() -> None:
    widths = {
        "stripes": ((8, 7, 6, 5, 4, 3, 2, 1), (8,)),
        "serial-w": ((8,), (8, 7, 6, 5, 4, 3, 2, 1)),
        "bitfusion": ((8, 4, 2), (8, 4, 2)),
        "mac-8b8b": ((8,), (8,)),
    }
    for name, (activations, weights) in widths.items():
        spec = HardwareSpec.of(get_pe(name), 32)
        assert (spec.activation_bits, spec.weight_bits) == (activations, weights)


def test_an_infeasible_accumulator_names_the_layer_and_what_will_do(folder, tmp_path) -> None:
    with pytest.raises(InputError) as refused:
        found(folder, replace(STRIPES, accumulator_bits=12), tmp_path / "t")
    text = str(refused.value)
    assert "layer 'first': 8-bit activations times 8-bit weights are products of 16 bits" in text
    assert "accumulators of 12" in text
    assert "expected --accumulator-bits 16 or more" in text
    fewer = replace(STRIPES, accumulator_bits=12, most_bits=6, least_bits=5, keep_8bit=())
    assert found(folder, fewer, tmp_path / "t").report.default.bits == (6,) * 6


def test_576_products_overflow_16_bits_and_change_answers(tmp_path) -> None:
    """255 x 127 x 576 leaves 16 bits; the sum that wraps is found by hand, and answers turn."""
    matrix = np.stack([np.full(576, 1.0), np.full(576, 0.5)], axis=1)
    model = saved(tmp_path / "deep.onnx", {"deep": matrix})
    np.savez(tmp_path / "x.npz", images=np.full((3, 576), 1.0, np.float32) * [[1], [0.9], [0.8]])
    pictures = Pictures.open(tmp_path / "x.npz")
    outputs = {}
    for bits in (16, 32):
        recipe = Recipe(keep_8bit="none", accumulator_bits=bits, activations="max")
        network = open_network(model, pictures, recipe=recipe)
        outputs[bits] = np.concatenate(list(network.under(get_pe("mac-8b8b"), pictures)))
    sums = 255 * 127 * 576
    wrapped = (sums + 2**15) % 2**16 - 2**15
    assert np.isclose(outputs[16][0, 0] / outputs[32][0, 0], wrapped / sums, atol=1e-6)
    agree = {
        bits: search(
            model,
            pictures,
            None,
            Search("mac-8b8b", accumulator_bits=bits, keep_8bit="none", calibrate_on=1),
            ARRAY,
            tmp_path / f"t{bits}",
        ).report.default.agree
        for bits in (16, 32)
    }
    assert agree[32] == 2
    assert agree[16] < 2


# What a trial is.


def test_a_trial_is_the_recipes_network(folder: Path, hago: Found, tmp_path: Path) -> None:
    """Mixed networks are put together from uniform ones: the recipe's own gives the same."""
    (tmp_path / "r.toml").write_text(toml_of_recipe(hago.recipe, "found"))
    recipe = Recipe.read(tmp_path / "r.toml")
    assert recipe == hago.recipe
    pictures = Pictures.open(folder / "x.npz")
    count = hago.report.calibration_pictures
    shown = pictures.at(range(count, len(pictures)))
    network = open_network(str(folder / "net.onnx"), pictures.first(count), recipe=recipe)
    pe = get_pe(hago.report.design)
    reference = best_five(network.reference(shown), None)
    answers = best_five(network.under(pe, shown), None)
    assert hits(answers, reference, None).agree == hago.report.best.agree
    cycles = simulate(network.trace(shown.first(1)), pe, ARRAY).cycles.total
    assert cycles == hago.report.best.cycles
    assert len(set(hago.report.best.bits)) > 1, "all edges alike: nothing mixed was tested"


def test_the_front_is_not_beaten_by_uniform_bits(hago: Found, budgeted: Found) -> None:
    for report in (hago.report, budgeted.report):
        bits = [tuple(edge.choices) for edge in report.edges]
        tried = {trial.bits: trial for trial in report.trials}
        for each in range(3, 9):
            uniform = tried[tuple(each if each in own else own[-1] for own in bits)]
            assert not any(
                uniform.cycles <= trial.cycles
                and uniform.agree >= trial.agree
                and (uniform.cycles, uniform.agree) != (trial.cycles, trial.agree)
                for trial in report.front
            )


def test_the_budget_is_kept_and_no_uniform_bits_in_it_are_better(budgeted: Found) -> None:
    report = budgeted.report
    assert report.method == "by-sensitivity"
    assert report.best.cycles <= report.budget == report.default.cycles * 70 // 100
    within = [trial for trial in report.uniform if trial.cycles <= report.budget]
    assert within
    assert all(report.best.agree >= trial.agree for trial in within)


# Stopped and gone on.


class Stopped(Exception):
    pass


@pytest.mark.parametrize("after", [1, 7])
def test_a_stopped_search_goes_on_to_the_same_bytes(folder, hago, tmp_path, after) -> None:
    trials = tmp_path / "t.jsonl"

    def stop(count: int) -> None:
        if count == after:
            raise Stopped

    with pytest.raises(Stopped):
        found(folder, STRIPES, trials, each=stop)
    with trials.open("ab") as file:  # killed while it wrote
        file.write(b'{"point": [8, 8')
    assert found(folder, STRIPES, trials).report.to_json() == hago.report.to_json()
    assert trials.read_bytes() == (folder / "hago.jsonl").read_bytes()


def test_trials_of_another_search_are_refused(folder, hago, tmp_path) -> None:
    with pytest.raises(InputError, match="no trials of this search"):
        found(folder, replace(STRIPES, weights="lp:2"), folder / "hago.jsonl")
    (tmp_path / "text").write_text("no trials")
    with pytest.raises(InputError, match="no file of trials"):
        found(folder, STRIPES, tmp_path / "text")
    assert (tmp_path / "text").read_text() == "no trials"


MINE = """
from dataclasses import dataclass
from typing import ClassVar

from sparqsim.pe.stripes import Stripes


@dataclass(frozen=True)
class Mine(Stripes):
    name: ClassVar[str] = "mine"
"""


def test_trials_of_a_design_file_are_refused_when_it_was_changed(folder, tmp_path) -> None:
    """Its name stays the same, what it measures does not."""
    (tmp_path / "mine.py").write_text(MINE)
    asked = replace(STRIPES, least_bits=7, pe=f"{tmp_path}/mine.py:Mine")
    first = found(folder, asked, tmp_path / "t").report
    assert found(folder, asked, tmp_path / "t").report == first
    (tmp_path / "mine.py").write_text(MINE + "\n\nCHANGED = True\n")
    with pytest.raises(InputError, match="no trials of this search"):
        found(folder, asked, tmp_path / "t")


def test_trials_of_a_changed_sparqsim_are_refused(folder, hago, monkeypatch) -> None:
    monkeypatch.setattr(plan, "package_digest", lambda: "another")
    with pytest.raises(InputError, match="no trials of this search"):
        found(folder, STRIPES, folder / "hago.jsonl")


def test_a_full_disk_is_told_and_what_was_written_stays(folder, hago, tmp_path, monkeypatch):
    trials, synced = tmp_path / "t.jsonl", []

    def fsync(number: int) -> None:
        synced.append(number)
        if len(synced) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sparqsim.search.log.os.fsync", fsync)
    with pytest.raises(InputError, match="cannot be written \\(No space left on device\\)"):
        found(folder, STRIPES, trials)
    monkeypatch.undo()
    assert len(trials.read_text().splitlines()) == 4
    assert found(folder, STRIPES, trials).report.to_json() == hago.report.to_json()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{}", "line 3: no trial ('top1')"),
        ("[1]", "line 3: no trial"),
        (
            '{"point": [8], "agree": 99, "top1": null, "cycles": 5, "energy_pj": null}',
            "than 23 pic",
        ),
        ('{"point": [8], "agree": 1, "top1": null, "cycles": 0, "energy_pj": null}', "cycles is 0"),
        ('{"point": [8], "agree": true, "top1": null, "cycles": 5, "energy_pj": null}', "agree is"),
        ('{"point": [8], "agree": 1, "top1": 2.5, "cycles": 5, "energy_pj": null}', "top1 is 2.5"),
        ('{"point": [8], "agree": 1, "top1": null, "cycles": 5, "energy_pj": NaN}', "energy_pj is"),
        ("[" * 100_000, "line 3: no trial"),
    ],
)
def test_a_line_that_no_search_wrote_is_told(folder, hago, tmp_path, line, says) -> None:
    head = (folder / "hago.jsonl").read_text().splitlines()[:2]
    (tmp_path / "t").write_text("\n".join([*head, line]) + "\n")
    with pytest.raises(InputError) as refused:
        found(folder, STRIPES, tmp_path / "t")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_place_that_is_no_file_is_refused(folder, tmp_path) -> None:
    """`/dev/full` reads as zeros without end."""
    for place in (tmp_path, Path("/dev/full")):
        with pytest.raises(InputError, match="no regular file"):
            found(folder, STRIPES, place)


@pytest.mark.parametrize("pe", ["sparq-5opt", "sparq-2opt:pairing=off"])
def test_designs_that_take_int8_layers_by_sign_are_searched(folder, tmp_path, pe) -> None:
    asked = replace(STRIPES, pe=pe, least_bits=7)
    report = found(folder, asked, tmp_path / "t").report
    assert report.design == get_pe(pe).spec
    assert report.period_ns is not None


# Bad input.


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"budget": "0"}, "--budget 0: expected cycles (a whole number from 1)"),
        ({"budget": "0%"}, "--budget 0%"),
        ({"budget": "101%"}, "--budget 101%"),
        ({"budget": "7"}, "--budget 7: 7 cycles, and the network takes"),
        ({"budget": "50%", "pe": "mac-8b8b"}, "fewer bits save none"),
        ({"keep_8bit": ("lats",)}, "layer 'lats' is not in the network (did you mean last?)"),
        ({"objective": "top1"}, "have no labels, expected --labels FILE"),
        ({"weights": "lapq"}, "--weights lapq: expected nearest or lp:P"),
        ({"weights": "lp:x"}, "weights: weight quantiser 'lp:x:8': p='x', expected a number"),
        ({"calibrator": "nope"}, "activations: calibrator 'nope' is not known; expected one of"),
        ({"calibrator": "lp"}, "activations: calibrator 'lp'"),
        ({"calibrator": "mse:4"}, "--calibrate mse:4: names bits"),
        ({"calibrator": "x.py:Own"}, "--calibrate x.py:Own: names bits or a file"),
        ({"least_bits": 8, "most_bits": 8}, "no layer is left to choose bits for"),
        ({"least_bits": 7, "most_bits": 6}, "no more least bits than most"),
        ({"calibrate_on": 30}, "none is left to answer"),
    ],
)
def test_what_cannot_be_searched_is_refused(folder, tmp_path, change, says) -> None:
    with pytest.raises(InputError) as refused:
        found(folder, replace(STRIPES, **change), tmp_path / "t")
    assert says in str(refused.value)
    assert not (tmp_path / "t").exists()


def test_a_picture_that_finds_scales_does_not_answer(folder, tmp_path) -> None:
    images = np.load(folder / "x.npz")["images"].copy()
    images[20] = images[2]
    np.savez(tmp_path / "x.npz", images=images)
    pictures = Pictures.open(tmp_path / "x.npz")
    with pytest.raises(InputError, match="picture 20: the same as 2, which scales are found on"):
        search(str(folder / "net.onnx"), pictures, None, STRIPES, ARRAY, tmp_path / "t")


def test_the_command_writes_record_recipe_and_front(folder, tmp_path, capsys) -> None:
    record, recipe = tmp_path / "s.json", tmp_path / "r.toml"
    command = ["search", str(folder / "net.onnx"), "--images", str(folder / "x.npz")]
    command += ["--pe", "stripes", "--keep-8bit", "last", "--least-bits", "7", "--budget", "95%"]
    command += ["--objective", "top1", "-o", str(record), "--save-recipe", str(recipe)]
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert "every point within it tried" in shown
    assert "front: no other trial is better" in shown
    report = SearchReport.load(record)
    assert report.method == "exact"
    within = [trial for trial in report.trials if trial.cycles <= report.budget]
    # `stripes` follows activations: the budget leaves both of them 7 bits.
    tried = sorted(trial.bits for trial in within)
    assert tried == [(7, one, 7, other) for one in (7, 8) for other in (7, 8)]
    best = min(within, key=lambda each: (-each.top1, each.cycles, sum(each.bits), each.bits))
    assert best == report.best
    assert json.loads(record.read_text())["schema"] == "sparqsim.search/1"
    assert Recipe.read(recipe).model_dump(mode="json") == report.recipe
    with pytest.raises(SystemExit) as left:
        main(["plot", str(record), "--kind", "pareto", "-o", str(tmp_path / "p.svg")])
    assert left.value.code == 0
    assert "chosen" in (tmp_path / "p.svg").read_text()
