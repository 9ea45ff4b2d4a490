"""What PyTorch networks may be given and give; what goes wrong in them; what is left out,
counted.
"""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from torch import nn
from torch.nn import functional

from sparqsim import ArrayConfig, InputError, compare, load_trace, simulate
from sparqsim.memory import MemoryConfig
from sparqsim.networks.torch import QuantisedNetwork, dump, evaluate
from sparqsim.trace.coverage import Coverage


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def plain(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    ).eval()


def pictures(count=4, seed=1):
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


# Inputs ------------------------------------------------------------------------------------------


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right, self.out = nn.Linear(6, 4), nn.Linear(3, 4), nn.Linear(4, 5)

    def forward(self, first, second, scale=1.0):
        return self.out(functional.relu(self.left(first) + self.right(second) * scale))


def test_networks_of_several_inputs(path, tmp_path):
    first, second, labels = torch.rand(4, 6), torch.rand(4, 3), torch.tensor([0, 1, 2, 3])
    traces = []
    for batch in (
        (first, second),
        (first, second, labels),
        ((first, second), labels),
        [[first, second], labels],
        {"second": second, "first": first, "labels": labels},
        ({"second": second, "first": first}, labels),
    ):
        report = dump(Two(), [batch], path, images=3)
        assert report.pictures == 3
        traces.append(load_trace(path).layers)
        assert [layer.gemm.m for layer in traces[-1]] == [3, 3, 3]
    for other in traces[1:]:
        for one, two in zip(traces[0], other, strict=True):
            assert np.array_equal(one.activations, two.activations)
    assert evaluate(Two(), [((first, second), labels)], pe="mac-8b8b").rows == 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_networks_run_as_float32(path, tmp_path, dtype):
    model, other = plain().to(dtype), tmp_path / "float.safetensors"
    dump(model, [pictures().to(dtype)], path)
    dump(plain().to(dtype).float(), [pictures().to(dtype).float()], other)
    assert path.read_bytes() == other.read_bytes()
    assert next(model.parameters()).dtype == dtype


class Casts(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x.bfloat16())


ODD = {
    "uint8 pictures": (
        plain(),
        (pictures() * 255).to(torch.uint8),
        r"module '0' \(Conv2d\).*uint8",
    ),
    "wrong size": (nn.Sequential(nn.Linear(3, 2)), torch.rand(2, 5), r"'0' \(Linear\).*\(2, 5\)"),
    "too few inputs": (Two(), torch.rand(2, 6), r"the network itself \(Two\).*second"),
    "double pictures": (plain(), pictures().double(), r"module '0'.*float64 \(4, 3, 8, 8\)"),
    "a type of its own": (Casts(), torch.rand(2, 4), r"module 'fc' \(Linear\).*bfloat16 \(2, 4\)"),
    "no module": ("net.pt", pictures(), "model is a str, expected a torch.nn.Module"),
    "meta": (nn.Linear(8, 2, device="meta"), pictures(), "cannot be copied to the CPU"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("run", [dump, evaluate])
def test_what_goes_wrong_in_pytorch_is_one_line(odd, run, path):
    model, batch, message = ODD[odd]
    with pytest.raises(InputError, match=message) as raised:
        run(model, [batch], path) if run is dump else run(model, [batch])
    assert "\n" not in str(raised.value)
    assert not path.exists()


def test_what_goes_wrong_in_a_later_batch_is_one_line(path):
    with pytest.raises(InputError, match=r"module '4' \(Linear\)|module '0' \(Conv2d\)"):
        dump(plain(), [pictures(), torch.rand(2, 4, 8, 8)], path)


# Outputs -----------------------------------------------------------------------------------------


class Ends(nn.Module):
    def __init__(self, ending):
        super().__init__()
        self.body, self.ending = plain(), ending

    def forward(self, x):
        return self.ending(self.body(x))


@pytest.mark.parametrize(
    "ending",
    [
        lambda y: y,
        lambda y: (y, None),
        lambda y: {"logits": y, "features": y * 2},
        lambda y: {"only": y},
        lambda y: y[:, None],
    ],
)
def test_logits_are_found(ending, path):
    labels = torch.tensor([0, 1, 2, 3])
    found = evaluate(Ends(ending), [(pictures(), labels)], pe=None)
    assert found.top1 == int((plain()(pictures()).argmax(1) == labels).sum())
    dump(Ends(ending), [pictures()], path)
    assert load_trace(path).arrays["logits_float"].shape == (4, 5)


@pytest.mark.parametrize(
    "ending",
    [
        lambda y: {"a": y, "b": y},
        lambda y: y[:, :, None, None],
        lambda y: y.sum(),
        lambda _: "text",
        lambda _: [],
    ],
)
def test_outputs_without_logits_are_dumped_and_not_evaluated(ending, path):
    with pytest.raises(InputError, match=r"network's output is .*expected \(batch, classes\)"):
        evaluate(Ends(ending), [pictures()])
    dump(Ends(ending), [pictures()], path)
    assert "logits_float" not in load_trace(path).arrays


@pytest.mark.parametrize(
    "labels", [torch.zeros(4, 2, dtype=int), torch.zeros(4), torch.zeros(3, dtype=int)]
)
def test_labels_that_are_no_class_numbers_are_refused(labels):
    with pytest.raises(InputError, match=r"labels are .* for 4 rows of logits"):
        evaluate(plain(), [(pictures(), labels)])


def test_labels_that_are_no_numbers_are_none(path):
    boxes = [{"boxes": torch.zeros(2, 4)}] * 4
    assert evaluate(plain(), [(pictures(), boxes)], pe=None).top1 is None
    dump(plain(), [(pictures(), boxes)], path)
    assert "labels" not in load_trace(path).arrays


# What is left out --------------------------------------------------------------------------------


class Last(nn.LSTM):
    def forward(self, x):
        return super().forward(x)[0]


class Gated(nn.GRU):
    def forward(self, x):
        return super().forward(x)[0]


class Pixels(nn.Module):
    """A transposed convolution of the tokens as one line of pixels."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(8, 8, (1, 3), padding=(0, 1))

    def forward(self, x):
        return self.up(x.mT[:, :, None])[:, :, 0].mT


T, D = 6, 8  # tokens, width
LEFT_OUT = {
    "LSTM": (lambda: Last(D, D, batch_first=True), T * 4 * D * (D + D)),
    "LSTM both ways": (
        lambda: nn.Sequential(Last(D, D // 2, batch_first=True, bidirectional=True)),
        2 * T * 4 * (D // 2) * (D + D // 2),
    ),
    "GRU": (lambda: Gated(D, D, batch_first=True), T * 3 * D * (D + D)),
    # Every input pixel meets the whole kernel; padding cuts what falls outside afterwards.
    "transposed": (Pixels, T * D * D * 3),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_multiply_accumulates_that_are_left_out_are_counted(kind, path):
    make, each = LEFT_OUT[kind]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(D, D), make(), nn.Linear(D, 3))
    inputs = 5  # in batches of 2, 2 and 1
    data = torch.rand(inputs, T, D).split(2)
    report = dump(model, list(data), path)
    coverage = Coverage.of(load_trace(path).metadata.provenance)
    assert coverage == report.coverage
    assert coverage.inputs == inputs
    assert coverage.macs_left_out() == inputs * each
    assert {layer.name: layer.macs for layer in report.layers} == {
        "0": inputs * T * D * D,
        "2": inputs * T * D * 3,
    }
    whole = inputs * (each + T * D * D + T * D * 3)
    assert report.share_left_out == inputs * each / whole
    assert f"left out in all: {inputs * each / whole:.1%}" in str(report)


def test_encoder_layers_show_their_layers(path):
    """PyTorch's fast path would hide them."""
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 2)
    report = dump(nn.Sequential(encoder, nn.Linear(64, 10)), [torch.rand(2, 16, 64)], path)
    parts = ("in_proj", "product1", "product2", "out_proj")
    names = [f"self_attn.{part}" for part in parts] + ["linear1", "linear2"]
    assert [layer.name for layer in report.layers] == [
        *(f"0.layers.{number}.{name}" for number in (0, 1) for name in names),
        "1",
    ]
    assert report.skipped == ()


# Paths and numbers of numpy ----------------------------------------------------------------------


def test_a_trace_may_be_named_by_its_path(path):
    dump(plain(), [pictures()], path)
    expected = simulate(load_trace(path), "mac-8b8b")
    for named in (path, str(path), Path(path)):
        assert simulate(named, "mac-8b8b") == expected
        assert compare(named, ["mac-8b8b"]).reports["mac-8b8b"] == expected
    with pytest.raises(InputError, match="trace is a int, expected a Trace or the path"):
        simulate(3)
    with pytest.raises(InputError, match="missing"):
        compare(path.with_name("missing.safetensors"))


def test_numbers_of_numpy_are_numbers():
    numpy = ArrayConfig(rows=np.int64(8), cols=np.uint8(4), overlap=np.bool_(True))
    assert numpy == ArrayConfig(rows=8, cols=4, overlap=True)
    assert repr(numpy) == repr(ArrayConfig(rows=8, cols=4, overlap=True))
    with pytest.raises(InputError, match=r"array rows=8\.0"):
        ArrayConfig(rows=np.float64(8))
    with pytest.raises(InputError, match="array rows=True"):
        ArrayConfig(rows=np.bool_(True))
    assert MemoryConfig().dram == type(MemoryConfig().dram)(burst_bytes=np.int32(64))


# Clipping ----------------------------------------------------------------------------------------


def test_layers_that_clip_much_are_warned_of(path):
    """Small vectors under `mean-max`: every second one has its largest values cut."""
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    data = [torch.randn(64, 8, generator=torch.Generator().manual_seed(0))]
    report = dump(model, data, path)
    x, layer = data[0].numpy(), report.layers[0]
    steps = np.rint(x / np.float32(layer.activation_scale))
    assert layer.clipped_share == np.mean(np.abs(steps) > 127) > 0.002
    assert "warning: 2 layers clip more than 0.2% of the activations" in str(report)
    assert "warning" not in str(dump(model, data, path, calibrate="max"))


# Hooks, and what inputs are ----------------------------------------------------------------------


def test_hooks_make_batches_and_call_the_network(path, tmp_path):
    class Encodes(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = plain()

        def encode(self, x, scale):
            return self.body(x * scale)

    batches = [{"image": pictures(), "class": torch.tensor([0, 1, 2, 3])}]
    keys = {
        "inputs": lambda batch: ((batch["image"], torch.tensor(0.5)), batch["class"]),
        "forward": lambda model, x, scale: model.encode(x, scale),
    }
    report = dump(Encodes(), batches, path, **keys)
    assert [layer.name for layer in report.layers] == ["body.0", "body.4"]
    other = tmp_path / "plain.safetensors"
    dump(plain(), [(pictures() * 0.5, batches[0]["class"])], other)
    for one, two in zip(load_trace(path).layers, load_trace(other).layers, strict=True):
        assert np.array_equal(one.activations, two.activations)
    assert np.array_equal(load_trace(path).arrays["labels"], [0, 1, 2, 3])
    assert evaluate(Encodes(), batches, pe="mac-8b8b", **keys).rows == 4
    made = QuantisedNetwork(Encodes(), batches, **keys)
    made.save(tmp_path / "q")
    loaded = QuantisedNetwork.load(tmp_path / "q", Encodes(), batches, **keys)
    assert evaluate(loaded, batches, pe="mac-8b8b").rows == 4


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"inputs": lambda batch: list(batch)[9]},
            r"batch 0: .*raises IndexError: .*expected one that",
        ),
        ({"inputs": lambda batch: None}, "a batch is NoneType without a tensor"),
        (
            {"forward": lambda model, x: model.missing(x)},
            "cannot run: .*has no attribute 'missing'",
        ),
    ],
)
def test_hooks_that_fail_are_told_in_one_line(keys, message, path):
    with pytest.raises(InputError, match=message) as raised:
        dump(plain(), [pictures()], path, **keys)
    assert "\n" not in str(raised.value)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = nn.Embedding(20, 8), nn.Linear(8, 20)

    def forward(self, input_ids, mask=None):
        return self.head(self.embedding(input_ids))


def test_results_say_how_many_pictures_or_tokens_cycles_are_for(path):
    dump(plain(), [pictures(3)], path)
    coverage = Coverage.of(load_trace(path).metadata.provenance)
    assert (coverage.inputs, coverage.unit, coverage.tokens) == (3, "picture", None)
    assert simulate(path, "mac-8b8b").coverage.inputs_text() == "3 pictures"
    tokens = torch.randint(0, 20, (2, 7))
    batch = {"mask": torch.ones(2, 1, 7), "input_ids": tokens}
    assert "2 sequences (14 tokens)" in str(dump(Words(), [batch], path))
    report = simulate(path, "mac-8b8b")
    assert report.coverage.tokens == 14
    assert report.cycles_per_input == report.cycles.total / 2
    (row,) = [row for row in report.flat_rows() if row["row"] == "total"]
    assert (row["inputs"], row["inputs_are"], row["tokens"]) == (2, "sequences", 14)
    assert "2 sequences (14 tokens) of the network" in " ".join(report.coverage.notes(1))
    dump(Two(), [(torch.rand(4, 6), torch.rand(4, 3))], path)
    assert simulate(path, "mac-8b8b").coverage.inputs_text() == "4 inputs"
