"""Tiles of a real network: the trace that ships."""

from __future__ import annotations

from pathlib import Path

import pytest

import sparqsim
from sparqsim.array.config import ArrayConfig
from sparqsim.pe import get_pe
from sparqsim.rtl.check import check_gemm

TRACE = Path(__file__).parents[2] / "workloads" / "digits_resnet.safetensors"


@pytest.fixture(scope="module")
def trace() -> sparqsim.Trace:
    return sparqsim.load_trace(TRACE)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("spec", ["sparq-5opt", "sparq-exact", "mac-8b8b"])
def test_tiles_of_every_eighth_layer(spec, dataflow, trace, rng, compared):
    design = get_pe(spec)
    for layer in trace.layers[1::8]:
        lowered, rows = layer.lower(), layer.gemm.m
        at = int(rng.integers(0, max(rows - 12, 1)))
        x, w = lowered.rows(at, min(at + 12, rows))[0], lowered.weights[0][:, :8]
        compared(
            check_gemm(design, ArrayConfig(8, 8, dataflow=dataflow, overlap=True), x, w).comparisons
        )
