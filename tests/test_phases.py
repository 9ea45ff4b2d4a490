"""Prefill and decode as two workloads of one language model."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from torch import nn
from torch.nn import functional

from sparqsim import InputError, check_trace, load_trace, simulate
from sparqsim.networks.phase import Phase
from sparqsim.networks.torch import QuantisedNetwork, dump
from sparqsim.quantise.recipe import Recipe
from sparqsim.trace.coverage import Coverage

WIDTH, HEADS, VOCABULARY = 8, 2, 20


class Model(nn.Module):
    """A causal model of one block; `cache`: keys and values of tokens before, (heads, T, head)."""

    def __init__(self, *, causal=True):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.causal = nn.Embedding(VOCABULARY, WIDTH), causal
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def split(self, x):
        return (y.unflatten(-1, (HEADS, -1)).transpose(1, 2) for y in self.qkv(x).chunk(3, dim=-1))

    def forward(self, input_ids):
        q, k, v = self.split(self.embedding(input_ids))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.head(self.out(y.transpose(1, 2).flatten(2)))


class Step(Model):
    """The same weights, one token with a cache that is passed in."""

    def forward(self, token, keys, values):
        q, k, v = self.split(self.embedding(token))
        k, v = torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2)
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.head(self.out(y.transpose(1, 2).flatten(2)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def tokens(count=2, length=9):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, VOCABULARY, (count, length), generator=generator)


@pytest.mark.parametrize(("phase", "rows", "keys"), [("prefill:5", 5, 5), ("decode:5", 1, 6)])
def test_layers_have_the_sizes_of_the_phase(phase, rows, keys, path):
    report = dump(Model(), [tokens()], path, phase=phase)
    qkv, scores, mixed, out, head = load_trace(path).layers
    assert check_trace(path) == []
    for layer in (qkv, out, head):
        assert layer.gemm.m == 2 * rows
    half = WIDTH // HEADS
    assert (scores.gemm.groups, scores.gemm.m, scores.gemm.k) == (2 * HEADS, rows, half)
    assert (scores.gemm.n, mixed.gemm.m, mixed.gemm.k) == (keys, rows, keys)
    coverage = report.coverage
    assert (coverage.inputs, coverage.tokens, coverage.phase) == (2, 2 * rows, phase)
    text = f"2 sequences ({2 * rows} tokens), {phase}"
    assert coverage.inputs_text() == text
    assert text in " ".join(simulate(path, "mac-8b8b").coverage.notes(1))


def test_a_decode_step_is_that_of_a_network_with_a_cache(path):
    """Codes of the last token equal those of a run that is given the keys and values before."""
    model, length = Model(), 7
    made = QuantisedNetwork(model, [tokens()], keep_8bit="none")
    dump(made, [tokens(1)], path, phase=f"decode:{length - 1}")
    layers = load_trace(path).layers
    whole = path.with_name("whole.safetensors")
    dump(made, [tokens(1, length)], whole)
    every = load_trace(whole).layers
    for layer, one in zip(layers, every, strict=True):
        assert np.array_equal(layer.activations[:, 0], one.activations[:, -1])
        assert np.array_equal(layer.weights, one.weights)
    # In float: the last logits of the whole run are those of a step behind a cache.
    step = Step()
    with torch.no_grad():
        given = tokens(1, length)
        _, keys, values = model.split(model.embedding(given[:, :-1]))
        expected = step(given[:, -1:], keys, values)
        assert torch.allclose(model(given)[:, -1:], expected, atol=1e-6)


class Masked(Model):
    """Which keys a token sees is passed in."""

    def forward(self, input_ids, attention_mask):
        q, k, v = self.split(self.embedding(input_ids))
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask[:, None])
        return self.head(self.out(y.transpose(1, 2).flatten(2)))


@pytest.mark.parametrize("phase", ["prefill:5", "decode:5"])
def test_a_mask_of_tokens_is_cut_on_both_its_axes(phase, path):
    """Layers are those of the same model that is causal by itself."""
    dump(Model(), [tokens()], path, phase=phase)
    masked = path.with_name("masked.safetensors")
    seen = torch.ones(9, 9, dtype=torch.bool).tril().expand(2, -1, -1)
    batch = {"attention_mask": seen, "input_ids": tokens()}
    dump(Masked(), [batch], masked, phase=phase)
    for one, other in zip(load_trace(path).layers, load_trace(masked).layers, strict=True):
        assert np.array_equal(one.activations, other.activations)
        assert np.array_equal(one.weights, other.weights)


@pytest.mark.parametrize(
    ("model", "phase", "message"),
    [
        (Model(), "decode:9", "a sequence has 9 tokens, expected at least 10"),
        (Model(), "decode:0", "phase='decode:0', expected prefill:T or decode:T"),
        (Model(), "encode:3", "phase='encode:3'"),
        (Model(causal=False), "decode:5", "earlier tokens see later ones"),
    ],
)
def test_what_is_no_phase_is_refused(model, phase, message, path):
    with pytest.raises(InputError, match=message):
        dump(model, [tokens()], path, phase=phase)
    assert not path.exists()


def test_layers_whose_rows_are_not_tokens_are_named(path):
    class Pairs(Model):
        def forward(self, input_ids):
            pairs = self.head(self.embedding(input_ids).repeat_interleave(2, dim=1))
            return pairs[:, ::2]

    with pytest.raises(InputError, match=r"layer 'head': a linear layer with 12 rows"):
        dump(Pairs(), [tokens()], path, phase="decode:5")


def test_a_phase_has_a_name():
    assert str(Phase.parse("decode:64")) == "decode:64"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A causal model and one that is not, as ONNX files; token numbers beside them."""
    pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")
    folder = tmp_path_factory.mktemp("exported")
    for name, causal in (("causal", True), ("both", False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                Model(causal=causal).eval(), (tokens(),), folder / f"{name}.onnx", dynamo=False,
                opset_version=17, input_names=["input_ids"], output_names=["logits"],
                dynamic_axes={"input_ids": {0: "n", 1: "t"}},
            )  # fmt: skip
    np.savez(folder / "x.npz", input_ids=tokens().numpy())
    return folder


@pytest.mark.parametrize("phase", ["prefill:5", "decode:5"])
def test_onnx_has_the_same_phases(phase, exported, path, run):
    dump(Model(), [tokens()], path, phase=phase, calibrate="max")
    other = path.with_name("onnx.safetensors")
    ended = run(
        "trace", "dump", exported / "causal.onnx", "--images", exported / "x.npz",
        "--phase", phase, "--calibrate", "max", "-o", other,
    )  # fmt: skip
    assert ended.code == 0, ended
    assert f"{phase}" in ended.out
    for one, two in zip(load_trace(path).layers, load_trace(other).layers, strict=True):
        assert (one.op, one.gemm) == (two.op, two.gemm)
    one, two = (Coverage.of(load_trace(each).metadata.provenance) for each in (path, other))
    assert one == two


def test_onnx_networks_without_a_decode_step_are_refused(exported, refused, tmp_path):
    common = ("--images", exported / "x.npz", "-o", tmp_path / "o.safetensors")
    message = refused("trace", "dump", exported / "both.onnx", *common, "--phase", "decode:5")
    assert "earlier tokens see later ones" in message
    message = refused("trace", "dump", exported / "causal.onnx", *common, "--phase", "decode:9")
    assert "expected at least 10" in message
    np.save(tmp_path / "p.npy", np.zeros((2, 4, 4, 3), np.uint8))
    pixels = ("--images", tmp_path / "p.npy", "-o", tmp_path / "o.safetensors")
    message = refused("trace", "dump", exported / "causal.onnx", *pixels, "--phase", "decode:5")
    assert "no sequences" in message


def test_keys_and_values_have_bits_of_their_own(path):
    """Codes of K and V by hand: symmetric, the calibrator's clip half a step beyond the highest."""
    whole, narrow = path.with_name("whole.safetensors"), path
    recipes = {bits: Recipe(kv=f"nearest:{bits}", activations="max") for bits in (8, 4)}
    dump(Model(), [tokens()], whole, recipe=recipes[8])
    dump(Model(), [tokens()], narrow, recipe=recipes[4])
    eight, four = (load_trace(each).layers for each in (whole, narrow))
    assert check_trace(narrow) == []
    assert [layer.record.weight_bits for layer in four] == [8, 4, 4, 8, 8]
    for one, other in zip(eight[1:2], four[1:2], strict=True):
        clip = np.float32(one.record.weight_scales[0]) * 127
        assert other.record.weight_scales[0] == pytest.approx(2 * clip / 15, rel=1e-6)
        real = one.weights * one.record.weight_scales[0]
        codes = np.clip(np.rint(real / other.record.weight_scales[0]), -7, 7)
        # Keys that stand near the middle of two codes may fall to the other side at 8 bits.
        assert np.abs(codes - other.weights).max() <= 1
        assert (codes == other.weights).mean() > 0.95
        assert np.array_equal(one.activations, other.activations)
    made = QuantisedNetwork(Model(), [tokens()], recipe=recipes[4])
    assert "keys and values nearest:4" in recipes[4].title
    made.save(path.with_name("q"))
    loaded = QuantisedNetwork.load(path.with_name("q"), Model(), [tokens()])
    for name in ("product1", "product2"):
        assert loaded.layers[name].second == made.layers[name].second
        assert loaded.layers[name].second.bits == 4
    dump(loaded, [tokens()], whole)
    for one, two in zip(load_trace(whole).layers, four, strict=True):
        assert np.array_equal(one.weights, two.weights)
    simulate(narrow, "mac-4b4b")


def test_bits_of_keys_and_values_without_any_are_refused(path, exported, refused):
    recipe = path.with_name("kv.toml")
    recipe.write_text('kv = "nearest:4"')
    linear = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(InputError, match=r"kv='nearest:4', but .* there are none"):
        dump(linear, [torch.rand(2, 4)], path, recipe=recipe)
    recipe.write_text('kv = "lp:2:4"')
    with pytest.raises(InputError, match="kv is 'lp:2:4', expected 'nearest:B'"):
        dump(Model(), [tokens()], path, recipe=recipe)
    recipe.write_text('kv = "nearest:4"')
    message = refused("accuracy", exported / "causal.onnx", "--images", exported / "x.npz",
                      "--recipe", recipe, "--pe", "mac-8b8b")  # fmt: skip
    assert "kv='nearest:4'" in message


def test_onnx_takes_bits_of_keys_and_values(path, exported, run):
    recipe = path.with_name("kv.toml")
    recipe.write_text('kv = "nearest:4"\nactivations = "max"')
    ended = run("trace", "dump", exported / "causal.onnx", "--images", exported / "x.npz",
                "--recipe", recipe, "-o", path)  # fmt: skip
    assert ended.code == 0, ended
    layers = load_trace(path).layers
    assert [layer.record.weight_bits for layer in layers] == [8, 4, 4, 8, 8]
    assert {int(np.abs(layer.weights).max()) for layer in layers[1:3]} == {7}
