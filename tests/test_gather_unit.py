"""The gather unit: where rows lie, the processes that define its time, and the fast form."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim import InputError
from sparqsim.event import gather as event
from sparqsim.gather import recurrence
from sparqsim.gather.program import LAYOUTS, Placement, Program
from sparqsim.memory.config import Accelerator, DramConfig, GatherConfig, MemoryConfig
from sparqsim.quantise.rows import get_row_format
from sparqsim.results.gather_parts import GatherHardware, RateBounds

HEIGHT = 40


def program(rows, row_bytes=72, width=64, layout="padded", **unit):
    """Return look-ups with settings of the channel and the unit, by name."""
    burst = unit.pop("burst_bytes", 64)
    channel = {
        key: unit.pop(key) for key in ("bandwidth_bytes_per_cycle", "latency_cycles") if key in unit
    }
    dram = DramConfig(burst_bytes=burst, request_bytes=burst, **channel)
    placement = Placement(row_bytes, burst, layout)
    table = (max(HEIGHT, max(rows) + 1), width)
    return Program.of(np.array(rows, np.int64), table, placement, dram, GatherConfig(**unit))


def bounds_of(asked: Program, width: int) -> RateBounds:
    accelerator = Accelerator(MemoryConfig(dram=asked.dram), gather=asked.gather)
    return RateBounds.of(GatherHardware.of(accelerator), asked.lookups, asked.moved_bursts, width)


@st.composite
def programs(draw):
    """Return look-ups on any unit, and the width of their rows."""
    burst = draw(st.sampled_from([1, 16, 64, 100]))
    width = draw(st.integers(1, 100))
    asked = program(
        draw(st.lists(st.integers(0, HEIGHT - 1), min_size=1, max_size=40)),
        draw(st.integers(1, 300)),
        width,
        draw(st.sampled_from(LAYOUTS)),
        burst_bytes=burst,
        bandwidth_bytes_per_cycle=draw(st.sampled_from([inf, 8, 46, 3.6, 0.7, 64, 1000.123])),
        latency_cycles=draw(st.integers(0, 60)),
        outstanding=draw(st.integers(1, 9)),
        lanes=draw(st.integers(1, 20)),
        page_bytes=draw(st.sampled_from([0, burst, burst * 4, burst * 7])),
        banks=draw(st.integers(1, 5)),
        page_miss_cycles=draw(st.integers(0, 30)),
    )
    return asked, width


def same(one, other):
    for name in ("issued", "arrived", "finished"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    assert (one.page_hits, one.page_misses) == (other.page_hits, other.page_misses)


@given(programs())
def test_the_fast_form_is_the_processes(case):
    same(recurrence.run(case[0]), event.run(case[0]))


@pytest.mark.slow
@settings(max_examples=3000)
@given(programs())
def test_the_fast_form_is_the_processes_on_thousands_of_cases(case):
    same(recurrence.run(case[0]), event.run(case[0]))


@given(programs())
def test_no_rate_is_above_a_bound(case):
    asked, width = case
    rate = asked.lookups / recurrence.run(asked).cycles
    limits = bounds_of(asked, width)
    for name in type(limits).model_fields:
        limit = getattr(limits, name)
        assert limit is None or rate <= limit * (1 + 1e-12), name


@given(programs())
def test_requests_are_in_order_and_no_more_than_asked_for(case):
    asked, _ = case
    times = event.run(asked)
    assert (np.diff(times.issued) >= 1).all()
    assert (np.diff(times.finished) >= asked.dequantise_cycles).all()
    assert (times.arrived >= times.issued + asked.dram.latency_cycles).all()
    for at, issue in enumerate(times.issued):
        assert at + 1 - np.count_nonzero(times.finished <= issue) <= asked.gather.outstanding


def test_one_row_at_a_time_takes_transfer_latency_and_dequantising():
    asked = program(
        [3, 1, 4, 1, 5],
        72,
        64,
        bandwidth_bytes_per_cycle=8,
        latency_cycles=50,
        outstanding=1,
        lanes=16,
    )
    each = 2 * 64 // 8 + 50 + 4
    assert recurrence.run(asked).finished.tolist() == [each * n for n in range(1, 6)]


@pytest.mark.parametrize("bandwidth", [8, 46, 3.6])
def test_enough_rows_at_once_keep_the_channel_busy(bandwidth):
    """Every byte of the bursts at the channel's rate, then latency and the last row's lanes."""
    asked = program(
        list(range(HEIGHT)),
        256,
        64,
        bandwidth_bytes_per_cycle=bandwidth,
        latency_cycles=30,
        outstanding=64,
        lanes=64,
    )
    moved = HEIGHT * 256
    assert recurrence.run(asked).cycles == ceil(moved / bandwidth - 1e-9) + 30 + 1


def test_lanes_limit_where_they_are_few():
    asked = program(list(range(HEIGHT)), 36, 64, latency_cycles=9, outstanding=16, lanes=2)
    assert recurrence.run(asked).cycles == 9 + HEIGHT * 32


def test_requests_limit_where_nothing_else_does():
    asked = program(list(range(HEIGHT)), 36, 64, latency_cycles=7, outstanding=64, lanes=64)
    assert recurrence.run(asked).cycles == HEIGHT + 7


def test_a_stream_of_bytes_may_cross_from_row_to_row_within_a_cycle():
    """46 bytes a cycle: bursts of 64 end after 1.39, 2.78, 4.17 cycles; each is seen in the next."""
    asked = program([0, 1, 2], 64, 1, bandwidth_bytes_per_cycle=46, outstanding=9)
    assert recurrence.run(asked).arrived.tolist() == [2, 3, 5]


def test_a_page_that_is_open_costs_nothing():
    """Rows 0 and 1 share page 0; rows 2, 3 page 1, in the other bank; then page 0 is still open."""
    paged = {"bandwidth_bytes_per_cycle": 64, "page_bytes": 128, "page_miss_cycles": 10}
    asked = program([0, 1, 2, 3, 0], 64, 1, banks=2, outstanding=9, **paged)
    for found in (recurrence.run(asked), event.run(asked)):
        assert (found.page_hits, found.page_misses) == (3, 2)
        # Page 1 opens while row 1 is on its way: asked for in cycle 2, open in 12.
        assert found.arrived.tolist() == [11, 12, 13, 14, 15]
    single = program([0, 1, 2, 3, 0], 64, 1, banks=1, outstanding=9, **paged)
    for found in (recurrence.run(single), event.run(single)):
        assert (found.page_hits, found.page_misses) == (2, 3)
        assert found.arrived.tolist() == [11, 12, 23, 24, 35]


def test_bursts_of_64_elements_are_4_2_and_1():
    """The result of the row: 4 times fewer bursts, not 7.1 times, as bytes would have it."""
    found = {}
    for spec in ("fp32", "int8", "int4"):
        row_bytes = get_row_format(spec).row_bytes(64)
        padded, packed = (Placement(row_bytes, 64, layout) for layout in LAYOUTS)
        assert (padded.bursts(1000) == ceil(row_bytes / 64)).all()
        mean = packed.bursts(16 * 1000).mean()
        found[spec] = (
            row_bytes,
            int(padded.bursts(1)[0]),
            mean,
            padded.stride_bytes,
            packed.stride_bytes,
        )
    assert found == {
        "fp32": (256, 4, 4.0, 256, 256),
        "int8": (72, 2, 2.0, 128, 72),
        "int4": (36, 1, 1.5, 64, 36),
    }
    sizes = {
        spec: [100 * stride / 256 for stride in strides[3:]] for spec, strides in found.items()
    }
    assert sizes == {"fp32": [100, 100], "int8": [50, 28.125], "int4": [25, 14.0625]}
    assert get_row_format("fp32").row_bytes(16) == 64  # one burst already


@given(st.integers(1, 400), st.sampled_from([1, 7, 32, 64]), st.sampled_from(LAYOUTS))
def test_bursts_are_those_that_hold_bytes_of_the_row(row_bytes, burst, layout):
    placement = Placement(row_bytes, burst, layout)
    for row in range(9):
        start = row * placement.stride_bytes
        touched = {byte // burst for byte in range(start, start + row_bytes)}
        assert placement.first_bursts(9)[row] == min(touched)
        assert placement.bursts(9)[row] == len(touched)


def test_more_of_anything_never_takes_longer():
    rows = np.random.default_rng(2).integers(0, HEIGHT, 200).tolist()
    unit = {"bandwidth_bytes_per_cycle": 4, "latency_cycles": 40, "outstanding": 3, "lanes": 4}
    before = recurrence.run(program(rows, **unit)).cycles
    for better in (
        {"bandwidth_bytes_per_cycle": 5},
        {"latency_cycles": 30},
        {"outstanding": 4},
        {"lanes": 5},
    ):
        assert recurrence.run(program(rows, **(unit | better))).cycles <= before


def test_times_beyond_64_bits_are_refused():
    asked = program([0] * 10)
    slow = replace(asked.dram, bandwidth_bytes_per_cycle=1099511627775.5, latency_cycles=10**6)
    with pytest.raises(InputError, match="beyond 64 bits"):
        Program.of(
            np.zeros(10**7, np.int64), (1, 64), Placement(72, 64, "padded"), slow, asked.gather
        )
