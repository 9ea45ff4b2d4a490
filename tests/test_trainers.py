"""What trainers of few bits are made of: planes, gates, steps, slices."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainer_modules import trainer_modules

torch = pytest.importorskip("torch", reason="extra 'train' (PyTorch) is not installed")
# Looked for and not imported, which takes seconds: every worker collects these tests, one runs them.
pytestmark = pytest.mark.skipif(
    find_spec("sklearn") is None, reason="extra 'train' (scikit-learn) is not installed"
)

from networks import shared  # noqa: E402

from sparqsim.quantise.weights import LayerFacts, get_weight_quantiser  # noqa: E402

CODES = st.lists(st.integers(-127, 127), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def work():
    return trainer_modules()


# BSQ.


@given(codes=CODES)
def test_stripping_keeps_values_and_leaves_no_empty_plane_at_either_end(work, codes) -> None:
    values = torch.tensor(codes)
    left, below, planes = work.bsq.stripped(values)
    assert [each * 2**below for each in left.tolist()] == codes
    if any(codes):
        assert any(each % 2 for each in left.tolist())
        assert max(map(abs, left.tolist())) >= 2 ** (planes - 1)
    else:
        assert (below, planes) == (0, 1)
    assert max(map(abs, left.tolist())) < 2**planes


def test_codes_that_outgrow_seven_planes_saturate(work) -> None:
    left, below, planes = work.bsq.stripped(torch.tensor([200, -300, 1]))
    assert (left.tolist(), below, planes) == ([127, -127, 1], 0, 7)


def test_planes_hold_weights_and_requantising_changes_nothing_that_is_multiplied(work) -> None:
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    planes = work.bsq.BitPlanes(weight)
    step = float(weight.abs().max()) / 127
    assert torch.allclose(planes(weight), (weight / step).round() * step, atol=1e-6)
    with torch.no_grad():
        planes.positive.mul_(0.7).add_(0.2)
        planes.positive[0] = 0
        planes.negative[0] = 0.1
        planes.positive[-1] = 0.04
        planes.negative[-1] = 0
    before = planes(weight)
    planes.requantise(weight)
    assert torch.allclose(planes(weight), before, rtol=1e-6)
    assert set(planes.positive.flatten().tolist()) <= {0, 1}
    found = planes.codes(weight)
    assert torch.allclose(found.real, before, rtol=1e-6)
    assert int(found.values.abs().max()) < 2**found.magnitude_bits


def test_a_lowest_plane_that_is_empty_doubles_the_step(work) -> None:
    planes = work.bsq.BitPlanes(torch.tensor([127.0, 64.0, -3.0]))
    assert planes.step == 1
    with torch.no_grad():
        planes.positive[0] = 0
        planes.negative[0] = 0
    planes.requantise(torch.zeros(3))
    assert (planes.planes, planes.step) == (6, 2)
    assert planes.codes(torch.zeros(3)).values.tolist() == [63, 32, -1]


def test_the_group_lasso_is_the_papers(work) -> None:
    weight = torch.tensor([5.0, -3.0, 127.0])
    planes = work.bsq.BitPlanes(weight)
    total = 0.0
    for plane in range(7):
        squares = sum((int(abs(each)) >> plane & 1) ** 2 for each in (5, 3, 127))
        total += (squares + 1e-8) ** 0.5
    assert planes.penalty(weight).item() == pytest.approx(7 * 3 * total)


def test_planes_stay_within_their_range(work) -> None:
    planes = work.bsq.BitPlanes(torch.tensor([1.0, -1.0]))
    with torch.no_grad():
        planes.positive.add_(5)
        planes.negative.sub_(5)
        planes.after_step()
    assert planes.positive.max().item() == 2
    assert planes.negative.min().item() == 0


# DropBits.


@pytest.mark.parametrize(("shut", "bits"), [(None, 7), (0, 1), (3, 4), (5, 6)])
def test_a_layer_has_the_bits_up_to_the_first_gate_that_is_shut(work, shut, bits) -> None:
    weight = torch.tensor([1.0, -0.3, 0.01])
    gates = work.dropbits.BitGates(weight).eval()
    with torch.no_grad():
        gates.gate.fill_(9.0)
        if shut is not None:
            gates.gate[shut] = -9.0
    found = gates.codes(weight)
    step = 2.0 ** (7 - bits) / 127
    assert found.magnitude_bits == bits
    assert found.step == pytest.approx(step)
    expected = [max(1 - 2**bits, min(2**bits - 1, round(each / step))) for each in weight.tolist()]
    assert found.values.tolist() == expected
    assert torch.allclose(gates(weight), found.real, atol=1e-6)


def test_gates_learn_to_shut_where_bits_cost_and_bring_nothing(work) -> None:
    weight = torch.tensor([1.0, -1.0, 1.0])  # one bit of magnitude holds nearly all of it
    gates = work.dropbits.BitGates(weight)
    optimiser = torch.optim.Adam([gates.gate], lr=0.3)
    for _ in range(40):
        optimiser.zero_grad()
        gates.penalty(weight).backward()
        optimiser.step()
    assert gates.codes(weight).magnitude_bits == 1


def test_the_penalty_of_gates_counts_bits_that_need_those_above_them(work) -> None:
    """Weights times the sum over bits of the odds that a bit and all above it are there."""
    gates = work.dropbits.BitGates(torch.ones(5))
    odds = [2.0, -1.0, 0.5, 3.0, -2.0, 1.0]
    with torch.no_grad():
        gates.gate.copy_(torch.tensor(odds))
    not_shut = [1 / (1 + math.exp(2 / 3 * math.log(0.1 / 1.1) - each)) for each in odds]
    expected = 5 * sum(math.prod(not_shut[: last + 1]) for last in range(6))
    assert gates.penalty(torch.ones(5)).item() == pytest.approx(expected, rel=1e-5)


# A step that is learned.


def test_steps_are_learned_towards_less_error(work) -> None:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(64, generator=generator)
    held = work.step.LearnedStep(weight, 2, step=3.0)
    optimiser = torch.optim.SGD(held.parameters(), lr=0.5)
    errors = []
    for _ in range(60):
        loss = (held(weight) - weight).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())
    assert errors[-1] < errors[0] / 2
    codes = held.codes(weight)
    assert int(codes.values.abs().max()) <= 3
    assert torch.allclose(codes.real, held(weight), atol=1e-6)


# Slices.


def test_sliced_weights_have_the_codes_of_the_weight_quantiser(work) -> None:
    weight = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(2)) / 9
    found = work.slices.SlicedWeights(weight).codes(weight)
    rows = work.trained.channel_innermost(weight)
    quantised = get_weight_quantiser("bitslice:8").quantise(LayerFacts("a", rows))
    assert found.step == quantised.scales[0]
    assert np.array_equal(work.trained.channel_innermost(found.values), quantised.codes)


def test_the_penalty_is_the_sum_of_slices_and_pulls_where_they_are_not_zero(work) -> None:
    weight = torch.tensor([1.0, -17 / 128, 4 / 128, 0.0], requires_grad=True)
    penalty = work.slices.SlicedWeights(weight.detach()).penalty(weight)
    penalty.backward()
    digits = [[3, 3, 3, 1], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]  # base 4, lowest first
    assert penalty.item() == sum(map(sum, digits)) / 4
    signs = (1, -1, 1, 0)
    pulls = [
        sign * 128 / 4 * sum(4.0**-place for place, digit in enumerate(each) if digit)
        for sign, each in zip(signs, digits, strict=True)
    ]
    assert weight.grad.tolist() == pulls


def test_small_weights_are_pruned_and_stay_so(work) -> None:
    weight = torch.tensor([1.0, 0.009, -0.009, 0.011])
    held = work.slices.SlicedWeights(weight)
    held.requantise(weight)
    assert held(torch.ones(4)).tolist()[1:3] == [0, 0]
    assert 0 not in held(torch.ones(4)).tolist()[::3]


@given(
    codes=st.integers(1, 3).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(-128, 127), min_size=260, max_size=260), min_size=n, max_size=n
        )
    )
)
def test_column_sums_are_those_of_cells_counted_one_by_one(work, codes) -> None:
    found = work.slices.column_sums(np.array(codes, np.int16))
    assert found.shape == (4, 2, 3, len(codes))
    for column, row in enumerate(codes):
        for tile in range(3):
            part = row[128 * tile : 128 * (tile + 1)]
            for place in range(4):
                for sign, own in enumerate((1, -1)):
                    sizes = [own * each for each in part if own * each > 0]
                    total = sum(each // 4 ** (3 - place) % 4 for each in sizes)
                    assert found[place, sign, tile, column] == total


@pytest.mark.parametrize(
    ("magnitude_bits", "worst"), [(8, [35, 135, 163, 161]), (7, [8, 95, 147, 154])]
)
def test_column_sums_of_a_real_network_are_the_references(work, magnitude_bits, worst) -> None:
    """ResNet-20, weights along channels, rows, columns; `reference/quantizers.md` 3.10, W2."""
    from safetensors.numpy import load_file

    path = shared.ROOT / "cifar10_resnets" / "resnet20.safetensors"
    if not path.exists():
        pytest.skip(shared.NO_SHARED)
    state = load_file(path)
    found = []
    for name, weight in state.items():
        if weight.ndim not in {2, 4} or not name.endswith("weight"):
            continue
        scale = 2.0 ** (np.ceil(np.log2(np.abs(weight).max())) - magnitude_bits)
        sizes = np.minimum(2**magnitude_bits - 1, np.round(np.abs(weight) / scale))
        codes = (np.sign(weight) * sizes).astype(np.int16).reshape(len(weight), -1)
        found.append(work.slices.column_sums(codes).reshape(4, -1).max(axis=1))
    assert np.max(found, axis=0).tolist() == worst


@pytest.mark.parametrize(("largest", "bits"), [(0, 0), (1, 1), (3, 2), (4, 3), (127, 7), (384, 9)])
def test_a_converter_needs_bits_for_every_sum(work, largest, bits) -> None:
    assert work.slices.lossless_bits(largest) == bits
    assert 2**bits > largest
