"""Whole networks in a design's arithmetic."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from networks.plain import plain_network
from networks.shared import NO_SHARED, ROOT
from networks.small import Small, batches, small
from torch import nn
from torch.nn import functional

from sparqsim import InputError, PEDesign, get_pe, load_trace, simulate
from sparqsim.networks.arithmetic import Arithmetic
from sparqsim.networks.evaluate import best, right
from sparqsim.networks.torch import QuantisedNetwork, dump, evaluate
from sparqsim.networks.torch.accuracy import Study
from sparqsim.networks.torch.evaluate import recalibrate
from sparqsim.networks.torch.loaders import Inputs
from sparqsim.pe.base import Step
from sparqsim.results.accuracy_report import AccuracyReport, Trial

needs_shared = pytest.mark.skipif(not ROOT.exists(), reason=NO_SHARED)

SIGNED = ["stem", "last"]  # the layers of the small network whose inputs are negative too
DESIGNS = [
    "mac-8b8b",
    "mac-4b8b",
    "mac-4b4b:rounding=trim",
    "sparq-5opt",
    "sparq-3opt:rounding=trim",
    "sparq-2opt:pairing=off",
    "sparq-6opt",
    "sparq-7opt",
    "sparq-exact",
]


class Recorded(Arithmetic):
    """Keeps every layer's operands and integer sums, as `networks.plain` lays them out."""

    def __init__(self, quantised, pe):
        super().__init__(quantised.layers.values(), pe)
        self.seen = {}

    def sums(self, site, operands):
        sums = super().sums(site, operands)
        codes = operands.activations
        codes = codes.transpose(0, 3, 1, 2) if site.geometry else codes[0]
        self.seen[site.name] = (codes.astype(int), sums.reshape(-1, sums.shape[-1]))
        return sums


def assert_equals_plain(model, calibration, inputs, pe, path, **fields):
    """Run both routes on one batch and compare every layer's operands and sums, and the outputs'
    bits.
    """
    dump(model, calibration, path, images=1, **fields)
    quantised = QuantisedNetwork(model, calibration, **fields)
    fast = Recorded(quantised, get_pe(pe))
    outputs = quantised.run(Inputs.of(inputs), fast.sums)
    plain, seen = plain_network(
        model, load_trace(path), lambda layer: get_pe("mac-8b8b" if layer.keep_8bit else pe)
    )
    with torch.no_grad():
        assert torch.equal(outputs, plain(inputs))
    assert list(fast.seen) == list(seen)
    for name, (codes, sums) in seen.items():
        assert np.array_equal(fast.seen[name][0], codes.reshape(fast.seen[name][0].shape)), name
        assert np.array_equal(fast.seen[name][1], sums), name


@pytest.mark.parametrize("pe", DESIGNS)
def test_every_integer_equals_a_plain_recomputation_from_the_trace(tmp_path, pe):
    assert_equals_plain(
        small(), batches(), batches(seed=9)[0][0], pe, tmp_path / "t.safetensors", keep_8bit=SIGNED
    )


@pytest.mark.parametrize(
    "pe", ["mac-4b4b", "sparq-5opt:signed=magnitude", "sparq-3opt:signed=magnitude"]
)
def test_signed_layers_equal_a_plain_recomputation_too(tmp_path, pe):
    assert_equals_plain(
        small(), batches(), batches(seed=9)[0][0], pe, tmp_path / "t.safetensors", keep_8bit="none"
    )


@needs_shared
@pytest.mark.parametrize("pe", ["mac-8b8b", "sparq-5opt", "mac-4b4b"])
def test_every_integer_of_resnet20_equals_a_plain_recomputation_from_its_trace(tmp_path, pe):
    from networks.convolutional import resnet20
    from networks.shared import cifar10

    images, _ = cifar10(0, 8)  # by their scales one activation lies in the middle of two codes
    assert_equals_plain(resnet20(), [images], images[:1], pe, tmp_path / "t.safetensors")


def test_the_dumped_activations_are_those_of_the_plain_8_bit_network(tmp_path):
    path, data = tmp_path / "t.safetensors", batches()
    dump(small(), data, path)
    trace = load_trace(path)
    plain, seen = plain_network(small(), trace, lambda _: get_pe("mac-8b8b"))
    with torch.no_grad():
        logits = plain(torch.cat([images for images, _ in data]))
    assert np.array_equal(logits.numpy(), trace.arrays["logits_8bit"])
    for layer in trace.layers:
        codes = seen[layer.name][0]
        codes = codes.transpose(0, 2, 3, 1) if layer.op == "conv2d" else codes[None]
        assert np.array_equal(layer.activations, codes)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "zeros"])
@pytest.mark.parametrize("padding", [(1, 2), "same", "valid"])
def test_every_padding_equals_a_plain_recomputation(tmp_path, mode, padding):
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(2, 4, (5, 3), padding=padding, padding_mode=mode), nn.Flatten(), nn.LazyLinear(3)
    )
    inputs = torch.rand(2, 2, 6, 7)
    with torch.no_grad():
        model(inputs)
    quantised = QuantisedNetwork(model, [inputs], keep_8bit=["2"])
    fast = Recorded(quantised, get_pe("sparq-5opt"))
    quantised.run(Inputs.of(inputs), fast.sums)
    layer = quantised.layers["0"]
    codes = torch.from_numpy(fast.seen["0"][0]).double()  # padded already, unless with zeros
    weights = torch.from_numpy(layer.weights.codes.reshape(4, 5, 3, 2))
    weights = weights.permute(0, 3, 1, 2).double()
    top, bottom, left, right = layer.geometry.padding
    exact = functional.conv2d(functional.pad(codes, (left, right, top, bottom)), weights).permute(
        0, 2, 3, 1
    )
    eight = Recorded(quantised, get_pe("mac-8b8b"))
    outputs = quantised.run(Inputs.of(inputs), eight.sums)
    assert np.array_equal(eight.seen["0"][1], exact.reshape(-1, 4).long().numpy())
    assert outputs.shape == model(inputs).shape
    assert not np.array_equal(fast.seen["0"][1], eight.seen["0"][1])


class Alternating(PEDesign):
    """A design that is no transformation of operands: every second step is lost."""

    name, lanes = "alternating", 2

    def step(self, xs, ws, signed=False):
        return Step(0)

    def matmul(self, x, w):
        kept = np.arange(x.shape[-1]) // 2 % 2 == 0
        return x[..., kept].astype(np.int64) @ w[..., kept, :].astype(np.int64)


def test_a_design_that_is_no_transformation_runs_through_its_matmul(tmp_path):
    path, data = tmp_path / "t.safetensors", batches()
    dump(small(), data, path, keep_8bit="none")
    plain, _ = plain_network(small(), load_trace(path), lambda _: Alternating())
    with torch.no_grad():
        expected = plain(data[0][0])
    result = evaluate(small(), data[:1], Alternating(), calibration_loader=data, keep_8bit="none")
    assert torch.equal(result.logits, expected)


def test_the_float_network_agrees_with_itself():
    data = batches()
    result = evaluate(small(), data, None)
    assert (result.pe, result.rows, result.agreement, result.layers) == (None, 12, 12, ())
    logits = torch.cat([small()(images) for images, _ in data])
    assert torch.allclose(result.logits, logits, atol=1e-5)
    answers = best(logits.detach().numpy(), 1)
    assert result.top1 == right(answers, torch.cat([labels for _, labels in data]))


def test_results_say_what_ran_where():
    result = evaluate(small(), batches(), "sparq-5opt", keep_8bit=["stem", "last"])
    assert {layer.name: layer.pe for layer in result.layers} == {
        "stem": "mac-8b8b",
        "odd": "sparq-5opt",
        "grouped": "sparq-5opt",
        "pairs": "sparq-5opt",
        "last": "mac-8b8b",
        "fc": "sparq-5opt",
    }
    assert set(result.sqnr_db) == {"odd", "grouped", "pairs", "fc"}
    assert all(layer.error.noise == 0 for layer in result.layers if layer.pe == "mac-8b8b")
    in_float = evaluate(small(), batches(), "sparq-5opt", keep_8bit=["stem", "last"], kept="float")
    assert [layer.pe for layer in in_float.layers if layer.name in ("stem", "last")] == [
        "float",
        "float",
    ]
    assert evaluate(small(), batches(), "mac-8b8b", kept="design").layers[0].pe == "mac-8b8b"
    assert evaluate(small(), batches(), "mac-4b8b", kept="design").layers[0].pe == "mac-4b8b"


def test_layer_errors_are_those_of_the_trace(tmp_path):
    """With one layer under the design, its operands are the trace's: the simulator's report says
    the same.
    """
    from sparqsim import simulate

    names = ["stem", "grouped", "pairs", "last", "fc"]
    dump(small(), batches(), tmp_path / "t.safetensors", keep_8bit=names)
    result = evaluate(small(), batches(), "sparq-2opt", keep_8bit=names)
    report = simulate(load_trace(tmp_path / "t.safetensors"), pe="sparq-2opt")
    assert result.layers[1].error == report.layers[1].error
    assert result.layers[1].error.noise > 0


def test_layer_errors_can_be_left_out_and_change_no_logit():
    with_errors, some, without = (
        evaluate(small(), batches(), "mac-4b8b", error_images=n) for n in (None, 4, 0)
    )
    assert torch.equal(with_errors.logits, without.logits)
    assert all(layer.error is None for layer in without.layers)
    for all_of_12, first_2_batches in zip(with_errors.layers, some.layers, strict=True):
        assert all_of_12.error.outputs == 2 * first_2_batches.error.outputs


def test_designs_that_cannot_take_signed_layers_refuse_naming_them():
    with pytest.raises(
        InputError, match=r"layer 'last': sparq-5opt takes unsigned.*signed=magnitude"
    ):
        evaluate(small(), batches(), "sparq-5opt")
    assert evaluate(small(), batches(), "sparq-5opt:signed=magnitude").rows == 12
    assert evaluate(small(), batches(), "sparq-5opt", keep_8bit=SIGNED, kept="float").rows == 12


def test_one_calibration_serves_several_designs():
    quantised = QuantisedNetwork(small(), batches(), keep_8bit=SIGNED)
    for pe in ("sparq-5opt", "mac-4b4b", "sparq-5opt"):
        shared = evaluate(quantised, batches(), pe)
        assert torch.equal(shared.logits, evaluate(small(), batches(), pe, keep_8bit=SIGNED).logits)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kept": "4bit"}, "kept='4bit'"),
        ({"pe": "sparq-9opt"}, "did you mean sparq-"),
        ({"loader": []}, "holds no batch"),
        ({"loader": [], "calibration_loader": batches()}, "holds no batch"),
        ({"loader": iter(batches())}, "read more than once"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate(small(), **({"loader": batches(), "pe": "mac-8b8b"} | arguments))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_stop_with_the_layers_name(value):
    with pytest.raises(InputError, match=r"layer 'stem': activations hold NaN"):
        evaluate(
            small(), [torch.full((1, 3, 8, 8), value)], "mac-8b8b", calibration_loader=batches()
        )


def test_a_layer_that_calibration_did_not_meet_is_named():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.second(self.first(x)) if x.sum() > 0 else self.first(x)

    with pytest.raises(InputError, match=r"layer 'second' did not run on the calibration data"):
        evaluate(
            Branching(), [torch.ones(1, 2)], "mac-8b8b", calibration_loader=[-torch.ones(1, 2)]
        )


def test_right_counts_the_top_k_and_never_nan():
    logits = np.array([[3.0, 2, 1, 0], [0, 1, 2, 3], [float("nan")] * 4])
    assert right(best(logits, 1), np.array([1, 3, 0])) == 1
    assert right(best(logits, 2), np.array([1, 3, 0])) == 2
    assert right(best(logits, 5), np.array([3, 0, 0])) == 2


# Recalibrating batch norms
# ---------------------------------------------------------------------------------------


def test_recalibration_finds_the_statistics_of_what_the_design_computes():
    """The norm's new mean and variance are those of the 8-bit convolution's outputs, as PyTorch
    measures them.
    """
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    ).eval()
    data = [torch.rand(8, 2, 4, 4) for _ in range(3)]
    quantised = QuantisedNetwork(model, data, fold=False)
    outputs = []
    quantised.network.model[1].register_forward_pre_hook(lambda _, given: outputs.append(given[0]))
    eight = Arithmetic(quantised.layers.values(), get_pe("mac-8b8b"))
    for batch in data:
        quantised.run(Inputs.of(batch), eight.sums)
    model[1].train()
    model[1].momentum = None
    for batch in outputs:
        model[1](batch)
    model.eval()
    expected = copy.deepcopy(model[1])
    model[1].reset_running_stats()
    quantised = QuantisedNetwork(model, data, fold=False)
    eight = Arithmetic(quantised.layers.values(), get_pe("mac-8b8b"))
    recalibrate(quantised, data, eight)
    found = quantised.network.model[1]
    assert torch.equal(found.running_mean, expected.running_mean)
    assert torch.equal(found.running_var, expected.running_var)
    assert not found.training
    assert not torch.equal(found.running_mean, model[1].running_mean)


def test_recalibration_undoes_a_shift_that_a_design_adds():
    """Trimming makes every activation smaller; norms measured under the design take the bias out
    again.
    """
    torch.manual_seed(4)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 49, 5),
    )
    data = [torch.rand(16, 3, 11, 11) for _ in range(4)]
    with torch.no_grad():
        for batch in data * 30:
            model(batch)  # training mode: the norm learns its statistics
    model.eval()
    in_float = evaluate(model, data, None).logits
    plain, recalibrated = (
        evaluate(model, data, "mac-4b8b:rounding=trim", recalibrate_bn=how).logits
        for how in (False, True)
    )
    assert (recalibrated - in_float).square().mean() < (plain - in_float).square().mean()


def test_recalibration_leaves_the_users_model_alone_and_needs_it():
    model = small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, batches(), "mac-4b8b", recalibrate_bn=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(InputError, match=r"recalibrate_bn=True needs the nn\.Module"):
        evaluate(QuantisedNetwork(model, batches()), batches(), "mac-4b8b", recalibrate_bn=True)


# Tables
# ------------------------------------------------------------------------------------------------------------


def test_a_report_holds_accuracy_and_cycles_of_the_same_network():
    trials = [
        Trial(None),
        Trial("mac-8b8b"),
        Trial("sparq-5opt"),
        Trial("mac-4b8b", "mse:4"),
        Trial("mac-4b4b", recalibrate_bn=True),
    ]
    so_far = []
    study = Study(small(), batches(), batches(), network="small", keep_8bit=SIGNED)
    report = study.report(trials, each=so_far.append)
    assert [len(partial.rows) for partial in so_far] == [1, 2, 3, 4, 5]
    assert AccuracyReport.from_json(report.to_json()) == report
    assert [row.trial for row in report.rows] == trials
    assert report.rows[1].speedup == 1
    first = []
    other = Study(small(seed=5), batches(), batches(), keep_8bit=SIGNED).report(
        trials[:3], known=report.rows[1::-1], each=first.append
    )
    assert [row.pe for row in first[0].rows] == [
        None,
        "mac-8b8b",
    ]  # the second is known, and its turn comes later
    assert other.rows[:2] == report.rows[:2]  # not measured again
    assert other.rows[2] != report.rows[2]
    assert report.rows[2].cycles < report.rows[1].cycles


def test_a_report_names_the_outputs_of_a_network_that_has_several():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 4)

        def forward(self, x):
            return {"features": x, "logits": self.linear(x)}

    loader = [(torch.rand(3, 6), torch.zeros(3, dtype=torch.long))]
    study = Study(Two(), loader, loader, keep_8bit=())
    report = study.report([Trial("mac-8b8b")])
    assert report.outputs == ("output['logits']", "output['features']")
    study = Study(nn.Sequential(nn.Linear(6, 4)), loader, loader, keep_8bit=())
    assert study.report([Trial("mac-8b8b")]).outputs == ()


def test_a_report_says_what_evaluate_says():
    report = Study(small(), batches(), batches(), keep_8bit=SIGNED).report(
        [Trial("sparq-5opt"), Trial("mac-4b8b")]
    )
    alone = evaluate(small(), batches(), "sparq-5opt", keep_8bit=SIGNED)
    row = report.row(Trial("sparq-5opt"))
    assert (row.hits.top1, row.hits.agree) == (alone.top1, alone.agreement)
    assert report.sqnr_db(row) == {
        name: value for name, value in alone.sqnr_db.items() if value is not None
    }
    assert [layer.name for layer in report.layers if layer.kept] == list(SIGNED)
    with pytest.raises(InputError, match="no row of Trial"):
        report.row(Trial("mac-4b4b"))


# Real networks
# -----------------------------------------------------------------------------------------------------


@needs_shared
def test_resnet20_on_its_500_pictures():
    from networks.convolutional import resnet20
    from networks.shared import cifar10

    images, labels = cifar10()
    data = list(zip(images.split(50), labels.split(50), strict=True))
    quantised = QuantisedNetwork(resnet20(), data[:2])
    assert evaluate(quantised, data, None).top1 == 455
    eight = evaluate(quantised, data, "mac-8b8b", images=100, error_images=0)
    assert (eight.rows, eight.agreement > 95) == (100, True)


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "style", "top1", "top5"),
    [("squeezenet", "caffe", 129, 172), ("resnet18", "torch", 143, 188)],
)
def test_imagenet_networks_in_float(make, style, top1, top5):
    from networks import convolutional
    from networks.shared import ImagenetSamples

    data = ImagenetSamples(style, 20)
    first = next(iter(data))
    result = evaluate(getattr(convolutional, make)(), data, None, calibration_loader=[first])
    assert (result.rows, result.top1, result.top5) == (200, top1, top5)


@needs_shared
def test_the_language_model_in_a_designs_arithmetic():
    from networks.llama import stories260k, story

    model = stories260k()
    tokens = story(model, 64)
    quantised = QuantisedNetwork(model, [tokens])
    data = [(tokens[:, :-1], tokens[:, 1:])]
    assert evaluate(quantised, data, None).top1 == 63
    eight, magnitude, static = (
        evaluate(quantised, data, pe).top1
        for pe in ("mac-8b8b", "sparq-5opt:signed=magnitude", "mac-4b4b")
    )
    assert eight > 55
    assert magnitude > static
    with pytest.raises(
        InputError, match=r"layer 'layers\.0\.attention\.wk': sparq-3opt takes unsigned"
    ):
        evaluate(quantised, data, "sparq-3opt")


def test_the_small_network_is_what_the_tests_take_it_for():
    assert {name for name, module in Small().named_modules() if isinstance(module, nn.Conv2d)} == {
        "stem",
        "odd",
        "grouped",
        "pairs",
        "last",
    }


@pytest.mark.parametrize("pe", ["mac-mxint8", "mac-w4a8", "stc-sparq-5opt:signed=magnitude"])
def test_designs_of_operands_of_their_own_have_the_errors_of_a_simulation(pe, tmp_path):
    """The first layer takes the same operands in a network and in its trace."""
    model, inputs, path = small(), batches(), tmp_path / "net.safetensors"
    dump(model, inputs, path, keep_8bit="none")
    found = evaluate(model, inputs, pe, keep_8bit="none").layers[0]
    simulated = simulate(load_trace(path), pe).layers[0]
    assert found.pe == get_pe(pe).spec
    assert found.error.noise > 0
    assert found.error == simulated.error
