"""Published lists of bits for ResNet-18: cycles order them as the speedups that were measured do."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "workloads" / "published_bits.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("published_bits", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def path(shared):
    return shared / "data" / "bitlists" / "hawq_resnet18.json"


def test_the_layers_are_those_of_the_list_and_its_bit_operations(script, path):
    """MACs * bits of weights * bits of activations, summed: as the list states, which is up to 3 %
    lower.
    """
    macs = {layer.name: layer.gemm.macs for layer in script.layers()}
    assert sum(macs.values()) == 1_814_073_344
    for name, scheme in json.loads(path.read_text())["schemes"].items():
        assert scheme["layers"].keys() == macs.keys()
        operations = sum(
            macs[layer] * bits["weights"] * bits["activations"]
            for layer, bits in scheme["layers"].items()
        )
        assert operations / 1e9 == pytest.approx(scheme["bops_g"], rel=0.035), name


@pytest.mark.parametrize("design", ["bitfusion", "stripes"])
def test_cycles_order_the_schemes(script, path, design):
    speedups = {name: each["speedup_t4"] for name, each in script.schemes_of(path).items()}
    cycles = script.of_schemes(path, design)
    alike, pairs = script.share_in_order(cycles, speedups)
    print(f"{design}: {alike} of {pairs} pairs ({alike / pairs:.1%})")
    assert len(speedups) == 11
    assert pairs == 53, "two pairs of the 55 have equal speedups"
    assert alike >= 0.95 * pairs


def test_a_share_counts_pairs_that_differ(script):
    assert script.share_in_order({"a": 3, "b": 2, "c": 1}, {"a": 1, "b": 2, "c": 2}) == (2, 2)
    assert script.share_in_order({"a": 3, "b": 3, "c": 4}, {"a": 1, "b": 2, "c": 3}) == (0, 3)
