"""Products as odd networks write them: which become layers, and what they compute.

Sizes are counted by hand; each layer is computed again in numpy, and the network must then give
what PyTorch gives.
"""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from torch import nn
from torch.nn import functional
from torch.nn.attention import flex_attention

from sparqsim import InputError
from sparqsim.networks.torch import dump
from sparqsim.networks.torch.network import Network
from sparqsim.networks.torch.products import StrayProducts

B, T, E, H = 3, 6, 8, 2
attend = functional.scaled_dot_product_attention


def data(*shape, seed=1):
    return torch.randn(*(shape or (B, T, E)), generator=torch.Generator().manual_seed(seed))


class Net(nn.Module):
    """`how` it computes, with a linear layer `p` and modules, parameters and buffers of its own."""

    def __init__(self, how, **parts):
        super().__init__()
        torch.manual_seed(0)
        self.how, self.p = how, nn.Linear(E, E)
        for name, part in parts.items():
            made = part if isinstance(part, torch.Tensor) else part()
            if isinstance(made, torch.Tensor) and not isinstance(made, nn.Parameter):
                self.register_buffer(name, made)
            else:
                setattr(self, name, made)

    def forward(self, x):
        return self.how(self, x)


def weights(*shape):
    return nn.Parameter(data(*shape, seed=5))


def heads(x, count=H):
    return x.unflatten(2, (count, -1)).transpose(1, 2)


def attention(**keys):
    return lambda: nn.MultiheadAttention(E, H, **({"batch_first": True} | keys))


@dataclass
class Odd:
    """A network, its products (groups, M, K, N) behind those of `p`, and MACs left out."""

    net: Net
    products: list[tuple[int, int, int, int]]
    left_out: int = 0
    p: bool = True
    x: object = None


def by_p(how, *products, left_out=0, **parts):
    return Odd(Net(lambda m, x: how(m, m.p(x), x), **parts), list(products), left_out)


CASES = {
    "queries fewer than keys": lambda: Odd(
        Net(lambda m, x: m.a(x[:, :2], x, x)[0], a=attention()),
        [(1, 6, 8, 8), (1, 18, 8, 16), (6, 2, 4, 6), (6, 2, 6, 4), (1, 6, 8, 8)],
        p=False,
    ),
    "keys and values of other widths": lambda: Odd(
        Net(lambda m, x: m.a(x, x[..., :4], x[..., :6])[0], a=attention(kdim=4, vdim=6)),
        [
            *[(1, 18, 8, 8), (1, 18, 4, 8), (1, 18, 6, 8)],
            *[(6, 6, 4, 6), (6, 6, 6, 4), (1, 18, 8, 8)],
        ],
        p=False,
    ),
    "no batch axis": lambda: Odd(
        Net(lambda m, x: m.a(x[0], x[0], x[0])[0], a=attention()),
        [*[(1, 6, 8, 8)] * 3, (2, 6, 4, 6), (2, 6, 6, 4), (1, 6, 8, 8)],
        p=False,
    ),
    "padded keys": lambda: Odd(
        Net(
            lambda m, x: m.a(x, x, x, key_padding_mask=torch.arange(T).expand(B, -1) > 3)[0],
            a=attention(),
        ),
        [(1, 18, 8, 24), (6, 6, 4, 6), (6, 6, 6, 4), (1, 18, 8, 8)],
        p=False,
    ),
    "attention without heads": lambda: by_p(
        lambda _, y, x: attend(y, x, x), (3, 6, 8, 6), (3, 6, 6, 8)
    ),
    "values of another width": lambda: by_p(
        lambda _, y, x: attend(heads(y), heads(x), heads(x)[..., :2]), (6, 6, 4, 6), (6, 6, 6, 2)
    ),
    "keys that heads share": lambda: by_p(
        lambda _, y, x: attend(
            heads(y, 4), heads(x, 4)[:, :2], heads(x, 4)[:, 2:], enable_gqa=True
        ),
        (12, 6, 2, 6),
        (12, 6, 6, 2),
    ),
    "a mask for each picture": lambda: by_p(
        lambda _, y, x: attend(heads(y), heads(x), heads(x), attn_mask=data(B, 1, 1, T) > 0),
        (6, 6, 4, 6),
        (6, 6, 6, 4),
    ),
    "causal, fewer queries": lambda: by_p(
        lambda _, y, x: attend(heads(y)[:, :, :2], heads(x), heads(x), is_causal=True, scale=0.3),
        (6, 2, 4, 6),
        (6, 2, 6, 4),
    ),
    "dropout in training alone": lambda: by_p(
        lambda m, y, x: attend(y, x, x, dropout_p=0.5 if m.training else 0.0),
        (3, 6, 8, 6),
        (3, 6, 6, 8),
    ),
    "einsum of heads": lambda: by_p(
        lambda _, y, x: torch.einsum(
            "bhqk,bkhd->bqhd",
            torch.einsum("bqhd,bkhd->bhqk", y.unflatten(2, (H, -1)), x.unflatten(2, (H, -1))),
            x.unflatten(2, (H, -1)),
        ),
        (6, 6, 4, 6),
        (6, 6, 6, 4),
    ),
    "einsum by a weight of heads": lambda: by_p(
        lambda m, y, _: torch.einsum("btd,hdk->bhtk", y, m.w),
        (1, 18, 8, 10),
        w=lambda: weights(H, E, 5),
    ),
    "einsum over heads": lambda: by_p(
        lambda m, y, _: torch.einsum("bthk,hkd->btd", y.unflatten(2, (H, -1)), m.w),
        (1, 18, 8, 5),
        w=lambda: weights(H, 4, 5),
    ),
    "experts": lambda: by_p(
        lambda m, y, _: torch.matmul(y[:, None], m.w), (12, 6, 8, 5), w=lambda: weights(4, E, 5)
    ),
    "matrices that repeat": lambda: by_p(
        lambda _, y, x: y[:, None] @ x.mT[:, None].expand(-1, 2, -1, -1), (6, 6, 8, 6)
    ),
    "one matrix for all": lambda: by_p(lambda _, y, x: x[:1] @ y.mT, (3, 6, 8, 6)),
    "in place": lambda: by_p(
        lambda _, y, x: torch.ones(B, T, T).baddbmm_(y, x.mT, beta=2, alpha=0.5), (3, 6, 8, 6)
    ),
    "in place, one matrix": lambda: by_p(
        lambda _, y, x: torch.ones(T, T).addmm_(y[0], x[0].T), (1, 6, 8, 6)
    ),
    "in place, a sum": lambda: by_p(
        lambda _, y, x: torch.ones(T, T).addbmm_(y, x.mT, beta=3), (3, 6, 8, 6)
    ),
    "in place, a vector": lambda: by_p(
        lambda _, y, x: torch.ones(T).addmv_(x[0], y[0, 0]), (1, 6, 8, 1)
    ),
    "into a given tensor": lambda: by_p(
        lambda _, y, x: torch.matmul(y, x.mT, out=torch.empty(B, T, T)), (3, 6, 8, 6)
    ),
    "a vector and a matrix": lambda: by_p(
        lambda _, y, x: torch.addmv(data(T), x[0], y[0, 0], beta=2, alpha=3), (1, 6, 8, 1)
    ),
    "transposed in memory": lambda: by_p(
        lambda m, y, _: functional.linear(y, m.w.T.contiguous()),
        (1, 18, 8, 5),
        w=lambda: weights(E, 5),
    ),
    "a low-rank update": lambda: by_p(
        lambda m, y, _: functional.linear(y, m.w + 0.5 * (m.a @ m.b)),
        (1, 18, 8, 8),
        w=lambda: weights(E, E),
        a=lambda: weights(E, 2),
        b=lambda: weights(2, E),
    ),
    "decoded weights": lambda: by_p(
        lambda m, y, _: functional.linear(y, (m.codes.float() - 3) * m.scales),
        (1, 18, 8, 5),
        codes=torch.arange(40).reshape(5, E).to(torch.int8),
        scales=torch.linspace(0.1, 0.5, 5)[:, None],
    ),
    "a copy that is written to": lambda: by_p(
        lambda m, y, _: y @ m.w.clone().copy_(y[0, :5]).mT, (1, 18, 8, 5), w=lambda: weights(5, E)
    ),
    "slices of a weight": lambda: by_p(
        lambda m, y, _: functional.linear(functional.linear(y, m.w), m.w[:3]),
        (1, 18, 8, 8),
        (1, 18, 8, 3),
        w=lambda: weights(E, E),
    ),
    "one module again and again": lambda: by_p(
        lambda m, y, _: functional.linear(m.p(y.relu()), m.p.weight), (1, 18, 8, 8), (1, 18, 8, 8)
    ),
    "steps of a cell": lambda: by_p(
        lambda m, y, x: m.c(y[:, 0], m.c(x[:, 1]))[0],
        *[(1, 3, 4, 16), (1, 3, 8, 16)] * 2,
        c=lambda: nn.LSTMCell(E, 4),
    ),
    "normalised weights": lambda: Odd(
        Net(
            lambda m, x: m.q(x),
            q=lambda: nn.utils.parametrizations.weight_norm(nn.Linear(E, 5)),
        ),
        [(1, 18, 8, 5)],
        p=False,
    ),
    "memory format of GPT-2": lambda: by_p(
        lambda m, y, _: torch.addmm(m.b, y.reshape(-1, E), m.w),
        (1, 18, 8, 5),
        w=lambda: weights(E, 5),
        b=lambda: weights(5),
    ),
    "a circle of pixels": lambda: by_p(
        lambda m, y, _: m.c(y.mT),
        (1, 18, 24, 5),
        c=lambda: nn.Conv1d(E, 5, 3, padding="same", padding_mode="circular"),
    ),
    # What stays with PyTorch is told.
    "sparse": lambda: by_p(
        lambda _, y, x: torch.sparse.mm(torch.eye(T).to_sparse(), y[0]), left_out=T * E
    ),
    "rows by groups": lambda: by_p(
        lambda m, y, _: torch._grouped_mm(
            y.reshape(-1, E).bfloat16(),
            m.w.bfloat16(),
            offs=torch.tensor([9, 18], dtype=torch.int32),
        ).float(),
        left_out=18 * E * 8,
        w=lambda: weights(2, E, 8),
    ),
    "whole numbers": lambda: by_p(
        lambda _, y, x: y[0, :, :6] + (x[0].int() @ x[0].int().T), left_out=T * E * T
    ),
    "complex numbers": lambda: by_p(
        lambda _, y, x: (torch.complex(y, x) @ torch.complex(x, y).mT).abs(), left_out=B * T * E * T
    ),
    "heads of width one": lambda: by_p(
        lambda _, y, x: attend(heads(y, E), heads(x, E), heads(x, E)), left_out=2 * B * E * T * T
    ),
}  # fmt: skip


def computed_by_numpy(call, values):
    """A call's output in float64, and its product (groups, M, K, N)."""
    x = values[0].numpy().astype(np.float64)
    if call.op == "gemm":
        w = values[1].numpy().astype(np.float64)
        product = math.prod(np.broadcast_shapes(x.shape[:-2], w.shape[:-2])), *x.shape[-2:]
        return torch.from_numpy(np.matmul(x, w)), (*product, w.shape[-1])
    w = call.module.weight.detach().numpy().astype(np.float64)
    if call.op == "conv2d":
        padded = np.concatenate([x[..., -1:], x, x[..., :1]], -1) if x.shape[-1] == T else x
        spots = np.lib.stride_tricks.sliding_window_view(padded, w.shape[-1], axis=-1)
        output = np.einsum("bchpk,ochk->bohp", spots, w)
        shape = (1, output[:, 0].size, w[0].size, len(w))
    else:
        output = np.einsum("...k,nk->...n", x, w)
        shape = (1, x[..., 0].size, *w.shape[::-1])
    if call.module.bias is not None:
        bias = call.module.bias.detach().numpy().astype(np.float64)
        output += bias[:, None, None] if call.op == "conv2d" else bias
    return torch.from_numpy(output), shape


@pytest.mark.parametrize("kind", CASES)
def test_every_product_is_a_layer_of_its_size_and_value(kind):
    odd, x = CASES[kind](), data()
    model = odd.net.eval()
    network, found = Network(model, x), []

    def visitor(call, values):
        output, product = computed_by_numpy(call, values)
        found.append(product)
        return output.to(values[0].dtype)

    with StrayProducts(network) as stray:
        output = network.run(x, visitor)
    with torch.no_grad():
        assert torch.allclose(output, model(x), atol=2e-5, rtol=1e-3)
    assert found == [(1, B * T, E, E)] * odd.p + odd.products
    assert stray.tally.coverage(B).macs_left_out() == odd.left_out
    assert bool(network.skipped) == bool(odd.left_out or not odd.p)


def test_packed_weights_are_left_out_with_their_products(recwarn):
    quantise = torch.ao.quantization.quantize_dynamic
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("PyTorch has no 8-bit layers on this machine")
    network = Network(
        nn.Sequential(nn.Linear(E, E), quantise(nn.Sequential(nn.Linear(E, 3)))), data()
    )
    with StrayProducts(network) as stray:
        network.run(data())
    assert stray.tally.coverage(B).macs_left_out() == B * T * E * 3


class Chooses(nn.Module):
    """Its layer's weights, or how it walks, follow the input."""

    def __init__(self, how):
        super().__init__()
        self.how, self.weight = how, weights(4, E, 3)

    def forward(self, x):
        return self.how(self.weight, x, bool(x.mean() > 0))


@pytest.mark.parametrize(
    "how",
    [
        lambda w, x, up: functional.linear(x, w[0].T if up else w[1].T),
        lambda w, x, up: functional.linear(x, w[0].T if up else w[0, :, :2].T),
        lambda w, x, up: functional.linear(x, w[0].T * (2 if up else 3)),
        lambda w, x, up: functional.linear(x, w[0].T, w[1, 0] if up else w[1, 1]),
        lambda w, x, up: functional.conv1d(x.mT, w, stride=1 if up else 2),
    ],
)
def test_layers_that_follow_the_input_are_refused(how, tmp_path):
    with pytest.raises(InputError, match=r"layer '0' multiplies by other weights"):
        dump(nn.Sequential(Chooses(how)), [data().abs(), -data().abs()], tmp_path / "a")


def test_what_no_front_end_sees_into_is_refused_in_a_line(tmp_path):
    with pytest.warns(DeprecationWarning, match=r"jit\.script"):
        script = torch.jit.script(nn.Sequential(nn.Linear(E, 3)))
    for model in (script, nn.Sequential(script)):
        with pytest.raises(InputError, match="is TorchScript"):
            dump(model, [data()], tmp_path / "a")
    flexible = Net(lambda m, x: flex_attention.flex_attention(heads(m.p(x)), heads(x), heads(x)))
    with pytest.raises(InputError, match="flex_attention"):
        dump(flexible, [data()], tmp_path / "a")


@pytest.mark.parametrize("first", [1, 3])
def test_a_bias_is_added_however_the_batch_lies_in_memory(first):
    """PyTorch's attention adds that of its projection within the product for one input alone."""
    torch.manual_seed(0)
    model = nn.Sequential(SelfAttention(), nn.Linear(E, 2)).eval()
    network = Network(model, data(first, T, E))
    for batch in (1, 3, 2, 1):
        x = data(batch, T, E, seed=batch)
        with torch.no_grad():
            assert torch.allclose(network.run(x), model(x), atol=2e-6)


class SelfAttention(nn.Module):
    """With a bias that is not 0, as training leaves it."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(E, H, batch_first=True)
        nn.init.normal_(self.attention.in_proj_bias)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


@pytest.mark.parametrize("convolves", [False, True])
def test_a_bias_that_follows_the_input_is_the_one_given(convolves):
    def how(w, x, up):
        if convolves:
            return functional.conv1d(x.mT, w, w[:, 0, 0] if up else None).mT
        return functional.linear(x, w[0].T, w[1, 0] if up else None)

    model = nn.Sequential(Chooses(how))
    for inputs in ([data().abs(), -data().abs()], [-data().abs(), data().abs()]):
        network = Network(model, inputs[0])
        for x in inputs:
            with torch.no_grad():
                assert torch.allclose(network.run(x), model(x), atol=2e-6)
