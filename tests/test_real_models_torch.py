"""Networks with the structure of real ones, through `sparqsim.torch.dump`, against PyTorch itself.

The sums of every layer are computed again by PyTorch, in float64 on the trace's integers, where
every integer up to 2^53 is exact. What the layers make of these sums in real units is set against
what the float network computes at the same place.
"""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from networks import real
from torch.nn import functional

from sparqsim import check_trace, get_pe, load_trace
from sparqsim.networks.torch import dump
from sparqsim.pe.arithmetic import layer_sums

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    """`layers`: in the trace. `least_db`: the lowest SQNR that a layer may have."""

    make: Any
    batch: Any
    layers: int
    least_db: float


CASES = {
    "ViT": Case(real.VisionTransformer, real.pictures(), 2 + 12 * 6, 32),
    "BERT": Case(real.Bert, real.sentences(), 2 + 12 * 6, 28),
    "MobileNetV3": Case(real.MobileNetV3, real.pictures(), 3 + 5 * 5, 30),
    "YOLO": Case(real.Yolo, real.pictures(side=64), 6 + 3 * 5, 32),
}


@pytest.fixture(scope="module", params=CASES)
def dumped(request, tmp_path_factory):
    case = CASES[request.param]
    model = real.settled(case.make)
    path = tmp_path_factory.mktemp("real") / "net.safetensors"
    report = dump(model, [case.batch], path, calibrate="max")
    return case, model, path, report


def sums_by_pytorch(layer):
    """The layer's integer sums, float64: (batch, height, width, channels) or (groups, M, N)."""
    record = layer.record
    x, w = (
        torch.from_numpy(values.astype(np.float64)) for values in (layer.activations, layer.weights)
    )
    if record.op != "conv2d":
        return x @ w.reshape(record.groups, -1, w.shape[2]).transpose(1, 2)
    geometry = record.geometry
    top, bottom, left, right = geometry.padding
    padded = functional.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom))
    kernel = w.permute(0, 2, 1).reshape(len(w), w.shape[2], *geometry.kernel)
    return functional.conv2d(
        padded, kernel, None, geometry.stride, 0, geometry.dilation, record.groups
    ).permute(0, 2, 3, 1)


def float_outputs(model, batch, folded):
    """What the float network makes of each layer, with the norm that was folded into it."""
    outputs, norm_of = {}, dict(folded)

    def keeps(name):
        return lambda _module, _inputs, output: outputs.update({name: output})

    hooks = [
        model.get_submodule(norm_of.get(name, name)).register_forward_hook(keeps(name))
        for name, _ in model.named_modules()
    ]
    with torch.no_grad():
        if isinstance(batch, dict):
            model(**{key: value for key, value in batch.items() if key != "labels"})
        else:
            model(batch)
    for hook in hooks:
        hook.remove()
    return outputs


def sqnr_db(true, found):
    return 10 * np.log10((true**2).sum() / ((true - found) ** 2).sum())


def test_every_integer_sum_is_pytorchs(dumped):
    case, _, path, _ = dumped
    layers = load_trace(path).layers
    assert len(layers) == case.layers
    assert check_trace(path) == []
    for layer in layers:
        mine = layer_sums(layer, get_pe("mac-8b8b"))
        theirs = sums_by_pytorch(layer).numpy()
        if layer.op != "conv2d":
            theirs = theirs.transpose(1, 0, 2)  # (M, groups, N)
        assert np.array_equal(mine, theirs.reshape(mine.shape)), layer.name


def test_every_layer_is_near_the_float_networks(dumped):
    case, model, path, report = dumped
    outputs = float_outputs(model, case.batch, report.folded)
    compared = []
    for layer in load_trace(path).layers:
        if ".product" in layer.name:
            continue  # inside a function; the layer that reads them is compared
        scales = np.array(layer.record.weight_scales) * layer.record.activation_scale
        found = sums_by_pytorch(layer).numpy() * scales
        found = found if layer.bias is None else found + layer.bias
        true = outputs[layer.name].double().numpy()
        true = true.transpose(0, 2, 3, 1) if layer.op == "conv2d" else true
        quality = sqnr_db(true.ravel(), found.ravel())
        assert quality > case.least_db, layer.name
        compared.append(quality)
    assert len(compared) >= 15
    print(f"{case.make.__name__}: {len(compared)} layers, {min(compared):.1f} dB or better")


def test_nothing_is_left_out(dumped):
    _, _, path, report = dumped
    assert report.skipped == ()
    provenance = load_trace(path).metadata.provenance
    stated = provenance["coverage"]
    assert (stated["inputs"], stated["left_out"]) == (4, [])
    assert report.fold_unchecked == ""


def test_activations_inside_norms_are_those_behind_norms(tmp_path):
    """The same MobileNetV3 with norm and activation as one module, and as two."""
    traces = {}
    for name, norm in (("one", real.NormAct), ("two", real.plain_norm_act)):
        model = real.settled(lambda norm=norm: real.MobileNetV3(norm))
        path = tmp_path / f"{name}.safetensors"
        dump(model, [real.pictures()], path, calibrate="max")
        traces[name] = load_trace(path).layers
    for one, two in zip(traces["one"], traces["two"], strict=True):
        assert (one.name, one.signed, one.gemm) == (two.name, two.signed, two.gemm)
        # Folded or not, values differ by float32 rounding: a code may fall to its neighbour.
        apart = np.abs(one.activations.astype(int) - two.activations.astype(int))
        assert apart.max() <= 3
        assert (apart > 0).mean() < 0.2
