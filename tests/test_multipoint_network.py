"""`multipoint` weights on the array: columns, cycles, values, and what adds columns up."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from networks.small import batches, small

from sparqsim import InputError, get_pe, load_trace, simulate
from sparqsim.analysis.combining import combined
from sparqsim.array.config import ArrayConfig
from sparqsim.networks.arithmetic import Arithmetic
from sparqsim.networks.torch import QuantisedNetwork, dump
from sparqsim.networks.torch.answers import answers
from sparqsim.pe.arithmetic import layer_sums
from sparqsim.quantise.recipe import Recipe

ARRAY = ArrayConfig(4, 4)
CHANNELS = {"stem": 6, "odd": 5, "grouped": 8, "pairs": 8, "last": 8, "fc": 10}


def recipe(weights):
    return Recipe(weights=weights)


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("points")
    specs = {
        "4b": "nearest:4",
        "one": "multipoint:4:points=1",
        "more": "multipoint:4:extra=0.5",
    }
    found = {}
    for name, spec in specs.items():
        dump(small(), batches(), folder / name, recipe=recipe(spec))
        found[name] = load_trace(folder / name)
    return found


def cycles(trace, pe="mac-4b4b"):
    return {layer.name: layer.cycles.total for layer in simulate(trace, pe, array=ARRAY).layers}


def columns(trace):
    return {layer.name: layer.gemm.n * layer.gemm.groups for layer in trace.layers}


def test_one_point_each_takes_the_cycles_of_four_bits(traces):
    assert columns(traces["one"]) == CHANNELS
    assert cycles(traces["one"]) == cycles(traces["4b"])


def test_the_array_multiplies_the_points_exactly(traces):
    """Four-bit weights lose nothing on `mac-4b4b`; activations are its top nibbles."""
    for layer in traces["more"].layers[1:-1]:
        low = layer.lower()
        pe = get_pe("mac-4b4b")
        x, w = low.rows(), low.weights
        assert int(np.abs(w.astype(int)).max()) <= 7
        used = pe.used_activations(x.reshape(-1, x.shape[-1])).reshape(x.shape)
        expected = (used.astype(np.int64) @ w.astype(np.int64)).transpose(1, 0, 2)
        assert np.array_equal(layer_sums(layer, pe), expected.reshape(len(x[0]), -1))


def test_more_points_are_more_columns(traces):
    """Half a point more per channel, rounded down, by group; kept layers have none."""
    more = {"odd": 7, "grouped": 12, "pairs": 12, "last": 12}
    assert columns(traces["more"]) == CHANNELS | more
    one, several = cycles(traces["one"]), cycles(traces["more"])
    # 5 and 7 columns are two columns of tiles of 4; 8 are two, 12 three; groups of 4 and of 6.
    assert several["odd"] == one["odd"]
    for name in ("grouped", "last"):
        assert 1.2 < several[name] / one[name] <= 1.5
    assert several["pairs"] > one["pairs"]
    assert several["fc"] == one["fc"]


def test_points_bring_answers_nearer_to_the_float_network():
    def error(spec):
        network = QuantisedNetwork(small(), batches(), recipe=recipe(spec))
        arithmetic = Arithmetic(network.layers.values(), get_pe("mac-8b8b"), "8bit", None)
        found = answers(network, batches(), arithmetic=arithmetic).logits
        return float((found - answers(network, batches()).logits).square().mean())

    assert error("multipoint:2:extra=3") < 0.2 * error("multipoint:2:points=1")


def test_combining_by_hand(traces):
    report = simulate(traces["more"], "mac-4b4b", array=ARRAY)
    found = {each.name: each for each in combined(report, traces["more"], per_cycle=2)}
    for layer in traces["more"].layers:
        each = found[layer.name]
        extra = each.columns - CHANNELS[layer.name]
        assert each.channels == CHANNELS[layer.name]
        assert each.combining.multiply_adds == layer.gemm.m * extra
        assert each.combining.cycles == -(-layer.gemm.m * extra // 2)
        assert each.cycles == max(each.array_cycles, each.combining.cycles)
    assert found["stem"].combining.cycles == found["fc"].combining.cycles == 0
    quick = combined(report, traces["more"], per_cycle=1000)
    assert [each.cycles for each in quick] == [each.array_cycles for each in quick]
    slow = {name: each.cycles for name, each in found.items()}
    assert sum(slow.values()) >= report.cycles.total


def test_without_extra_columns_nothing_is_combined(traces):
    for name in ("4b", "one"):
        report = simulate(traces[name], "mac-4b4b", array=ARRAY)
        assert all(not each.combining.cycles for each in combined(report, traces[name], 1))


def test_what_cannot_be_combined_is_told(traces):
    report = simulate(traces["more"], "mac-4b4b", array=ARRAY)
    with pytest.raises(InputError, match="per_cycle=0, expected at least 1"):
        combined(report, traces["more"], 0)
    other = traces["more"].__class__(traces["more"].layers[1:], network="less")
    with pytest.raises(InputError, match="layer 'stem' of the report is not in the trace"):
        combined(report, other, 1)
