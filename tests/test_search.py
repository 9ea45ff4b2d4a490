"""`sparqsim search`: what is refused, what each way to search promises, that a stopped search goes
on to the same bytes.
"""
# ruff: noqa: E402 - what needs onnx is imported after the lines that skip without it

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")

from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from sparqsim import ArrayConfig, InputError, get_pe, simulate
from sparqsim.cli import main
from sparqsim.networks.accuracy import best_five
from sparqsim.networks.evaluate import hits
from sparqsim.networks.images import Pictures
from sparqsim.networks.modelfiles import open_network
from sparqsim.quantise.recipe import Recipe
from sparqsim.results.search_report import SearchReport
from sparqsim.search.hardware import HardwareSpec
from sparqsim.search.log import Trial
from sparqsim.search.run import Found, Search, search
from sparqsim.search.space import Edge, Space
from sparqsim.search.strategies import best_of, greedy, within_budget
from sparqsim.search.toml import toml_of_recipe

ARRAY = ArrayConfig(rows=4, cols=4)
STRIPES = Search(pe="stripes:lanes=2", keep_8bit=("last",), least_bits=3)


def saved(path: Path, matrices: dict[str, np.ndarray]) -> str:
    """Store products with a ReLU between them."""
    names, nodes, value = list(matrices), [], "x"
    for name in names:
        output = "y" if name == names[-1] else f"{name}.out"
        nodes.append(helper.make_node("MatMul", [value, f"{name}.w"], [output], name=name))
        value = output
        if output != "y":
            nodes.append(helper.make_node("Relu", [output], [f"{name}.relu"]))
            value = f"{name}.relu"
    width = len(matrices[names[0]])
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(matrix.astype(np.float32), f"{name}.w")
            for name, matrix in matrices.items()
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, random = tmp_path_factory.mktemp("search"), np.random.default_rng(3)
    sizes = {"first": (12, 16), "mid.1": (16, 16), "last": (16, 4)}
    saved(place / "net.onnx", {name: random.normal(size=size) for name, size in sizes.items()})
    images = random.random((30, 12)).astype(np.float32)
    np.savez(place / "x.npz", images=images, labels=random.integers(0, 4, 30))
    return place


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


@given(st.data())
def test_greedy_and_the_budget_keep_their_promises_on_any_qualities(data: st.DataObject) -> None:
    choices = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    edges = [
        Edge("weights", (f"l{at}",), tuple(range(8, 7 - count, -1)))
        for at, count in enumerate(choices)
    ]
    space = Space(tuple(edges))
    points = list(itertools.product(*(edge.choices for edge in edges)))
    agree = dict(zip(points, data.draw(_counts(len(points))), strict=True))
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(edges), max_size=len(edges)))

    def cycles(point: tuple[int, ...]) -> int:
        return 1 + sum(w * bits for w, bits in zip(weights, point, strict=True))

    def measure(point: tuple[int, ...]) -> Trial:
        return Trial(point, agree[point], None, cycles(point))

    def quality(trial: Trial) -> int:
        return trial.agree

    lowest = greedy(space, measure, quality)
    assert lowest.agree >= agree[space.default]
    assert sum(lowest.point) <= sum(space.default)
    assert lowest.point == stepped_down(points, agree)
    budget = data.draw(st.integers(min(map(cycles, points)), max(map(cycles, points))))
    kept = [point for point in points if cycles(point) <= budget]
    for exact in (0, 10**6):
        best = within_budget(space, measure, quality, cycles, budget, exact_points=exact)
        assert best.cycles <= budget
        if exact:
            assert best.agree == max(agree[point] for point in kept)
        uniform = [point for point in space.uniform() if cycles(point) <= budget]
        assert all(best.agree >= agree[point] for point in uniform)


def stepped_down(points: list[tuple[int, ...]], agree: dict[tuple[int, ...], int]) -> Any:
    """Return where HAGO's greedy ends: in each place in turn, one less while no answer is lost."""
    point = max(points)
    for place in range(len(point)):
        while True:
            lower = tuple(bits - (at == place) for at, bits in enumerate(point))
            if agree.get(lower, -1) < agree[point]:
                break
            point = lower
    return point


def _counts(size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 20), min_size=size, max_size=size)


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
    assert report.best.cycles <= report.budget_cycles == report.default.cycles * 70 // 100
    within = [trial for trial in report.uniform if trial.cycles <= report.budget_cycles]
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
        ({"calibrator": "mse:4"}, "--calibrate mse:4: names bits"),
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
    assert "every point tried" in shown
    assert "front: no other trial is better" in shown
    report = SearchReport.load(record)
    assert report.method == "exact"
    assert len(report.trials) == 2**4
    best = best_of(
        (
            Trial(t.bits, t.agree, t.top1, t.cycles)
            for t in report.trials
            if t.cycles <= report.budget_cycles
        ),
        lambda trial: trial.top1,
    )
    assert best.point == report.best.bits
    assert json.loads(record.read_text())["schema"] == "sparqsim.search/1"
    assert Recipe.read(recipe).model_dump(mode="json") == report.recipe
    with pytest.raises(SystemExit) as left:
        main(["plot", str(record), "--kind", "pareto", "-o", str(tmp_path / "p.svg")])
    assert left.value.code == 0
    assert "chosen" in (tmp_path / "p.svg").read_text()
