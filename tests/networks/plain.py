"""The slow route: a network recomputed from its trace with plain integer loops, sharing no code
with sparqsim.torch.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn


def rows_of(layer, x):
    """X of each group, int (rows, K): one row per output pixel, kernel positions outer, channels
    inner.
    """
    geometry, groups = layer.record.geometry, layer.record.groups
    if geometry is None:
        return [x.reshape(-1, x.shape[-1])]
    top, bottom, left, right = geometry.padding
    x = np.pad(x.transpose(0, 2, 3, 1), ((0, 0), (top, bottom), (left, right), (0, 0)))
    _, height, width, _ = layer.output_shape
    depth = x.shape[3] // groups
    (down, across), (step_down, step_across) = geometry.stride, geometry.dilation
    positions = [
        x[
            :,
            row * step_down : row * step_down + down * (height - 1) + 1 : down,
            column * step_across : column * step_across + across * (width - 1) + 1 : across,
        ]
        for row in range(geometry.kernel[0])
        for column in range(geometry.kernel[1])
    ]
    return [
        np.concatenate(
            [seen[..., group * depth : (group + 1) * depth] for seen in positions], axis=3
        ).reshape(-1, len(positions) * depth)
        for group in range(groups)
    ]


def sums_of(layer, x, pe):
    """The layer's integer sums, int64 (pixels or rows, output channels)."""
    dtype = np.int8 if layer.signed else np.uint8
    weights = layer.weights.reshape(layer.record.groups, -1, layer.gemm.k)
    products = [
        pe.matmul(rows.astype(dtype), w.T.copy())
        for rows, w in zip(rows_of(layer, x), weights, strict=True)
    ]
    return np.concatenate(products, axis=1)


class PlainLayer(nn.Module):
    """One layer from its trace: quantise, integer sums, scales, bias."""

    def __init__(self, layer, pe, seen):
        super().__init__()
        self.layer, self.pe, self.seen = layer, pe, seen

    def forward(self, x):
        record = self.layer.record
        lowest, highest = (-127, 127) if self.layer.signed else (0, 255)
        # In float32, as the rule has it: near the middle of two codes float64 can round otherwise.
        steps = x.numpy().astype(np.float32) / np.float32(record.activation_scale)
        codes = np.clip(np.rint(steps), lowest, highest).astype(int)
        sums = sums_of(self.layer, codes, self.pe)
        self.seen[record.name] = (codes, sums)
        real = sums * (np.array(record.weight_scales) * record.activation_scale)
        if self.layer.bias is not None:
            real = real + self.layer.bias.astype(np.float64)
        if record.op == "conv2d":
            batch, height, width = len(x), *self.layer.output_shape[1:3]
            real = real.reshape(batch, height, width, -1).transpose(0, 3, 1, 2)
        else:
            real = real.reshape(*x.shape[:-1], -1)
        return torch.from_numpy(np.ascontiguousarray(real.astype(np.float32)))


def plain_network(model, trace, pe_of):
    """A copy of `model` whose layers are those of the trace (norms are folded into them), and what
    they will see.

    `pe_of(layer)` is the design of each layer. The second result fills as the network runs: name ->
    (codes, sums).
    """
    copied, seen = copy.deepcopy(model).eval(), {}
    for norm in trace.metadata.provenance["folded_batch_norms"].values():
        copied.set_submodule(norm, nn.Identity())
    for layer in trace.layers:
        copied.set_submodule(layer.name, PlainLayer(layer, pe_of(layer), seen))
    return copied, seen
