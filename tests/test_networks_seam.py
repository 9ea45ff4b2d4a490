"""The seam: a front end that only finds layers and runs its network gets dump, evaluate, accuracy.

The network is a list of numpy layers: matrices with a ReLU between, real inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparqsim import ArrayConfig, InputError, check_trace, get_pe, load_trace, simulate
from sparqsim.networks.accuracy import accuracy
from sparqsim.networks.arithmetic import Arithmetic
from sparqsim.networks.chosen_layers import kept_layers
from sparqsim.networks.dump import dump, trace_of
from sparqsim.networks.evaluate import AnsweringNetwork, best
from sparqsim.networks.images import Pictures
from sparqsim.networks.observe import Observations, coded
from sparqsim.networks.site import Operands, Site
from sparqsim.quantise.codes import ActivationCodes, WeightCodes
from sparqsim.trace.coverage import Tally


@dataclass
class NumpyLayers:
    """Finds the layers of a list of matrices (outputs, inputs), and their scales on a batch."""

    matrices: list[np.ndarray]
    calibration: np.ndarray
    name, origin, calibrator = "matrices", "a test", "max"
    skipped: tuple[str, ...] = ("softmax",)
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        names = [f"layer{at}" for at in range(len(self.matrices))]
        seen = Observations(self.calibrator)
        for name, values in zip(names, self.values(self.calibration), strict=False):
            seen.see(name, name, values)
        kept = kept_layers([(name, "linear") for name in names], None)
        self.sites = tuple(
            Site(
                name,
                "linear",
                seen.codes()[name],
                WeightCodes.of_real(matrix[:, None, :]),
                keep_8bit=name in kept,
            )
            for name, matrix in zip(names, self.matrices, strict=True)
        )

    def values(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """Run in float: what each layer takes, then the output."""
        for matrix in self.matrices:
            yield x
            x = x @ matrix.T
            x = x if matrix is self.matrices[-1] else np.maximum(x, 0)
        yield x

    def operands(self, pictures: Pictures, left_out: Tally) -> Iterator[dict[str, Operands]]:
        for row in pictures.array:
            left_out.add("softmax", "computed in float", 7)
            taken = zip(self.sites, self.values(row[None]), strict=False)
            yield {site.name: stored(site, values) for site, values in taken}


def stored(site: Site, values: np.ndarray) -> Operands:
    part = coded(values, site.activation)
    return Operands.of([part], part.codes[None])


class NumpyNetwork(AnsweringNetwork):
    """Runs it."""

    reference_name = "float network"

    def reference(self, pictures: Pictures) -> Iterator[np.ndarray]:
        *_, output = self._network.values(pictures.array)
        yield output

    def computed(self, pictures: Pictures, designs: Any) -> Iterator[np.ndarray]:
        x = pictures.array
        for site in self.sites:
            x = site.real(site.sums(stored(site, x), designs[site.name]))[0]
            x = x if site is self.sites[-1] else np.maximum(x, 0)
        yield x


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    values = np.random.default_rng(1).random((6, 12)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    return Pictures.open(tmp_path / "x.npy")


@pytest.fixture
def network(pictures: Pictures) -> NumpyLayers:
    random = np.random.default_rng(0)
    matrices = [random.normal(size=size).astype(np.float32) for size in ((9, 12), (8, 9), (4, 8))]
    return NumpyLayers(matrices, pictures.array)


def test_its_dump_is_a_sound_trace(
    network: NumpyLayers, pictures: Pictures, tmp_path: Path
) -> None:
    target = tmp_path / "t.safetensors"
    report = dump(network, pictures, target, license_note="none")
    assert check_trace(target) == []
    trace = load_trace(target)
    assert [layer.name for layer in trace.layers] == ["layer0", "layer1", "layer2"]
    assert [layer.keep_8bit for layer in trace.layers] == [False, False, True]
    values = list(network.values(pictures.array))
    for layer, value, matrix in zip(trace.layers, values, network.matrices, strict=False):
        steps = value / np.float32(layer.record.activation_scale)
        assert np.array_equal(layer.activations[0], np.clip(np.rint(steps), 0, 255))
        scales = (2 * np.abs(matrix).max(axis=1).astype(np.float64) / 255).astype(np.float32)
        codes = np.clip(np.rint(matrix / scales[:, None]), -127, 127)
        assert np.array_equal(layer.weights[:, 0], codes)
    assert report.layers[1].values == 6 * 9
    assert report.layers[1].zeros == int((trace.layers[1].activations == 0).sum())
    assert [each.clipped_share for each in report.layers] == [0, 0, 0]
    assert trace.metadata.provenance["coverage"]["left_out"][0]["macs"] == 6 * 7
    assert trace.metadata.license_note == "none"
    in_memory = trace_of(network, pictures)
    for one, other in zip(in_memory.layers, trace.layers, strict=True):
        assert np.array_equal(one.activations, other.activations)
        assert one.record == other.record


def test_it_computes_under_a_design(network: NumpyLayers, pictures: Pictures) -> None:
    """Exact sums of codes, worked out with plain products."""
    (found,) = NumpyNetwork(network).under(get_pe("mac-8b8b"), pictures)
    x = pictures.array.astype(np.float64)
    for site in network.sites:
        codes = np.clip(np.rint(np.float32(x) / np.float32(site.activation.scale)), 0, 255)
        sums = codes @ site.weights.codes[:, 0].T.astype(np.float64)
        x = sums * (site.weights.scales * site.activation.scale)
        x = x if site is network.sites[-1] else np.maximum(x, 0)
    assert np.array_equal(found, x)


def test_its_errors_are_those_of_the_trace(network: NumpyLayers, pictures: Pictures) -> None:
    arithmetic = Arithmetic(network.sites, get_pe("mac-4b8b"))
    for batch in network.operands(pictures, Tally()):
        for site in network.sites:
            arithmetic.sums(site, batch[site.name])
    report = simulate(trace_of(network, pictures), "mac-4b8b")
    assert [each.pe for each in arithmetic.results()] == ["mac-4b8b", "mac-4b8b", "mac-8b8b"]
    for result, layer in zip(arithmetic.results(), report.layers, strict=True):
        assert result.error == layer.error


def test_its_accuracy_is_counted(network: NumpyLayers, pictures: Pictures) -> None:
    (scores,) = NumpyNetwork(network).reference(pictures)
    labels = scores.argmax(axis=1)
    labels[0] = (labels[0] + 1) % 4
    report = accuracy(
        NumpyNetwork(network), pictures, labels, ["mac-8b8b", "mac-4b4b"], array=ArrayConfig(4, 4)
    )
    assert (report.network, report.reference, report.skipped) == (
        "matrices",
        "float network",
        ("softmax",),
    )
    assert report.rows[0].hits.model_dump() == {"top1": 5, "top5": 6, "agree": 6}
    (exact,) = NumpyNetwork(network).under(get_pe("mac-8b8b"), pictures)
    assert report.rows[1].hits.top1 == int((exact.argmax(axis=1) == labels).sum())
    assert report.rows[2].cycles is not None


def test_values_that_are_not_finite_name_the_layer(network: NumpyLayers) -> None:
    seen = Observations("max")
    with pytest.raises(InputError, match="layer 'a': activations hold NaN"):
        seen.see("a", "a", np.array([[np.nan]], np.float32))
    with pytest.raises(InputError, match="activations hold NaN"):
        coded(np.array([np.inf]), network.sites[0].activation)


SCORES = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 9)),
    elements=st.sampled_from([-np.inf, -1, 0, 0.5, 2, np.inf, np.nan]),
)


@given(scores=SCORES, count=st.integers(1, 6))
def test_the_best_are_those_of_a_sort_by_hand(scores: np.ndarray, count: int) -> None:
    """Larger scores first, of equal ones the lower class; rows with NaN have no answer."""
    for row, answers in zip(scores.tolist(), best(scores, count).tolist(), strict=True):
        order = sorted(range(len(row)), key=lambda at: (-row[at], at))[:count]
        has_nan = any(value != value for value in row)  # noqa: PLR0124 - what NaN is
        assert answers == ([-1] * len(order) if has_nan else order)


@pytest.mark.parametrize(("bits", "overflows"), [(15, True), (16, False)])
def test_a_sum_of_the_first_value_beyond_the_accumulator_overflows(
    bits: int, overflows: bool
) -> None:
    """128 steps of weights by -128: 2^14, one more than 15 bits hold."""
    codes = np.array([[[127], [1]]], np.int8)
    weights = WeightCodes(codes, np.ones(1), np.zeros(1, np.int64))
    site = Site("one", "linear", ActivationCodes(1.0, 0, True), weights, accumulator_bits=bits)
    assert site.can_overflow == overflows
