"""A layer's sums in plain Python: loops over pixels, kernel positions, channels; `PEDesign.step`
for each step.
"""

from __future__ import annotations

from functools import cache

import numpy as np


def stepped_sums(layer, pe):
    """Return the layer's sums, zero points corrected, int64 (M, output channels).

    What `sparqsim.pe.arithmetic` gives.
    """
    zero, points = layer.record.activation_zero_point, layer.record.weight_zero_points or (0,)
    groups, channels = layer.record.groups, layer.weights.shape[0]
    step = cache(lambda xs, ws: pe.step(xs, ws, signed=layer.signed).value)
    result = np.zeros((layer.gemm.m, channels), np.int64)
    for row, per_group in enumerate(_rows(layer)):
        for channel in range(channels):
            x = per_group[channel * groups // channels]
            w = layer.weights[channel].ravel().tolist()
            point = points[channel % len(points)]
            x_used, w_used = (used.ravel().tolist() for used in _used(pe, x, w, layer.signed))
            total = sum(step(*operands) for operands in _steps(pe, x, w))
            result[row, channel] = (
                total - zero * sum(w_used) - point * sum(x_used) + len(x) * zero * point
            )
    return result


def _used(pe, x, w, signed):
    activations = np.array([x], np.int8 if signed else np.uint8)
    return pe.used_activations(activations), pe.used_weights(np.array(w, np.int8)[:, None])


def _steps(pe, x, w):
    for start in range(0, len(x), pe.lanes):
        short = [0] * max(0, start + pe.lanes - len(x))
        yield tuple(x[start : start + pe.lanes] + short), tuple(w[start : start + pe.lanes] + short)


def _rows(layer):
    """Yield for every output pixel (or row) its activations of each group, the channel innermost;
    lists of int.
    """
    values, geometry, groups = layer.activations, layer.record.geometry, layer.record.groups
    if geometry is None:
        for row in range(values.shape[1]):
            yield [values[group, row].tolist() for group in range(groups)]
        return
    batch, height, width, channels = values.shape
    depth = channels // groups
    for picture in range(batch):
        for row in range(layer.output_shape[1]):
            for column in range(layer.output_shape[2]):
                seen = [
                    _pixel(layer, values[picture], row, column, down, across, (height, width))
                    for down in range(geometry.kernel[0])
                    for across in range(geometry.kernel[1])
                ]
                yield [
                    [
                        value
                        for pixel in seen
                        for value in pixel[group * depth : (group + 1) * depth]
                    ]
                    for group in range(groups)
                ]


def _pixel(layer, image, row, column, down, across, size):
    """Return the channels that one kernel position sees; padding holds the zero point."""
    geometry = layer.record.geometry
    y = row * geometry.stride[0] + down * geometry.dilation[0] - geometry.padding[0]
    x = column * geometry.stride[1] + across * geometry.dilation[1] - geometry.padding[2]
    if 0 <= y < size[0] and 0 <= x < size[1]:
        return image[y, x].tolist()
    return [layer.record.activation_zero_point] * image.shape[2]


def recorder(monkeypatch):
    """Return a list that fills with (layer, design, sums (M, channels)) whenever a site computes
    its sums.
    """
    from sparqsim.networks import site

    seen, fast = [], site.layer_sums

    def recorded(layer, pe, weights, bits):
        sums = fast(layer, pe, weights, bits)
        rows = sums if layer.record.geometry is not None else sums.transpose(1, 0, 2)
        seen.append((layer, pe, rows.reshape(layer.gemm.m, -1)))
        return sums

    monkeypatch.setattr(site, "layer_sums", recorded)
    return seen
