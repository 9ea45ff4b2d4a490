"""The fast form of layers in PyTorch: number for number what NumPy's sums give."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st
from networks.small import batches, small
from torch import nn
from torch.nn import functional

from sparqsim import InputError, PEDesign, get_pe
from sparqsim.networks.arithmetic import Arithmetic
from sparqsim.networks.sums import Factor
from sparqsim.networks.torch import QuantisedNetwork, evaluate, floatsums, kernels, spreading
from sparqsim.networks.torch.answers import answered
from sparqsim.networks.torch.direct import DirectForms
from sparqsim.networks.torch.floatsums import FloatSums, Product, adds_products
from sparqsim.networks.torch.loaders import Inputs
from sparqsim.pe.base import Step
from sparqsim.quantise.codes import quantise
from sparqsim.quantise.recipe import Recipe
from sparqsim.trace.bitlist import BitList
from sparqsim.trace.schema import ConvGeometry

COVERED = [
    "mac-8b8b",
    "mac-4b8b",
    "mac-4b4b",
    "mac-4b4b:rounding=trim",
    "sparq-5opt:signed=magnitude",
    "sparq-2opt:pairing=off,signed=magnitude",
    "smt-sa-2t",
    "swis",
]


def bits_of(values):
    """Return a tensor's bytes, so that 0 and -0 differ."""
    return values.contiguous().numpy().tobytes()


class Watched(DirectForms):
    """Keeps which layers it gave an output of."""

    def __init__(self):
        super().__init__()
        self.given = {}

    def output(self, arithmetic, call, site, values):
        output = super().output(arithmetic, call, site, values)
        self.given[call.name] = output is not None
        return output


def assert_as_numpy(quantised, inputs, pe, **settings):
    """Compute a batch both ways; return which layers the fast form covered."""
    sites = quantised.layers.values()
    fast, plain = (Arithmetic(sites, get_pe(pe), **settings) for _ in range(2))
    quantised.direct = Watched()
    found = answered(quantised, Inputs.of(inputs), fast)
    expected = quantised.run(
        Inputs.of(inputs), plain.sums, in_float=lambda site: plain.design(site) is None
    )
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.is_contiguous()
    assert bits_of(found) == bits_of(expected)
    assert fast.results() == plain.results()
    return quantised.direct.given


def network(module, example, bits=8):
    """Return a network of one layer, quantised."""
    model = nn.Sequential(module)
    listed = None if bits == 8 else BitList.of({"0": bits})
    return QuantisedNetwork(model, [example], calibrate="max", keep_8bit="none", bits=listed)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**16),
    batch=st.integers(1, 3),
    depth=st.integers(1, 4),
    groups=st.sampled_from([1, 1, 2]),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    padding=st.one_of(st.just("same"), st.tuples(st.integers(0, 2), st.integers(0, 2))),
    dilation=st.integers(1, 2),
    mode=st.sampled_from(["zeros", "zeros", "reflect"]),
    signed=st.booleans(),
    biased=st.booleans(),
    bits=st.sampled_from([8, 4, 2]),
    design=st.sampled_from(COVERED),
    dtype=st.sampled_from([torch.float32, torch.float32, torch.float64]),
)
def test_convolutions_are_those_of_numpy(
    seed, batch, depth, groups, kernel, stride, padding, dilation, mode, signed, biased, bits,
    design, dtype,
):  # fmt: skip
    torch.manual_seed(seed)
    channels = depth * groups
    module = nn.Conv2d(
        channels,
        3 * groups,
        kernel,
        (1, 1) if padding == "same" else stride,
        padding,
        dilation,
        groups,
        biased,
        mode,
    ).to(dtype)
    x = torch.randn(batch, channels, 7, 8, dtype=dtype)
    if not signed:
        x = functional.relu(x)
    given = assert_as_numpy(network(module, x, bits), x, design)
    lanes = 1 if design.startswith(("mac-", "smt-sa", "swis")) else get_pe(design).lanes
    assert given["0"] == (depth % lanes == 0)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    front=st.sampled_from([(3,), (2, 3), (1, 1, 2)]),
    k=st.integers(1, 40),
    signed=st.booleans(),
    biased=st.booleans(),
    bits=st.sampled_from([8, 3]),
    design=st.sampled_from(COVERED),
)
def test_matrix_products_are_those_of_numpy(seed, front, k, signed, biased, bits, design):
    torch.manual_seed(seed)
    x = torch.randn(*front, k)
    if not signed:
        x = functional.relu(x)
    given = assert_as_numpy(network(nn.Linear(k, 5, biased), x, bits), x, design)
    lanes = 1 if design.startswith(("mac-", "smt-sa", "swis")) else get_pe(design).lanes
    assert given["0"] == (k % lanes == 0)


@pytest.mark.parametrize("kept", ["8bit", "float", "design"])
@pytest.mark.parametrize("error_inputs", [None, 0])
def test_a_network_answers_the_same(kept, error_inputs):
    data = [images for images, _ in batches()]
    quantised = QuantisedNetwork(small(), data)
    for pe in ("sparq-5opt:signed=magnitude", "mac-8b8b", "mac-4b4b"):
        pair = {"kept": kept, "error_inputs": error_inputs}
        given = assert_as_numpy(quantised, data[0], pe, **pair)
        assert given.get("fc", False) == (kept != "float")
        assert given["grouped"] == pe.startswith("mac-")  # five channels: no pairs


@pytest.mark.parametrize("bits", [7, 4, 2])
def test_activations_of_fewer_bits_are_not_taken_for_eight(bits):
    x = torch.randn(2, 4, 6, 6).relu()
    quantised = network(nn.Conv2d(4, 3, 3), x)
    whole = quantised.layers["0"]
    quantised.layers = {"0": replace(whole, activation_bits=bits)}
    assert quantised.layers["0"].lost_activation_bits == 8 - bits
    assert_as_numpy(quantised, x, "mac-8b8b")


def test_channels_that_lie_innermost_are_taken():
    x = torch.randn(2, 4, 6, 6).relu()
    quantised = network(nn.Conv2d(4, 3, 3), x)
    last = x.to(memory_format=torch.channels_last)
    assert assert_as_numpy(quantised, last, "sparq-5opt")["0"]
    assert not last.is_contiguous()


@dataclass(frozen=True)
class Plus(PEDesign):
    """Adds one to every activation: padding is no zero to it."""

    name: ClassVar[str] = "plus"
    lanes: ClassVar[int] = 1

    def step(self, xs, ws, signed=False):
        return Step((xs[0] + 1) * ws[0])

    def used_activations(self, x):
        return x.astype(np.int16) + 1


@dataclass(frozen=True)
class Crossed(PEDesign):
    """Pairs element k with the one half of K further on, and drops the second if both are there."""

    name: ClassVar[str] = "crossed"
    lanes: ClassVar[int] = 2

    def step(self, xs, ws, signed=False):
        first, second = xs
        return Step(first * ws[0] + (0 if first else second) * ws[1])

    def k_order(self, k):
        half = -(-k // 2)
        order = np.arange(2 * half).reshape(2, half).T
        return np.where(order < k, order, -1)

    def used_activations(self, x):
        half = -(-x.shape[-1] // 2)
        used = x.copy()
        rest = x.shape[-1] - half
        used[..., half:][x[..., :rest] != 0] = 0
        return used


@dataclass(frozen=True)
class Large(PEDesign):
    """Uses four times each of four activations: more than is expected of what has no table."""

    name: ClassVar[str] = "large"
    lanes: ClassVar[int] = 4

    def step(self, xs, ws, signed=False):
        return Step(sum(4 * x * w for x, w in zip(xs, ws, strict=True)))

    def used_activations(self, x):
        return x.astype(np.int16) * 4


@pytest.mark.parametrize("design", [Plus(), Crossed(), Large(), "sysmt-2t"])
def test_designs_that_are_not_covered_compute_in_numpy(design):
    x = torch.randn(2, 4, 6, 6).relu()
    given = assert_as_numpy(network(nn.Conv2d(4, 3, 3, padding=1), x), x, design)
    assert not given["0"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_are_refused(value):
    data = [images for images, _ in batches()]
    quantised = QuantisedNetwork(small(), data)
    images = data[0].clone()
    images[1, 2, 3, 4] = value
    with pytest.raises(InputError, match="layer 'stem': activations hold NaN or infinite"):
        evaluate(quantised, [images], "mac-8b8b", in_float=None)


# The check of float32 products
# ---------------------------------------------------------------------------------------


def winograd(x, w, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """Return a 3x3 convolution of stride 1 by Winograd's F(2x2, 3x3), in the operands' type."""
    if tuple(w.shape[2:]) != (3, 3) or tuple(stride) != (1, 1) or groups != 1:
        return REAL_CONVOLUTION(x, w, bias, stride, padding, dilation, groups)
    b = torch.tensor([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], dtype=x.dtype)
    g = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=x.dtype)
    a = torch.tensor([[1, 1, 1, 0], [0, 1, -1, -1]], dtype=x.dtype)
    height, width = (x.shape[2 + axis] + 2 * padding[axis] - 2 for axis in (0, 1))
    down, right = height % 2, width % 2
    x = functional.pad(x, (padding[1], padding[1] + right, padding[0], padding[0] + down))
    tiles = x.unfold(2, 4, 2).unfold(3, 4, 2)
    product = torch.einsum("ncyxij,ocij->noyxij", b @ tiles @ b.T, g @ w @ g.T)
    y = (a @ product @ a.T).permute(0, 1, 2, 4, 3, 5)
    y = y.reshape(*y.shape[:2], height + down, width + right)
    return y[:, :, :height, :width].contiguous()


REAL_CONVOLUTION = functional.conv2d


def almost(x, w, *rest):
    return REAL_CONVOLUTION(x, w, *rest) + 0.25


def off_by_one(x, w, *rest):
    return REAL_CONVOLUTION(x, w, *rest) + 1


def in_half(x, w, *rest):
    return REAL_CONVOLUTION(x, w, *rest).half().float()


@pytest.mark.parametrize("inexact", [almost, off_by_one, in_half, winograd])
def test_a_convolution_that_is_not_exact_is_found_and_numpy_computes(monkeypatch, inexact):
    torch.manual_seed(3)
    x = torch.randn(4, 64, 6, 7).relu()
    quantised = network(nn.Conv2d(64, 24, 3, padding=1), x)
    assert assert_as_numpy(quantised, x, "sparq-5opt")["0"]
    adds_products.cache_clear()
    monkeypatch.setattr(functional, "conv2d", inexact)
    assert not assert_as_numpy(quantised, x, "sparq-5opt")["0"]
    monkeypatch.undo()
    adds_products.cache_clear()


def test_a_layers_own_codes_are_compared_too(monkeypatch):
    """What was trusted before, for another layer of this shape, is not trusted blindly."""
    x = torch.randn(4, 16, 12, 12).relu()
    quantised = network(nn.Conv2d(16, 24, 3, padding=1), x)
    assert assert_as_numpy(quantised, x, "sparq-5opt")["0"]
    monkeypatch.setattr(functional, "conv2d", off_by_one)
    assert not assert_as_numpy(quantised, x, "sparq-5opt")["0"]


def test_winograds_rounding_shows_at_large_sums_only(monkeypatch):
    """Why a layer's own codes are not enough: small ones pass."""
    adds_products.cache_clear()
    product = Product(ConvGeometry(kernel=(3, 3), padding=(1, 1, 1, 1)))
    x = torch.randint(0, 9, (2, 64, 6, 6)).float()
    w = torch.randint(-9, 9, (4, 64, 3, 3)).float()
    size = x.shape, w.shape
    assert adds_products(floatsums.Setting(product, *size, 1, "direct"))
    monkeypatch.setattr(functional, "conv2d", winograd)
    assert product.exact_at_some(x, w, product(x, w))
    assert not adds_products(floatsums.Setting(product, *size, 1, "Winograd"))


@pytest.mark.parametrize("k", [576, 4608])
def test_long_sums_are_multiplied_in_pieces(k):
    random = np.random.default_rng(k)
    depth = k // 9
    integers = random.integers(-128, 128, (1, k, 3)).astype(np.int8)
    integers[..., 0] = 127  # one filter whose sums reach their bound
    geometry = ConvGeometry(kernel=(3, 3))
    sums = FloatSums(Product(geometry), Factor(integers), 0, 255)
    x = random.integers(0, 256, (2, depth, 4, 3))
    x[0] = 255
    y = sums(torch.from_numpy(x).float())
    rows = np.stack([x[:, :, i : i + 3] for i in range(2)], axis=1)  # (2, 2, depth, 3, 3)
    expected = rows.transpose(0, 1, 3, 4, 2).reshape(2, 2, k) @ integers[0].astype(int)
    assert np.array_equal(y[..., 0].numpy().transpose(0, 2, 1), expected)
    assert expected.max() == 255 * 127 * k == sums.largest
    assert (y.dtype == torch.float64) == (k * 127 * 255 > 1 << 24)


def test_what_needs_pieces_in_groups_is_left_to_numpy():
    integers = np.full((2, 2304, 1), 127, np.int8)
    product = Product(ConvGeometry(kernel=(3, 3)), groups=2)
    assert FloatSums(product, Factor(integers), 0, 255)(torch.zeros(1, 512, 3, 3)) is None


# Kernels
# ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(
        st.one_of(
            st.floats(width=32),
            st.integers(-600, 600).map(lambda half: half * 0.25),
        ),
        min_size=1,
        max_size=40,
    ),
    scale=st.sampled_from([0.5, 0.1, 3.0, 1e-38]),
    signed=st.booleans(),
)
def test_codes_are_those_of_the_rule(values, scale, signed):
    x = np.array(values, np.float32)
    codes = np.empty_like(x)
    limits = (-127, 127) if signed else (0, 255)
    bad = kernels.codes_of(x, codes, *map(np.float32, (scale, *limits)))
    finite = np.isfinite(x)
    assert bad == (~finite).sum()
    assert np.array_equal(codes[finite], quantise(x[finite], scale, signed).codes)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**16),
    size=st.integers(1, 70),
    bits=st.sampled_from([3, 20, 29]),
    kind=st.sampled_from([np.float32, np.float64]),
    run=st.sampled_from([4, 7, 1 << 20]),
)
def test_squares_are_added_without_loss(seed, size, bits, kind, run):
    random = np.random.default_rng(seed)
    sums, exact = random.integers(-(1 << bits), 1 << bits, (2, size)).astype(kind)
    if bits > 24:
        run = 4
    found = kernels.Compared(*kernels.compared(sums, exact, run))
    pairs = [(int(some), int(true)) for some, true in zip(sums, exact, strict=True)]
    assert found.whole_signal == sum(true**2 for _, true in pairs)
    assert found.whole_noise == sum((some - true) ** 2 for some, true in pairs)
    assert found.largest == max(abs(some - true) for some, true in pairs)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_parts_of_arrays_are_the_whole(monkeypatch, threads):
    monkeypatch.setattr(spreading, "SMALL", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x = torch.randn(2, 4, 5, 5).relu()
    for pe in ("sparq-5opt", "mac-4b8b"):
        assert assert_as_numpy(network(nn.Conv2d(4, 3, 3), x), x, pe)["0"]
    rows = torch.randn(5, 4).relu()
    assert assert_as_numpy(network(nn.Linear(4, 3), rows), rows, "sparq-5opt")["0"]
    doubled, source = np.zeros(7), np.arange(7.0)
    given = spreading.spread(lambda a, b: np.multiply(a, 2, out=b).size, [source, doubled])
    assert sum(given) == 7
    assert np.array_equal(doubled, 2 * source)


@pytest.mark.parametrize("pe", ["mac-8b8b", "bitfusion", "mac-4b8b"])
@pytest.mark.parametrize("signed", [False, True])
def test_activations_of_fewer_bits_are_those_of_numpy(pe, signed):
    example = torch.randn(3, 4, 6, 6)
    example = example if signed else example.abs()
    model = nn.Sequential(nn.Conv2d(4, 5, 3, padding=1), nn.Flatten(), nn.Linear(180, 3))
    layers = {"0": {"activation_bits": 3}}
    recipe = Recipe(keep_8bit="none", activation_bits=5, weights="nearest:4", layers=layers)
    quantised = QuantisedNetwork(model, [example], recipe=recipe)
    given = assert_as_numpy(quantised, example, pe)
    assert set(given.values()) == {get_pe(pe).exact}
    whole = QuantisedNetwork(model, [example], recipe=Recipe(keep_8bit="none", weights="nearest:4"))
    answers = [
        answered(each, Inputs.of(example), Arithmetic(each.layers.values(), get_pe(pe)))
        for each in (quantised, whole)
    ]
    assert not torch.equal(*answers)


def test_a_file_has_no_place_for_activations_of_fewer_bits(tmp_path):
    model, example = nn.Sequential(nn.Linear(4, 3)), torch.rand(2, 4)
    quantised = QuantisedNetwork(
        model, [example], recipe=Recipe(keep_8bit="none", activation_bits=5)
    )
    with pytest.raises(InputError, match="layer '0': activations of 5 bits, which a file"):
        quantised.save(tmp_path / "q.safetensors")
    assert not (tmp_path / "q.safetensors").exists()
