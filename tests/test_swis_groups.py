"""The decomposition of SWIS: the fast form against its definition, and both against the rule
restated here.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim.base.errors import InputError
from sparqsim.pe.swis_groups import decompose, decomposed_group, defined_decompose, shift_sets

magnitude = st.one_of(st.sampled_from([0, 1, 127, 128, 255]), st.integers(0, 255))
alphas = st.sampled_from([0.0, 0.1, 0.25, 1.0, 3.7])


@given(
    st.lists(magnitude, min_size=1, max_size=40),
    st.integers(1, 16),
    st.integers(1, 8),
    st.booleans(),
    alphas,
)
def test_fast_form_is_the_definition(row, group, shifts, consecutive, alpha):
    fast = decompose(np.array([row]), group, shifts, consecutive, alpha)
    assert fast.dtype == np.uint8
    assert fast[0].tolist() == defined_decompose(row, group, shifts, consecutive, alpha)


def restated(members, shifts, consecutive, alpha):
    """The rule once more, over bit masks: the least (cost, sorted positions), then the sums."""
    found = []
    for mask in range(256):
        positions = [bit for bit in range(8) if mask >> bit & 1]
        adjacent = not positions or positions[-1] - positions[0] == len(positions) - 1
        if len(positions) != shifts or (consecutive and not adjacent):
            continue
        sums = [value for value in range(256) if value | mask == mask]
        taken = []
        for true in members:
            gap = min(abs(value - true) for value in sums)
            taken.append(true - gap if true - gap in sums else true + gap)
        off = [one - true for one, true in zip(taken, members, strict=True)]
        found.append((sum(e**2 for e in off) + alpha * sum(off) ** 2, positions, taken))
    return min(found)


@given(st.lists(magnitude, min_size=1, max_size=6), st.integers(1, 8), st.booleans(), alphas)
def test_definition_is_the_rule(members, shifts, consecutive, alpha):
    _, positions, taken = restated(members, shifts, consecutive, alpha)
    found = decomposed_group(tuple(members), shifts, consecutive, alpha)
    assert (list(found.positions), list(found.magnitudes)) == (positions, taken)


def test_sets_are_all_and_smallest_first():
    for shifts in range(1, 9):
        assert len(shift_sets(shifts)) == math.comb(8, shifts)
        assert len(shift_sets(shifts, consecutive=True)) == 9 - shifts
        assert set(shift_sets(shifts, consecutive=True)) <= set(shift_sets(shifts))
    assert shift_sets(2)[:3] == [(0, 1), (0, 2), (0, 3)]


def test_ties_by_hand():
    # 3 is as near to 2 as to 4: the smaller. Of {1} and {2}, both with error 1, the smallest set.
    assert decomposed_group((3,), 1) == ((1,), (2,))
    # 129 with one position: 128. A zero costs nothing, so it does not sway the set.
    assert decomposed_group((129, 0, 0, 0), 1) == ((7,), (128, 0, 0, 0))
    # Every set but those with bit 7 is exact on zeros; the first of all is taken.
    assert decomposed_group((0, 0), 3) == ((0, 1, 2), (0, 0))


def test_alpha_trades_squared_error_for_balance():
    members = (7, 7, 7, 100)
    plain = np.array(decomposed_group(members, 2).magnitudes) - members
    balanced = np.array(decomposed_group(members, 2, alpha=100.0).magnitudes) - members
    assert (plain**2).sum() <= (balanced**2).sum()
    assert abs(balanced.sum()) < abs(plain.sum())


@pytest.mark.parametrize("alpha", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("consecutive", [False, True])
def test_alpha_decides_in_the_fast_form_as_in_the_definition(alpha, consecutive):
    """Many groups at once, among them many whose set `alpha` changes."""
    groups = (2 ** np.random.default_rng(8).uniform(0, 8, (300, 4))).astype(np.int64)
    fast = decompose(groups, 4, 3, consecutive, alpha)
    assert (fast != decompose(groups, 4, 3, consecutive)).any()
    assert [tuple(row) for row in fast.tolist()] == [
        decomposed_group(tuple(row), 3, consecutive, alpha).magnitudes for row in groups.tolist()
    ]


@given(st.lists(magnitude, min_size=1, max_size=40), st.integers(1, 16))
def test_all_positions_are_exact(row, group):
    assert decompose(np.array(row), group, 8).tolist() == row
    assert decompose(np.array(row), group, 8, consecutive=True).tolist() == row


@given(st.lists(st.integers(0, 128), min_size=1, max_size=20), st.integers(1, 8), alphas)
def test_magnitudes_of_int8_stay_within_128(row, shifts, alpha):
    """The nearest sum to at most 128 is at most 128: 128 itself is a sum wherever more is."""
    assert decompose(np.array(row), 4, shifts, alpha=alpha).max() <= 128


def test_leading_axes_are_filters_of_their_own():
    magnitudes = np.random.default_rng(3).integers(0, 256, (2, 3, 21))
    fast = decompose(magnitudes, 4, 3)
    for at in np.ndindex(2, 3):
        assert fast[at].tolist() == decompose(magnitudes[at], 4, 3).tolist()
    assert decompose(np.zeros((0, 5), np.uint8), 4, 3).shape == (0, 5)
    assert decompose(np.zeros((5, 0), np.uint8), 4, 3).shape == (5, 0)


def test_any_order_in_memory():
    magnitudes = np.random.default_rng(4).integers(0, 256, (6, 3, 21)).astype(np.uint8)
    for axes in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        seen = magnitudes.transpose(axes)
        kept = seen.copy()
        assert decompose(seen, 4, 3).tolist() == decompose(kept, 4, 3).tolist()
        assert seen.tolist() == kept.tolist()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((np.zeros(3), 4, 3), "magnitudes are float64"),
        ((np.int64(3), 4, 3), r"of shape \(\)"),
        ((np.array([-1]), 4, 3), r"magnitudes are -1\.\.0, expected 0\.\.255"),
        ((np.array([256]), 4, 3), r"magnitudes are 0\.\.256"),
        ((np.array([1]), 0, 3), "group=0, expected at least 1"),
        ((np.array([1]), 4, 0), r"shifts=0, expected 1\.\.8"),
        ((np.array([1]), 4, 9), "shifts=9"),
        ((np.array([1]), 4, 3, False, -0.5), "alpha=-0.5"),
        ((np.array([1]), 4, 3, False, math.nan), "alpha=nan"),
    ],
)
def test_what_is_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        decompose(*arguments)


def squared_error(magnitudes, approximated):
    return int(((approximated.astype(np.int64) - magnitudes) ** 2).sum())


def truncated(magnitudes, bits):
    """The nearest multiple of 2^(8 - bits), at most 2^bits - 1 of them: weights of `bits` bits."""
    unit = 1 << 8 - bits
    return np.minimum((magnitudes + unit // 2) // unit, (1 << bits) - 1) * unit


@settings(max_examples=10)
@given(st.lists(magnitude, min_size=1, max_size=64), st.integers(1, 16))
def test_swis_loses_least_then_consecutive_then_truncation(row, group):
    """A directional claim of the method, here a theorem: the windows are among the sets, and
    truncation is one.
    """
    magnitudes = np.array(row)
    for shifts in range(1, 9):
        free, adjacent = (decompose(magnitudes, group, shifts, kind) for kind in (False, True))
        losses = [
            squared_error(magnitudes, each)
            for each in (free, adjacent, truncated(magnitudes, shifts))
        ]
        assert losses == sorted(losses)


@settings(max_examples=10)
@given(st.lists(magnitude, min_size=1, max_size=64), st.integers(1, 16), st.booleans())
def test_one_more_shift_never_costs(row, group, consecutive):
    magnitudes = np.array(row)
    losses = [
        squared_error(magnitudes, decompose(magnitudes, group, shifts, consecutive))
        for shifts in range(1, 9)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == 0


#: Group, shifts -> SQNR in dB over the weights of a real ResNet-20, of SWIS, SWIS-C and truncation.
#: Found once with a program of its own; not numbers of the paper.
RESNET20_SQNR_DB = {
    (4, 2): (16.42, 15.16, 7.87),
    (4, 3): (23.26, 21.31, 13.77),
    (4, 4): (29.68, 27.30, 19.77),
    (8, 3): (20.73, 19.96, 13.77),
    (16, 3): (19.24, 18.95, 13.77),
}


@pytest.fixture(scope="module")
def resnet20(shared: Path) -> list[tuple[np.ndarray, float]]:
    """Magnitudes 0..255 of each layer's filters, channel innermost, and the weight of one unit."""
    from safetensors.numpy import load_file

    found = []
    for name, w in load_file(shared / "data" / "cifar10_resnets" / "resnet20.safetensors").items():
        if "conv" in name or name == "linear.weight":
            rows = np.moveaxis(w, 1, -1).reshape(len(w), -1)
            unit = float(np.abs(w).max()) / 255
            found.append((np.round(255 * np.abs(rows) / np.abs(w).max()).astype(np.int64), unit))
    assert (len(found), sum(m.size for m, _ in found)) == (20, 268_336)
    return found


def sqnr_db(layers, approximate):
    signal = sum(unit**2 * float((m**2).sum()) for m, unit in layers)
    noise = sum(unit**2 * squared_error(m, approximate(m)) for m, unit in layers)
    return 10 * math.log10(signal / noise)


@pytest.mark.parametrize(("group", "shifts"), RESNET20_SQNR_DB)
def test_sqnr_of_real_weights(resnet20, group, shifts):
    found = (
        sqnr_db(resnet20, lambda m: decompose(m, group, shifts)),
        sqnr_db(resnet20, lambda m: decompose(m, group, shifts, consecutive=True)),
        sqnr_db(resnet20, lambda m: truncated(m, shifts)),
    )
    print(f"group {group}, shifts {shifts}: SQNR", *(f"{value:.3f} dB" for value in found))
    assert found == pytest.approx(RESNET20_SQNR_DB[group, shifts], abs=0.01)


@pytest.mark.parametrize("shifts", range(1, 8))
def test_sqnr_of_real_weights_is_ordered(resnet20, shifts):
    free, adjacent = (
        sqnr_db(resnet20, lambda m, kind=kind: decompose(m, 4, shifts, kind))
        for kind in (False, True)
    )
    assert free >= adjacent >= sqnr_db(resnet20, lambda m: truncated(m, shifts))


def test_pairs_across_the_range():
    """Pairs of magnitudes all over the range, for every number of positions."""
    pairs = np.array(list(itertools.product(range(0, 256, 15), repeat=2)))
    for shifts in range(1, 9):
        fast = decompose(pairs, 2, shifts)
        assert [tuple(row) for row in fast.tolist()] == [
            decomposed_group(tuple(row), shifts).magnitudes for row in pairs.tolist()
        ]
