"""Which batch norms are folded: plain ones alone with their layer; and the check of every
output.
"""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import types
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils._python_dispatch import _disable_current_modes

from sparqsim import InputError, load_trace
from sparqsim.networks.torch import dump
from sparqsim.networks.torch.fold import fold_batch_norms
from sparqsim.networks.torch.modes import OperationMode
from sparqsim.networks.torch.outputs import tensors_of


class NormRelu(nn.BatchNorm2d):
    def forward(self, input):  # noqa: A002 - the name of the method it overrides
        return super().forward(input).relu()


class FunctionalNorm(nn.BatchNorm2d):
    """As model zoos write it: the statistics in a function, something more behind it."""

    def forward(self, input):  # noqa: A002 - the name of the method it overrides
        normed = functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.1, self.eps
        )
        return functional.hardswish(normed)


class CalledNorm(nn.BatchNorm2d):
    def __call__(self, *inputs):
        return super().__call__(*inputs).relu()


class InnerCalledNorm(nn.BatchNorm2d):
    def _call_impl(self, *inputs):
        return super()._call_impl(*inputs).relu()


class AlwaysTraining(nn.BatchNorm2d):
    def train(self, mode=True):
        return super().train(True)


class NamedNorm(nn.BatchNorm2d):
    """A subclass that changes nothing."""


class Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


def with_forward_of_its_own(norm):
    norm.forward = types.MethodType(lambda self, x: nn.BatchNorm2d.forward(self, x).relu(), norm)
    return norm


def with_hook(norm):
    norm.register_forward_hook(lambda _module, _inputs, output: output.relu())
    return norm


def with_pre_hook(norm):
    norm.register_forward_pre_hook(lambda _module, inputs: (inputs[0].relu(),))
    return norm


def parametrized(norm):
    parametrize.register_parametrization(norm, "weight", Halved())
    return norm


def hooked_conv(conv):
    conv.register_forward_hook(lambda _module, _inputs, output: output.relu())
    return conv


def pruned(conv):
    # Its weight is made anew before each call; copied it can be only without a gradient.
    return prune.l1_unstructured(conv.requires_grad_(False), "weight", 0.3)


def weight_normed(conv):
    return parametrizations.weight_norm(conv)


class Net(nn.Module):
    """conv1 - norm - ReLU - conv2; `norm` and `conv` change what they are given."""

    def __init__(self, kind=nn.BatchNorm2d, norm=lambda it: it, conv=lambda it: it) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(nn.Conv2d(3, 8, 3, bias=False)), nn.Conv2d(8, 4, 3)
        self.norm = norm(kind(8))

    def forward(self, x):
        return self.conv2(self.norm(self.conv1(x))).mean((2, 3))


def settled(model):
    """In evaluation mode, with norms that have statistics of their own."""
    torch.manual_seed(2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, -1, 1)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval().requires_grad_(False)


DATA = [torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(3))]
MORE_THAN_A_NORM = {
    "subclass": {"kind": NormRelu},
    "functional": {"kind": FunctionalNorm},
    "__call__": {"kind": CalledNorm},
    "_call_impl": {"kind": InnerCalledNorm},
    "training mode": {"kind": AlwaysTraining},
    "own forward": {"norm": with_forward_of_its_own},
    "hook": {"norm": with_hook},
    "pre-hook": {"norm": with_pre_hook},
    "parametrized": {"norm": parametrized},
    "hook of the layer": {"conv": hooked_conv},
    "weights computed": {"conv": weight_normed},
    "weights pruned": {"conv": pruned},
}


def second_input(model):
    """What the float network gives to conv2, (batch, height, width, channels)."""
    seen = []
    hook = model.conv2.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(DATA[0])
    hook.remove()
    return seen[0].permute(0, 2, 3, 1).double().numpy()


@pytest.mark.parametrize("more", MORE_THAN_A_NORM)
def test_norms_that_are_more_are_not_folded(more, tmp_path):
    model, path = settled(Net(**MORE_THAN_A_NORM[more])), tmp_path / "net.safetensors"
    report = dump(model, DATA, path, calibrate="max")
    assert (report.folded, report.unfolded) == ((), ("norm",))
    layer, true = load_trace(path).layers[1], second_input(model)
    assert layer.signed == (true.min() < 0)
    found = layer.activations * layer.record.activation_scale
    assert 10 * np.log10((true**2).sum() / ((found - true) ** 2).sum()) > 30


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, NamedNorm, nn.SyncBatchNorm])
def test_plain_norms_are_folded(kind, tmp_path):
    report = dump(settled(Net(kind)), DATA, tmp_path / "net.safetensors")
    assert (report.folded, report.unfolded) == ((("conv1", "norm"),), ())


def test_a_norm_with_two_names_is_replaced_under_both():
    model = settled(Net())
    model.again = model.norm
    model.forward = lambda x: model.conv2(model.again(model.conv1(x)))
    before = model(DATA[0])
    fold_batch_norms(model, DATA[0])
    assert isinstance(model.norm, nn.Identity)
    assert isinstance(model.again, nn.Identity)
    assert torch.allclose(model(DATA[0]), before, atol=1e-5)


# Who else reads a layer's output
# --------------------------------------------------------------------


class Read(nn.Module):
    """A convolution whose output something reads beside the norm; `how`, and what is returned."""

    def __init__(self, how, wrapped=lambda y: y) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.how, self.wrapped = how, wrapped

    def forward(self, x):
        y = self.conv(x)
        if self.how == "before":
            y.mul_(2)
        normed = self.norm(y)
        if self.how == "added":
            normed = normed + y
        if self.how == "unseen":  # past everything that PyTorch shows to those who watch
            with _disable_current_modes():
                hidden = y.clone()
            normed = normed + hidden
        extra = (y,) if self.how == "returned" else ()
        return self.wrapped((normed.flatten(1), *extra))


@pytest.mark.parametrize("how", ["before", "added", "returned"])
def test_layers_that_others_read_keep_their_norm(how, tmp_path):
    model = settled(Read(how))
    assert fold_batch_norms(model, DATA[0]).pairs == ()
    assert isinstance(model.norm, nn.BatchNorm2d)


class Pair(NamedTuple):
    scores: Any
    other: Any


@dataclass(slots=True)
class Found:
    boxes: Any
    more: Any = None


class Holder:
    def __init__(self, value):
        self.value = value


class ModelOutput(OrderedDict):
    """As Hugging Face's: a mapping whose values are attributes, too."""


OUTPUTS = {
    "tensor": lambda y: y[0],
    "tuple": lambda y: ("text", *y),
    "dict": lambda y: {"y": y[0]},
    "nested": lambda y: [{"deep": (1, {"er": list(y)})}],
    "named tuple": lambda y: Pair(y[0], None),
    "dataclass": lambda y: Found(None, Found(y[0])),
    "mapping": lambda y: ModelOutput(last=y[0]),
    "object": lambda y: Holder({"y": y[0]}),
}


@pytest.mark.parametrize("wrapped", OUTPUTS)
def test_every_kind_of_output_is_checked(wrapped, tmp_path):
    with pytest.raises(InputError, match=r"changes the network's output.*fold=False"):
        fold_batch_norms(settled(Read("unseen", OUTPUTS[wrapped])), DATA[0])
    fold_batch_norms(settled(Read("", OUTPUTS[wrapped])), DATA[0])


def test_an_output_that_shows_nothing_is_said_to(tmp_path):
    for wrapped in (lambda y: y[0].argmax(1), lambda _: "text", lambda _: None):
        model = nn.Sequential(OrderedDict(read=Read("", wrapped))).eval()
        report = dump(model, DATA, tmp_path / "net.safetensors")
        assert "no tensor of real numbers" in report.fold_unchecked
        assert "folded batch norms were not checked" in str(report)


def test_tensors_are_found_wherever_they_stand():
    one, two = torch.zeros(1), torch.ones(2)
    looped = {"a": one}
    looped["self"] = looped
    assert [place for place, _ in tensors_of(looped)] == ["output['a']"]
    places = [place for place, _ in tensors_of(Found([one], Holder((two,))))]
    assert places == ["output.boxes[0]", "output.more.value[0]"]
    assert list(tensors_of(["text", 3, None, {"a"}])) == []


def test_a_norm_over_another_axis_than_the_layers_stays(tmp_path):
    """BatchNorm1d of (batch, tokens, width) normalises tokens, which are not Linear's outputs."""
    model = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Flatten(), nn.Linear(25, 2)).eval()
    nn.init.uniform_(model[1].running_mean)
    report = dump(model, [torch.randn(3, 5, 5)], tmp_path / "net.safetensors")
    assert (report.folded, report.unfolded) == ((), ("1",))


class OneNormForTwo(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.conv2(self.norm(self.conv1(x)).relu()))


def test_a_norm_that_two_layers_share_stays(tmp_path):
    report = dump(settled(OneNormForTwo()), DATA, tmp_path / "net.safetensors")
    assert (report.folded, report.unfolded) == ((), ("norm",))


@pytest.mark.parametrize("mode", OperationMode.__subclasses__())
def test_no_mode_loads_pytorchs_compiler(mode):
    """A method that PyTorch shields from it is wrapped in one that loads it first."""
    assert not hasattr(mode.__torch_dispatch__, "__wrapped__")


@pytest.mark.slow
def test_a_compiled_part_has_the_layers_that_it_has_without(tmp_path):
    """Nothing shields the modes from the compiler: under them it leaves the part as it is."""
    first, part = nn.Linear(8, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 8), nn.ReLU())
    traces = []
    for number, middle in enumerate((part, torch.compile(part, backend="eager"))):
        path = tmp_path / f"{number}.safetensors"
        dump(nn.Sequential(first, middle, nn.Linear(8, 4)), [torch.ones(5, 8)], path)
        traces.append(load_trace(path))
    plain, compiled = (trace.layers for trace in traces)
    assert len(plain) == len(compiled) == 3
    assert np.array_equal(plain[1].activations, compiled[1].activations)
    assert np.array_equal(plain[1].weights, compiled[1].weights)
