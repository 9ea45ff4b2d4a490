"""Sound inputs that the mutations start from, made by the program itself."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import sparqsim
from sparqsim.analysis.bandwidth import bandwidth_curves
from sparqsim.memory import load_accelerator
from sparqsim.results.accuracy_report import AccuracyReport
from sparqsim.trace.drawn import synthetic_trace
from sparqsim.trace.schema import ConvGeometry
from sparqsim.trace.synthetic import Distribution, LayerShape


@cache
def trace() -> sparqsim.Trace:
    rng = np.random.default_rng(3)
    conv = sparqsim.Layer.conv2d(
        "conv",
        rng.integers(0, 256, (1, 4, 5, 2), np.uint8),
        rng.integers(-128, 128, (3, 6, 2), np.int8),
        kernel=(2, 3),
        padding=(0, 1, 1, 0),
        weight_scales=(0.5,) * 3,
        bias=np.ones(3, np.float32),
        keep_8bit=True,
    )
    product = sparqsim.Layer.from_gemm(
        "product", rng.integers(0, 256, (3, 7), np.uint8), rng.integers(-128, 128, (7, 2), np.int8)
    )
    return sparqsim.Trace(
        [conv, product],
        arrays={"labels": np.arange(2)},
        network="two layers",
        provenance={"a": [1, {"b": None}]},
    )


@cache
def trace_bytes() -> bytes:
    return _saved(trace())


@cache
def narrow_trace_bytes() -> bytes:
    rng = np.random.default_rng(4)
    x, w = rng.integers(0, 16, (3, 7), np.uint8), rng.integers(-3, 4, (7, 2), np.int8)
    narrow = sparqsim.Layer.from_gemm("product", x, w, activation_bits=4, weight_bits=3)
    told = {
        "card": {"calibration_inputs": 4, "calibration_labels": "none", "seeds": "1"},
        "recipe": {
            "weights": "nearest:4",
            "calibration": {"pictures": 4, "labels": "none"},
            "layers": {"product": {"weights": "nearest:3"}},
        },
        "weight_quantisers": {"lapq:4": {"phases": ["one", "two"]}},
    }
    return _saved(sparqsim.Trace([narrow], network="a layer of fewer bits", provenance=told))


def _saved(made: sparqsim.Trace) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.safetensors"
        made.save(path)
        return path.read_bytes()


@cache
def drawn_trace_bytes() -> bytes:
    geometry = ConvGeometry(kernel=(2, 3), padding=(0, 1, 1, 0))
    shapes = [
        LayerShape.conv2d("conv", (4, 5), 2, 3, geometry, keep_8bit=True),
        LayerShape.gemm("product", 3, 7, 2, groups=2),
    ]
    drawn = synthetic_trace(shapes, Distribution(0.4, 0.25, 5), network="two layers")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.safetensors"
        drawn.save(path)
        return path.read_bytes()


@cache
def comparison() -> sparqsim.Comparison:
    array = sparqsim.ArrayConfig(rows=2, cols=3)
    memory = load_accelerator("edge").memory
    return sparqsim.compare(trace(), ["mac-8b8b", "sparq-5opt"], array, memory=memory)


@cache
def comparison_document() -> Any:
    return json.loads(comparison().to_json())


@cache
def report_document() -> Any:
    array = sparqsim.ArrayConfig(rows=2, cols=3)
    memory = load_accelerator("edge").memory
    report = sparqsim.simulate(trace(), "sparq-5opt", array, memory=memory, energy="osu018")
    return json.loads(report.to_json())


@cache
def bandwidth_document() -> Any:
    designs = [sparqsim.get_pe(name) for name in ("mac-8b8b", "sparq-5opt")]
    accelerator = load_accelerator("edge")
    curves = bandwidth_curves(
        trace(),
        designs,
        sparqsim.ArrayConfig(rows=2, cols=3),
        accelerator.memory,
        baseline="mac-8b8b",
        kept="ideal",
        bandwidths=[1.0, 4.0],
    )
    return json.loads(curves.to_json())


@cache
def accuracy_document() -> Any:
    record = {
        "schema": "sparqsim.accuracy/1",
        "version": "0.1.0",
        "network": "net",
        "data": "4 pictures",
        "calibration": "4 pictures",
        "preprocess": "",
        "pictures": 4,
        "traced_pictures": 2,
        "error_pictures": 2,
        "kept_as": "8bit",
        "skipped": ["a: no product"],
        "array": report_document()["array"],
        "baseline": "mac-8b8b",
        "reference": "float network",
        "layers": [
            {
                "name": "conv",
                "op": "conv2d",
                "kept": False,
                "signed": False,
                "zero_point": 0,
                "pairs": 10,
                "zero_pairs": 3,
            }
        ],
        "rows": [_accuracy_row(None), _accuracy_row("mac-8b8b"), _accuracy_row("sparq-5opt")],
    }
    return json.loads(AccuracyReport.from_json(json.dumps(record)).to_json())


def _accuracy_row(pe: str | None) -> dict[str, Any]:
    layers = [] if pe is None else [{"cycles": 20, "sqnr_db": 30.5}]
    return {
        "pe": pe,
        "calibrator": "mean-max",
        "recalibrated_bn": False,
        "route": "simulated",
        "hits": {"top1": 2, "top5": 4, "agree": 3},
        "cycles": None if pe is None else 20,
        "speedup": None if pe is None else 1.0,
        "layers": layers,
    }
