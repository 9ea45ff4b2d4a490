"""Activations of fewer bits by recipe: the same sums in a trace, in onnxruntime, and by hand."""
# ruff: noqa: E402 - what needs onnx is imported after the lines that skip without it

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")

from hypothesis import given
from hypothesis import strategies as st
from test_onnx import network_file, scores, shown

from sparqsim import InputError, check_trace, get_pe, load_trace
from sparqsim.cli import main
from sparqsim.networks.modelfiles import dump, open_network, quantise
from sparqsim.networks.onnx.evaluate import OnnxNetwork
from sparqsim.networks.onnx.network import calibrated
from sparqsim.networks.onnx.running import with_recipe
from sparqsim.quantise.codes import top_bits
from sparqsim.quantise.recipe import Recipe

FIXTURES = (network_file, shown)
FEW = Recipe(activation_bits=5, layers={"grouped": {"activation_bits": 3}})


def by_hand(code: int, bits: int, signed: bool) -> int:
    unit = 2 ** (8 - bits)
    whole, rest = divmod(code, unit)
    up = 2 * rest > unit or (2 * rest == unit and whole % 2 == 1)
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return max(lowest, min(highest, whole + up))


@given(st.integers(2, 8), st.booleans())
def test_top_bits_are_rounded_half_to_even_and_saturate(bits, signed):
    codes = np.arange(-127, 128, dtype=np.int8) if signed else np.arange(256).astype(np.uint8)
    found = top_bits(codes, bits)
    assert found.dtype == codes.dtype
    assert found.tolist() == [by_hand(code, bits, signed) for code in codes.tolist()]


def test_a_trace_has_the_narrow_codes_and_their_scale(network_file, shown, tmp_path):
    dump(str(network_file), shown, str(tmp_path / "few"), recipe=FEW)
    dump(str(network_file), shown, str(tmp_path / "plain"))
    assert check_trace(tmp_path / "few") == []
    few, plain = (load_trace(tmp_path / name).layers for name in ("few", "plain"))
    assert [layer.record.activation_bits for layer in few] == [8, 5, 3, 5, 5, 8]
    for one, other in zip(few, plain, strict=True):
        bits = one.record.activation_bits
        assert np.array_equal(one.activations, top_bits(other.activations, bits))
        assert one.record.activation_scale == other.record.activation_scale * 2 ** (8 - bits)


@pytest.mark.parametrize("pe", ["bitfusion", "mac-8b8b", "mac-4b8b"])
def test_onnxruntime_and_numpy_agree_on_narrow_activations(network_file, shown, pe):
    network = with_recipe(calibrated(network_file, shown, recipe=FEW), FEW, shown)
    native, direct = (OnnxNetwork(network, native=native) for native in (True, False))
    one, other = (scores(each.under(get_pe(pe), shown)) for each in (native, direct))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    whole = open_network(str(network_file), shown, recipe=Recipe())
    assert not np.array_equal(one, scores(whole.under(get_pe(pe), shown)))


def test_what_cannot_take_fewer_bits_says_so(network_file, shown, tmp_path, capsys):
    with pytest.raises(InputError, match=r"activation_bits below 8 in a file of a quantised"):
        quantise(str(network_file), shown, str(tmp_path / "q"), FEW)
    (tmp_path / "wide.toml").write_text("activation_bits = 9\n")
    with pytest.raises(SystemExit) as left:
        main(["accuracy", str(network_file), "--images", "x", "--recipe", f"{tmp_path}/wide.toml"])
    assert left.value.code == 2
    assert (
        "activation_bits: Input should be less than or equal to 8 (found 9)"
        in capsys.readouterr().err
    )
