"""Transforms of a trace: their contract, what the shipped ones do to values, one from outside."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparqsim
from sparqsim import InputError, Layer, Trace
from sparqsim.cli import main
from sparqsim.trace.source import TensorSource
from sparqsim.trace.transforms import Transform, Transformed, get_transform, transform
from sparqsim.trace.transforms.contract import CHECKS, check_transform, trial_layers
from sparqsim.trace.transforms.registry import shipped_transforms

SPECS = (
    "requantise:weights=4",
    "requantise:activations=4",
    "requantise:weights=2,activations=2,kept=include",
    "requantise:weights=7,activations=1",
    "prune-2of4",
    "prune-2of4:kept=include",
)


# The contract.


def test_every_shipped_transform_is_tried_here() -> None:
    assert {spec.partition(":")[0] for spec in SPECS} == set(shipped_transforms())


@pytest.mark.parametrize("spec", SPECS)
def test_shipped_transforms_keep_the_contract(spec: str) -> None:
    assert [each for each in check_transform(get_transform(spec)) if each.failure] == []


@dataclass(frozen=True)
class Negated(Transform):
    """A sound transform: weights with the sign turned."""

    name: ClassVar[str] = "negated"

    def apply(self, layer: Layer) -> Transformed:
        values = np.clip(-layer.weights.astype(np.int16), -128, 127).astype(np.int8)
        return Transformed(replace(layer, weights_source=TensorSource.of(values)))


@dataclass(frozen=True)
class OtherShape(Negated):
    name: ClassVar[str] = "other-shape"

    def apply(self, layer: Layer) -> Transformed:
        if layer.op != "gemm":
            return Transformed(layer)
        source = TensorSource.of(layer.activations[:, :1])
        return Transformed(replace(layer, activations_source=source))


@dataclass(frozen=True)
class ByChance(Negated):
    name: ClassVar[str] = "by-chance"

    def apply(self, layer: Layer) -> Transformed:
        values = np.random.default_rng().integers(-99, 99, layer.weights.shape).astype(np.int8)
        return Transformed(replace(layer, weights_source=TensorSource.of(values)))


@dataclass(frozen=True)
class InPlace(Negated):
    name: ClassVar[str] = "in-place"

    def apply(self, layer: Layer) -> Transformed:
        values = layer.weights
        values[...] = 1
        return Transformed(replace(layer, weights_source=TensorSource.of(values)))


@dataclass(frozen=True)
class ByBlock(Negated):
    name: ClassVar[str] = "by-block"

    def apply(self, layer: Layer) -> Transformed:
        source = layer.weights_source

        def read(part: tuple[slice, ...]) -> Any:
            values = source.read(part)
            return np.full_like(values, len(values))

        return Transformed(
            replace(layer, weights_source=TensorSource(source.shape, source.dtype, read))
        )


@dataclass(frozen=True)
class OddFacts(Negated):
    name: ClassVar[str] = "odd-facts"

    def apply(self, layer: Layer) -> Transformed:
        return Transformed(layer, {"a": np.int64(1)})  # type: ignore[dict-item]


@dataclass(frozen=True)
class OddName(Negated):
    name: ClassVar[str] = "a:b"


BROKEN = {
    OtherShape: "shapes and dtypes stay",
    ByChance: "determinism",
    InPlace: "what is given is not written to",
    ByBlock: "parts = whole",
    OddFacts: "provenance",
    OddName: "name and keys",
}


def failures(each: Transform) -> list[str]:
    return [outcome.check for outcome in check_transform(each) if outcome.failure]


def test_a_sound_transform_passes() -> None:
    assert failures(Negated()) == []


@pytest.mark.parametrize("broken", BROKEN)
def test_each_clause_of_the_contract_catches_who_breaks_it(broken: type[Transform]) -> None:
    assert BROKEN[broken] in failures(broken())


def test_every_clause_has_somebody_who_breaks_it() -> None:
    assert set(BROKEN.values()) == set(CHECKS)


# Requantise, recounted with whole numbers and fractions.


def rounded(value: Fraction) -> int:
    """Half to even, by whole numbers."""
    low = value.numerator // value.denominator
    rest = value - low
    return low + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1))


def recounted(codes: list[int], bits: int, *, signed: bool) -> tuple[list[int], int, int]:
    """Return the new codes, by how many planes the scale grows, and how many codes saturate."""
    sizes = [abs(code) for code in codes]
    stripped = 0
    while any(sizes) and all(size % 2 ** (stripped + 1) == 0 for size in sizes):
        stripped += 1
    left = 0
    while max(sizes) // 2**stripped >= 2**left:
        left += 1
    left = min(8, left + (1 if signed else 0))
    planes = stripped + (left - bits if left > bits else 0)
    most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    exact = [rounded(Fraction(code, 2**planes)) for code in codes]
    least = -most if signed else 0
    new = [min(most, max(least, code)) for code in exact]
    return new, planes, sum(one != other for one, other in zip(new, exact, strict=True))


@given(
    st.lists(st.integers(-128, 127), min_size=6, max_size=6),
    st.lists(st.integers(0, 255), min_size=6, max_size=6),
    st.integers(2, 7),
    st.integers(1, 7),
    st.integers(0, 7),
)
def test_requantise_is_what_plain_arithmetic_says(
    weights: list[int], activations: list[int], w_bits: int, x_bits: int, planes: int
) -> None:
    weights = [int(code / 2**planes) * 2**planes for code in weights]
    activations = [code >> planes << planes for code in activations]
    layer = Layer.from_gemm(
        "a",
        np.array(activations, np.uint8).reshape(2, 3),
        np.array(weights, np.int8).reshape(3, 2),
        activation_scale=0.75,
        weight_scales=[0.5, 3.0],
    )
    new = transform(Trace([layer]), [f"requantise:weights={w_bits},activations={x_bits}"])
    changed, facts = new.layers[0], facts_of(new)["a"]
    codes, grown, saturated = recounted(weights, w_bits, signed=True)
    # from_gemm stores W (K, N) by output channel.
    assert changed.weights.reshape(2, 3).T.reshape(-1).tolist() == codes
    assert changed.record.weight_scales == (0.5 * 2**grown, 3.0 * 2**grown)
    assert facts["weights"]["saturated"] == saturated
    assert facts["weights"]["scale_factor"] == 2**grown
    codes, grown, saturated = recounted(activations, x_bits, signed=False)
    assert changed.activations.reshape(-1).tolist() == codes
    assert changed.record.activation_scale == 0.75 * 2**grown
    assert facts["activations"]["saturated"] == saturated


@given(st.lists(st.integers(-128, 127), min_size=4, max_size=4), st.integers(2, 7))
def test_signed_activations_are_requantised_as_weights_are(codes: list[int], bits: int) -> None:
    x = np.array(codes, np.int8).reshape(2, 2)
    layer = Layer.from_gemm("a", x, np.ones((2, 1), np.int8))
    new = transform(Trace([layer]), [f"requantise:activations={bits}"]).layers[0]
    expected, grown, _ = recounted(codes, bits, signed=True)
    assert new.activations.reshape(-1).tolist() == expected
    assert new.record.activation_scale == 2**grown
    assert max(map(abs, expected)) <= 2 ** (bits - 1) - 1


def facts_of(trace: Trace) -> dict[str, Any]:
    (entry,) = trace.metadata.provenance["transforms"]
    return entry["layers"]


def one_layer(weights: list[int], **fields: Any) -> Layer:
    w = np.array(weights, np.int8).reshape(-1, 1)
    return Layer.from_gemm("a", np.full((1, len(weights)), 3, np.uint8), w, **fields)


def test_known_cases() -> None:
    """Worked by hand: ties go to the even code, planes of zeros cost nothing, -128 saturates."""
    ties = one_layer([8, 24, -8, -24, 127, -128])
    new = transform(Trace([ties]), ["requantise:weights=4"])
    assert new.layers[0].weights.reshape(-1).tolist() == [0, 2, 0, -2, 7, -7]
    assert facts_of(new)["a"]["weights"]["saturated"] == 2, "127 / 16 is 7.94, which rounds to 8"
    strips = one_layer([16, -48, 112, 0])
    new = transform(Trace([strips]), ["requantise:weights=4"])
    assert new.layers[0].weights.reshape(-1).tolist() == [1, -3, 7, 0]
    assert facts_of(new)["a"]["output_sqnr_db"] is None, "nothing is lost"
    assert new.layers[0].record.weight_scales == (16.0,)
    zeros = one_layer([0, 0])
    new = transform(Trace([zeros]), ["requantise:weights=4"])
    assert new.layers[0].weights.reshape(-1).tolist() == [0, 0]


def test_layers_kept_at_8_bits_stay_unless_asked_for() -> None:
    trace = Trace([one_layer([100, 3, 5], keep_8bit=True)])
    for spec in ("requantise:weights=2", "prune-2of4"):
        left = transform(trace, [spec])
        assert np.array_equal(left.layers[0].weights, trace.layers[0].weights)
        assert facts_of(left)["a"]["left_alone"] == "kept at 8 bits"
        asked = transform(trace, [f"{spec}{',' if ':' in spec else ':'}kept=include"])
        assert not np.array_equal(asked.layers[0].weights, trace.layers[0].weights)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("requantise", "nothing to do, expected weights= or activations= below 8"),
        ("requantise:weights=9", "expected weights of 2 to 8 bits"),
        ("requantise:weights=1", "weights='1', expected an integer of at least 2"),
        ("requantise:activations=0", "expected an integer of at least 1"),
        ("requantise:bits=4", "key 'bits=4' is not known"),
        ("requantize:weights=4", "did you mean requantise?"),
        ("prune-2of4:kept=no", "expected one of skip, include"),
    ],
)
def test_what_is_refused_by_name(spec: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        get_transform(spec)
    assert message in str(caught.value)


def test_layers_that_cannot_be_changed_are_named() -> None:
    signed = Layer.from_gemm("s", np.ones((1, 2), np.int8), np.ones((2, 1), np.int8))
    with pytest.raises(InputError, match=r"layer 's': activations are int8"):
        transform(Trace([signed]), ["requantise:activations=1"])
    points = one_layer([1, 2], weight_zero_points=(3,), zero_point_corrected=True)
    for spec in ("requantise:weights=4", "prune-2of4"):
        with pytest.raises(InputError, match=r"layer 'a': weight_zero_points="):
            transform(Trace([points]), [spec])
    shifted = one_layer([1, 2], activation_zero_point=5, zero_point_corrected=True)
    with pytest.raises(InputError, match=r"layer 'a': activation_zero_point=5"):
        transform(Trace([shifted]), ["requantise:activations=4"])
    assert transform(Trace([shifted]), ["requantise:weights=4"])
    with pytest.raises(InputError, match="expected at least one"):
        transform(Trace([signed]), [])


# Prune, by sorting in plain Python.


def two_of_four(filter_weights: list[int]) -> list[int]:
    result: list[int] = []
    for start in range(0, len(filter_weights), 4):
        group = filter_weights[start : start + 4]
        ranked = sorted(range(len(group)), key=lambda at: (-abs(group[at]), at))
        result += [weight if at in ranked[:2] else 0 for at, weight in enumerate(group)]
    return result


@given(st.data(), st.integers(1, 3), st.integers(1, 4), st.integers(1, 7))
def test_pruning_is_what_sorting_says(
    data: st.DataObject, filters: int, positions: int, depth: int
) -> None:
    """Groups of four reach over kernel positions: K has the channel innermost."""
    few = st.sampled_from([-128, -3, -2, 0, 2, 3, 127])
    values = st.lists(few, min_size=positions * depth, max_size=positions * depth)
    rows = [data.draw(values) for _ in range(filters)]
    weights = np.array(rows, np.int8).reshape(filters, positions, depth)
    images = np.ones((1, 2, positions + 1, depth), np.uint8)
    layer = Layer.conv2d("a", images, weights, kernel=(1, positions))
    new = transform(Trace([layer]), ["prune-2of4"])
    lowered = new.layers[0].lower().weights[0].T  # (N, K), as the array sees it
    expected = [two_of_four(row) for row in rows]
    assert lowered.tolist() == expected
    zeros = sum(row.count(0) for row in expected)
    facts = facts_of(new)["a"]
    assert (facts["zeros_after"], facts["zeros_before"]) == (zeros, int((weights == 0).sum()))


# What the new trace says.


def test_sqnr_is_against_the_untransformed_layer_in_its_units() -> None:
    layer = trial_layers()[0]
    specs = ["prune-2of4", "requantise:weights=3,activations=5"]
    new = transform(Trace([layer]), specs)
    first, second = new.metadata.provenance["transforms"]
    pruned = transform(Trace([layer]), specs[:1]).layers[0]
    assert first["layers"][layer.name]["output_sqnr_db"] == recounted_sqnr(layer, pruned)
    found = second["layers"][layer.name]["output_sqnr_db"]
    assert found == recounted_sqnr(layer, new.layers[0])


def recounted_sqnr(before: Layer, after: Layer) -> float:
    """Sum by sum, with fractions: real outputs over the unit of the layer before."""
    signal, noise = Fraction(0), Fraction(0)
    unit = units(before)
    for (channel, y), (_, changed) in zip(outputs(before), outputs(after), strict=True):
        ratio = units(after)[channel] / unit[channel]
        signal += y * y
        noise += (changed * ratio - y) ** 2
    return round(10 * math.log10(signal / noise), 2)


def units(layer: Layer) -> list[Fraction]:
    scale = Fraction(layer.record.activation_scale)
    return [scale * Fraction(each) for each in layer.record.weight_scales]


def outputs(layer: Layer) -> Iterator[tuple[int, int]]:
    """Yield (output channel, integer sum), product by product."""
    lowered = layer.lower()
    x = lowered.rows().tolist()
    w = lowered.weights.tolist()
    for group in range(lowered.groups):
        for row in x[group]:
            for n in range(lowered.n):
                y = sum(row[k] * w[group][k][n] for k in range(lowered.k))
                yield group * lowered.n + n, y


def test_the_new_trace_tells_where_it_comes_from_and_results_name_it(tmp_path: Path) -> None:
    path, first, second = (tmp_path / f"{name}.safetensors" for name in "abc")
    made = Trace(
        trial_layers(), network="net", arrays={"labels": np.arange(3)}, provenance={"own": 1}
    )
    made.save(path)
    transform(str(path), ["prune-2of4"]).save(first)
    transform(first, ["requantise:weights=4", "prune-2of4"]).save(second)
    assert sparqsim.check_trace(second) == []
    new = sparqsim.load_trace(second)
    told = new.metadata.provenance
    assert told["own"] == 1
    assert [entry["transform"] for entry in told["transforms"]] == [
        "prune-2of4",
        "requantise:weights=4",
        "prune-2of4",
    ]
    shas = [entry["source_sha256"] for entry in told["transforms"]]
    assert shas == [made.sha256, *[sparqsim.load_trace(first).sha256] * 2]
    assert new.arrays["labels"].tolist() == [0, 1, 2]
    report = sparqsim.simulate(new, "mac-8b8b", sparqsim.ArrayConfig(4, 4))
    assert "[transformed: prune-2of4]" in report.provenance.network
    assert "[transformed: requantise:weights=4, prune-2of4]" in report.heading()
    assert sparqsim.load_trace(path).sha256 == made.sha256, "the source is as it was"


def test_nothing_of_a_large_layer_is_held() -> None:
    """Blocks are asked for, never the whole tensor."""
    asked: list[int] = []
    shape = (64, 300, 512)

    def read(part: tuple[slice, ...]) -> Any:
        values = np.broadcast_to(np.int8(3), shape)[part]
        asked.append(values.size)
        return values

    known = one_layer([1] * 4)
    layer = Layer(
        known.record,
        TensorSource(
            (1, 1, 300 * 512), np.dtype(np.uint8), np.ones((1, 1, 300 * 512), np.uint8).__getitem__
        ),
        TensorSource(shape, np.dtype(np.int8), read),
    )
    for spec in ("requantise:weights=4", "prune-2of4"):
        result = get_transform(spec).apply(layer)
        for block in result.layer.weights_source.blocks():
            assert block.size <= 1 << 22
        assert max(asked) <= 1 << 22 < math.prod(shape)


# From outside, and from the command line.

OUTSIDE = '''
"""A transform of a user's own."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from sparqsim.trace.transforms import Transform, Transformed
from sparqsim.trace.transforms.base import mapped


@dataclass(frozen=True)
class Ceiling(Transform):
    """Activations of at most `most`."""

    name: ClassVar[str] = "ceiling"

    most: int = 100

    def apply(self, layer):
        source = mapped(layer.activations_source, lambda values: np.minimum(values, self.most))
        return Transformed(replace(layer, activations_source=source), {"most": self.most})
'''


def test_a_transform_from_outside_is_one_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, path, new = tmp_path / "own.py", tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    code.write_text(OUTSIDE)
    spec = f"{code}:Ceiling:most=7"
    assert failures(get_transform(spec)) == []
    Trace(trial_layers()).save(path)
    command = ["trace", "transform", str(path), "--with", spec, "--with", "prune-2of4"]
    assert run([*command, "-o", str(new), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["transform"] for entry in document["transforms"]] == [
        "ceiling:most=7",
        "prune-2of4",
    ]
    layers = sparqsim.load_trace(new).layers
    assert max(int(layer.activations.max()) for layer in layers) == 7
    assert run([*command, "-o", str(path)]) == 2
    assert "a.safetensors" in capsys.readouterr().err, "an output over the input is refused"
    assert run([*command, "-o", str(new)]) == 0
    shown = capsys.readouterr().out
    assert "ceiling:most=7" in shown
    assert "left alone" in shown
    assert run(["trace", "info", str(new)]) == 0
    assert "1. ceiling:most=7" in capsys.readouterr().out


def test_files_without_a_transform_are_refused(tmp_path: Path) -> None:
    code = tmp_path / "own.py"
    code.write_text(OUTSIDE)
    with pytest.raises(InputError, match="no class 'Floor'"):
        get_transform(f"{code}:Floor")
    with pytest.raises(InputError, match="expected a subclass of Transform"):
        get_transform(f"{code}:dataclass")
    with pytest.raises(InputError, match="names a file but no class"):
        get_transform(str(code))
    with pytest.raises(InputError, match="is unfinished"):
        get_transform(f"{code}:Transform")


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)
