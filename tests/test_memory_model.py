"""The memory system: definition against fast form, limits, conservation, capacity, monotony,
attribution.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import simpy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer
from sparqsim.analysis.bandwidth import bandwidth_curves
from sparqsim.analysis.network import layer_outcome, layer_timing
from sparqsim.array.registry import get_dataflow
from sparqsim.array.timing import supports
from sparqsim.engine.models import Task, get_model
from sparqsim.event import memory as event
from sparqsim.memory import DramConfig, MemoryConfig, ScratchpadConfig, recurrence
from sparqsim.memory.config import ARBITRATIONS
from sparqsim.memory.nest import orders_of
from sparqsim.memory.system import Outcome, through_memory
from sparqsim.pe import get_pe
from sparqsim.pe.registry import designs

FIELDS = ("item_starts", "item_ends", "starts", "ends", "done")
FLOWS = ("os", "ws", "is")
UNLIMITED = MemoryConfig()


def gemm(m: int, k: int, n: int) -> Layer:
    values = np.random.default_rng(m * k * n)
    return Layer.from_gemm(
        "gemm",
        values.integers(0, 256, (m, k)).astype(np.uint8),
        values.integers(-128, 128, (k, n)).astype(np.int8),
    )


def conv(
    size: int,
    channels: int,
    outputs: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    padding: int = 1,
    groups: int = 1,
) -> Layer:
    values = np.random.default_rng(size * channels * outputs)
    return Layer.conv2d(
        "conv",
        values.integers(0, 256, (1, size, size, channels)).astype(np.uint8),
        values.integers(-128, 128, (outputs, kernel * kernel, channels // groups)).astype(np.int8),
        kernel=(kernel, kernel),
        stride=(stride, stride),
        padding=(padding,) * 4,
        groups=groups,
    )


def outcome(
    layer: Layer, array: ArrayConfig, memory: MemoryConfig, design: str = "mac-8b8b"
) -> Outcome:
    return layer_outcome(layer, get_pe(design), array, memory)[1]


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    if draw(st.booleans()):
        return gemm(draw(st.integers(1, 30)), draw(st.integers(1, 40)), draw(st.integers(1, 20)))
    groups = draw(st.sampled_from([1, 2]))
    return conv(
        draw(st.integers(3, 8)),
        groups * draw(st.integers(1, 4)),
        groups * draw(st.integers(1, 6)),
        kernel=draw(st.sampled_from([1, 3])),
        stride=draw(st.integers(1, 2)),
        padding=draw(st.integers(0, 1)),
        groups=groups,
    )


@st.composite
def arrays(draw: st.DrawFn) -> ArrayConfig:
    return ArrayConfig(
        rows=draw(st.integers(1, 6)),
        cols=draw(st.integers(1, 6)),
        dataflow=draw(st.sampled_from(FLOWS)),
        overlap=draw(st.booleans()),
    )


rates = st.sampled_from([0.5, 1, 3.3, 7, 20, math.inf])
pads = st.builds(
    ScratchpadConfig,
    size_kib=st.sampled_from([0.25, 0.5, 1, 4, math.inf]),
    port_bytes_per_cycle=rates,
)


@st.composite
def memories(draw: st.DrawFn, arbitrations: tuple[str, ...] = ARBITRATIONS) -> MemoryConfig:
    burst = draw(st.sampled_from([1, 8, 16]))
    dram = DramConfig(
        bandwidth_bytes_per_cycle=draw(rates),
        latency_cycles=draw(st.integers(0, 40)),
        burst_bytes=burst,
        request_bytes=burst * draw(st.sampled_from([1, 3, 1000])),
        arbitration=draw(st.sampled_from(arbitrations)),
    )
    return MemoryConfig(dram=dram, activations=draw(pads), weights=draw(pads), outputs=draw(pads))


def with_order(memory: MemoryConfig, array: ArrayConfig, which: int) -> MemoryConfig:
    return replace(memory, loop_order=orders_of(array.dataflow)[which])


def fitting(
    layer: Layer, array: ArrayConfig, memory: MemoryConfig, design: str = "mac-8b8b"
) -> Outcome:
    try:
        return outcome(layer, array, memory, design)
    except InputError:
        assume(False)
        raise


@settings(deadline=None, max_examples=70)
@given(
    layer=layers(),
    array=arrays(),
    memory=memories(),
    which=st.integers(0, 1),
    design=st.sampled_from(["mac-8b8b", "sparq-5opt", "sparq-exact", "mac-4b4b"]),
)
def test_fast_form_equals_the_event_model(layer, array, memory, which, design):
    memory = with_order(memory, array, which)
    found = fitting(layer, array, memory, design)
    system = event.MemorySystem(found.program, memory)
    defined = system.run()
    for name in FIELDS:
        assert getattr(found.times, name).tolist() == getattr(defined, name).tolist(), name
    assert min(found.times.item_ends.min(), found.times.ends.min()) >= 0  # everything happened
    for pad, config in zip(
        system.pads, (memory.activations, memory.weights, memory.outputs), strict=True
    ):
        assert pad.most_held <= config.half_bytes


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("design", "flow"),
    [
        (name, flow)
        for name, design in sorted(designs().items())
        for flow in FLOWS
        if supports(design, get_dataflow(flow))
    ],
)
@pytest.mark.parametrize("overlap", [False, True])
def test_memory_without_limits_adds_nothing(design, flow, overlap):
    trace = sparqsim.Trace([conv(6, 4, 10)])
    array = ArrayConfig(rows=4, cols=3, dataflow=flow, overlap=overlap)
    alone = sparqsim.simulate(trace, design, array)
    free = sparqsim.simulate(trace, design, array, memory=UNLIMITED)
    assert free.layers[0].cycles.memory_stall == 0
    assert free.cycles == alone.cycles
    assert free.utilization == alone.utilization


@settings(deadline=None, max_examples=50)
@given(
    layer=layers(),
    array=arrays(),
    memory=memories(),
    design=st.sampled_from(["mac-8b8b", "sparq-exact"]),
)
def test_attribution_adds_up(layer, array, memory, design):
    pe = get_pe(design)
    timing = layer_timing(layer, pe, array)
    found = fitting(layer, array, memory, design)
    assert found.memory_stall >= 0
    assert timing.total + found.memory_stall == found.times.total
    used = timing.used_pe_cycles + found.used_pe_cycles
    assert 0 < used <= found.times.total * array.pes


def test_bandwidth_bound_total_is_the_closed_form():
    """One byte per cycle, activations too large to stay: the channel never rests before the last
    tile.

    Tiles of 64 steps take 64 + 4 + 4 - 2 + 4 cycles, their activations 256: all reads and all
    writes but the last two go over the channel first (the last but one is written while the last
    tile runs), then latency, tile, last write.
    """
    tiles, latency = 10, 20
    memory = MemoryConfig(
        dram=DramConfig(
            bandwidth_bytes_per_cycle=1, latency_cycles=latency, burst_bytes=1, request_bytes=256
        ),
        activations=ScratchpadConfig(size_kib=0.5),
    )
    found = outcome(gemm(4 * tiles, 64, 4), ArrayConfig(rows=4, cols=4), memory)
    reads, write, tile = 64 * 4 + tiles * 256, 16, 64 + 4 + 4 - 2 + 4
    assert found.times.total == reads + (tiles - 2) * write + latency + tile + write


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("arbitration", ARBITRATIONS)
def test_no_layer_beats_the_channel_or_the_array(flow, arbitration):
    memory = MemoryConfig(
        dram=DramConfig(
            bandwidth_bytes_per_cycle=2, burst_bytes=1, request_bytes=32, arbitration=arbitration
        ),
        outputs=ScratchpadConfig(size_kib=0.5),
    )
    found = outcome(conv(8, 6, 9), ArrayConfig(rows=4, cols=4, dataflow=flow), memory)
    assert found.times.total >= found.traffic.dram_bytes / 2
    assert found.times.total >= found.program.lengths.sum()


def touched(layer: Layer, rows: range, elements: range) -> set[tuple[int, ...]]:
    """Input elements that some rows and elements of K of a group stand for, by the definition of a
    convolution.
    """
    geometry, (_, height, width, _) = layer.record.geometry, layer.activations.shape
    channels = layer.weights.shape[2]
    out_height, out_width = geometry.output_size(height, width)
    found = set()
    for row in rows:
        image, pixel = divmod(row, out_height * out_width)
        for element in elements:
            position, channel = divmod(element, channels)
            y = (
                pixel // out_width * geometry.stride[0]
                + position // geometry.kernel[1]
                - geometry.padding[0]
            )
            x = (
                pixel % out_width * geometry.stride[1]
                + position % geometry.kernel[1]
                - geometry.padding[2]
            )
            if 0 <= y < height and 0 <= x < width:
                found.add((image, y, x, channel))
    return found


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(
    "layer",
    [
        conv(7, 3, 5),
        conv(8, 4, 6, stride=2),
        conv(6, 4, 4, groups=2),
        conv(9, 2, 7, kernel=1, stride=2, padding=0),
    ],
    ids=["3x3", "stride", "groups", "1x1"],
)
def test_a_tile_fetches_each_input_element_once(layer, flow):
    """Small scratchpads: every fetch is one block; its bytes are the elements a set holds."""
    memory = MemoryConfig(
        activations=ScratchpadConfig(size_kib=0.25), loop_order=orders_of(flow)[1]
    )
    plan = outcome(layer, ArrayConfig(rows=4, cols=4, dataflow=flow), memory).plan
    fetches = plan.activations
    if fetches.scope != "block":
        memory = replace(
            memory, activations=ScratchpadConfig(size_kib=(fetches.largest - 1) * 2 / 1024)
        )
        plan = outcome(layer, ArrayConfig(rows=4, cols=4, dataflow=flow), memory).plan
        fetches = plan.activations
    for item, size in zip(fetches.items, fetches.sizes, strict=True):
        (m0, m1), (k0, k1) = (plan.nest.spans(dim, np.array([item]))[0] for dim in "mk")
        whole = touched(layer, range(m0, m1), range(k0, k1))
        if fetches.scope == "block":
            assert size == len(whole)
        else:
            assert 0 < size <= len(whole)


@settings(deadline=None, max_examples=50)
@given(layer=layers(), array=arrays(), memory=memories(), which=st.integers(0, 1))
def test_what_is_fetched_is_used(layer, array, memory, which):
    found = fitting(layer, array, with_order(memory, array, which))
    traffic, shape = found.traffic, layer.gemm
    if layer.record.geometry is not None:
        used = touched(layer, range(shape.m), range(shape.k))
        assert traffic.activations.used_bytes == len(used) * shape.groups
    for operand in (traffic.activations, traffic.weights):
        assert operand.used_bytes <= operand.dram_read_bytes <= operand.sram_read_bytes
        assert operand.sram_write_bytes == operand.dram_read_bytes
        assert operand.repeated_bytes == operand.dram_read_bytes - operand.used_bytes
    outputs = traffic.outputs
    assert traffic.weights.used_bytes == shape.k * shape.n * shape.groups
    assert (
        outputs.dram_write_bytes - traffic.psum_spill_bytes
        == outputs.used_bytes
        == shape.m * shape.n * shape.groups
    )
    assert outputs.dram_read_bytes == traffic.psum_reload_bytes == traffic.psum_spill_bytes
    program = found.program
    moved = np.bincount(program.engine, program.size, 3)
    assert moved.tolist() == [
        traffic.activations.dram_read_bytes,
        traffic.weights.dram_read_bytes,
        outputs.dram_read_bytes + outputs.dram_write_bytes,
    ]


def test_the_array_reads_every_element_of_x_once_per_column_tile():
    found = outcome(conv(8, 4, 10), ArrayConfig(rows=4, cols=4), UNLIMITED).traffic
    assert found.activations.sram_read_bytes == 64 * 36 * 3
    assert found.weights.sram_read_bytes == 36 * 10 * 16
    assert found.activations.dram_read_bytes == 8 * 8 * 4


def test_partial_sums_spill_where_they_do_not_fit():
    layer, array = gemm(64, 32, 8), ArrayConfig(rows=4, cols=4, dataflow="ws")
    small = MemoryConfig(outputs=ScratchpadConfig(size_kib=0.5), loop_order="knm")
    spilling = outcome(layer, array, small).traffic
    assert spilling.stream_chunks == 4
    assert spilling.psum_spill_bytes == spilling.psum_reload_bytes == 7 * 64 * 8 * 4
    assert (
        outcome(layer, array, replace(small, outputs=ScratchpadConfig())).traffic.psum_spill_bytes
        == 0
    )


@pytest.mark.parametrize("flow", FLOWS)
def test_auto_takes_the_order_that_moves_least(flow):
    pad = ScratchpadConfig(size_kib=0.5)
    memory = MemoryConfig(activations=pad, weights=pad, outputs=pad)
    for layer in (gemm(60, 30, 8), gemm(8, 30, 60)):
        array = ArrayConfig(rows=4, cols=4, dataflow=flow)
        by_order = {
            order: outcome(layer, array, replace(memory, loop_order=order)).traffic.dram_bytes
            for order in orders_of(flow)
        }
        found = outcome(layer, array, memory).traffic
        assert found.dram_bytes == min(by_order.values()) == by_order[found.loop_order]
        assert len(set(by_order.values())) == 2  # the choice matters here


@settings(deadline=None, max_examples=80)
@given(
    layer=layers(),
    array=arrays(),
    memory=memories(),
    design=st.sampled_from(["mac-8b8b", "sparq-exact"]),
)
def test_auto_is_the_best_of_all_orders(layer, array, memory, design):
    """Brute force: fewest bytes, then fewest cycles; `auto-cycles` fewest cycles; ties: the array's
    own order.
    """
    of_order = {
        order: fitting(layer, array, replace(memory, loop_order=order), design)
        for order in orders_of(array.dataflow)
    }
    bytes_of = {order: found.traffic.dram_bytes for order, found in of_order.items()}
    cycles_of = {order: found.times.total for order, found in of_order.items()}
    fewest = [order for order in of_order if bytes_of[order] == min(bytes_of.values())]
    best = {
        "auto": min(fewest, key=cycles_of.__getitem__),
        "auto-cycles": min(of_order, key=cycles_of.__getitem__),
    }
    for asked, order in best.items():
        found = fitting(layer, array, replace(memory, loop_order=asked), design)
        assert found.traffic.loop_order == order
        assert found.times.total == cycles_of[order]


def test_auto_cycles_moves_more_bytes_where_that_takes_fewer_cycles():
    """A layer whose orders part: one has the fewest bytes, the other the fewest cycles."""
    small = ScratchpadConfig(size_kib=0.5)
    memory = MemoryConfig(
        activations=ScratchpadConfig(size_kib=1),
        weights=small,
        outputs=small,
        dram=DramConfig(bandwidth_bytes_per_cycle=4, burst_bytes=1),
    )
    layer, array = gemm(24, 30, 8), ArrayConfig(rows=4, cols=4)
    lean, quick = (
        outcome(layer, array, replace(memory, loop_order=order)) for order in ("mnk", "nmk")
    )
    assert lean.traffic.dram_bytes < quick.traffic.dram_bytes
    assert quick.times.total < lean.times.total
    by_bytes, by_cycles = (
        outcome(layer, array, replace(memory, loop_order=asked)).traffic.loop_order
        for asked in ("auto", "auto-cycles")
    )
    assert (by_bytes, by_cycles) == ("mnk", "nmk")


def test_on_equal_bytes_the_order_of_fewer_cycles_wins():
    """Both orders move every byte once; the array's own, listed first, waits longer for its
    operands.
    """
    memory = MemoryConfig(dram=DramConfig(bandwidth_bytes_per_cycle=4, burst_bytes=1))
    array = ArrayConfig(rows=8, cols=8)
    by_order = [
        outcome(gemm(16, 64, 256), array, replace(memory, loop_order=order))
        for order in orders_of("os")
    ]
    first, second = by_order
    assert first.traffic.dram_bytes == second.traffic.dram_bytes
    assert first.times.total != second.times.total
    fewest = min(found.times.total for found in by_order)
    for layer, asked in ((gemm(16, 64, 256), "auto"), (gemm(16, 64, 256), "auto-cycles")):
        assert outcome(layer, array, replace(memory, loop_order=asked)).times.total == fewest
    turned = [
        outcome(gemm(256, 64, 16), array, replace(memory, loop_order=order)).times.total
        for order in orders_of("os")
    ]
    assert outcome(gemm(256, 64, 16), array, memory).times.total == min(turned)


def test_curves_take_the_best_order_at_every_bandwidth():
    layer, pe = gemm(16, 64, 256), get_pe("mac-8b8b")
    array = ArrayConfig(rows=8, cols=8)
    for asked in ("auto", "auto-cycles"):
        memory = MemoryConfig(dram=DramConfig(burst_bytes=1), loop_order=asked)
        widths = (0.5, 4.0, 64.0)
        found = bandwidth_curves(
            sparqsim.Trace([layer]),
            [pe],
            array,
            memory,
            baseline=pe.spec,
            kept=None,
            bandwidths=widths,
        )
        for width, cycles in zip(widths, found.cycles[pe.spec], strict=True):
            dram = replace(memory.dram, bandwidth_bytes_per_cycle=width)
            assert outcome(layer, array, replace(memory, dram=dram)).times.total == cycles


def test_two_orders_win_in_turn():
    pad = ScratchpadConfig(size_kib=0.5)
    memory = MemoryConfig(activations=pad, weights=pad, outputs=pad)
    array = ArrayConfig(rows=4, cols=4)
    picks = {
        outcome(gemm(m, 30, n), array, memory).traffic.loop_order for m, n in ((60, 8), (8, 60))
    }
    assert picks == {"nmk", "mnk"}


# --- what single transfers take: both models are held to this, not to each other ---


@settings(deadline=None, max_examples=40)
@given(layer=layers(), array=arrays(), memory=memories(), which=st.integers(0, 1))
def test_every_transfer_takes_what_its_requests_take(layer, array, memory, which):
    """Whole bursts over the channel, bytes over the port, each rounded up to cycles; only reads
    arrive later.
    """
    memory = with_order(memory, array, which)
    found = fitting(layer, array, memory)
    program, dram = found.program, memory.dram
    ports = [
        pad.port_bytes_per_cycle for pad in (memory.activations, memory.weights, memory.outputs)
    ]
    for times in (found.times, event.run(program, memory)):
        assert (times.done == times.ends + np.where(program.reads, dram.latency_cycles, 0)).all()
        for engine, size, start, end in zip(
            program.engine, program.size, times.starts, times.ends, strict=True
        ):
            requests = [
                min(dram.request_bytes, int(size) - at)
                for at in range(0, int(size), dram.request_bytes)
            ]
            cycles = [
                max(
                    cycles_at(
                        -(-part // dram.burst_bytes) * dram.burst_bytes,
                        dram.bandwidth_bytes_per_cycle,
                    ),
                    cycles_at(part, ports[engine]),
                )
                for part in requests
            ]
            assert end - start >= sum(cycles)
            if len(requests) == 1:
                assert end - start == sum(cycles)


def cycles_at(size: int, bytes_per_cycle: float) -> int:
    return 0 if bytes_per_cycle == math.inf else math.ceil(size / Fraction(str(bytes_per_cycle)))


def test_waiting_pes_are_those_of_the_tile_that_waits():
    """Tiles of 4x4, 4x2, 1x4 and 1x2 outputs: each waits with the PEs it uses, not with the whole
    array.
    """
    memory = MemoryConfig(dram=DramConfig(bandwidth_bytes_per_cycle=0.5), loop_order="nmk")
    found = outcome(gemm(5, 9, 6), ArrayConfig(rows=4, cols=4), memory)
    ends = np.append(found.times.item_ends[:-1], found.times.total)
    waits = np.diff(ends, prepend=0) - (9 + 4 + 4 - 2 + 4)
    assert waits.sum() == found.memory_stall > 0
    assert found.used_pe_cycles == waits @ [16, 4, 8, 2]


def test_a_port_takes_whole_cycles():
    """20 bytes of weights at 0.7 bytes per cycle: 28.6 cycles, so 29."""
    memory = MemoryConfig(weights=ScratchpadConfig(port_bytes_per_cycle=0.7))
    assert outcome(gemm(4, 5, 4), ArrayConfig(rows=4, cols=4), memory).program.lengths.tolist() == [
        29
    ]


def test_loads_belong_to_the_first_chunk_and_skew_to_the_last():
    """Eight rows of X in two chunks: load 4, stream 4; then stream 4, skew 4 + 4 - 2."""
    memory = MemoryConfig(activations=ScratchpadConfig(size_kib=0.032))
    found = outcome(gemm(8, 4, 4), ArrayConfig(rows=4, cols=4, dataflow="ws"), memory)
    assert found.program.lengths.tolist() == [4 + 4, 4 + 6]


def test_groups_share_no_half():
    """A half is filled for one group only: what the next group keeps there is other data."""
    program = outcome(conv(6, 4, 4, groups=2), ArrayConfig(rows=4, cols=4), UNLIMITED).program
    first, second = np.split(program.generations, 2)
    assert (first.max(axis=0) < second.min(axis=0)).all()


# --- trying to break the scratchpads ---


def broken(**changes):
    pad = ScratchpadConfig(size_kib=0.5)
    memory = MemoryConfig(
        dram=DramConfig(bandwidth_bytes_per_cycle=4), activations=pad, weights=pad, outputs=pad
    )
    program = outcome(gemm(40, 60, 12), ArrayConfig(rows=4, cols=4), memory).program
    event.run(program, memory)  # sound before it is broken
    return replace(
        program, **{name: change(getattr(program, name)) for name, change in changes.items()}
    ), memory


def test_a_half_never_takes_more_than_it_holds():
    program, memory = broken(size=lambda size: size * 3)
    with pytest.raises(event.ScratchpadError, match="bytes in a half of 256"):
        event.run(program, memory)


def test_a_half_in_use_is_never_refilled():
    pad = event.Scratchpad(simpy.Environment(), "weights", 100)
    pad.put(0, 10)
    with pytest.raises(event.ScratchpadError, match="weights: filling 2 put where 0 stands"):
        pad.put(2, 10)
    pad.release(0)
    pad.put(2, 100)
    with pytest.raises(event.ScratchpadError, match="filling 0 put where 2 stands"):
        pad.put(0, 10)


def test_a_fetch_waits_for_its_half():
    """A program that asks for a filling two ahead never gets it: nothing is written over."""
    program, memory = broken(generation=lambda generation: generation + 2)
    with pytest.raises(event.ScratchpadError, match="item 0 never ran"):
        event.run(program, memory)


def test_outputs_never_take_more_than_their_half():
    program, memory = broken(produced=lambda produced: produced + 250)
    with pytest.raises(event.ScratchpadError, match="outputs"):
        event.run(program, memory)


@pytest.mark.parametrize(
    ("flow", "operand", "layer"),
    [
        ("os", "outputs", gemm(64, 4, 64)),
        ("ws", "weights", gemm(4, 64, 64)),
        ("is", "activations", gemm(64, 64, 4)),
    ],
)
def test_a_block_that_fits_nowhere_is_refused(flow, operand, layer):
    array = ArrayConfig(rows=16, cols=16, dataflow=flow)
    memory = MemoryConfig(**{operand: ScratchpadConfig(size_kib=0.375)})
    said = rf"layer 'gemm': {operand}\.size_kib=0\.375: .* takes 256 bytes, .* holds 192"
    with pytest.raises(InputError, match=said):
        outcome(layer, array, memory)


# --- more never hurts ---


@settings(deadline=None, max_examples=70)
@given(
    layer=layers(),
    array=arrays(),
    memory=memories(("in-order",)),
    which=st.integers(0, 1),
    data=st.data(),
)
def test_more_is_never_slower(layer, array, memory, which, data):
    """In-order arbitration, a fixed loop order and equal chunks: every time is a maximum of sums of
    the others.
    """
    memory = with_order(memory, array, which)
    what = data.draw(st.sampled_from(["bandwidth", "latency", "activations", "weights", "outputs"]))
    factor = data.draw(st.sampled_from([1.1, 1.5, 2, 8]))
    if what == "bandwidth":
        dram = replace(
            memory.dram, bandwidth_bytes_per_cycle=memory.dram.bandwidth_bytes_per_cycle * factor
        )
        more = replace(memory, dram=dram)
    elif what == "latency":
        more = replace(
            memory,
            dram=replace(memory.dram, latency_cycles=int(memory.dram.latency_cycles / factor)),
        )
    else:
        pad = getattr(memory, what)
        more = replace(memory, **{what: replace(pad, size_kib=pad.size_kib * factor)})
    before, after = fitting(layer, array, memory), fitting(layer, array, more)
    assume(before.traffic.stream_chunks == after.traffic.stream_chunks)
    assert after.times.total <= before.times.total
    assert (after.times.item_ends <= before.times.item_ends).all()
    assert after.traffic.dram_bytes <= before.traffic.dram_bytes


@pytest.mark.parametrize("arbitration", ["fifo", "round-robin"])
def test_less_latency_can_hurt_where_requests_overtake(arbitration):
    """The counterexample: a tile that ends earlier posts its write earlier, ahead of the fetch the
    array waits for.

    With 16 cycles of latency the write of the first tile comes after a fetch of the second; with 11
    it comes first, and the second tile waits for it. In-order arbitration keeps the program's
    order, so there it cannot happen.
    """
    port = ScratchpadConfig(port_bytes_per_cycle=3.5)

    def total(latency: int, policy: str) -> int:
        dram = DramConfig(
            bandwidth_bytes_per_cycle=1,
            latency_cycles=latency,
            burst_bytes=16,
            request_bytes=16,
            arbitration=policy,
        )
        memory = MemoryConfig(dram=dram, weights=port, outputs=port, loop_order="mnk")
        return outcome(gemm(8, 37, 2), ArrayConfig(rows=6, cols=4), memory).times.total

    assert (total(16, arbitration), total(11, arbitration)) == (467, 478)
    assert (total(16, "in-order"), total(11, "in-order")) == (467, 462)


@pytest.mark.parametrize("arbitration", ["fifo", "round-robin"])
def test_more_sram_can_hurt_where_requests_overtake(arbitration):
    """The counterexample: where all weights fit all are asked for at once, some ahead of
    activations needed now.
    """

    def total(weights_kib: float, policy: str) -> int:
        dram = DramConfig(
            bandwidth_bytes_per_cycle=4,
            latency_cycles=20,
            burst_bytes=1,
            request_bytes=16,
            arbitration=policy,
        )
        pad = ScratchpadConfig(size_kib=0.5)
        memory = MemoryConfig(
            dram=dram,
            activations=pad,
            weights=ScratchpadConfig(size_kib=weights_kib),
            outputs=pad,
            loop_order="nmk",
        )
        return outcome(gemm(7, 38, 7), ArrayConfig(rows=5, cols=2), memory).times.total

    assert (total(0.5, arbitration), total(1, arbitration)) == (560, 564)
    assert (total(0.5, "in-order"), total(1, "in-order")) == (589, 589)


def test_more_sram_can_hurt_where_it_makes_chunks_longer():
    """The counterexample: with room for the whole stream the array starts only when all of it has
    arrived.
    """
    dram = DramConfig(
        bandwidth_bytes_per_cycle=3.3,
        latency_cycles=36,
        burst_bytes=8,
        request_bytes=8,
        arbitration="in-order",
    )

    def found(kib: float) -> Outcome:
        outputs = ScratchpadConfig(size_kib=kib, port_bytes_per_cycle=3.5)
        pad = ScratchpadConfig(size_kib=0.5)
        memory = MemoryConfig(
            dram=dram, activations=pad, weights=pad, outputs=outputs, loop_order="nkm"
        )
        return outcome(
            conv(7, 3, 3, kernel=1, padding=0), ArrayConfig(rows=3, cols=4, dataflow="ws"), memory
        )

    assert (found(0.25).traffic.stream_chunks, found(0.5).traffic.stream_chunks) == (2, 1)
    assert (found(0.25).times.total, found(0.5).times.total) == (157, 213)


# --- stored formats ---


@pytest.mark.parametrize(
    ("design", "windowed", "pair"),
    [
        ("sparq-5opt", 16, 15),
        ("sparq-3opt", 14, 13),
        ("sparq-2opt", 12, 11),
        ("sparq-6opt", 14, 13),
        ("sparq-7opt", 12, 11),
        ("mac-8b8b", 16, 16),
        ("mac-4b8b", 8, 8),
        ("sparq-exact", 16, 16),
    ],
)
def test_stored_bits_of_a_pair(design, windowed, pair):
    pe = get_pe(design)
    assert (pe.activation_pair_bits("windowed"), pe.activation_pair_bits("windowed-pair")) == (
        windowed,
        pair,
    )
    for storage, bits in (("windowed", windowed), ("windowed-pair", pair)):
        traffic = outcome(
            conv(8, 4, 4), ArrayConfig(rows=64, cols=4), MemoryConfig(storage=storage), design
        ).traffic
        assert traffic.activations.dram_read_bytes == 8 * 8 * 4 * bits // 16
        assert traffic.activation_pair_bits == bits


def test_pairs_that_straddle_kernel_positions_are_stored_raw():
    memory = MemoryConfig(storage="windowed")
    found = outcome(conv(8, 3, 4), ArrayConfig(rows=4, cols=4), memory, "sparq-2opt").traffic
    assert (found.storage, found.activations.dram_read_bytes) == ("raw", 8 * 8 * 3)


def test_narrow_ports_stall_and_say_so():
    """400 steps of 16 weights through 8 bytes per cycle, in as many cycles for two lanes; filling
    takes as long.
    """
    memory = MemoryConfig(weights=ScratchpadConfig(port_bytes_per_cycle=8))
    layer, array = gemm(16, 400, 16), ArrayConfig(rows=16, cols=16)
    cycles = 400 * 16 // 8
    for design in ("mac-8b8b", "sparq-5opt"):
        found = outcome(layer, array, memory, design)
        assert found.program.lengths.tolist() == [cycles]
        assert (
            found.traffic.port_stall_cycles
            == cycles - layer_timing(layer, get_pe(design), array).total
        )
        assert found.memory_stall == found.traffic.port_stall_cycles + cycles


def test_an_order_of_another_dataflow_is_refused():
    with pytest.raises(InputError, match="loop_order='nkm': dataflow os runs nmk, mnk or auto"):
        outcome(gemm(8, 8, 8), ArrayConfig(), MemoryConfig(loop_order="nkm"))


def test_stalls_of_a_tile_are_spread_over_its_chunks_without_loss():
    layer, array = gemm(7, 60, 4), ArrayConfig(rows=4, cols=4, dataflow="os")
    memory = MemoryConfig(weights=ScratchpadConfig(size_kib=0.25))
    timing = layer_timing(layer, get_pe("sparq-exact"), array)
    found = outcome(layer, array, memory, "sparq-exact")
    assert found.traffic.stream_chunks > 1
    assert (timing.tile_stalls % found.traffic.stream_chunks).any()  # they do not divide evenly
    assert found.program.lengths.sum() == timing.total


def test_the_channel_sees_every_request_of_a_cycle_before_it_is_given_away():
    env = simpy.Environment()
    dram = DramConfig(
        bandwidth_bytes_per_cycle=1, burst_bytes=1, request_bytes=16, arbitration="round-robin"
    )
    channel = event.Channel(env, dram, [math.inf] * 3)
    granted = {}

    def engine(number: int, start: int, detours: int):
        yield env.timeout(start)
        for _ in range(detours):  # as when an item's end frees a half, which wakes an engine
            yield env.timeout(0)
        granted[number] = yield from channel.move(number, number, 10, last=True)

    env.process(channel.run())
    for number, start, detours in ((0, 0, 0), (2, 1, 0), (1, 10, 5)):
        env.process(engine(number, start, detours))
    env.run()
    assert granted == {0: 0, 1: 10, 2: 20}


def test_recurrence_is_the_default():
    memory = MemoryConfig(dram=DramConfig(bandwidth_bytes_per_cycle=3))
    layer, array = gemm(20, 30, 10), ArrayConfig(rows=4, cols=4)
    model, task = get_model("mac-8b8b"), Task(layer, array)
    loops = model.loops(task, model.time(task))
    fast = through_memory(layer, loops, memory, runner=recurrence.run)
    slow = through_memory(layer, loops, memory, runner=event.run)
    assert fast.memory_stall == slow.memory_stall == outcome(layer, array, memory).memory_stall > 0
