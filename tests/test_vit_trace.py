"""The shipped transformer: what its trace holds, counted by hand, and replayed from the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sparqsim
from sparqsim.trace.coverage import Coverage

VIT = Path(__file__).resolve().parent.parent / "workloads" / "digits_vit.safetensors"

IMAGES, TOKENS, WIDTH, HEADS, HIDDEN, DEPTH = 8, 17, 48, 4, 96, 4
ROWS, HEAD = IMAGES * TOKENS, WIDTH // HEADS
#: groups, M, K, N of a block's products, in order.
BLOCK = {
    "attention.in_proj": (1, ROWS, WIDTH, 3 * WIDTH),
    "attention.product1": (IMAGES * HEADS, TOKENS, HEAD, TOKENS),
    "attention.product2": (IMAGES * HEADS, TOKENS, TOKENS, HEAD),
    "attention.out_proj": (1, ROWS, WIDTH, WIDTH),
    "fc1": (1, ROWS, WIDTH, HIDDEN),
    "fc2": (1, ROWS, HIDDEN, WIDTH),
}
PRODUCTS = {
    "patches": (1, IMAGES * 16, 16, WIDTH),
    **{f"blocks.{at}.{name}": size for at in range(DEPTH) for name, size in BLOCK.items()},
    "head": (1, IMAGES, WIDTH, 10),
}
SIGNED = ("attention.in_proj", "attention.product1", "attention.out_proj", "fc1", "fc2", "head")


def test_every_product_of_the_network_is_in_it(vit):
    found = {layer.name: layer.gemm for layer in vit.layers}
    sizes = {name: (each.groups, each.m, each.k, each.n) for name, each in found.items()}
    assert list(sizes.items()) == list(PRODUCTS.items())
    assert sparqsim.check_trace(VIT) == []
    assert VIT.stat().st_size < 1 << 20


def test_none_of_its_work_is_left_out(vit, run):
    coverage = Coverage.of(vit.metadata.provenance)
    assert coverage == Coverage(inputs=IMAGES, unit="picture")
    macs = sum(groups * m * k * n for groups, m, k, n in PRODUCTS.values())
    assert (coverage.share_left_out(macs), macs) == (0, 11_016_960)
    report = sparqsim.simulate(vit, "mac-8b8b")
    assert sum(layer.macs for layer in report.layers) == macs
    shown = run("compare", VIT, "--pe", "mac-8b8b,sparq-5opt").out
    assert "Whole network" in shown
    assert "not simulated" not in shown


def test_layers_are_signed_where_a_norm_or_gelu_feeds_them(vit):
    signed = [layer.name for layer in vit.layers if layer.signed]
    assert signed == [name for name in PRODUCTS if name.endswith(SIGNED)]
    assert [layer.name for layer in vit.layers if layer.record.keep_8bit] == ["patches", "head"]


def test_it_says_how_accurate_the_network_is(vit):
    labels = vit.arrays["labels"]
    for kind in ("float", "8bit"):
        right = int((vit.arrays[f"logits_{kind}"].argmax(axis=1) == labels).sum())
        stated = vit.metadata.provenance[f"accuracy_{kind}"]
        assert (stated["correct"], stated["total"]) == (right, len(labels))
        assert right >= 0.95 * len(labels)
    assert len(labels) == 899


def test_sums_by_magnitude_are_nearer_than_those_of_top_nibbles(vit):
    both = sparqsim.compare(vit, ["mac-8b8b", "mac-4b8b", "mac-4b4b", "sparq-5opt"])
    levels = {name: report.totals.error.sqnr_db for name, report in both.reports.items()}
    assert levels["sparq-5opt"] > levels["mac-4b8b"] + 10 > levels["mac-4b4b"] + 10
    assert 1 < both.speedup("sparq-5opt") < both.speedup("mac-4b4b") < 2


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("torch", reason="extra 'torch' is not installed")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    import make_vit_trace

    return make_vit_trace


def test_a_replay_from_the_file_finds_the_same_operands(script, vit):
    """Exactly so on the machine that made it (`--check`); on others the last bit of a softmax,
    norm or GELU may move a value that lies between two codes.
    """
    import torch

    with torch.no_grad():
        replay = script.Replay(vit)
        logits = replay.logits().numpy()
    assert len(replay.differing) == len(PRODUCTS) - 1 + 2 * DEPTH
    assert sum(size for _, size in replay.differing.values()) > 200_000
    for what, (count, size) in replay.differing.items():
        assert count <= 1e-3 * size, what
    expected = vit.arrays["logits_8bit"][vit.arrays["traced_images"]]
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_changed_operand_is_found(script, vit):
    layer = next(each for each in vit.layers if each.name == "blocks.2.fc2")
    changed = np.array(layer.activations)
    changed[0, 5, 7] ^= 1
    record = layer.record
    other = sparqsim.Layer.linear(
        record.name,
        changed[0],
        np.array(layer.weights)[:, 0],
        activation_scale=record.activation_scale,
        weight_scales=record.weight_scales,
        bias=np.array(layer.bias),
    )
    layers = [other if each is layer else each for each in vit.layers]
    lines = script.replayed(sparqsim.Trace(layers, arrays=dict(vit.arrays)))
    assert any(line.startswith("blocks.2.fc2: activations: 1 of") for line in lines)
