"""Which layers a PyTorch network is taken to have: batch norms folded, products of activations, the
order of sites.
"""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from networks.small import batches, small
from torch import nn
from torch.nn import functional

from sparqsim import check_trace, load_trace
from sparqsim.networks.torch import dump
from sparqsim.networks.torch.fold import fold_batch_norms
from sparqsim.networks.torch.macs import product_macs
from sparqsim.networks.torch.network import Network


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


# Folding
# ---------------------------------------------------------------------------------------------------------


def test_folding_changes_nothing_but_rounding():
    model, example = small(), batches()[0][0]
    before = model(example)
    fold_batch_norms(model, example)
    assert torch.allclose(model(example), before, atol=1e-5)
    assert isinstance(model.stem_norm, nn.Identity)
    assert model.stem.bias is not None


class Twice(nn.Module):
    """A convolution whose output is read before the norm too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
        nn.init.constant_(self.norm.weight, 3)

    def forward(self, x):
        y = self.conv(x)
        return (self.norm(y) + y).mean(dim=(2, 3))


class Shared(nn.Module):
    """One convolution called twice, a norm behind each call."""

    def __init__(self):
        super().__init__()
        self.conv, self.first, self.second = (
            nn.Conv2d(2, 2, 1),
            nn.BatchNorm2d(2),
            nn.BatchNorm2d(2),
        )

    def forward(self, x):
        return self.second(self.conv(self.first(self.conv(x)))).mean(dim=(2, 3))


def test_norms_that_are_not_alone_with_their_layer_stay(path):
    data = [torch.rand(2, 2, 3, 3)]
    assert dump(Twice().eval(), data, path).unfolded == ("norm",)
    assert dump(Twice().eval(), data, path, fold=False).unfolded == ()
    report = dump(Shared().eval(), data, path)
    assert report.folded == ()
    assert report.unfolded == ("first", "second")
    assert [layer.name for layer in report.layers] == ["conv", "conv#2"]


# Products of activations
# --------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Self-attention of two heads; `how` it multiplies."""

    def __init__(self, how):
        super().__init__()
        self.project, self.how = nn.Linear(8, 24), how

    def forward(self, x):
        q, k, v = (y.unflatten(2, (2, 4)).transpose(1, 2) for y in self.project(x).chunk(3, dim=2))
        if self.how == "fused":
            y = functional.scaled_dot_product_attention(q, k, v)
        elif self.how == "einsum":
            y = torch.einsum(
                "bhij,bhjk->bhik", torch.einsum("bhik,bhjk->bhij", q, k).softmax(-1), v
            )
        elif self.how == "bmm":
            q, k, v = (y.flatten(0, 1) for y in (q, k, v))
            y = torch.bmm(torch.bmm(q * 0.5, k.transpose(1, 2)).softmax(-1), v).unflatten(
                0, (-1, 2)
            )
        else:
            y = torch.matmul((q @ k.mT / 2).softmax(-1), v)
        return y.transpose(1, 2).flatten(2)


def attention(how, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(Attention(how), nn.Linear(8, 5))


@pytest.mark.parametrize("matmuls", [None, ["0"]])
@pytest.mark.parametrize("how", ["fused", "bmm", "matmul", "einsum"])
def test_products_of_two_activations_become_layers(path, how, matmuls):
    data = [torch.randn(2, 6, 8), torch.randn(1, 6, 8)]
    report = dump(attention(how), data, path, matmuls=matmuls, keep_8bit="none")
    trace = load_trace(path)
    assert report.skipped == ()
    assert check_trace(path) == []
    assert [layer.name for layer in trace.layers] == ["0.project", "0.product1", "0.product2", "1"]
    scores, mixed = trace.layers[1:3]
    # Three pictures, two heads: X is (6 queries, 4), W (4, 6 keys); then (6, 6 weights) and (6, 4
    # values).
    assert (scores.gemm.groups, scores.gemm.m, scores.gemm.k, scores.gemm.n) == (6, 6, 4, 6)
    assert (mixed.gemm.groups, mixed.gemm.m, mixed.gemm.k, mixed.gemm.n) == (6, 6, 6, 4)
    assert scores.signed
    assert not mixed.signed
    assert len(scores.record.weight_scales) == 36


@pytest.mark.parametrize("how", ["fused", "bmm", "matmul", "einsum"])
def test_products_that_are_not_asked_for_are_named(path, how):
    report = dump(attention(how), [torch.randn(2, 6, 8)], path, matmuls=())
    assert [skipped.name for skipped in report.skipped] == ["0"]
    assert "not in a module that matmuls names" in report.skipped[0].reason
    assert report.coverage.macs_left_out() == 2 * 2 * 6 * 6 * 8


def test_names_do_not_change_where_products_are_narrowed(path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Sequential(Attention("matmul"), nn.Linear(8, 8)), Attention("fused"))
    data = [torch.randn(2, 6, 8)]
    everywhere = [layer.name for layer in dump(model, data, path).layers]
    assert everywhere[1:3] == ["0.0.product1", "0.0.product2"]
    narrowed = [layer.name for layer in dump(model, data, path, matmuls=["0"]).layers]
    assert narrowed == everywhere[:5]


def test_products_hold_the_quantised_activations(path):
    model = attention("matmul")
    dump(model, [torch.randn(2, 6, 8)], path, matmuls=["0"])
    project, scores, _, _ = load_trace(path).layers
    sums = project.activations[0].astype(np.int64) @ project.weights[:, 0].astype(np.int64).T
    real = (
        sums * (np.array(project.record.weight_scales) * project.record.activation_scale)
        + project.bias
    )
    q, k, _ = (
        y.reshape(2, 6, 2, 4).transpose(0, 2, 1, 3).reshape(4, 6, 4)
        for y in np.split(real.astype(np.float32).reshape(2, 6, 24), 3, axis=2)
    )
    q_codes = np.clip(np.rint(q / np.float32(scores.record.activation_scale)), -127, 127)
    assert np.array_equal(scores.activations, q_codes)
    k_codes = np.clip(np.rint(k / np.float32(scores.record.weight_scales[0])), -127, 127)
    assert np.array_equal(scores.weights.reshape(4, 6, 4), k_codes)


def test_every_site_is_visited_in_the_order_it_runs():
    network = Network(small(), batches()[0][0])
    assert [call.name for call in network.calls] == [
        "stem",
        "odd",
        "grouped",
        "pairs",
        "last",
        "fc",
    ]


LEFT_OUT = {
    "plain": ((4, 4, 8), {}),
    "values of another width": ((4, 4, 2), {}),
    "masked": ((4, 4, 8), {"attn_mask": torch.ones(6, 7, dtype=torch.bool).tril()}),
    "causal": ((4, 4, 8), {"is_causal": True}),
    "heads that share keys": ((4, 2, 8), {"enable_gqa": True}),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_attention_that_is_left_out_has_the_macs_of_all_heads_and_masked_scores(kind, path):
    """Three pictures, 6 queries, 7 keys, heads of 8; counted as the layers would be.

    PyTorch takes values of another width apart before they are seen here: their formula by itself.
    """
    (heads, shared, width), keys = LEFT_OUT[kind]

    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(width, 3)

        def forward(self, x):
            k = x[..., : shared * 7 * 8].unflatten(1, (shared, 7, 8))
            q = x[..., : heads * 6 * 8].unflatten(1, (heads, 6, 8))
            y = functional.scaled_dot_product_attention(q, k, k[..., :width], **keys)
            return self.head(y.mean((1, 2)))

    expected = 3 * heads * 6 * 7 * (8 + width)
    report = dump(Fused().eval(), [torch.rand(3, 4 * 7 * 8)], path, matmuls=())
    assert report.coverage.macs_left_out() == expected
    parts = [
        torch.rand(3, count, *size)
        for count, size in ((heads, (6, 8)), (shared, (7, 8)), (shared, (7, width)))
    ]
    assert product_macs("scaled_dot_product_attention", parts, keys, None) == expected
