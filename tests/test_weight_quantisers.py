"""Weight quantisers: their contract, what the shipped ones give, how they are found."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from weight_networks import answering

from sparqsim import InputError
from sparqsim.quantise.codes import WeightCodes
from sparqsim.quantise.weights import (
    Chosen,
    Gram,
    LayerFacts,
    NetworkFacts,
    QuantisedWeights,
    Rows,
    WeightQuantiser,
    get_weight_quantiser,
)
from sparqsim.quantise.weights.contract import CHECKS, check_weight_quantiser, trial_facts
from sparqsim.quantise.weights.registry import shipped_weight_quantisers

SPECS = (
    "nearest:8",
    "nearest:4",
    "nearest:2",
    "lp:2:8",
    "lp:2.4:4",
    "lp:0.5:2",
    "lp:4:3",
    "adaround:4:steps=10",
    "adaround:2:steps=10,prefix=float",
    "lapq:4:evaluations=6",
    "lapq:2:activation_bits=8,clips=layer,iterations=0",
    "multipoint:4",
    "multipoint:2:points=3,extra=1.5",
    "olive:4",
    "bitslice:8",
)
#: Powers of which the default run has one.
LONG = ("lp:0.5:2", "lp:4:3")


# The contract.


def test_every_shipped_quantiser_is_tried_here() -> None:
    """Those that learn through PyTorch's modules are tried in `test_blocks.py`."""
    tried = {spec.partition(":")[0] for spec in SPECS} | {"brecq", "qdrop"}
    assert tried == set(shipped_weight_quantisers())


@pytest.mark.parametrize(
    "spec", [pytest.param(spec, marks=pytest.mark.slow if spec in LONG else []) for spec in SPECS]
)
def test_shipped_quantisers_keep_the_contract(spec: str) -> None:
    if spec.startswith("lapq"):
        pytest.importorskip("scipy", reason="extra 'torch' (SciPy) is not installed")
    facts = answering() if spec.startswith("lapq") else None
    found = list(check_weight_quantiser(get_weight_quantiser(spec), facts))
    assert [each for each in found if each.failure] == []


@dataclass(frozen=True)
class Sound(WeightQuantiser):
    """Rounds to nearest, by a scale of its own."""

    name: ClassVar[str] = "sound"

    bits: int = field(default=4, metadata={"least": 2, "most": 8})

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        largest = np.abs(layer.weights).max(axis=(1, 2))
        if not np.isfinite(largest).all():
            raise InputError(f"layer {layer.name!r}: weights are not finite, expected finite ones")
        scales = np.where(largest > 0, largest / (2 ** (self.bits - 1) - 1), 1)
        return QuantisedWeights.at_scales(layer.weights, scales, self.bits)


class Broken(Sound):
    """Changes what a sound quantiser gives."""

    def changed(self, weights: QuantisedWeights) -> QuantisedWeights:
        """Return other weights; those that break nothing, here."""
        return weights

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        return self.changed(super().quantise(layer))


class WideCodes(Broken):
    name = "wide-codes"

    def changed(self, weights: QuantisedWeights) -> QuantisedWeights:
        return replace(weights, codes=np.clip(weights.codes * 2, -127, 127).astype(np.int8))


class NoScale(Broken):
    name = "no-scale"

    def changed(self, weights: QuantisedWeights) -> QuantisedWeights:
        return replace(weights, scales=np.zeros_like(weights.scales))


class OtherView(Broken):
    name = "other-view"

    def changed(self, weights: QuantisedWeights) -> QuantisedWeights:
        channels = np.zeros(len(weights.codes), np.int64)
        return replace(weights, channels=channels)


class NoZeros(Broken):
    name = "no-zeros"

    def changed(self, weights: QuantisedWeights) -> QuantisedWeights:
        return replace(
            weights, codes=np.where(weights.codes == 0, 1, weights.codes).astype(np.int8)
        )


class ByChance(Broken):
    name = "by-chance"

    def changed(self, weights: QuantisedWeights) -> QuantisedWeights:
        drawn = np.random.default_rng().integers(-1, 2, weights.codes.shape)
        return replace(weights, codes=(weights.codes * drawn).astype(np.int8))


class InPlace(Sound):
    name = "in-place"

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        found = super().quantise(layer)
        layer.weights[...] = found.real
        return found


class Forgetful(Sound):
    name = "forgetful"

    def quantise_network(self, network: NetworkFacts) -> Chosen:
        return super().quantise_network(replace(network, layers=network.layers[1:]))


class TakesNan(Sound):
    name = "takes-nan"

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        return super().quantise(replace(layer, weights=np.nan_to_num(layer.weights, posinf=1)))


class OddName(Sound):
    name = "a:b"


BROKEN: dict[type[Sound], str] = {
    OddName: "name and keys",
    Forgetful: "every layer",
    WideCodes: "codes within bits",
    NoScale: "scales",
    OtherView: "real = codes * scales",
    NoZeros: "zeros stay",
    ByChance: "determinism",
    InPlace: "what is given is not written to",
    TakesNan: "NaN and infinity are refused",
}


def failures(each: WeightQuantiser) -> list[str]:
    return [outcome.check for outcome in check_weight_quantiser(each) if outcome.failure]


def test_a_sound_quantiser_passes() -> None:
    assert failures(Sound()) == []


@pytest.mark.parametrize("broken", BROKEN)
def test_each_clause_of_the_contract_catches_who_breaks_it(broken: type[Sound]) -> None:
    assert BROKEN[broken] in failures(broken())


def test_every_clause_has_somebody_who_breaks_it() -> None:
    assert set(BROKEN.values()) == set(CHECKS)


# What the shipped ones give, recounted with fractions.

WEIGHTS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
    elements=st.integers(-4000, 4000).map(lambda value: value / 64),
)


def rounded(value: Fraction) -> int:
    """Half to even, by whole numbers."""
    low = value.numerator // value.denominator
    rest = value - low
    return low + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1))


def recounted(weights: list[float], scale: float, bits: int) -> list[int]:
    """Codes of float32 quotients, one by one."""
    most = 2 ** (bits - 1) - 1
    quotients = [Fraction(float(np.float32(each) / np.float32(scale))) for each in weights]
    return [max(-most, min(most, rounded(each))) for each in quotients]


def layer_of(weights: Any, groups: int = 1) -> LayerFacts:
    return LayerFacts("a", np.asarray(weights, np.float32), groups)


@given(WEIGHTS, st.integers(2, 8))
def test_nearest_is_what_plain_arithmetic_says(weights: Any, bits: int) -> None:
    found = get_weight_quantiser(f"nearest:{bits}").quantise(layer_of(weights))
    for channel, values in enumerate(weights.reshape(len(weights), -1).tolist()):
        largest = max(map(abs, values))
        scale = float(np.float32(2 * largest / (2**bits - 1))) if largest else 1.0
        assert found.scales[channel] == scale
        assert found.codes[channel].reshape(-1).tolist() == recounted(values, scale, bits)


@given(WEIGHTS, st.integers(-100, 100))
def test_bitslice_has_one_power_of_two_for_a_layer(weights: Any, exponent: int) -> None:
    weights = np.ldexp(weights, exponent).astype(np.float32)
    found = get_weight_quantiser("bitslice:8").quantise(layer_of(weights))
    values = [Fraction(each) for each in weights.reshape(-1).tolist()]
    largest = max(map(abs, values))
    scale = Fraction(1)
    while largest and scale < largest:
        scale *= 2
    while largest and scale / 2 >= largest:
        scale /= 2
    scale = scale / 128 if largest else scale
    signs = [(value > 0) - (value < 0) for value in values]
    codes = [
        sign * min(127, rounded(abs(value) / scale))
        for sign, value in zip(signs, values, strict=True)
    ]
    assert [Fraction(float(each)) for each in found.scales] == [scale] * len(weights)
    assert found.codes.reshape(-1).tolist() == codes


@given(WEIGHTS)
def test_nearest_of_8_bits_is_the_rule_that_networks_have_without_a_recipe(weights: Any) -> None:
    found, rule = get_weight_quantiser("nearest:8").quantise(layer_of(weights)), WeightCodes
    today = rule.of_real(weights)
    assert np.array_equal(found.codes, today.codes)
    assert np.array_equal(found.scales.astype(np.float64), today.scales)


def power_error(values: list[float], scale: float, bits: int, power: float) -> float:
    codes = recounted(values, scale, bits)
    return math.fsum(
        abs(code * float(np.float32(scale)) - value) ** power
        for code, value in zip(codes, values, strict=True)
    )


@given(WEIGHTS, st.integers(2, 5), st.sampled_from([0.7, 1.0, 2.0, 2.4, 4.0]))
def test_lp_has_the_least_error_of_all_scales_on_its_grid(
    weights: Any, bits: int, power: float
) -> None:
    found = get_weight_quantiser(f"lp:{power}:{bits}").quantise(layer_of(weights))
    for channel, values in enumerate(weights.reshape(len(weights), -1).tolist()):
        largest = max(map(abs, values))
        if not largest:
            continue
        grid = [largest / (2 ** (bits - 1) - 1) * part / 128 for part in range(1, 129)]
        grid.append(2 * largest / (2**bits - 1))
        least = min(power_error(values, float(np.float32(each)), bits, power) for each in grid)
        scale = float(found.scales[channel])
        assert found.codes[channel].reshape(-1).tolist() == recounted(values, scale, bits)
        assert power_error(values, scale, bits, power) <= least * (1 + 1e-6) + 1e-12


def test_bitslice_of_a_power_of_two_saturates() -> None:
    found = get_weight_quantiser("bitslice:8").quantise(layer_of([[[1.0, -0.5]], [[0.01, 0.0]]]))
    assert found.scales.tolist() == [1 / 128, 1 / 128]
    assert found.codes.tolist() == [[[127, -64]], [[1, 0]]]


def test_known_cases() -> None:
    """Worked by hand: 2 bits know -1, 0 and 1; a clip gives up an outlier for the many."""
    layer = layer_of([[[3.0, 1.4, -1.6, 0.0]]])
    two = get_weight_quantiser("nearest:2").quantise(layer)
    assert two.scales.tolist() == [2.0]
    assert two.codes.tolist() == [[[1, 1, -1, 0]]]
    equal = layer_of([[[5.0, -5.0]]])
    assert get_weight_quantiser("lp:2:2").quantise(equal).real.tolist() == [[[5.0, -5.0]]]
    assert get_weight_quantiser("nearest:2").quantise(equal).real.tolist() != [[[5.0, -5.0]]]
    many = layer_of([[[1.0] * 99 + [8.0]]])
    clipped = get_weight_quantiser("lp:1:3").quantise(many)
    assert abs(float(clipped.real[0, 0, 0]) - 1) < 0.02


# Several rows for one channel.


def test_a_channel_of_several_rows_is_their_sum() -> None:
    codes = np.array([[[1, -1]], [[2, 0]], [[0, 3]]], np.int8)
    scales = np.array([0.5, 0.25, 2.0], np.float32)
    found = QuantisedWeights(codes, scales, 4, channels=np.array([0, 0, 1]))
    assert found.real.tolist() == [[[1.0, -0.5]], [[0.0, 6.0]]]


# Sums of inputs.


@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99)
)
def test_sums_of_inputs_give_the_error_of_outputs(
    groups: int, k: int, channels: int, rows: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    real, held = (rng.integers(-8, 9, (groups, rows, k)).astype(np.float32) for _ in range(2))
    weights, other = (rng.integers(-8, 9, (groups * channels, 1, k)) for _ in range(2))
    cut = rows // 2
    parts = [Rows(real[:, :cut], held[:, :cut]), Rows(real[:, cut:], held[:, cut:])]
    gram = Gram.of(part for part in parts if part.real.size)
    assert gram.rows == rows
    squares, means = gram.squared_error(weights, other), gram.mean_error(weights, other)
    for channel in range(groups * channels):
        group = channel // channels
        errors = [
            sum(float(x[i]) * int(weights[channel, 0, i]) for i in range(k))
            - sum(float(q[i]) * int(other[channel, 0, i]) for i in range(k))
            for x, q in zip(real[group], held[group], strict=True)
        ]
        assert squares[channel] == pytest.approx(sum(error**2 for error in errors), abs=1e-6)
        assert means[channel] == pytest.approx(sum(errors) / rows, abs=1e-9)


def test_inputs_of_nobody_are_refused_in_words() -> None:
    with pytest.raises(InputError, match="layer 'a': its inputs are not known"):
        _ = layer_of([[[1.0]]]).gram
    with pytest.raises(InputError, match="expected at least one"):
        Gram.of([])


# Names.


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("nearest", "nearest:8"),
        ("nearest:bits=4", "nearest:4"),
        ("lp", "lp:2:8"),
        ("lp:3", "lp:3:8"),
        ("lp:2.4:bits=4", "lp:2.4:4"),
        ("lp:bits=4,p=2.4", "lp:2.4:4"),
        ("lp:2.4000001:4", "lp:2.4000001:4"),
    ],
)
def test_a_quantiser_has_one_name(spec: str, same: str) -> None:
    assert get_weight_quantiser(spec).spec == same
    assert get_weight_quantiser(same) == get_weight_quantiser(spec)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("nearst:4", "did you mean nearest?"),
        ("nearest:9", "bits='9', expected an integer from 2 to 8"),
        ("nearest:1", "bits='1', expected an integer from 2 to 8"),
        ("nearest:4:5", "'5' is one value too many, expected nearest:BITS"),
        ("lp::4", "a value is empty, expected some between colons"),
        ("nearest:4:", "a value is empty"),
        ("nearest:width=4", "key 'width=4' is not known"),
        ("nearest:4:bits=5", "key 'bits' is given twice"),
        ("lp:0:4", "p=0, expected a number above 0"),
        ("lp:99:4", "p='99', expected a number from 0 to 20.0"),
        ("lp:two", "p='two'"),
        ("nothing.py:Mine", "is not a file"),
    ],
)
def test_what_is_wrong_is_told(spec: str, part: str) -> None:
    with pytest.raises(InputError) as caught:
        get_weight_quantiser(spec)
    assert part in str(caught.value)


OWN = """
from dataclasses import dataclass, field
from sparqsim.quantise.weights import QuantisedWeights, WeightQuantiser
import numpy as np

@dataclass(frozen=True)
class Signs(WeightQuantiser):
    name = "signs"
    keen: int = 1
    bits: int = field(default=2, metadata={"least": 2, "most": 2})
    more: int = 7

    def quantise(self, layer):
        sizes = np.abs(layer.weights).mean(axis=(1, 2))
        scales = np.where(sizes > 0, sizes, 1).astype(np.float32)
        return QuantisedWeights(np.sign(layer.weights).astype(np.int8), scales, self.bits)

class Unfinished(WeightQuantiser):
    name = "unfinished"
"""


def test_one_of_a_users_file(tmp_path: Path) -> None:
    file = tmp_path / "signs.py"
    file.write_text(OWN)
    own = get_weight_quantiser(f"{file}:Signs:3:2:more=8")
    assert own.spec == "signs:3:2:more=8"
    found = own.quantise(trial_facts().layers[0])
    assert set(np.unique(found.codes)) == {-1, 1}
    with pytest.raises(InputError, match="Unfinished is unfinished"):
        get_weight_quantiser(f"{file}:Unfinished")


def test_what_a_network_does_not_give_is_refused_by_name() -> None:
    class Learned(Sound):
        name = "learned"
        needs = frozenset({"blocks", "inputs"})

    with pytest.raises(InputError) as caught:
        Learned().check_needs(trial_facts().network)
    assert str(caught.value) == (
        "weight quantiser 'learned:4' needs blocks of the network; this trial network gives "
        "inputs beside weights; expected a quantiser that needs no more, or another network "
        "(PyTorch gives most)"
    )
    with pytest.raises(InputError, match="gives nothing beside weights"):
        Learned().check_needs(None)
    Sound().check_needs(None)
