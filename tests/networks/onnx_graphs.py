"""Networks of today's forms as ONNX graphs with random weights: a detector with concatenations, a
MobileNetV3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper


class GraphWriter:
    """Writes nodes one after the other; every method returns its output's name."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._channels = {"x": 3}

    def constant(self, value: np.ndarray) -> str:
        name = f"k{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        self._channels[name] = self._channels.get(inputs[0], 0)
        return name

    def convolution(
        self, x: str, filters: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> str:
        """A convolution and its batch normalisation."""
        depth = self._channels[x] // groups
        shape = (filters, depth, kernel, kernel)
        weights = self._random.normal(size=shape) * np.sqrt(2 / (depth * kernel**2))
        made = self.node(
            "Conv",
            x,
            self.constant(weights.astype(np.float32)),
            group=groups,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )
        statistics = [self._random.uniform(0.8, 1.2, filters) for _ in range(4)]
        self._channels[made] = filters
        return self.node(
            "BatchNormalization",
            made,
            *(self.constant(each.astype(np.float32)) for each in statistics),
        )

    def silu(self, x: str) -> str:
        return self.node("Mul", x, self.node("Sigmoid", x))

    def joined(self, *parts: str) -> str:
        made = self.node("Concat", *parts, axis=1)
        self._channels[made] = sum(self._channels[part] for part in parts)
        return made

    def split(self, x: str) -> tuple[str, str]:
        half = self._channels[x] // 2
        parts = tuple(f"{x}.{side}" for side in ("left", "right"))
        self._nodes.append(
            helper.make_node(
                "Split",
                [x, self.constant(np.array([half, half]))],
                parts,
                axis=1,
                name=f"{x}.split",
            )
        )
        self._channels |= dict.fromkeys(parts, half)
        return parts[0], parts[1]

    def channels(self, x: str) -> int:
        return self._channels[x]

    def model(self, output: str, shape: list[Any]) -> ModelProto:
        graph = helper.make_graph(
            self._nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_empty_tensor_value_info(output)],
            self._constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def detector() -> ModelProto:
    """Return a YOLO of today in small: split blocks, pyramid pooling, upsampling, concatenations,
    three heads.
    """
    net = GraphWriter(1)

    def block(x: str, filters: int, stride: int = 1) -> str:
        return net.silu(net.convolution(x, filters, 3, stride))

    def split_block(x: str, filters: int) -> str:
        kept, worked = net.split(net.silu(net.convolution(x, filters, 1)))
        deeper = net.node("Add", worked, block(block(worked, filters // 2), filters // 2))
        return net.silu(net.convolution(net.joined(kept, worked, deeper), filters, 1))

    def pooled(x: str) -> str:
        parts = [net.silu(net.convolution(x, net.channels(x) // 2, 1))]
        for _ in range(3):
            parts.append(
                net.node("MaxPool", parts[-1], kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1])
            )
        return net.silu(net.convolution(net.joined(*parts), net.channels(x), 1))

    def doubled(x: str) -> str:
        scales = net.constant(np.array([1, 1, 2, 2], np.float32))
        return net.node("Resize", x, "", scales, mode="nearest")

    fine = split_block(block(block("x", 16, 2), 32, 2), 32)
    middle = split_block(block(fine, 64, 2), 64)
    coarse = pooled(split_block(block(middle, 96, 2), 96))
    middle = split_block(net.joined(doubled(coarse), middle), 64)
    fine = split_block(net.joined(doubled(middle), fine), 32)
    heads = []
    for level in (fine, middle, coarse):
        boxes = net.convolution(block(level, 32), 24, 1)
        heads.append(net.node("Reshape", boxes, net.constant(np.array([0, 24, -1]))))
    return net.model(net.node("Concat", *heads, axis=2), ["n", 3, 64, 64])


def mobile() -> ModelProto:
    """Return a MobileNetV3 in small: inverted residuals, depthwise 5x5, squeeze and excitation,
    hard swish.
    """
    net = GraphWriter(2)

    def excited(x: str) -> str:
        pooled = net.node("GlobalAveragePool", x)
        small = net.node("Relu", net.convolution(pooled, net.channels(x) // 4, 1))
        gate = net.node("HardSigmoid", net.convolution(small, net.channels(x), 1), alpha=1 / 6)
        return net.node("Mul", x, gate)

    def inverted(
        x: str,
        expanded: int,
        filters: int,
        kernel: int,
        stride: int,
        *,
        excite: bool,
        activation: str,
    ) -> str:
        wide = net.node(activation, net.convolution(x, expanded, 1))
        deep = net.convolution(wide, expanded, kernel, stride, groups=expanded)
        deep = net.node(activation, deep)
        narrow = net.convolution(excited(deep) if excite else deep, filters, 1)
        same = stride == 1 and filters == net.channels(x)
        return net.node("Add", x, narrow) if same else narrow

    x = net.node("HardSwish", net.convolution("x", 16, 3, 2))
    x = inverted(x, 16, 16, 3, 2, excite=True, activation="Relu")
    x = inverted(x, 72, 24, 3, 2, excite=False, activation="Relu")
    x = inverted(x, 88, 24, 3, 1, excite=False, activation="Relu")
    x = inverted(x, 96, 40, 5, 2, excite=True, activation="HardSwish")
    x = inverted(x, 240, 40, 5, 1, excite=True, activation="HardSwish")
    x = net.node("HardSwish", net.convolution(x, 288, 1))
    x = net.node("Flatten", net.node("GlobalAveragePool", x))
    for rows, columns, last in ((288, 128, False), (128, 10, True)):
        weights = np.random.default_rng(rows).normal(size=(columns, rows)) * rows**-0.5
        x = net.node("Gemm", x, net.constant(weights.astype(np.float32)), transB=1)
        x = x if last else net.node("HardSwish", x)
    return net.model(x, ["n", 3, 64, 64])
