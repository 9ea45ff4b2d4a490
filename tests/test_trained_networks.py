"""Trainers of few bits from end to end, on a network of one block; one at full size, slow."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from trainer_modules import trainer_modules

torch = pytest.importorskip("torch", reason="extra 'train' (PyTorch) is not installed")
# Looked for and not imported, which takes seconds: every worker collects these tests, one runs them.
pytestmark = pytest.mark.skipif(
    find_spec("sklearn") is None, reason="extra 'train' (scikit-learn) is not installed"
)

from sparqsim.torch import evaluate  # noqa: E402
from sparqsim.trace.bitlist import BitList  # noqa: E402


@pytest.fixture(scope="module")
def work():
    return trainer_modules()


SMALL_SETTINGS = ("rounded:8", "uniform:3", "bsq:1", "dropbits:30", "slices:5")


@pytest.fixture
def small(work, monkeypatch) -> Any:
    """`measure_trainers` with a tiny network, few pictures and an epoch or two."""
    monkeypatch.setattr(work.digits, "BLOCKS", (work.digits.Block("layer1.0", 4, 6, 2),))
    monkeypatch.setattr(work.digits, "STEM_CHANNELS", 4)
    whole = work.digits.load_split()
    few = work.digits.Digits(
        whole.train_images[:128],
        whole.train_labels[:128],
        whole.test_images[:40],
        whole.test_labels[:40],
    )
    monkeypatch.setattr(work.measure, "digits", lambda: few)
    for name in ("FLOAT_EPOCHS", "SEARCHED", "FINE_TUNED", "UNIFORM", "SLICED"):
        monkeypatch.setattr(work.measure, name, 2)
    for name in ("EVERY", "PRUNED_AT"):
        monkeypatch.setattr(work.measure, name, 1)
    monkeypatch.setattr(work.few, "GATE_RATE", 1.5)
    work.measure.start_of.cache_clear()
    yield work.measure
    work.measure.start_of.cache_clear()


def in_plain_integers(work: Any, layers: Any, quantised: Any, images: Any) -> Any:
    """The network by `digits_network`, which knows nothing of sparqsim."""
    integers = {}
    for name, each in layers.items():
        codes = np.moveaxis(each.weights.codes, 1, 2).reshape(tuple(each.layer.weight.shape))
        integers[name] = work.digits.IntegerLayer(
            torch.from_numpy(codes.copy()),
            torch.from_numpy(each.weights.scales.astype(np.float64)),
            each.layer.bias,
            quantised.layers[name].activation.scale,
            each.layer.stride,
            each.layer.padding,
        )
    return work.digits.run_integer(integers, images)[0]


@pytest.mark.parametrize("setting", SMALL_SETTINGS)
def test_a_trained_network_is_the_one_that_is_saved_and_simulated(
    work, small, tmp_path, setting
) -> None:
    method, _, value = setting.partition(":")
    start = small.start_of(0, tmp_path)
    network, codes = small.METHODS[method](start, float(value))
    bits = {each.magnitude_bits for each in codes.values()}
    assert len(bits) > (method == "bsq")
    layers = work.trained.trained_layers(network, codes)
    images = small.digits().test_images
    with torch.no_grad():
        meant = network(images)
        plain = work.trained.plain_network(layers)(images)
        assert torch.allclose(plain, meant, atol=1e-4 * float(meant.abs().max()))
    small._save(layers, tmp_path / "net", setting, 0)
    found = small.read_back(layers, tmp_path / "net")
    assert {name: site.stored_weights.bits for name, site in found.layers.items()} == {
        name: each.weight_bits for name, each in codes.items()
    }
    integers = in_plain_integers(work, layers, found, images)
    answered = evaluate(found, [images], "serial-w", error_images=0).logits
    assert torch.allclose(answered, integers, atol=1e-4 * float(integers.abs().max()))
    row = small.simulated(found, start)
    assert row["right"] == int((answered.argmax(1) == small.digits().test_labels).sum())
    listed = method in {"bsq", "dropbits"}
    assert row["card"]["training"].startswith("bits by a list: ") == listed
    assert "trained here" in row["card"]["training"]
    assert row["card"]["seeds"].startswith("0, ")
    assert (tmp_path / "net.bits.json").exists() == listed
    if listed:
        bits = BitList.load(tmp_path / "net.bits.json").of_layers(list(codes))
        assert {name: each.weights for name, each in bits.items()} == {
            name: each.weight_bits for name, each in codes.items()
        }


def test_a_row_holds_what_tables_are_made_of(work, small, tmp_path) -> None:
    row = small.measured("slices:5", 0, tmp_path)
    assert sorted(row["crossbars"]) == ["adc_bits", "mean_adc_bits", "worst", "zeros"]
    assert list(row["cycles"]) == ["mac-8b8b", "serial-w", "loom"]
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "float-2-epochs-seed-0.safetensors",
        "slices-5-seed-0.float.safetensors",
        "slices-5-seed-0.safetensors",
    ]


def test_the_same_seed_gives_the_same_network(work, small, tmp_path) -> None:
    """Whether its float network was trained just now or is read from the folder."""
    trained = small.start_of(0, tmp_path)
    small.start_of.cache_clear()
    read = small.start_of(0, tmp_path)
    assert read.network is not trained.network
    once, again = (small.METHODS["bsq"](start, 1.0)[1] for start in (trained, read))
    other = small.METHODS["bsq"](small.start_of(1, tmp_path), 1.0)[1]
    assert all(torch.equal(each.values, again[name].values) for name, each in once.items())
    assert not all(torch.equal(each.values, other[name].values) for name, each in once.items())


def test_a_run_that_was_interrupted_goes_on(work, small, tmp_path, monkeypatch) -> None:
    path = tmp_path / "record.json"
    monkeypatch.setattr(small, "RECORD", path)
    asked: list[str] = []

    def measured(setting: str, seed: int, folder: Any) -> Any:
        asked.append(setting)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return {"right": 1}

    monkeypatch.setattr(small, "measured", measured)
    with pytest.raises(KeyboardInterrupt):
        small.measure(small.about(), ("a:1", "b:1", "c:1"), (0,), tmp_path)
    record = json.loads(path.read_text())
    assert list(record["rows"]) == ["a:1 seed 0"]
    small.measure(record, ("a:1", "b:1", "c:1"), (0,), tmp_path)
    assert asked == ["a:1", "b:1", "b:1", "c:1"]
    assert [each.name for each in tmp_path.iterdir()] == ["record.json"]


def test_no_picture_that_trains_or_calibrates_is_answered(work) -> None:
    pictures = work.measure.digits()
    train = {each.numpy().tobytes() for each in pictures.train_images}
    assert len(pictures.train_images) >= work.measure.CALIBRATION_PICTURES
    calibrating = work.measure._calibration()[0]
    assert all(each.numpy().tobytes() in train for each in calibrating)
    assert len(pictures.train_images) + len(pictures.test_images) == 1797


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["bsq:0.5", "slices:4"])
def test_a_row_of_the_record_measured_again(work, tmp_path, setting) -> None:
    """Another machine adds floats in another order: what the page claims holds all the same."""
    record = work.measure.loaded()
    found = work.measure.measured(setting, 0, tmp_path)
    assert abs(found["right"] - record["rows"][f"{setting} seed 0"]["right"]) <= 18
    if setting == "slices:4":
        before = record["rows"]["slices:0 seed 0"]["crossbars"]["adc_bits"]
        assert sum(found["crossbars"]["adc_bits"]) < sum(before)
    else:
        assert np.mean(list(found["magnitude_bits"].values())) < 7
