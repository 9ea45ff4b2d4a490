"""What front ends and accuracy records say in quantization cards."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from test_card import without_cards
from test_html_report import accuracy_record, trial_row

import sparqsim
from sparqsim.results.accuracy_report import AccuracyReport, Trial
from sparqsim.results.confounds import card_diff
from sparqsim.trace.bitlist import BitList

FORMATS = Path(__file__).parent / "formats"


def digest(values) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, np.float32).tobytes()).hexdigest()


def test_a_pytorch_trace_says_how_it_was_calibrated(tmp_path):
    torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")
    from networks.small import batches, small

    from sparqsim.networks.torch import dump

    dump(small(), batches(), tmp_path / "t.safetensors", calibration_loader=batches(2), images=3)
    card = sparqsim.card(tmp_path / "t.safetensors").quantisation
    pictures = torch.cat([inputs for inputs, _ in batches(2)]).numpy()
    assert (card.calibration_inputs, card.traced_inputs) == (len(pictures), 3)
    assert card.calibration_sha256 == digest(pictures)  # what the first layer takes
    assert (card.calibration_labels, card.bias_correction) == ("none", "off")
    assert (card.training, card.weight_quantiser) == ("none", "nearest:8")
    assert card.residual == "inputs of matrix products only"
    assert card.first_last == "both"
    assert "unknown" not in {card.known[name] for name in ("seeds", "stays_float", "left_out")}


def test_the_digest_of_calibration_data_does_not_depend_on_batches(tmp_path):
    torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")
    from networks.small import batches, small

    from sparqsim.networks.torch import dump

    pictures = torch.cat([inputs for inputs, _ in batches()])
    digests = set()
    for size in (1, 5, 12):
        dump(small(), list(pictures.split(size)), tmp_path / "t.safetensors")
        digests.add(sparqsim.card(tmp_path / "t.safetensors").quantisation.calibration_sha256)
    assert digests == {digest(pictures.numpy())}


def test_traces_of_recipes_that_differ_in_one_line_are_told_apart(tmp_path):
    pytest.importorskip("torch", reason="extra 'torch' is not installed")
    from networks.small import batches, small

    from sparqsim.networks.torch import dump

    lines = {
        "plain": "",
        "first_last": 'keep_8bit = "none"',
        "weight_quantiser": 'weights = "lp:2:8"',
        "activation_observer": 'activations = "max"',
        "bias_correction": "bias_correction = true",
        "accumulator_bits": "accumulator_bits = 28",
        "calibration_inputs": "calibration = { pictures = 3 }",
        "recipe_settings": 'layers.odd.weights = "lp:3:8"',
    }
    cards = {}
    for name, line in lines.items():
        recipe, path = tmp_path / "r.toml", tmp_path / f"{name}.safetensors"
        recipe.write_text(f"{line}\n")
        dump(small(), batches(2), path, recipe=str(recipe))
        cards[name] = sparqsim.card(path)
    for name in set(lines) - {"plain"}:
        diff = card_diff([cards["plain"], cards[name]])
        assert {each.fact for each in diff.confounds} == {name}
        assert diff.not_known == ()


def onnx_file(path: Path, *, codes: bool) -> Path:
    """A product, of real inputs or of inputs that the network itself quantises."""
    onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    helper = onnx.helper
    weights = np.random.default_rng(4).normal(size=(16, 5)).astype(np.float32)
    constants = {"w": weights, "s": np.float32(1 / 255), "z": np.uint8(0)}
    own = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
    ]
    product = helper.make_node("MatMul", ["d" if codes else "x", "w"], ["y"], name="fc")
    graph = helper.make_graph(
        [*(own if codes else []), product],
        "g",
        [helper.make_tensor_value_info("x", 1, ["n", 16])],
        [helper.make_tensor_value_info("y", 1, ["n", 5])],
        [onnx.numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    np.save(path.with_suffix(".npy"), np.random.default_rng(5).random((6, 16)).astype(np.float32))
    return path


@pytest.mark.parametrize("codes", [False, True])
def test_an_onnx_trace_says_what_is_known(tmp_path, codes):
    from sparqsim.networks.images import Pictures
    from sparqsim.networks.modelfiles import dump

    file = onnx_file(tmp_path / "n.onnx", codes=codes)
    inputs = np.load(tmp_path / "n.npy")
    shown = Pictures.open(str(tmp_path / "n.npy"), "", None)
    dump(str(file), shown.first(2), str(tmp_path / "t.safetensors"), calibration=shown)
    card = sparqsim.card(tmp_path / "t.safetensors").quantisation
    if codes:
        assert card.calibration_inputs is card.calibration_sha256 is None
        assert card.known["bias_correction"] == "unknown"
        assert card.residual == "as the network's file has it"
    else:
        assert (card.calibration_inputs, card.calibration_labels) == (6, "none")
        assert card.calibration_sha256 == digest(inputs)
        assert card.residual == "inputs of matrix products only"


def test_a_tflite_trace_does_not_guess_how_its_network_was_made(tmp_path):
    pytest.importorskip("ai_edge_litert", reason="needs the extra 'tflite'")
    from tflite_builder import small_network

    from sparqsim.networks.tflite.network import TfliteSites
    from sparqsim.trace.stated import Stated

    sites = TfliteSites(small_network(tmp_path / "net.tflite", True))
    stated = Stated.of(sites.provenance)
    assert stated.weight_quantiser == "the network's own codes"
    assert stated.calibration_inputs is stated.training is stated.bias_correction is None


def study(calibrators=("mean-max",), **settings) -> AccuracyReport:
    pytest.importorskip("torch", reason="extra 'torch' is not installed")
    from networks.small import batches, small

    from sparqsim.networks.torch.accuracy import Study

    trials = [Trial(None), *(Trial("mac-8b8b", name) for name in calibrators)]
    array = sparqsim.ArrayConfig(8, 8)
    return Study(small(), batches(2), batches(2), network="small", array=array, **settings).report(
        trials
    )


def test_an_accuracy_record_carries_its_card_and_json_keeps_it():
    report = study(bits=BitList.of({"odd": 4}, "a list"))
    again = AccuracyReport.from_json(report.to_json())
    assert again == report
    card = again.card
    assert card == report.card == sparqsim.card(report)
    assert card.of == "accuracy record"
    assert card.numbers["accuracy"] == "measured"
    assert (card.origin.network, card.specs) == ("small", ("mac-8b8b",))
    assert (card.quantisation.weight_bit_set, card.quantisation.layer_bits) == (
        (4, 8),
        {"odd": (8, 4)},
    )
    assert card.quantisation.training == "bits by a list: a list"
    assert [layer.weight_bits for layer in report.layers][:2] == [8, 4]


def test_records_that_keep_their_ends_otherwise_are_flagged():
    one, other = study(), study(keep_8bit="none")
    assert {each.fact for each in card_diff([one.card, other.card]).confounds} == {"first_last"}
    as_design = study(kept="design").card
    assert as_design.quantisation.first_last == "none"
    in_float = study(kept="float").card
    assert {each.fact for each in card_diff([one.card, in_float]).confounds} == {"kept"}


def test_trials_of_several_calibrators_are_confounded(capsys):
    from sparqsim.cli.show_accuracy import accuracy_shown

    report = study(("mean-max", "max"))
    (found,) = report.confounds
    assert (found.fact, found.values) == ("activation_observer", ("mean-max", "max"))
    assert report.card.quantisation.activation_observer == "mean-max; max"
    said = (
        "Confounds, beside the design these trials differ in: activation observer (mean-max / max)."
    )
    assert said in accuracy_shown(report).notes
    assert study().confounds == ()


def test_a_figure_of_trials_says_so():
    from sparqsim.plot.accuracy import plot_accuracy

    report = accuracy_record()
    said = " ".join(plot_accuracy(report).notes)
    assert "activation observer (mean-max / mse:4)" in said
    assert "batch norms" not in said  # those trials have no mark
    alike = (trial_row(None, 9, 9, None, None), trial_row("mac-8b8b", 9, 9, 100, 1.0, None, None))
    assert "Confounds" not in " ".join(plot_accuracy(accuracy_record(*alike)).notes)


def test_a_record_of_before_reads_and_says_what_its_fields_say():
    before = accuracy_record(bits="an old list")
    text = json.dumps(without_cards(json.loads(before.to_json())))
    card = AccuracyReport.from_json(text).card
    assert card.quantisation.kept_8bit == ("first",)
    assert card.quantisation.first_last == "first"
    assert card.quantisation.training == "bits by a list: an old list"
    assert card.quantisation.weight_bit_set is None  # the list's bits are not in the record
    assert card.quantisation.activation_observer == "mean-max; mse:4"
    assert card.origin.trace_sha256 is None
    assert card.specs == ("mac-8b8b", "sparq-5opt", "mac-4b8b")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("hardware", "array"), "1x1", "card: of='accuracy record', array ('1x1'"),
        (("of",), "report", "card: of='report'"),
        (("designs",), [], "card.designs: has no 'mac-8b8b'"),
        (("origin", "revision"), "9", "card.origin.revision"),
    ],
)
def test_a_card_that_contradicts_its_record_is_refused(place, value, words):
    document = json.loads(study().to_json())
    holder = document["card"]
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    with pytest.raises(sparqsim.InputError) as refused:
        AccuracyReport.from_json(json.dumps(document), "a.json")
    assert words in str(refused.value)


@pytest.mark.parametrize("name", ["report-1.json", "comparison-1.json"])
def test_files_of_the_first_version_have_cards(name):
    card = sparqsim.card(FORMATS / name)
    assert card.origin.trace_sha256
    assert card.quantisation.kept_8bit is not None
    assert card.quantisation.calibration_inputs is None
