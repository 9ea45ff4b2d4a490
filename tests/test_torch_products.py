"""Products outside Conv2d and Linear modules, as layers: attention, functional layers, GPT-2's.

Float outputs are PyTorch's own; codes and products are computed again by hand, in numpy.
"""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from torch import nn
from torch.nn import functional

from sparqsim import InputError, check_trace, get_pe, load_trace
from sparqsim.networks.torch import QuantisedNetwork, dump, evaluate
from sparqsim.networks.torch.loaders import Inputs
from sparqsim.networks.torch.network import Network
from sparqsim.pe.arithmetic import layer_sums

WIDTH, HEADS, TOKENS = 8, 2, 6


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def data(batch=3, seed=1):
    return torch.randn(batch, TOKENS, WIDTH, generator=torch.Generator().manual_seed(seed))


class SelfAttention(nn.Module):
    """PyTorch's own attention; `given`: arguments of its call, `about`: of itself."""

    def __init__(self, given=None, **about):
        super().__init__()
        self.attention = nn.MultiheadAttention(
            WIDTH, HEADS, **({"batch_first": True} | about)
        ).eval()
        self.given = given or {}
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x):
        return self.head(self.attention(x, x, x, **self.given)[0])


class CrossAttention(SelfAttention):
    def forward(self, x):
        return self.head(self.attention(x, x.flip(1), x.roll(1, 1), **self.given)[0])


class Fused(nn.Module):
    """Fused attention of heads that share keys and values; `keys`: more of its arguments."""

    def __init__(self, key_heads=HEADS, **keys):
        super().__init__()
        self.project, self.keys, self.key_heads = nn.Linear(WIDTH, 3 * WIDTH), keys, key_heads
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x):
        q, k, v = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in self.project(x).chunk(3, dim=2)
        )
        k, v = k[:, : self.key_heads], v[:, : self.key_heads]
        y = functional.scaled_dot_product_attention(q, k, v, **self.keys)
        return self.head(y.transpose(1, 2).flatten(2))


HIDES = torch.ones(TOKENS, TOKENS).tril().bool()
SEES_NONE = HIDES.clone()
SEES_NONE[2] = False
ATTENTIONS = {
    "alone": lambda: SelfAttention({"need_weights": False}),
    "weights": SelfAttention,
    "weights of heads": lambda: SelfAttention({"average_attn_weights": False}),
    "batch second": lambda: SelfAttention(batch_first=False),
    "no bias": lambda: SelfAttention(bias=False),
    "keys beside": lambda: SelfAttention(add_bias_kv=True, add_zero_attn=True),
    "mask": lambda: SelfAttention({"attn_mask": ~HIDES, "need_weights": False}),
    "cross": lambda: CrossAttention({"need_weights": False}),
    "own projections": lambda: CrossAttention(kdim=WIDTH, vdim=WIDTH, bias=False),
    "fused": Fused,
    "causal": lambda: Fused(is_causal=True),
    "hidden": lambda: Fused(attn_mask=HIDES),
    "a query sees nothing": lambda: Fused(attn_mask=SEES_NONE),
    "added": lambda: Fused(attn_mask=torch.linspace(-1, 1, TOKENS)[None]),
    "scaled": lambda: Fused(scale=0.7),
    "shared keys": lambda: Fused(key_heads=1, enable_gqa=True, is_causal=True),
}


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_attention_is_what_pytorch_computes(kind, path):
    torch.manual_seed(0)
    model = ATTENTIONS[kind]().eval()
    network = Network(model, data())
    with torch.no_grad():
        assert torch.allclose(network.run(data()), model(data()), atol=2e-6)
    assert network.skipped == ()
    gemms = [call.name for call in network.calls if call.op == "gemm"]
    assert [name.rpartition(".")[2] for name in gemms] == ["product1", "product2"]
    report = dump(model, [data(3), data(3, seed=2)], path)
    batch, tokens = (2 * 3, TOKENS) if kind != "batch second" else (2 * TOKENS, 3)
    assert report.coverage.macs_left_out() == 0
    keys = tokens + (2 if kind == "keys beside" else 0)
    macs = {layer.name: layer.macs for layer in report.layers}
    assert [macs[name] for name in gemms] == [batch * tokens * keys * WIDTH] * 2
    assert check_trace(path) == []


def by_hand(x, model, layers):
    """Every operand that the 8-bit network's attention must have dumped, in numpy alone."""
    project, scores, mixed, out, _ = layers
    codes = {}

    def coded(name, values, scale, signed):
        lowest, highest = (-127, 127) if signed else (0, 255)
        steps = np.rint(values.astype(np.float32) / np.float32(scale))
        codes[name] = np.clip(steps, lowest, highest).astype(np.int64)
        return codes[name]

    def linear(name, rows, layer):
        given = coded(name, rows, layer.record.activation_scale, layer.signed)
        sums = given @ layer.weights[:, 0].astype(np.int64).T
        real = sums * (layer.record.activation_scale * np.array(layer.record.weight_scales))
        bias = 0 if layer.bias is None else layer.bias.astype(np.float64)
        return (real + bias).astype(np.float32)

    def product(name, left, right, layer):
        one, two = layer.record.activation_scale, layer.record.weight_scales[0]
        first = coded(f"{name} left", left, one, layer.signed)
        second = coded(f"{name} right", right, two, True)
        return ((first @ second) * (one * two)).astype(np.float32)

    rows = linear("project", x.transpose(0, 1).reshape(-1, WIDTH).numpy(), project)
    rows += model.attention.in_proj_bias.detach().numpy()  # PyTorch adds it behind the product
    heads = rows.reshape(TOKENS, len(x), 3, HEADS, -1).transpose(2, 1, 3, 0, 4)
    made = product("scores", heads[0], heads[1].swapaxes(-1, -2), scores)
    made = torch.from_numpy(made * np.float32(1 / np.sqrt(WIDTH / HEADS))).softmax(-1).numpy()
    y = product("mixed", made, heads[2], mixed).transpose(2, 0, 1, 3).reshape(-1, WIDTH)
    linear("out", y, out)
    return codes


def test_dumped_attention_is_computed_again_by_hand(path):
    torch.manual_seed(0)
    model, x = SelfAttention({"need_weights": False}).eval(), data()
    nn.init.normal_(model.attention.in_proj_bias)
    nn.init.normal_(model.attention.out_proj.bias)
    dump(model, [x], path, keep_8bit="none")
    layers = load_trace(path).layers
    assert [layer.name for layer in layers] == [
        *(f"attention.{part}" for part in ("in_proj", "product1", "product2", "out_proj")),
        "head",
    ]
    codes = by_hand(x, model, layers)
    project, scores, mixed, out, _ = layers
    assert np.array_equal(project.activations[0], codes["project"])
    assert np.array_equal(out.activations[0], codes["out"])
    for name, layer in (("scores", scores), ("mixed", mixed)):
        left, right = codes[f"{name} left"], codes[f"{name} right"]
        groups = len(x) * HEADS
        assert np.array_equal(layer.activations, left.reshape(groups, *left.shape[2:]))
        columns = right.swapaxes(-1, -2).reshape(layer.weights.shape)
        assert np.array_equal(layer.weights, columns)
        expected = (left @ right).reshape(groups, TOKENS, -1).transpose(1, 0, 2)
        assert np.array_equal(layer_sums(layer, get_pe("mac-8b8b")).ravel(), expected.ravel())
    # Weights are the parameter's own, one scale per output channel.
    real = model.attention.in_proj_weight.detach().numpy()
    scales = np.abs(real).max(axis=1) * 2 / 255
    assert np.allclose(project.record.weight_scales, scales, rtol=1e-6)
    steps = np.rint(real / np.float32(scales)[:, None])
    assert np.array_equal(project.weights[:, 0], np.clip(steps, -127, 127))


# Layers that are functions -----------------------------------------------------------------------


class Conv1D(nn.Module):
    """GPT-2's: a linear layer that keeps its weights the other way round."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x):
        flat = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight)
        return flat.reshape(*x.shape[:-1], -1)


class Own(nn.Module):
    """One layer with a weight of its own, `how` it multiplies."""

    def __init__(self, weight, how, bias=None):
        super().__init__()
        self.weight, self.how = nn.Parameter(weight), how
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x):
        return self.how(self, x)


W = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(3))
LINEAR = {
    "functional": (W, lambda m, x: functional.linear(x, m.weight)),
    "not contiguous": (W, lambda m, x: functional.linear(x.mT.contiguous().mT, m.weight)),
    "matmul": (W.mT, lambda m, x: x @ m.weight),
    "tied": (W, lambda m, x: torch.matmul(x, m.weight.mT)),
    "einsum": (W, lambda m, x: torch.einsum("btk,nk->btn", x, m.weight)),
    "tensordot": (W, lambda m, x: torch.tensordot(x, m.weight, dims=([2], [1]))),
    "weights left": (W, lambda m, x: (m.weight @ x.mT).mT),
    "bmm": (W, lambda m, x: torch.bmm(x, m.weight.mT.expand(len(x), -1, -1))),
    "a vector": (W[0], lambda m, x: (x @ m.weight)[..., None]),
    "stacked": (W.mT[None], lambda m, x: x @ m.weight),
}


@pytest.mark.parametrize("kind", LINEAR)
@pytest.mark.parametrize("batch", [1, 3])
def test_products_with_a_parameter_are_linear_layers(kind, batch, path):
    weight, how = LINEAR[kind]
    model, x = nn.Sequential(Own(weight, how), nn.ReLU()), data(batch)
    report = dump(model, [x, data(2)], path, keep_8bit="none")
    assert report.skipped == ()
    (layer,) = load_trace(path).layers
    assert (layer.name, layer.op) == ("0", "linear")
    columns = W[:1] if kind == "a vector" else W
    assert layer.gemm.macs == (batch + 2) * TOKENS * columns.numel()
    real = layer.weights[:, 0] * np.array(layer.record.weight_scales)[:, None]
    assert np.abs(real - columns.numpy()).max() <= np.abs(columns.numpy()).max() / 254 * 1.001
    found = evaluate(model, [x], pe="mac-8b8b", calibrate="max").logits
    with torch.no_grad():
        assert torch.allclose(found, model(x).reshape(found.shape), atol=0.15)


def test_hugging_faces_conv1d_is_a_linear_layer(path, tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), Conv1D(WIDTH, 5), nn.ReLU(), nn.Linear(5, 3))
    same = nn.Sequential(*model)
    same[1] = nn.Linear(WIDTH, 5)
    same[1].weight, same[1].bias = nn.Parameter(model[1].weight.mT), model[1].bias
    other = tmp_path / "linear.safetensors"
    assert dump(model, [data()], path).skipped == ()
    dump(same, [data()], other)
    for one, two in zip(load_trace(path).layers, load_trace(other).layers, strict=True):
        assert (one.name, one.record) == (two.name, two.record)
        assert np.array_equal(one.activations, two.activations)
        assert np.array_equal(one.weights, two.weights)
        assert np.array_equal(one.bias, two.bias)


@pytest.mark.parametrize("axes", [1, 2])
def test_convolutions_that_are_no_conv2d_are_layers(axes, path):
    torch.manual_seed(0)
    make, x = (nn.Conv1d, torch.rand(2, 4, 9)) if axes == 1 else (nn.Conv2d, torch.rand(2, 4, 9, 7))
    conv = make(4, 6, 3, stride=2, padding=2, dilation=2, groups=2)
    function = functional.conv1d if axes == 1 else functional.conv2d
    keys = {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}
    model = Own(
        conv.weight.data, lambda m, x: function(x, m.weight, m.bias, **keys), conv.bias.data
    )
    network = Network(nn.Sequential(model), x)
    with torch.no_grad():
        assert torch.allclose(network.run(x), conv(x), atol=1e-6)
    dump(nn.Sequential(model), [x], path, keep_8bit="none")
    (layer,) = load_trace(path).layers
    assert (layer.name, layer.op, layer.gemm.groups, layer.gemm.k) == (
        "0",
        "conv2d",
        2,
        2 * 3**axes,
    )
    assert layer.gemm.macs == conv(x)[:, :1].numel() * 6 * layer.gemm.k
    found = evaluate(nn.Sequential(model, nn.Flatten()), [x], pe="mac-8b8b").logits
    assert torch.allclose(found, conv(x).flatten(1), atol=0.05)


class Cache(nn.Module):
    """Keys in a buffer that every run writes to: no weights, though they are the network's."""

    def __init__(self):
        super().__init__()
        self.project, self.register = nn.Linear(WIDTH, WIDTH), None
        self.register_buffer("keys", torch.zeros(1, TOKENS, WIDTH))

    def forward(self, x):
        self.keys[:, :] = self.project(x[:1])
        return x[:1] @ self.keys.mT


def test_a_buffer_that_is_written_to_is_no_weight(path):
    dump(Cache(), [data(1)], path)
    assert [layer.op for layer in load_trace(path).layers] == ["linear", "gemm"]


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.product1 = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        with torch.inference_mode():
            return (x @ x.mT) @ self.product1(functional.linear(x, self.product1.weight))


def test_names_that_meet_are_numbered_and_inference_mode_hides_nothing(path):
    report = dump(Mixed(), [data()], path)
    names = [layer.name for layer in report.layers]
    assert names == ["product1", "product1#2", "product1#3", "product2"]
    assert report.skipped == ()


class Outer(nn.Module):
    """Angles of rotary positions: numbers times numbers, nothing added up."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        steps = torch.arange(TOKENS)[None, :, None].float()
        return self.head(x) * torch.cos(steps @ x[:1, :1]).mean()


def test_outer_products_stay_with_pytorch_and_are_named(path):
    report = dump(Outer(), [data()], path)
    assert [layer.name for layer in report.layers] == ["head"]
    assert report.coverage.macs_left_out() == TOKENS * WIDTH


def test_what_computes_step_by_step_is_left_out_whole(path):
    class Last(nn.GRU):
        def forward(self, x):
            return super().forward(x)[0]

    report = dump(nn.Sequential(Last(WIDTH, WIDTH), nn.Linear(WIDTH, 2)), [data()], path)
    assert [layer.name for layer in report.layers] == ["1"]
    assert "of Last" in str(report)


def test_recipes_reach_the_weights_of_functions(tmp_path):
    from sparqsim.quantise.recipe import Recipe

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), Conv1D(WIDTH, 5), nn.ReLU(), nn.Linear(5, 3))
    recipe = Recipe(weights="nearest:4", keep_8bit="none")
    made = QuantisedNetwork(model, [data()], recipe=recipe)
    assert np.abs(made.layers["1"].weights.codes).max() == 7
    made.save(tmp_path / "q")
    loaded = QuantisedNetwork.load(tmp_path / "q", model, [data()])
    one, other = (evaluate(each, [data()], "mac-8b8b").logits for each in (made, loaded))
    assert torch.equal(one, other)
    learned = Recipe(weights="brecq:bits=4,steps=2", keep_8bit="none")
    with pytest.raises(InputError, match="layer '1'"):
        QuantisedNetwork(model, [data()], recipe=learned)


def test_a_network_of_products_alone_is_one(path):
    class Scores(nn.Module):
        def forward(self, x):
            return (x @ x.mT).softmax(-1) @ x

    report = dump(Scores(), [data()], path)
    assert [layer.name for layer in report.layers] == ["product1", "product2"]
    output = Network(Scores(), data()).run(Inputs.of(data()))
    assert torch.allclose(output, Scores()(data()), atol=1e-6)
    lazy = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(InputError, match=r"'0\.weight' has no shape yet"):
        dump(lazy, [data()], path)
