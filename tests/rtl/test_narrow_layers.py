"""Tiles of layers of fewer than 8 bits run in RTL as the simulator has them: lanes, cycles, nibbles."""

from __future__ import annotations

import numpy as np
import pytest

import sparqsim
from sparqsim.array.config import ArrayConfig
from sparqsim.rtl.trials import run_tile
from sparqsim.trace import Layer


@pytest.mark.parametrize("bits", [(3, 5), (4, 4), (6, 7)])
@pytest.mark.parametrize("name", ["mac-4b8b", "mac-4b4b", "stripes:lanes=2", "bitfusion"])
def test_a_tile_agrees(name, bits, tmp_path):
    a, w = bits
    rng = np.random.default_rng(a)
    x = rng.integers(0, 2**a, (2, 9)).astype(np.uint8)
    weights = rng.integers(-(2 ** (w - 1)), 2 ** (w - 1), (9, 2)).astype(np.int8)
    layer = Layer.from_gemm("narrow", x, weights, activation_bits=a, weight_bits=w)
    for flow in ("os", "ws"):
        wave = tmp_path / f"{flow}.vcd"
        run = run_tile(layer, sparqsim.get_pe(name), ArrayConfig(2, 2, flow), wave)
        assert run.compared > 0
