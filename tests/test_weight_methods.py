"""Weight quantisers that look at inputs, on a chain of two small layers: what they learn on some
rows holds on others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqsim import InputError
from sparqsim.quantise.points import greedy_points
from sparqsim.quantise.weights import (
    Gram,
    LayerFacts,
    NetworkFacts,
    Rows,
    RunningNetwork,
    get_weight_quantiser,
)
from sparqsim.quantise.weights.contract import trial_facts
from sparqsim.quantise.weights.multipoint import laid_out


@dataclass(frozen=True)
class Chain(RunningNetwork):
    """x -> relu(x a^T) -> b: two products, activations of 6 bits."""

    provides = frozenset({"inputs", "prefix"})
    kind = "chain"

    x: np.ndarray
    first: np.ndarray

    def rows(self, layer, chosen=None):
        real = self.x
        held = given_codes(real)
        if layer == "second":
            used = (chosen or {}).get("first")
            inputs = real if used is None else held
            weights = self.first if used is None else used.real
            real = np.maximum(self.x @ self.first.reshape(len(self.first), -1).T, 0)
            held = given_codes(np.maximum(inputs @ weights.reshape(len(weights), -1).T, 0))
        for start in range(0, len(real), 64):
            yield Rows(real[None, start : start + 64], held[None, start : start + 64])


def given_codes(values):
    scale = np.float32(4 / 63)
    return (np.clip(np.rint(values / scale), 0, 63) * scale).astype(np.float32)


def chain(seed=0, rows=256):
    """Return facts of the chain on some rows, and the same network on others."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(2 * rows, 5)) @ rng.normal(size=(5, 12))
    x = np.maximum(causes + 0.5 * rng.normal(size=causes.shape), 0).astype(np.float32)
    x /= x.max() / 4
    first, second = (
        (0.4 * rng.normal(size=shape)).astype(np.float32) for shape in ((10, 1, 12), (8, 1, 10))
    )
    seen, unseen = Chain(x[:rows], first), Chain(x[rows:], first)
    layers = (LayerFacts("first", first, 1, seen), LayerFacts("second", second, 1, seen))
    return NetworkFacts(layers, seen), unseen


def errors(network, layer, weights, chosen):
    """The mean squared error of outputs, from the outputs themselves."""
    matrix, used = (each.reshape(len(layer.weights), -1) for each in (layer.weights, weights.real))
    batches = [q[0] @ used.T - x[0] @ matrix.T for x, q in network.rows(layer.name, chosen)]
    return (np.concatenate(batches).astype(float) ** 2).mean(axis=0)


@pytest.mark.parametrize("prefix", ["quantised", "float"])
@pytest.mark.parametrize("bits", [2, 4])
def test_adaround_beats_rounding_to_nearest_on_rows_it_did_not_see(bits, prefix):
    facts, unseen = chain()
    quantiser = get_weight_quantiser(f"adaround:{bits}:steps=500,prefix={prefix}")
    found = quantiser.quantise_network(facts)
    chosen = found.weights if prefix == "quantised" else None
    for layer in facts.layers:
        learned = found.weights[layer.name]
        nearest = get_weight_quantiser(f"nearest:{bits}").quantise(layer)
        same_scales = type(learned).at_scales(layer.weights, learned.scales, bits)
        error = errors(unseen, layer, learned, chosen).sum()
        assert error < errors(unseen, layer, nearest, chosen).sum()
        assert error < errors(unseen, layer, same_scales, chosen).sum()


def test_adaround_tells_the_errors_of_the_rows_it_saw():
    facts, _ = chain()
    found = get_weight_quantiser("adaround:3:steps=200").quantise_network(facts)
    for layer in facts.layers:
        told = found.facts["layers"][layer.name]
        learned = found.weights[layer.name]
        nearest = type(learned).at_scales(layer.weights, learned.scales, 3)
        assert told["rows"] == 256
        for key, weights in (("output_error", learned), ("output_error_nearest", nearest)):
            by_hand = errors(facts.network, layer, weights, found.weights).sum()
            assert told[key] == pytest.approx(by_hand, rel=1e-3)
        assert told["output_error"] < told["output_error_nearest"]


def test_adaround_sees_what_is_fixed_before():
    """The second layer alone, behind a first one of 2 bits, is not what it is behind floats."""
    facts, _ = chain()
    fixed = {"first": get_weight_quantiser("nearest:2").quantise(facts.layers[0])}
    alone = replace(facts, layers=facts.layers[1:])
    quantiser = get_weight_quantiser("adaround:3:steps=200")
    behind = quantiser.quantise_network(replace(alone, fixed=fixed)).weights["second"]
    without = quantiser.quantise_network(alone).weights["second"]
    assert (behind.codes != without.codes).any()
    layer = facts.layers[1]
    error, other = (errors(facts.network, layer, each, fixed).sum() for each in (behind, without))
    assert error < other


def test_adaround_is_refused_where_layers_do_not_run_behind_quantised_ones():
    network = trial_facts().network
    get_weight_quantiser("adaround:4:prefix=float").check_needs(network)
    get_weight_quantiser("adaround:4").check_needs(chain()[0].network)
    with pytest.raises(InputError, match="expected adaround:4:prefix=float"):
        get_weight_quantiser("adaround:4").check_needs(network)
    with pytest.raises(InputError, match="needs inputs"):
        get_weight_quantiser("adaround:4").check_needs(None)


def test_progress_counts_the_steps_of_all_layers():
    facts, _ = chain()
    told = []
    facts = replace(facts, progress=lambda *values: told.append(values))
    get_weight_quantiser("adaround:4:steps=200").quantise_network(facts)
    assert told == [
        (name, done, 400)
        for name, done in (("first", 100), ("first", 200), ("second", 300), ("second", 400))
    ]


def test_multipoint_of_one_point_is_the_first_of_many():
    facts, _ = chain()
    for layer in facts.layers:
        one = get_weight_quantiser("multipoint:4:points=1").quantise(layer)
        more = get_weight_quantiser("multipoint:4").quantise(layer)
        firsts = np.unique(more.row_channels, return_index=True)[1]
        assert one.channels is None
        assert np.array_equal(one.codes, more.codes[firsts])
        assert np.array_equal(one.scales, more.scales[firsts])


def test_multipoint_gives_points_where_they_are_needed():
    facts, unseen = chain(rows=512)
    for layer in facts.layers:
        found = get_weight_quantiser("multipoint:2:extra=0.5,points=3").quantise(layer)
        channels = len(layer.weights)
        assert len(found.codes) == channels + channels // 2
        adaptive = errors(unseen, layer, found, None).sum()
        points = greedy_points(layer.weights.reshape(channels, -1), 1, 3)
        rng = np.random.default_rng(3)
        for _ in range(20):
            counts = np.ones(channels, int)
            counts[rng.choice(channels, channels // 2, replace=False)] += 1
            drawn = laid_out(layer, points, counts[None], 2)
            assert adaptive < errors(unseen, layer, drawn, None).sum()


@given(st.integers(1, 3), st.integers(1, 3), st.data())
def test_points_lie_channel_by_channel_and_groups_are_filled_up(groups, channels, data):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(groups * channels, 2, 3)).astype(np.float32)
    counts = data.draw(
        st.lists(st.integers(1, 4), min_size=groups * channels, max_size=groups * channels)
    )
    counts = np.array(counts).reshape(groups, channels)
    points = greedy_points(weights.reshape(groups * channels, -1), 3, 4)
    layer = LayerFacts("a", weights, groups)
    found = laid_out(layer, points, counts, 3)
    rows = found.row_channels
    widest = counts.sum(axis=1).max()
    assert len(found.codes) == groups * widest
    assert (np.diff(rows) >= 0).all()
    assert np.bincount(rows // channels).tolist() == [widest] * groups
    for channel, count in enumerate(counts.reshape(-1)):
        of_channel = found.codes[rows == channel].reshape(-1, 6)
        expected = points.codes[:count, channel]
        assert np.array_equal(of_channel[:count], expected)
        assert not of_channel[count:].any()
        real = found.real[channel].reshape(-1)
        assert np.allclose(real, points.sums()[count, channel], atol=1e-6)


def test_depthwise_layers_get_points_by_group():
    """A group of one channel has no half a point to give; with extra=1 each has two."""
    rng = np.random.default_rng(1)

    class Drawn(RunningNetwork):
        provides = frozenset({"inputs"})

        def rows(self, layer, chosen=None):
            x = np.maximum(rng.normal(size=(5, 40, 9)), 0).astype(np.float32)
            yield Rows(x, x)

    weights = rng.normal(size=(5, 9, 1)).astype(np.float32)
    layer = LayerFacts("a", weights, 5, Drawn())
    for extra, rows in ((0.5, 5), (1, 10)):
        found = get_weight_quantiser(f"multipoint:4:extra={extra}").quantise(layer)
        assert len(found.codes) == rows


def test_facts_of_multipoint_count_columns():
    facts, _ = chain()
    found = get_weight_quantiser("multipoint:2:extra=0.5").quantise_network(facts)
    first = found.facts["layers"]["first"]
    counts = np.bincount(found.weights["first"].row_channels)
    assert first == {"columns": 15, "channels": 10, "most_points": int(counts.max())}


def test_moments_of_the_chain_tell_its_errors():
    facts, _ = chain()
    layer = facts.layers[1]
    nearest = get_weight_quantiser("nearest:4").quantise(layer)
    told = Gram.of(facts.network.rows("second")).squared_error(layer.weights, nearest.real) / 256
    assert told == pytest.approx(errors(facts.network, layer, nearest, None), rel=1e-3)
