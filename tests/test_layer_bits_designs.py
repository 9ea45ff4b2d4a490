"""What designs and the memory system make of a layer's bits: closed forms written out by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import sparqsim
from sparqsim.analysis.roofline import roofline
from sparqsim.array.config import ArrayConfig
from sparqsim.array.timing import supported_dataflows
from sparqsim.memory import MemoryConfig
from sparqsim.memory.accelerator import parse_accelerator
from sparqsim.pe.registry import designs
from sparqsim.trace import Layer, Trace

ROWS, COLS = 3, 2
#: Cycles of a step that are the layer's bits, by hand.
SERIAL = {"stripes": lambda a, w: a, "serial-w": lambda a, w: w, "loom": lambda a, w: a * w}
#: The lanes of `bitfusion` along one operand, by its bits.
FUSED = {1: 4, 2: 4, 3: 2, 4: 2, 5: 1, 6: 1, 7: 1, 8: 1}
BITS = [(8, 8), (8, 4), (4, 8), (4, 4), (3, 5), (2, 2), (1, 3), (6, 7)]


def layer_of(a: int, w: int, m: int = 5, k: int = 37, n: int = 3, *, signed=False, **fields):
    """Return a layer of random codes that reach both ends of their ranges."""
    rng = np.random.default_rng(100 * a + w)
    low, high = (-(2 ** (a - 1)), 2 ** (a - 1)) if signed else (0, 2**a)
    x = rng.integers(low, high, (m, k)).astype(np.int8 if signed else np.uint8)
    weights = rng.integers(-(2 ** (w - 1)), 2 ** (w - 1), (k, n)).astype(np.int8)
    x[0, :2], weights[:2, 0] = (low, high - 1), (-(2 ** (w - 1)), 2 ** (w - 1) - 1)
    bits = {"activation_bits": a, "weight_bits": w}
    return Layer.from_gemm("drawn", x, weights, **bits, **fields)


def simulated(layer: Layer, pe: str, array: ArrayConfig, **settings):
    return sparqsim.simulate(Trace([layer]), pe, array, **settings)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", SERIAL)
def test_steps_take_the_bits_of_the_layer(name, bits):
    """Output stationary: by tile, X streamed steps of c cycles each; skew as the coupling has it."""
    layer, cost = layer_of(*bits), SERIAL[name](*bits)
    tiles, steps = -(-5 // ROWS) * -(-3 // COLS), -(-37 // 16)
    stalled = {
        "lockstep": (cost - 1) * (steps + ROWS + COLS - 2),
        "elastic:2": (cost - 1) * steps,
        "broadcast": (cost - 1) * steps,
    }
    for coupling, stall in stalled.items():
        report = simulated(layer, name, ArrayConfig(ROWS, COLS, coupling=coupling))
        cycles = report.layers[0].cycles
        assert (cycles.compute, cycles.pe_stall) == (tiles * steps, tiles * stall), coupling
        assert report.layers[0].error.noise == 0


@pytest.mark.parametrize("flow", ["os", "ws", "is"])
@pytest.mark.parametrize("bits", range(1, 9))
def test_serial_weights_stall_w_less_one_for_each_streamed_step(bits, flow):
    """Of several layers, each with weights of its own bits: w cycles for every one of `compute`."""
    rest = 9 - bits
    layers = [layer_of(8, bits), replace_name(layer_of(8, rest, 7, 20, 4), "other")]
    array = ArrayConfig(ROWS, COLS, flow, coupling="broadcast")
    report = sparqsim.simulate(Trace(layers), "serial-w", array)
    # What lies along rows, along columns, and is streamed; K in steps of 16 lanes.
    sizes = {
        "os": ((5, 3, 3), (7, 4, 2)),
        "ws": ((3, 3, 5), (2, 4, 7)),
        "is": ((3, 5, 3), (2, 7, 4)),
    }
    for layer, w, (rows, cols, streamed) in zip(
        report.layers, (bits, rest), sizes[flow], strict=True
    ):
        steps = -(-rows // ROWS) * -(-cols // COLS) * streamed
        assert layer.cycles.compute == steps
        assert layer.cycles.pe_stall == (w - 1) * steps


@pytest.mark.parametrize("bits", BITS)
def test_fused_lanes_are_those_of_the_layers_bits(bits):
    lanes = FUSED[bits[0]] * FUSED[bits[1]]
    report = simulated(layer_of(*bits), "bitfusion", ArrayConfig(ROWS, COLS))
    cycles, counts = report.layers[0].cycles, report.layers[0].counts
    assert cycles.compute == -(-5 // ROWS) * -(-3 // COLS) * -(-37 // lanes)
    assert cycles.pe_stall == 0
    assert counts.lane_cycles == lanes * counts.pe_cycles
    assert report.pe.lanes == lanes
    assert report.layers[0].error.noise == 0


@pytest.mark.parametrize("rest", range(1, 9))
@pytest.mark.parametrize("bits", range(1, 9))
def test_fused_is_never_faster_per_lane_than_serial(bits, rest):
    """Streamed cycles over those at 8x8, K a multiple of 16: equal iff all bits are 2, 4 or 8.

    Against `serial-w` where activations have 8 bits, else against `loom`.
    """
    array = ArrayConfig(ROWS, COLS, coupling="broadcast")

    def share(name: str) -> float:
        parts = [
            simulated(layer_of(a, w, k=64), name, array).layers[0].cycles
            for a, w in ((rest, bits), (8, 8))
        ]
        narrow, full = (each.compute + each.pe_stall for each in parts)
        return narrow / full

    fused, serial = share("bitfusion"), share("serial-w" if rest == 8 else "loom")
    assert fused >= serial
    assert (fused == serial) == ({bits, rest} <= {2, 4, 8})


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("name", "signed"),
    [
        (name, signed)
        for name in designs()
        for signed in (False, True)
        if not signed or sparqsim.get_pe(name).signed_activations
    ],
)
def test_event_and_fast_agree_on_narrow_layers(name, signed):
    pe = sparqsim.get_pe(name)
    flows = supported_dataflows(pe)
    for (a, w), coupling, flow in zip(
        [(3, 5), (4, 4), (2, 8), (8, 3), (5, 2)],
        itertools.cycle(("lockstep", "elastic:2", "broadcast")),
        itertools.cycle(flows),
        strict=False,
    ):
        array = ArrayConfig(ROWS, COLS, flow, coupling=coupling)
        layer = layer_of(a, w, 4, 19, 3, signed=signed)
        reports = [simulated(layer, name, array, engine=each) for each in ("fast", "event")]
        assert reports[0].layers == reports[1].layers, (a, w, coupling, flow)
        assert not pe.exact or reports[0].layers[0].error.noise == 0


@pytest.mark.parametrize("bits", [(8, 4), (4, 8), (6, 5), (4, 4)])
@pytest.mark.parametrize("name", ["mac-4b8b", "mac-4b4b"])
def test_kept_layers_take_a_pass_for_each_nibble_that_they_have(name, bits):
    """Nothing is lost; cycles are those of the passes, each of the design's own lanes."""
    layer, array = kept(layer_of(*bits, 4, 19, 3)), ArrayConfig(ROWS, COLS)
    fast, event = (simulated(layer, name, array, engine=each) for each in ("fast", "event"))
    assert fast.layers == event.layers
    assert fast.layers[0].error.noise == 0
    passes = -(-bits[0] // 4) * (-(-bits[1] // 4) if name == "mac-4b4b" else 1)
    steps = -(-19 // (4 if name == "mac-4b4b" else 2))
    assert fast.layers[0].cycles.compute == passes * -(-4 // ROWS) * -(-3 // COLS) * steps


@pytest.mark.parametrize("bits", [(8, 3), (4, 8), (6, 5), (8, 8)])
@pytest.mark.parametrize("name", ["mac-4b8b", "mac-4b4b"])
def test_kept_layers_use_the_bytes_of_their_whole_operands(name, bits):
    """Whatever parts of them the passes fetch, which together are no less."""
    array = ArrayConfig(ROWS, COLS)
    report = simulated(kept(layer_of(*bits, 4, 20, 3)), name, array, memory=MemoryConfig())
    moved = report.layers[0].traffic
    assert moved.activations.used_bytes == -(-4 * 20 * bits[0] // 8)
    assert moved.weights.used_bytes == -(-20 * 3 * bits[1] // 8)
    assert moved.activations.repeated_bytes >= 0
    assert moved.weights.repeated_bytes >= 0


@pytest.mark.parametrize("name", ["sparq-5opt", "sparq-6opt", "sparq-exact"])
def test_windows_look_at_values_only(name):
    layer = layer_of(5, 4)
    same_codes = replace(layer, record=layer.record.model_copy(update={"activation_bits": 8}))
    narrow, wide = (simulated(each, name, ArrayConfig(ROWS, COLS)) for each in (layer, same_codes))
    for part in ("cycles", "error", "windows", "activity"):
        assert getattr(narrow.layers[0], part) == getattr(wide.layers[0], part)


def test_four_bit_macs_lose_nothing_of_four_bits_and_something_of_five():
    array = ArrayConfig(ROWS, COLS)
    assert simulated(layer_of(4, 4), "mac-4b4b", array).layers[0].error.noise == 0
    assert simulated(layer_of(4, 8), "mac-4b8b", array).layers[0].error.noise == 0
    assert simulated(layer_of(5, 4), "mac-4b4b", array).layers[0].error.noise > 0
    assert simulated(layer_of(4, 5), "mac-4b4b", array).layers[0].error.noise > 0


STORAGE = """
name = "roomy"
storage = "{storage}"
[dram]
bandwidth_bytes_per_cycle = 4
"""
#: (activation pair, weight) bits in memory of a layer of (a, w) bits, by hand.
STORED = {
    "mac-8b8b": lambda a, w: (2 * a, w),
    "stripes": lambda a, w: (2 * a, w),
    "bitfusion": lambda a, w: (2 * a, w),
    "mac-4b8b": lambda a, w: (2 * min(4, a), w),
    "mac-4b4b": lambda a, w: (2 * min(4, a), min(4, w)),
    "smt-sa-2t": lambda a, w: (2 * a, w),
    "sparq-5opt": lambda a, w: (2 * a, w),
    # Two 3-bit windows, 3-bit shift codes and mux bits, or raw where that is less.
    "sparq-6opt": lambda a, w: (min(14, 2 * a), w),
}


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", STORED)
def test_memory_holds_the_bits_of_the_layer(name, bits):
    if name not in designs():
        pytest.skip(f"no design {name}")
    text = STORAGE.format(storage="windowed")
    memory = parse_accelerator(text, "test").memory
    report = simulated(layer_of(*bits, k=38), name, ArrayConfig(ROWS, COLS), memory=memory)
    traffic = report.layers[0].traffic
    pair, weight = STORED[name](*bits)
    assert (traffic.activation_pair_bits, traffic.weight_bits) == (pair, weight)
    assert traffic.activations.used_bytes == -(-5 * 38 * pair // 16)
    assert traffic.weights.used_bytes == -(-38 * 3 * weight // 8)
    assert traffic.activations.dram_read_bytes >= traffic.activations.used_bytes
    assert traffic.weights.dram_read_bytes >= traffic.weights.used_bytes
    assert traffic.weights.sram_write_bytes == traffic.weights.dram_read_bytes


def test_a_scratchpad_holds_more_codes_of_fewer_bits():
    """A half of 32 bytes keeps 64 weights of 4 bits for all rows, and fetches 64 of 8 bits again."""
    text = "[dram]\nbandwidth_bytes_per_cycle = 1\n[weights]\nsize_kib = 0.0625\n"
    memory = replace(parse_accelerator(text, "test").memory, loop_order="mnk")
    read = {}
    for bits in (8, 4):
        layer = layer_of(8, bits, m=4, k=16, n=4)
        array = ArrayConfig(2, 2)
        report = simulated(layer, "mac-8b8b", array, memory=memory)
        read[bits] = report.layers[0].traffic.weights.dram_read_bytes
    assert read == {8: 128, 4: 32}


def test_lanes_of_a_report_are_those_of_its_layers():
    layers = [layer_of(8, 8), replace_name(layer_of(4, 4), "narrow"), kept(layer_of(2, 2))]
    memory = parse_accelerator("[dram]\nbandwidth_bytes_per_cycle = 4\n", "test").memory
    report = sparqsim.simulate(Trace(layers), "bitfusion", ArrayConfig(ROWS, COLS), memory=memory)
    lanes = [layer.counts.lane_cycles // layer.counts.pe_cycles for layer in report.layers]
    assert lanes == [1, 4, 16]
    assert report.pe.lanes == 16
    assert roofline(report).compute_roof == 16 * ROWS * COLS
    alone = sparqsim.simulate(Trace([kept(layer_of(8, 8))]), "sparq-5opt", ArrayConfig(ROWS, COLS))
    assert alone.pe.lanes == 2, "its own, though it runs a layer kept at 8 bits on one"
    plain = sparqsim.simulate(Trace(layers[:1]), "bitfusion", ArrayConfig(ROWS, COLS))
    assert plain.pe.lanes == 1


def replace_name(layer: Layer, name: str) -> Layer:
    return replace(layer, record=layer.record.model_copy(update={"name": name}))


def kept(layer: Layer) -> Layer:
    record = layer.record.model_copy(update={"name": "kept", "keep_8bit": True})
    return replace(layer, record=record)


def test_reports_show_bits_only_where_a_layer_has_fewer():
    layers = [layer_of(8, 8), replace_name(layer_of(3, 5), "narrow")]
    report = sparqsim.simulate(Trace(layers), "stripes", ArrayConfig(ROWS, COLS))
    rows = report.flat_rows()
    assert [(row["activation_bits"], row["weight_bits"]) for row in rows[:2]] == [(8, 8), (3, 5)]
    assert rows[-1]["weight_bits"] is None
    assert sparqsim.Report.from_json(report.to_json()) == report
    plain = sparqsim.simulate(Trace(layers[:1]), "stripes", ArrayConfig(ROWS, COLS))
    assert "weight_bits" not in plain.flat_rows()[0]
    assert "weight_bits" not in plain.to_json()
