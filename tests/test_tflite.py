"""TFLite networks: their own integers, and the whole network computed again, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sparqsim import InputError, check_trace, get_pe, load_trace
from sparqsim.networks.images import Pictures
from sparqsim.networks.tflite.interpreter import Interpreter

pytest.importorskip("ai_edge_litert", reason="needs the extra 'tflite'")
pytest.importorskip("PIL", reason="needs the extra 'tflite' (pillow)")

from tflite_builder import small_network

from sparqsim.networks.modelfiles import dump
from sparqsim.networks.tflite.evaluate import TfliteNetwork
from sparqsim.networks.tflite.execute import Executor, outputs_of
from sparqsim.networks.tflite.macs import read_operators
from sparqsim.networks.tflite.model import Model
from sparqsim.networks.tflite.network import TfliteSites, prepared

SHARED = Path(os.environ.get("SPARQSIM_SHARED", Path(__file__).parents[2] / "shared"))
MOBILENETS = SHARED / "data" / "imagenet_mobilenet_int8"
EXACT = get_pe("mac-8b8b")


def shown(path: Path, count: int = 3, size: tuple[int, int] = (9, 8)) -> Pictures:
    np.savez(
        path, images=np.random.default_rng(1).integers(0, 256, (count, *size, 3), dtype=np.uint8)
    )
    return Pictures.open(path)


@pytest.fixture(params=[False, True], ids=["uint8", "int8"])
def network_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return small_network(tmp_path / "net.tflite", request.param)


def differing(path: Path, pictures: Pictures) -> dict[str, int]:
    """Return, for every activation tensor, how many elements of our own computation are not the
    interpreter's.
    """
    model = Model(path)
    macs = read_operators(model)
    values = Executor(model, macs).run(
        np.stack(list(prepared(model, pictures))), {mac.name: EXACT for mac in macs}
    )
    interpreter, found = Interpreter(model), {}
    for at, picture in enumerate(prepared(model, pictures)):
        own = interpreter.run(picture, list(values))
        for index, value in values.items():
            name = model.tensors[index].name
            found[name] = found.get(name, 0) + int((value[at] != own[index][0]).sum())
    return found


def test_whole_network_is_the_interpreters(network_file: Path, tmp_path: Path) -> None:
    """Exact 8-bit arithmetic gives every tensor of the interpreter, bit for bit."""
    found = differing(network_file, shown(tmp_path / "p.npz"))
    assert len(found) >= 8
    assert set(found.values()) == {0}


def test_trace_gives_the_interpreters_outputs(network_file: Path, tmp_path: Path) -> None:
    """From the trace file alone (and bias, output scale): the output of every layer."""
    from sparqsim.networks.tflite.execute import output_factors
    from sparqsim.networks.tflite.fixedpoint import multiplied, multiplied_once, requantised
    from sparqsim.pe.arithmetic import layer_sums

    pictures, target = shown(tmp_path / "p.npz"), tmp_path / "t.safetensors"
    dump(network_file, pictures, target)
    assert check_trace(target) == []
    model = Model(network_file)
    interpreter = Interpreter(model)
    macs = read_operators(model)
    own = [
        interpreter.run(picture, [mac.target.index for mac in macs])
        for picture in prepared(model, pictures)
    ]
    for mac, layer in zip(macs, load_trace(target).layers, strict=True):
        sums = layer_sums(layer, EXACT) + (0 if mac.bias_codes is None else mac.bias_codes)
        codes = requantised(
            sums,
            output_factors(mac),
            mac.target,
            mac.operator.options.get("fusedActivationFunction", 0),
            rounding=multiplied_once if mac.geometry is None else multiplied,
        )
        wanted = np.concatenate(
            [each[mac.target.index].reshape(-1, codes.shape[1]) for each in own]
        )
        assert np.array_equal(codes, wanted), mac.name


@pytest.mark.parametrize("design", ["mac-8b8b", "mac-4b4b", "sparq-5opt:signed=magnitude"])
def test_every_integer_equals_a_plain_recomputation(
    network_file: Path, tmp_path: Path, design: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole network, layer by layer: loops of `PEDesign.step` over what each layer met, zero
    points corrected.
    """
    from networks.stepped import recorder, stepped_sums

    pictures = shown(tmp_path / "p.npz", 1)
    network, seen = TfliteNetwork(TfliteSites(network_file)), recorder(monkeypatch)
    list(network.under(get_pe(design), pictures, keep_8bit=False))
    assert len(seen) == len(read_operators(Model(network_file)))
    for layer, pe, sums in seen:
        assert np.array_equal(sums, stepped_sums(layer, pe)), layer.name


def test_two_roundings_equal_the_plain_words() -> None:
    """The documented scheme one number at a time: nudge, cut towards zero; then a shift, halves
    away from zero.
    """
    from sparqsim.networks.tflite.fixedpoint import multiplied

    def plain(value: int, multiplier: int, exponent: int) -> int:
        product = (value << max(exponent, 0)) * multiplier
        nudged = product + (2**30 if product >= 0 else 1 - 2**30)
        high = nudged // 2**31 if nudged >= 0 else -(-nudged // 2**31)
        right = max(-exponent, 0)
        magnitude = (abs(high) + (2**right >> 1)) >> right
        return magnitude if high >= 0 else -magnitude

    random = np.random.default_rng(0)
    values = np.concatenate([random.integers(-(2**24), 2**24, 3000), np.arange(-600, 600)])
    for multiplier in (2**30, 2**31 - 1, 3 * 2**29, 1_234_567_891):
        for exponent in (-12, -7, -1, 0, 1, 3):
            found = multiplied(values, np.asarray(multiplier), np.asarray(exponent))
            assert found.tolist() == [plain(int(value), multiplier, exponent) for value in values]


def test_zero_points_are_stored_and_said(network_file: Path, tmp_path: Path) -> None:
    report = dump(network_file, shown(tmp_path / "p.npz"), tmp_path / "t.safetensors")
    layers = load_trace(tmp_path / "t.safetensors").layers
    assert [layer.record.activation_zero_point for layer in layers[1:]] == [0, 77, 100]
    assert layers[1].record.groups == 4
    assert layers[1].gemm.n == 2
    assert all(not layer.signed for layer in layers[1:])
    assert "corrected" in report.layers[2].reason
    signed = "own int8" in report.layers[1].reason
    # The int8 picture is 128 lower than the uint8 one around the same zero: symmetric as it is.
    assert layers[0].signed == signed
    assert layers[1].record.weight_zero_points == (() if signed else (3,) * 8)


def test_a_design_changes_answers_and_exact_ones_do_not(network_file: Path, tmp_path: Path) -> None:
    pictures, network = shown(tmp_path / "p.npz", 6), TfliteNetwork(TfliteSites(network_file))
    reference = np.concatenate(list(network.reference(pictures)))
    assert np.array_equal(np.concatenate(list(network.under(EXACT, pictures))), reference)
    assert not np.array_equal(
        np.concatenate(list(network.under(get_pe("mac-4b4b"), pictures))), reference
    )


def test_designs_use_corrected_operands(network_file: Path, tmp_path: Path) -> None:
    """A trimmed activation counts as its code minus the zero point, and a trimmed weight
    likewise.
    """
    pictures, model = shown(tmp_path / "p.npz", 1), Model(network_file)
    mac = read_operators(model)[2]
    value = Interpreter(model).run(next(prepared(model, pictures)), [mac.source.index])[
        mac.source.index
    ]
    pe, stored = get_pe("mac-4b4b"), mac.operands(value).activations[0]
    x = pe.used_activations(stored.reshape(-1, 8))
    w = pe.used_weights(np.ascontiguousarray(mac.weights.codes[:, 0, :].T))
    sums = (x.astype(np.int64) - mac.codes.stored_zero_point) @ (
        w.astype(np.int64) - mac.weights.zero_points
    ) + mac.bias_codes
    from sparqsim.networks.tflite.execute import output_factors
    from sparqsim.networks.tflite.fixedpoint import requantised

    wanted = requantised(sums, output_factors(mac), mac.target, 0)
    assert np.array_equal(outputs_of(mac, value, pe).reshape(-1, 8), wanted)


def test_unsupported_operators_are_named_and_can_be_skipped(tmp_path: Path) -> None:
    file = small_network(tmp_path / "up.tflite", signed=False, last="TRANSPOSE_CONV")
    with pytest.raises(InputError, match=r"operator 'y': TRANSPOSE_CONV .*--skip TRANSPOSE_CONV"):
        read_operators(Model(file))
    assert [mac.name for mac in read_operators(Model(file), ["TRANSPOSE_CONV"])] == [
        "first",
        "depth",
        "point",
    ]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\0\0\0\0TFL3", b"\xff" * 64])
def test_foreign_files_are_bad_input(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.tflite: not a readable TFLite model"):
        Model(tmp_path / "x.tflite")


def test_pictures_of_another_size_are_bad_input(tmp_path: Path) -> None:
    file = small_network(tmp_path / "n.tflite", signed=False)
    with pytest.raises(InputError, match="--preprocess"):
        dump(file, shown(tmp_path / "p.npz", 1, (5, 5)), tmp_path / "t.safetensors")


@pytest.mark.parametrize(
    ("name", "size", "tensors"),
    [("mobilenet_v1_0.5_160_quant", 160, 31), ("mobilenet_v2_1.0_224_quant", 224, 66)],
)
def test_mobilenets_are_the_interpreters(name: str, size: int, tensors: int) -> None:
    """Every tensor of the two MobileNets on one real picture."""
    file = MOBILENETS / f"{name}.tflite"
    if not file.exists():
        pytest.skip(f"{file} is not here (set SPARQSIM_SHARED)")
    pictures = Pictures.open(
        SHARED / "data" / "imagenet_samples", f"crop:0.875,resize:{size}"
    ).first(1)
    found = differing(file, pictures)
    assert len(found) == tensors
    assert set(found.values()) == {0}
