"""Traffic of one layer, every number worked out by hand.

4x4 pixels, 4 channels, 3x3 kernel, padding 1, 6 outputs, output-stationary on 4x4 PEs in the order
n, m, k. A tile row is one line of 4 output pixels; tile columns hold 4 and 2 outputs; so 8 tiles.
The activation scratchpad holds one block: the lines that an output line needs. These are 2, 3, 3, 2
input lines of 4 pixels x 4 channels, 160 elements, fetched once for each of the two tile columns.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest

import sparqsim
from sparqsim import ArrayConfig, Layer
from sparqsim.memory import DramConfig, MemoryConfig, ScratchpadConfig

#: Design, storage, bits of an activation: window + shift code + mux bit (windowed), or half a mux
#: bit (windowed-pair).
CASES = [
    ("mac-8b8b", "raw", 8),
    ("mac-8b8b", "windowed", 8),
    ("sparq-5opt", "raw", 8),
    ("sparq-5opt", "windowed", 4 + 3 + 1),
    ("sparq-5opt", "windowed-pair", 4 + 3 + 0.5),
    ("sparq-3opt", "windowed", 4 + 2 + 1),
    ("sparq-3opt", "windowed-pair", 4 + 2 + 0.5),
    ("sparq-2opt", "windowed", 4 + 1 + 1),
    ("sparq-2opt", "windowed-pair", 4 + 1 + 0.5),
    ("sparq-6opt", "windowed", 3 + 3 + 1),
    ("sparq-7opt", "windowed", 2 + 3 + 1),
    ("mac-4b8b", "raw", 4),
]
LINES = (2, 3, 3, 2)
BURST = 64


def bytes_of(elements: int, bits: float) -> int:
    return ceil(elements * bits / 8)


def small_convolution() -> Layer:
    values = np.random.default_rng(0)
    return Layer.conv2d(
        "by hand",
        values.integers(0, 256, (1, 4, 4, 4)).astype(np.uint8),
        values.integers(-128, 128, (6, 9, 4)).astype(np.int8),
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
    )


@pytest.mark.parametrize(("design", "storage", "bits"), CASES)
def test_every_number_by_hand(design, storage, bits):
    layer = small_convolution()
    blocks = [bytes_of(lines * 4 * 4, bits) for lines in LINES]
    pad = ScratchpadConfig(size_kib=round(2 * max(blocks) / 1024 + 0.0005, 3))
    memory = MemoryConfig(
        dram=DramConfig(bandwidth_bytes_per_cycle=4, burst_bytes=BURST),
        activations=pad,
        storage=storage,
        loop_order="nmk",
    )
    report = sparqsim.simulate(
        sparqsim.Trace([layer]), design, ArrayConfig(rows=4, cols=4), memory=memory
    )
    traffic = report.layers[0].traffic
    assert traffic.resident == {"activations": "block", "weights": "group", "outputs": "group"}

    activations = traffic.activations
    assert activations.used_bytes == bytes_of(4 * 4 * 4, bits)
    assert activations.dram_read_bytes == activations.sram_write_bytes == 2 * sum(blocks)
    assert activations.sram_read_bytes == 8 * bytes_of(4 * 36, bits)
    assert activations.burst_padding_bytes == 2 * sum(-size % BURST for size in blocks)
    assert (activations.dram_write_bytes, activations.repeated_bytes) == (
        0,
        2 * sum(blocks) - activations.used_bytes,
    )

    weights = traffic.weights
    assert weights.used_bytes == weights.dram_read_bytes == weights.sram_write_bytes == 36 * 6
    assert weights.sram_read_bytes == 4 * 36 * 6
    assert weights.burst_padding_bytes == -36 * 4 % BURST + -36 * 2 % BURST

    outputs = traffic.outputs
    assert outputs.used_bytes == outputs.dram_write_bytes == 16 * 6
    assert outputs.sram_write_bytes == outputs.sram_read_bytes == 16 * 6
    assert (outputs.dram_read_bytes, outputs.repeated_bytes) == (0, 0)
    assert outputs.burst_padding_bytes == 4 * (-16 % BURST) + 4 * (-8 % BURST)
    assert traffic.dram_bytes == 2 * sum(blocks) + 36 * 6 + 16 * 6


def matrices(m: int, k: int, n: int) -> Layer:
    values = np.random.default_rng(0)
    return Layer.from_gemm(
        "by hand",
        values.integers(0, 256, (m, k)).astype(np.uint8),
        values.integers(-128, 128, (k, n)).astype(np.int8),
    )


def test_sums_of_several_folds_by_hand():
    """Weight-stationary, 4x4, K = 12 in three folds, 8 x 4 outputs: sums of 4 bytes, written 3
    times, read back twice.

    They stay in the scratchpad, so DRAM sees finished outputs of one byte only; the write-back
    reads those.
    """
    report = sparqsim.simulate(
        sparqsim.Trace([matrices(8, 12, 4)]),
        "mac-8b8b",
        ArrayConfig(rows=4, cols=4, dataflow="ws"),
        memory=MemoryConfig(loop_order="nkm"),
    )
    outputs, sums = report.layers[0].traffic.outputs, 8 * 4 * 4
    assert (outputs.dram_read_bytes, outputs.dram_write_bytes, outputs.used_bytes) == (0, 32, 32)
    assert outputs.sram_write_bytes == 3 * sums
    assert outputs.sram_read_bytes == 2 * sums + 32


def test_a_block_takes_whole_bytes():
    """Six activations of 7 bits are 42 bits: six bytes, not five."""
    report = sparqsim.simulate(
        sparqsim.Trace([matrices(1, 6, 1)]), "sparq-3opt", memory=MemoryConfig(storage="windowed")
    )
    activations = report.layers[0].traffic.activations
    assert (activations.used_bytes, activations.dram_read_bytes, activations.sram_read_bytes) == (
        6,
        6,
        6,
    )


def test_numbers_of_one_design_written_out():
    """sparq-3opt, windowed: 7 bits an activation.

    Blocks of 28, 42, 42, 28 bytes; twice; 56 bytes are used at all.
    """
    layer = small_convolution()
    memory = MemoryConfig(
        activations=ScratchpadConfig(size_kib=0.083),
        storage="windowed",
        loop_order="nmk",
        dram=DramConfig(burst_bytes=64),
    )
    report = sparqsim.simulate(
        sparqsim.Trace([layer]), "sparq-3opt", ArrayConfig(rows=4, cols=4), memory=memory
    )
    found = report.layers[0].traffic.activations.model_dump()
    assert found == {
        "used_bytes": 56,
        "dram_read_bytes": 280,
        "dram_write_bytes": 0,
        "sram_read_bytes": 1008,
        "sram_write_bytes": 280,
        "burst_padding_bytes": 232,
        "repeated_bytes": 224,
    }
