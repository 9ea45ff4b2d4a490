"""Accuracy reports: counted answers, cycles of the same run, the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from sparqsim import ArrayConfig, Assignment, InputError, Layer, Trace, simulate
from sparqsim.cli.show_accuracy import accuracy_shown
from sparqsim.networks.accuracy import accuracy, best_five, hits
from sparqsim.networks.images import Pictures
from sparqsim.results.accuracy_report import AccuracyReport
from sparqsim.results.schemas import FOLDER


class Fixed:
    """Answers that are written down: a network for the counting."""

    name, calibrator, reference_name = "fixed", "none", "float network"
    pictures_per_run = 1
    outputs = ("scores",)
    bits = recipe = ""
    answers = {"mac-8b8b": [1, 2, 3, 4], "mac-4b8b": [1, 2, 0, 0]}  # noqa: RUF012 - a test's constant

    def scores(self, classes: list[int]) -> list[np.ndarray]:
        rows = np.zeros((4, 8))
        rows[np.arange(4), classes] = 1
        return [rows[:3], rows[3:]]

    def reference(self, pictures: Pictures) -> Any:
        return self.scores([1, 2, 3, 5])

    def under(self, pe: Any, pictures: Pictures, *, keep_8bit: bool) -> Any:
        return self.scores(self.answers[pe.name])

    skipped = ()

    def route(self, pe: Any, *, keep_8bit: bool) -> str:
        return "written down"

    def trace(self, pictures: Pictures) -> Trace:
        x = np.full((len(pictures) * 20, 31), 39, np.uint8)
        x[:, 1:10:2] = 0
        x[:, 10:12] = 0
        return Trace([Layer.from_gemm("a", x, np.ones((31, 9), np.int8))])


def four(tmp_path: Path) -> Pictures:
    np.savez(tmp_path / "p.npz", images=np.zeros((4, 2, 2, 3), np.uint8))
    return Pictures.open(tmp_path / "p.npz")


def test_a_report_counts_and_times(tmp_path: Path) -> None:
    labels = np.array([1, 2, 3, 5])
    array = ArrayConfig(rows=8, cols=8)
    report = accuracy(
        Fixed(), four(tmp_path), labels, ["mac-8b8b", "mac-4b8b"], array=array, traced_pictures=2
    )
    assert [row.pe for row in report.rows] == [None, "mac-8b8b", "mac-4b8b"]
    assert report.rows[0].hits.model_dump() == {"top1": 4, "top5": 4, "agree": 4}
    assert [row.hits.top1 for row in report.rows[1:]] == [3, 2]
    assert [row.hits.agree for row in report.rows[1:]] == [3, 2]
    trace = Fixed().trace(four(tmp_path).first(2))
    eight, four_bit = (simulate(trace, pe, array) for pe in ("mac-8b8b", "mac-4b8b"))
    assert [row.cycles for row in report.rows] == [None, eight.cycles.total, four_bit.cycles.total]
    assert report.rows[2].speedup == eight.cycles.total / four_bit.cycles.total
    assert report.sqnr_db(report.rows[2]) == {"a": four_bit.layers[0].error.sqnr_db}
    assert report.sqnr_db(report.rows[1]) == {}
    # Five pairs with one zero, one of two, and the last, odd element with the zero beside it.
    assert (report.layers[0].pairs, report.layers[0].zero_pairs) == (40 * 16, 40 * (5 + 1 + 1))
    assert report.kept_as == "8bit"
    assert (
        accuracy(Fixed(), four(tmp_path), None, ["mac-8b8b"], keep_8bit=False).kept_as == "design"
    )


@pytest.mark.parametrize("kept", ["honest", "ideal"])
def test_kept_layers_are_timed_as_asked(kept, tmp_path: Path) -> None:
    """The cycles of `simulate` on the same trace; answers do not change."""

    class Kept(Fixed):
        def trace(self, pictures: Pictures) -> Trace:
            x = np.full((20, 31), 39, np.uint8)
            names = (("a", True), ("b", False))
            return Trace(
                [
                    Layer.from_gemm(name, x, np.ones((31, 9), np.int8), keep_8bit=keep)
                    for name, keep in names
                ]
            )

    array = ArrayConfig(4, 4)
    report = accuracy(Kept(), four(tmp_path), None, ["mac-4b8b"], array=array, kept=kept)
    expected = simulate(Kept().trace(four(tmp_path)), "mac-4b8b", array, kept=kept)
    assert (report.kept, report.rows[1].cycles) == (kept, expected.cycles.total)
    assert [layer.cycles for layer in report.rows[1].layers] == [
        layer.cycles.total for layer in expected.layers
    ]
    assert report.rows[1].hits.agree == 2
    said = accuracy_shown(report).notes
    where = "on each design's own circuit" if kept == "honest" else "as mac-8b8b under every"
    assert f"* kept out of the designs: computed exactly, timed {where}" in said


def test_an_assignment_answers_and_is_timed(tmp_path: Path) -> None:
    class Mixed(Fixed):
        answers = Fixed.answers | {"mixed": [1, 2, 3, 5]}

    run = Assignment("mac-8b8b", [("a", "mac-4b8b")], "mixed")
    report = accuracy(Mixed(), four(tmp_path), None, [run, "mac-4b8b"])
    assert [row.pe for row in report.rows] == [None, "mixed", "mac-4b8b"]
    assert [row.hits.agree for row in report.rows] == [4, 4, 2]
    assert report.rows[1].cycles == report.rows[2].cycles
    unit = f"{Path(__file__).parent.parent / 'docs/examples/vector_unit.py'}:VectorUnit"
    with pytest.raises(InputError, match=r"vector is an engine of its own.*computes no network"):
        accuracy(Mixed(), four(tmp_path), None, [Assignment("mac-8b8b", [("a", unit)], "two")])


def test_a_report_survives_json(tmp_path: Path) -> None:
    report = accuracy(Fixed(), four(tmp_path), None, ["mac-4b8b"])
    assert report.rows[0].hits.top1 is None
    assert AccuracyReport.from_json(report.to_json()) == report
    schema = json.loads((FOLDER / "accuracy.schema.json").read_text())
    jsonschema.validate(json.loads(report.to_json()), schema, jsonschema.Draft202012Validator)


def test_a_run_goes_on_where_another_was_cut_short(tmp_path: Path) -> None:
    class Counting(Fixed):
        asked: list[str] = []  # noqa: RUF012 - a test's constant

        def under(self, pe: Any, pictures: Pictures, *, keep_8bit: bool) -> Any:
            self.asked.append(pe.spec)
            return super().under(pe, pictures, keep_8bit=keep_8bit)

    designs = ["mac-8b8b", "mac-4b8b"]
    whole, so_far = accuracy(Counting(), four(tmp_path), None, designs), []
    Counting.asked.clear()
    not_asked = whole.rows[2].model_copy(update={"pe": "mac-4b4b"})
    again = accuracy(
        Counting(),
        four(tmp_path),
        None,
        designs,
        known=[*whole.rows[2:], not_asked],
        each=so_far.append,
    )
    assert again == whole
    assert Counting.asked == ["mac-8b8b"]
    assert [row.pe for row in so_far[0].rows] == [None, "mac-4b8b"]  # what is known is never lost


def test_lower_classes_win_ties() -> None:
    assert best_five([np.array([[1.0, 3, 3, 0, 3, 3, 3]])], None).tolist() == [[1, 2, 4, 5, 6]]


def test_hits() -> None:
    answers = np.array([[4, 1, 2, 3, 0], [0, 1, 2, 3, 4], [5, 1, 2, 3, 4]])
    found = hits(answers, np.array([[4], [1], [5]]), np.array([4, 4, 9]))
    assert found.model_dump() == {"top1": 1, "top5": 2, "agree": 2}


@pytest.mark.parametrize(
    ("scores", "labels", "word"),
    [
        (np.zeros((2, 3, 4)), None, "expected scores"),
        (np.full((2, 3), np.nan), None, "NaN"),
        (np.zeros((2, 3)), np.array([0, 3]), "label 3: the network has 3 classes"),
    ],
)
def test_scores_that_cannot_be_ranked_are_bad_input(
    scores: np.ndarray, labels: Any, word: str
) -> None:
    with pytest.raises(InputError, match=word):
        best_five([scores], labels)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    helper, random = onnx.helper, np.random.default_rng(1)
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c0"], name="first"),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], name="second"),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("GlobalAveragePool", ["r1"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w2"], ["y"], name="last"),
    ]
    weights = {"w0": (8, 3, 3, 3), "w1": (8, 8, 3, 3), "w2": (8, 6)}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", 1, ["n", 6])],
        [
            onnx.numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        str(tmp_path / "net.onnx"),
    )
    np.savez(
        tmp_path / "p.npz",
        images=random.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8),
        labels=random.integers(0, 6, 6),
    )
    return tmp_path / "net.onnx"


def test_the_command_line_from_model_to_speedup(network: Path, run: Callable[..., Any]) -> None:
    """Dump, check, simulate, accuracy: one network, exit code 0 all the way."""
    trace, out = network.with_name("t.safetensors"), network.with_name("a.json")
    images = (
        "--images",
        network.with_name("p.npz"),
        "--preprocess",
        "scale:1/255,mean:0.5,std:0.25",
    )
    dumped = run("trace", "dump", network, *images, "-o", trace, "--limit", 2)
    assert (dumped.code, dumped.err) == (0, "")
    assert "with a zero: at least one" in dumped.out
    assert run("trace", "check", trace).code == 0
    done = run("accuracy", network, *images, "--pe", "mac-8b8b,sparq-5opt:rounding=trim", "-o", out)
    assert (done.code, done.err) == (0, "")
    report = AccuracyReport.load(out)
    assert [row.pe for row in report.rows] == [None, "mac-8b8b", "sparq-5opt:rounding=trim"]
    assert report.rows[0].hits.top1 is not None
    assert report.rows[2].speedup > 1
    assert "second" in done.out
    ideal = network.with_name("ideal.json")
    again = run("accuracy", network, *images, "--pe", "sparq-5opt", "--kept", "ideal", "-o", ideal)
    assert (again.code, again.err) == (0, "")
    assert (report.kept, AccuracyReport.load(ideal).kept) == ("honest", "ideal")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("trace", "dump", "net.pt", "--images", "p.npz", "-o", "t"),
            ("net.pt", ".onnx or .tflite"),
        ),
        (("trace", "dump", "net.onnx", "--images", "none", "-o", "t"), ("none",)),
        (("trace", "dump", "net.onnx", "--images", "p.npz", "-o", "gone/t"), ("gone/t",)),
        (
            ("trace", "dump", "net.onnx", "--images", "p.npz", "-o", "t", "--keep-8bit", "secnd"),
            ("secnd", "did you mean second"),
        ),
        (
            ("trace", "dump", "net.onnx", "--images", "p.npz", "-o", "t", "--calibrate", "maxx"),
            ("maxx", "did you mean max"),
        ),
        (("trace", "import", "net.xyz", "-o", "t"), ("net.xyz", ".csv")),
        (("trace", "import", "net.onnx", "-o", "t", "--zeros", "1.5"), ("zeros=1.5",)),
        (
            (
                "accuracy",
                "net.onnx",
                "--images",
                "p.npz",
                "--pe",
                "sparq-5opt",
                "--all-layers",
                "--signed",
                "refuse",
                "--preprocess",
                "mean:9",
            ),
            ("layer 'first'", "sparq-5opt takes unsigned"),
        ),
        (("accuracy", "net.onnx", "--images", "p.npz", "--pe", "nothing"), ("nothing",)),
        (("accuracy", "net.onnx", "--images", "p.npz", "--kept", "free"), ("'honest' or 'ideal'",)),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    network: Path, arguments: tuple[str, ...], words: tuple[str, ...], run: Callable[..., Any]
) -> None:
    files = {
        name: network.parent / name
        for name in ("net.pt", "net.onnx", "net.xyz", "p.npz", "none", "t", "gone/t")
    }
    done = run(*(files.get(argument, argument) for argument in arguments))
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words)


def test_imports_on_the_command_line(network: Path, run: Callable[..., Any]) -> None:
    folder = network.parent
    (folder / "net.csv").write_text("Layer,M,N,K,\nq,4,5,6\n")
    (folder / "dir").mkdir()
    np.save(folder / "dir" / "act-a.npy", np.ones((2, 3), np.uint8))
    np.save(folder / "dir" / "wgt-a.npy", np.ones((4, 3), np.int8))
    for source, word in (
        ("net.csv", "no comma at the end"),
        ("dir", "1 layer from"),
        ("net.onnx", "SYNTHETIC values"),
    ):
        done = run("trace", "import", folder / source, "-o", folder / "t.safetensors")
        assert (done.code, done.err) == (0, "")
        assert word in done.out


def test_an_output_that_is_no_row_of_classes_is_said(tmp_path: Path) -> None:
    """Boxes or a picture: without labels the report says so, with labels it is refused."""

    class Dense(Fixed):
        def reference(self, pictures: Pictures) -> Any:
            yield np.arange(4 * 12.0).reshape(4, 2, 3, 2)

        def under(self, pe: Any, pictures: Pictures, *, keep_8bit: bool) -> Any:
            yield np.arange(4 * 12.0).reshape(4, 2, 3, 2)

    report = accuracy(Dense(), four(tmp_path), None, ["mac-8b8b"])
    assert report.dense_output == (2, 3, 2)
    assert "(2, 3, 2) per picture, no row of classes" in report.answer_note
    with pytest.raises(InputError, match="where pictures have labels"):
        accuracy(Dense(), four(tmp_path), np.zeros(4, np.int64), ["mac-8b8b"])
    assert accuracy(Fixed(), four(tmp_path), None, ["mac-8b8b"]).answer_note == ""


def test_a_network_of_several_outputs_says_which_one_answers(tmp_path: Path) -> None:
    class Several(Fixed):
        outputs = ("scores", "boxes", "mask")

    report = accuracy(Several(), four(tmp_path), None, ["mac-8b8b"])
    assert report.outputs == ("scores", "boxes", "mask")
    assert "3 outputs: answers are those of 'scores'" in report.answer_note
    assert "'boxes', 'mask'" in report.answer_note
    assert AccuracyReport.from_json(report.to_json()) == report
    assert accuracy(Fixed(), four(tmp_path), None, ["mac-8b8b"]).outputs == ()


def test_outputs_of_an_onnx_network_are_named(network: Path) -> None:
    """The first one of the file answers, and onnxruntime leaves no file in the temporary folder."""
    onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
    model = onnx.load(network)
    model.graph.output.append(onnx.helper.make_tensor_value_info("p", 1, None))
    onnx.save(model, network)
    out, temporary = network.parent / "a.json", network.parent / "temporary"
    temporary.mkdir()
    words = ["accuracy", network, "--images", network.parent / "p.npz", "--pe", "mac-8b8b"]
    done = subprocess.run(
        [sys.executable, "-m", "sparqsim", *map(str, words), "--limit", "2", "-o", str(out)],
        env=os.environ | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "The network has 2 outputs: answers are those of 'y'" in " ".join(done.stdout.split())
    assert AccuracyReport.load(out).outputs == ("y", "p")
    assert list(temporary.iterdir()) == []
