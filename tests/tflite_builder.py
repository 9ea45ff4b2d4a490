"""Small .tflite files, written with the schema's own object interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

schema = pytest.importorskip(
    "ai_edge_litert.schema_py_generated", reason="needs the extra 'tflite'"
)
flatbuffers = pytest.importorskip("flatbuffers", reason="needs the extra 'tflite'")


class Builder:
    """Writes a small .tflite file with the schema's own object interface."""

    def __init__(self, signed: bool) -> None:
        self.random = np.random.default_rng(3)
        self.kind, self.dtype = (9, np.int8) if signed else (3, np.uint8)
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]
        self.operators: list[Any] = []
        self.codes: list[int] = []
        #: Further graphs, of loops: number 1 and on.
        self.graphs: list[Any] = []
        #: FULLY_CONNECTED with a scale per channel is of a later version.
        self.per_channel_products = False

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        scales: list[float],
        points: list[int],
        value: np.ndarray | None = None,
        kind: int | None = None,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = (
            name.encode(),
            list(shape),
            self.kind if kind is None else kind,
        )
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = scales, points
        tensor.quantization.quantizedDimension = 3 if name.startswith("dw") else 0
        tensor.buffer = 0
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def weights(self, name: str, shape: tuple[int, ...], channels: int) -> int:
        signed = self.dtype is np.int8
        value = (
            self.random.integers(-127, 128, shape).astype(np.int8)
            if signed
            else self.random.integers(0, 256, shape).astype(np.uint8)
        )
        scales = self.random.uniform(0.002, 0.01, channels if signed else 1).tolist()
        return self.tensor(name, shape, scales, [0] * len(scales) if signed else [131], value)

    def bias(self, weights: int, channels: int, scale: float) -> int:
        scales = [scale * each for each in self.tensors[weights].quantization.scale]
        value = self.random.integers(-500, 500, channels).astype(np.int32)
        return self.tensor(f"bias{weights}", (channels,), scales, [0] * len(scales), value, kind=2)

    def operator(self, name: str, inputs: list[int], output: int, **options: Any) -> None:
        code = getattr(schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self.codes.index(code), inputs, [output]
        table = {
            "CONV_2D": "Conv2DOptions",
            "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
            "ADD": "AddOptions",
            "FULLY_CONNECTED": "FullyConnectedOptions",
            "AVERAGE_POOL_2D": "Pool2DOptions",
            "RESHAPE": "ReshapeOptions",
            "MAX_POOL_2D": "Pool2DOptions",
            "TRANSPOSE_CONV": "TransposeConvOptions",
            "BATCH_MATMUL": "BatchMatMulOptions",
            "QUANTIZE": "QuantizeOptions",
            "DEQUANTIZE": "DequantizeOptions",
            "SOFTMAX": "SoftmaxOptions",
            "WHILE": "WhileOptions",
        }[name]
        made.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        made.builtinOptions = getattr(schema, table + "T")()
        for option, value in options.items():
            setattr(made.builtinOptions, option, value)
        self.operators.append(made)

    def endless_loop(self, source: int, target: int) -> None:
        """Add a WHILE whose condition is a constant truth and whose body changes nothing."""
        truth = schema.BufferT()
        truth.data = np.ones(1, np.uint8)
        self.buffers.append(truth)
        holds = schema.TensorT()
        holds.name, holds.shape, holds.type = b"holds", [1], schema.TensorType.BOOL
        holds.buffer = len(self.buffers) - 1
        for outputs in ([1], [0]):
            graph = schema.SubGraphT()
            graph.tensors, graph.operators = [self.tensors[source], holds], []
            graph.inputs, graph.outputs = [0], outputs
            self.graphs.append(graph)
        self.operator("WHILE", [source], target, condSubgraphIndex=1, bodySubgraphIndex=2)

    def save(self, path: Path, inputs: list[int], outputs: list[int]) -> Path:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = (
            self.tensors,
            self.operators,
            inputs,
            outputs,
        )
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph, *self.graphs], self.buffers
        model.operatorCodes = []
        for code in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = entry.deprecatedBuiltinCode = code
            newer = code in (
                schema.BuiltinOperator.CONV_2D,
                schema.BuiltinOperator.DEPTHWISE_CONV_2D,
            )
            first = (
                schema.BuiltinOperator.RESHAPE,
                schema.BuiltinOperator.QUANTIZE,
                schema.BuiltinOperator.WHILE,
            )
            others = 1 if code in first else 4 if self.per_channel_products else 2
            entry.version = 1 if self.dtype is np.uint8 else 3 if newer else others
            model.operatorCodes.append(entry)
        writer = flatbuffers.Builder(1024)
        writer.Finish(model.Pack(writer), b"TFL3")
        path.write_bytes(bytes(writer.Output()))
        return path


def small_network(path: Path, signed: bool, last: str = "FULLY_CONNECTED") -> Path:
    """Strided convolution, depthwise with two outputs per channel, pools, a sum, a classifier; zero
    points all over.
    """
    build = Builder(signed)
    shift = -128 if signed else 0
    x = build.tensor("x", (1, 9, 8, 3), [0.02], [128 + shift])
    c1 = build.tensor("first", (1, 5, 4, 4), [0.1], [0 + shift])
    w1 = build.weights("w1", (4, 3, 3, 3), 4)
    build.operator(
        "CONV_2D",
        [x, w1, build.bias(w1, 4, 0.02)],
        c1,
        padding=0,
        strideH=2,
        strideW=2,
        fusedActivationFunction=3,
    )
    c2 = build.tensor("depth", (1, 5, 4, 8), [0.3], [77 + shift])
    w2 = build.weights("dw", (1, 3, 3, 8), 8)
    build.operator(
        "DEPTHWISE_CONV_2D",
        [c1, w2, build.bias(w2, 8, 0.1)],
        c2,
        padding=0,
        strideH=1,
        strideW=1,
        depthMultiplier=2,
    )
    build.tensors[w2].quantization.quantizedDimension = 3
    c3 = build.tensor("point", (1, 5, 4, 8), [0.4], [120 + shift])
    w3 = build.weights("w3", (8, 1, 1, 8), 8)
    build.operator("CONV_2D", [c2, w3, build.bias(w3, 8, 0.3)], c3, padding=1, strideH=1, strideW=1)
    added = build.tensor("added", (1, 5, 4, 8), [0.5], [100 + shift])
    build.operator("ADD", [c2, c3], added)
    largest = build.tensor("largest", (1, 3, 2, 8), [0.5], [100 + shift])
    build.operator(
        "MAX_POOL_2D",
        [added],
        largest,
        padding=0,
        strideH=2,
        strideW=2,
        filterHeight=2,
        filterWidth=2,
    )
    mean = build.tensor("mean", (1, 1, 1, 8), [0.5], [100 + shift])
    build.operator(
        "AVERAGE_POOL_2D",
        [largest],
        mean,
        padding=1,
        strideH=1,
        strideW=1,
        filterHeight=3,
        filterWidth=2,
    )
    y = build.tensor("y", (1, 6), [0.2], [90 + shift])
    if last == "FULLY_CONNECTED":
        flat = build.tensor("flat", (1, 8), [0.5], [100 + shift])
        shape = build.tensor("shape", (2,), [], [], np.array([1, 8], np.int32), kind=2)
        build.operator("RESHAPE", [mean, shape], flat)
        w4 = build.weights("w4", (6, 8), 1)
        quantization = build.tensors[w4].quantization
        quantization.scale, quantization.zeroPoint = (
            quantization.scale[:1],
            quantization.zeroPoint[:1],
        )
        build.operator("FULLY_CONNECTED", [flat, w4], y)
    else:
        build.operator(last, [mean, mean, mean], y)
    return build.save(path, [x], [y])
