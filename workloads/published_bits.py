"""How published lists of bits for ResNet-18 order by cycles, and how fast they are here and there.

    python workloads/published_bits.py hawq_resnet18.json

The file holds schemes by name: bits of every layer, and a measured speedup (`speedup_t4`). Cycles
of `bitfusion` and `stripes` follow from shapes and bits, so no value is needed. Prints the table of
docs/how-to/layer-bits.md.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import sparqsim
from sparqsim.analysis.network import layer_outcome, layer_timing
from sparqsim.array.config import ArrayConfig
from sparqsim.memory.accelerator import load_accelerator
from sparqsim.trace import Layer
from sparqsim.trace.bitlist import BitList, LayerBits
from sparqsim.trace.schema import ConvGeometry, LayerRecord
from sparqsim.trace.source import TensorSource

DESIGNS = ("bitfusion", "stripes")
ARRAY = ArrayConfig(16, 16)
WHOLE = "uniform8"
WIDTHS = (64, 128, 256, 512)

Schemes = Mapping[str, Mapping[str, Any]]


def shapes() -> Iterator[tuple[str, int, int, int, int, int]]:
    """Yield (name, input side, channels, filters, kernel, stride) of ResNet-18's convolutions, for
    one picture of 224 x 224, in the order they run.
    """
    yield "conv1", 224, 3, 64, 7, 2
    side, channels = 56, 64
    for stage, filters in enumerate(WIDTHS, 1):
        for block in (0, 1):
            stride = 2 if stage > 1 and block == 0 else 1
            name, out = f"layer{stage}.{block}", side // stride
            yield f"{name}.conv1", side, channels, filters, 3, stride
            yield f"{name}.conv2", out, filters, filters, 3, 1
            if stride > 1:
                yield f"{name}.downsample.0", side, channels, filters, 1, stride
            side, channels = out, filters


def layers(bits: Mapping[str, LayerBits] | None = None) -> list[Layer]:
    """Return ResNet-18's layers without values, with the bits of a list; 8 where there is none."""
    bits = bits or {}
    made = []
    for name, side, channels, filters, kernel, stride in shapes():
        geometry = ConvGeometry(
            kernel=(kernel, kernel), stride=(stride, stride), padding=(kernel // 2,) * 4
        )
        record = _record(name, bits, op="conv2d", geometry=geometry)
        shape = (1, side, side, channels)
        made.append(_without_values(record, shape, (filters, kernel**2, channels)))
    fc = _record("fc", bits, op="linear")
    return [*made, _without_values(fc, (1, 1, WIDTHS[-1]), (1000, 1, WIDTHS[-1]))]


def _record(name: str, bits: Mapping[str, LayerBits], **fields: Any) -> LayerRecord:
    of_layer = bits.get(name, LayerBits())
    return LayerRecord(
        name=name,
        activation_bits=of_layer.activations,
        weight_bits=of_layer.weights,
        **fields,
    )


def _without_values(
    record: LayerRecord, activations: tuple[int, ...], weights: tuple[int, ...]
) -> Layer:
    return Layer(
        record,
        TensorSource(activations, np.dtype(np.uint8), _no_values),
        TensorSource(weights, np.dtype(np.int8), _no_values),
    )


def _no_values(_part: tuple[slice, ...]) -> np.ndarray:
    raise RuntimeError("a layer of shapes alone: its values were asked for, and there are none")


def cycles_of(network: list[Layer], design: str, memory: str = "") -> int:
    """Return the cycles of a network; `memory`: an accelerator file or preset, '' for none."""
    pe = sparqsim.get_pe(design)
    if not memory:
        return sum(layer_timing(layer, pe, ARRAY).total for layer in network)
    system = load_accelerator(memory).memory
    found = [layer_outcome(layer, pe, ARRAY, system) for layer in network]
    return sum(timing.total + waits.memory_stall for timing, waits in found)


def of_schemes(path: str | Path, design: str, memory: str = "") -> dict[str, int]:
    """Return the cycles of every scheme of a file."""
    names = [layer.name for layer in layers()]
    return {
        name: cycles_of(layers(BitList.load(path, name).of_layers(names)), design, memory)
        for name in schemes_of(path)
    }


def schemes_of(path: str | Path) -> Schemes:
    """Return the schemes of a file as they stand in it."""
    found: Schemes = json.loads(Path(path).read_text(encoding="utf-8"))["schemes"]
    return found


def share_in_order(cycles: Mapping[str, int], speedups: Mapping[str, float]) -> tuple[int, int]:
    """Return how many pairs of schemes are ordered alike, and how many there are.

    Pairs of equal speedup are left out; equal cycles count as another order.
    """
    pairs = [
        (one, other)
        for one, other in itertools.combinations(cycles, 2)
        if speedups[one] != speedups[other]
    ]
    alike = [
        (cycles[one] - cycles[other]) * (speedups[one] - speedups[other]) < 0
        for one, other in pairs
    ]
    return sum(alike), len(pairs)


def main(path: str) -> None:
    """Print the table and the shares."""
    told = {name: scheme["speedup_t4"] for name, scheme in schemes_of(path).items()}
    columns = {
        (design, memory): of_schemes(path, design, memory)
        for design in DESIGNS
        for memory in ("", "edge")
    }
    heads = [f"`{design}`{', `edge`' if memory else ''}" for design, memory in columns]
    print(f"| scheme | T4 | {' | '.join(heads)} |")
    print(f"|---|---|{'---|' * len(heads)}")
    for name, speedup in told.items():
        cells = [speedup / told[WHOLE], *(each[WHOLE] / each[name] for each in columns.values())]
        print(f"| {name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    print()
    for head, cycles in zip(heads, columns.values(), strict=True):
        alike, pairs = share_in_order(cycles, told)
        print(f"{head}: {alike} of {pairs} pairs in the order of the T4 ({alike / pairs:.1%})")


if __name__ == "__main__":
    main(*sys.argv[1:])
