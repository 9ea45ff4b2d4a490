"""Lists of bits: every form, what does not match, and the trace that comes out."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

import sparqsim
from sparqsim.trace import Layer, Trace
from sparqsim.trace.bitlist import BitList, LayerBits, requantise
from sparqsim.trace.drawn import synthetic_trace
from sparqsim.trace.synthetic import Distribution, LayerShape


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(3)
    layers = [
        Layer.from_gemm(
            name,
            rng.integers(0, 256, (6, 9)).astype(np.uint8),
            rng.integers(-128, 128, (9, 4)).astype(np.int8),
            activation_scale=0.5,
            keep_8bit=name == "conv1",
        )
        for name in ("conv1", "layer1.0.conv1", "fc")
    ]
    Trace(layers, network="three").save(tmp_path / "three.safetensors")
    return tmp_path / "three.safetensors"


def listed(folder, content):
    file = folder / "bits.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def hand_codes(codes, bits: int, *, signed: bool):
    """Return codes to their top bits: strip planes that are zero, round half to even, saturate."""
    magnitudes = np.abs(codes.astype(int))
    planes = int(np.bitwise_or.reduce(magnitudes, axis=None))
    stripped = next(at for at in range(8) if planes >> at & 1)
    left = min(8, len(bin(planes >> stripped)) - 2 + signed)
    unit = 2 ** (stripped + max(0, left - bits))
    most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    least = -most if signed else 0
    rounded = [min(max(round(Fraction(int(code), unit)), least), most) for code in codes.flat]
    return np.array(rounded).reshape(codes.shape), unit


class TestRequantise:
    def test_codes_scales_and_bits(self, path, tmp_path, run):
        bits = listed(tmp_path, {"conv1": {"weights": 4, "activations": 3}, "fc": 5})
        ended = run("trace", "requantise", path, "--bits", bits, "-o", tmp_path / "new.safetensors")
        assert ended.code == 0, ended.err
        new, old = sparqsim.load_trace(tmp_path / "new.safetensors"), sparqsim.load_trace(path)
        found = [(each.record.activation_bits, each.record.weight_bits) for each in new.layers]
        assert found == [(3, 4), (8, 8), (8, 5)]
        before, after = old.layers[0], new.layers[0]
        codes, unit = hand_codes(before.activations, 3, signed=False)
        assert np.array_equal(after.activations, codes)
        assert after.record.activation_scale == 0.5 * unit == 0.5 * 2**5
        codes, unit = hand_codes(before.weights, 4, signed=True)
        assert np.array_equal(after.weights, codes)
        assert after.record.weight_scales == (2.0**4,) * 4 == (float(unit),) * 4
        assert np.array_equal(new.layers[1].weights, old.layers[1].weights)
        assert new.metadata.network == "three [transformed: requantise by bits.json]"
        facts = new.metadata.provenance["transforms"][0]["layers"]
        assert facts["layer1.0.conv1"]["left_alone"] == "not in the list"
        assert facts["conv1"]["weights"]["bits"] == 4

    def test_the_transform_writes_the_bits_too(self, path):
        new = sparqsim.trace.transforms.transform(path, ["requantise:weights=4,activations=2"])
        found = [(each.record.activation_bits, each.record.weight_bits) for each in new.layers]
        assert found == [(8, 8), (2, 4), (2, 4)], "the first is kept at 8 bits"

    def test_an_operand_of_fewer_bits_is_left_alone(self, path):
        once = requantise(path, {"fc": {"weights": 4, "activations": 4}})
        again = requantise(once, {"fc": {"weights": 6, "activations": 3}})
        record = again.layers[2].record
        assert (record.activation_bits, record.weight_bits) == (3, 4)
        assert np.array_equal(again.layers[2].weights, once.layers[2].weights)

    def test_planes_that_are_zero_are_stripped_first(self):
        weights = (np.arange(8, dtype=np.int8) * 8 - 32).reshape(8, 1)
        layer = Layer.from_gemm("a", np.ones((2, 8), np.uint8), weights)
        new = requantise(Trace([layer]), {"a": 4}).layers[0]
        assert new.weights.ravel().tolist() == list(range(-4, 4)), "exact: nothing is rounded"
        assert new.record.weight_scales == (8.0,)

    def test_drawn_values_become_stored_ones(self, tmp_path):
        trace = synthetic_trace([LayerShape.gemm("a", 4, 6, 3)], Distribution())
        requantise(trace, {"a": 3}).save(tmp_path / "a.safetensors")
        assert sparqsim.load_trace(tmp_path / "a.safetensors").layers[0].record.weight_bits == 3


class TestForms:
    def bits_of(self, folder, content, scheme=""):
        names = ["conv1", "layer1.0.conv1", "fc"]
        return BitList.load(listed(folder, content), scheme).of_layers(names)

    def test_plain(self, tmp_path):
        found = self.bits_of(tmp_path, {"conv1": 4, "fc": {"activations": 6}})
        assert found == {"conv1": LayerBits(weights=4), "fc": LayerBits(activations=6)}

    def test_magnitudes_have_their_sign_added(self, tmp_path):
        content = {"magnitude_bits": True, "conv1": 3, "fc": 8}
        assert self.bits_of(tmp_path, content) == {"conv1": LayerBits(4), "fc": LayerBits(8)}

    def test_schemes(self, tmp_path):
        content = {
            "network": "x",
            "schemes": {
                "w4": {"layers": {"fc": {"weights": 4, "activations": 4}}, "top1_percent": 1.0},
                "w8": {"layers": {"fc": {"weights": 8, "activations": 8}}},
            },
        }
        assert self.bits_of(tmp_path, content, "w4") == {"fc": LayerBits(4, 4)}
        with pytest.raises(sparqsim.InputError, match=r"2 lists \(schemes\), and no scheme"):
            self.bits_of(tmp_path, content)
        with pytest.raises(sparqsim.InputError, match=r"'w5' is not one of them.*did you mean w"):
            self.bits_of(tmp_path, content, "w5")

    def test_networks_in_order(self, tmp_path):
        content = {"networks": {"n": {"bits": [[8, -1], [5, 7], 3]}}}
        found = self.bits_of(tmp_path, content)
        assert list(found.values()) == [LayerBits(8), LayerBits(5, 7), LayerBits(3)]
        content = {"networks": {"n": {"bits": [[-1, -1], [-1, 7], -1]}}}
        found = self.bits_of(tmp_path, content)
        assert list(found.values()) == [LayerBits(), LayerBits(8, 7), LayerBits()]
        with pytest.raises(sparqsim.InputError, match="2 layers in order, and the trace has 3"):
            self.bits_of(tmp_path, {"networks": {"n": {"bits": [4, 4]}}})

    def test_lists_of_the_file_that_fit_are_named(self, tmp_path):
        """Of the right number, or of layers that are there; lists that cannot be read do not."""
        content = {"networks": {"n": {"bits": [4, 4]}, "m": {"bits": [4, 4, 4]}}}
        with pytest.raises(sparqsim.InputError, match=r"as many \(of the same file, m would fit\)"):
            self.bits_of(tmp_path, content, "n")
        content["networks"] |= {"m": {"bits": [99] * 3}}
        with pytest.raises(sparqsim.InputError, match=r"the trace has 3: expected as many$"):
            self.bits_of(tmp_path, content, "n")
        by_name = {"a": {"fc1": 4, "fc": 4}, "b": {"fc": 4}, "c": {"conv1": 4}, "d": {"x": 4}}
        content = {"schemes": {name: {"layers": layers} for name, layers in by_name.items()}}
        with pytest.raises(sparqsim.InputError) as refused:
            self.bits_of(tmp_path, content, "a")
        said = str(refused.value)
        assert (
            "a: layer 'fc1' is not in the trace (did you mean fc?), which has 1 of the list's 2"
            in said
        )
        assert said.endswith(
            "expected some of conv1, layer1.0.conv1, fc (of the same file, b, c would fit)"
        )
        content["schemes"] = {name: content["schemes"][name] for name in ("a", "d")}
        with pytest.raises(sparqsim.InputError, match=r"\(no other list of the file fits\)$"):
            self.bits_of(tmp_path, content, "a")

    def test_published_lists_are_read(self, shared):
        folder = shared / "data" / "bitlists"
        content = json.loads((folder / "hawq_resnet18.json").read_text())
        assert len(content["schemes"]) == 11
        for name, scheme in content["schemes"].items():
            found = BitList.load(folder / "hawq_resnet18.json", name)
            assert found.of_layers(list(scheme["layers"])) == {
                layer: LayerBits(bits["weights"], bits["activations"])
                for layer, bits in scheme["layers"].items()
            }
        haq = json.loads((folder / "haq.json").read_text())["networks"]
        for name, entry in haq.items():
            layers = [f"layer {at}" for at in range(len(entry["bits"]))]
            assert len(BitList.load(folder / "haq.json", name).of_layers(layers)) == len(layers)
        first, second = list(BitList.load(folder / "haq.json", "mobilenetv2").in_order[:2])
        assert (first, second) == (LayerBits(8, 8), LayerBits(7, 7))


BAD = {
    "an unknown layer": (
        {"conv2": 4},
        "'conv2' is not in the trace (did you mean conv1?), which has 0 of the list's 1 layer; expected some of conv1, ",
    ),
    "no layer": ({}, "bits.json: names no layer, expected some of conv1, layer1.0.conv1, fc"),
    "only the sign": ({"magnitude_bits": True}, "names no layer"),
    "9 bits": ({"fc": 9}, "layer 'fc': weights=9, expected 2..8 bits"),
    "1 bit": ({"fc": 1}, "layer 'fc': weights=1, expected 2..8 bits"),
    "0 bits of activations": ({"fc": {"activations": 0}}, "activations=0, expected 1..8 bits"),
    "text": ({"fc": "4"}, "layer 'fc': weights='4', expected 2..8 bits"),
    "truth": ({"fc": True}, "weights=True, expected 2..8 bits"),
    "another operand": ({"fc": {"bias": 4}}, "{'bias': 4}, expected weights, activations or both"),
    "nothing of a layer": ({"fc": {}}, "{}, expected weights, activations or both"),
    "no magnitude": ({"magnitude_bits": True, "fc": 0}, "weights=0, expected 1..8 bits"),
    "the sign in words": (
        {"magnitude_bits": "yes"},
        "magnitude_bits='yes', expected true or false",
    ),
    "no schemes": ({"schemes": {}}, "layer 'schemes': {}, expected weights"),
    "a list": ([4, 4], "bits.json: is [4, 4], expected a list of bits"),
    "not quantised by name": ({"fc": {"activations": -1}}, "activations=-1, expected 1..8 bits"),
    "three in a pair": (
        {"networks": {"n": {"bits": [[4, 4, 4], 4, 4]}}},
        "bits[0]: [4, 4, 4], expected bits of weights and of activations",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_lists(path, tmp_path, refused, name):
    content, told = BAD[name]
    new = tmp_path / "new.safetensors"
    bits = listed(tmp_path, content)
    assert told in refused("trace", "requantise", path, "--bits", bits, "-o", new)
    assert not new.exists()


def test_a_scheme_of_a_plain_list(path, tmp_path, refused):
    bits, new = listed(tmp_path, {"fc": 4}), tmp_path / "new.safetensors"
    told = refused("trace", "requantise", path, "--bits", bits, "--scheme", "w4", "-o", new)
    assert "holds one list, expected no scheme (found 'w4')" in told


def test_signed_activations_have_a_bit_beside_their_sign(tmp_path):
    layer = Layer.from_gemm("a", np.ones((2, 3), np.int8), np.ones((3, 1), np.int8))
    with pytest.raises(sparqsim.InputError, match="layer 'a': activations are int8"):
        requantise(Trace([layer]), {"a": {"activations": 1}})
