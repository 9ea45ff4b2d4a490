"""The fast form of the gather unit: the same events as `sparqsim.event.gather`, one loop.

Possible because everything happens in the order of the look-ups: requests go out, pages open, the
channel moves bytes and the lanes read rows in that order, so each time is the later of a few that
are known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit
from sparqsim.gather.program import GatherTimes, Program

Indices = NDArray[np.int64]


def run(program: Program) -> GatherTimes:
    """Return when everything of the look-ups happens."""
    per_cycle, per_burst = program.ticks
    gather, dram = program.gather, program.dram
    issued, arrived, finished, pages = play(
        program.rows,
        program.first_burst,
        program.bursts,
        program.dequantise_cycles,
        gather.outstanding,
        dram.latency_cycles,
        per_cycle,
        per_burst,
        dram.burst_bytes,
        gather.page_bytes,
        gather.page_miss_cycles,
        gather.banks,
    )
    return GatherTimes(issued, arrived, finished, int(pages[0]), int(pages[1]))


@jit
def play(
    rows: Indices,
    first_burst: Indices,
    bursts: Indices,
    dequantise_cycles: int,
    outstanding: int,
    latency_cycles: int,
    per_cycle: int,
    per_burst: int,
    burst_bytes: int,
    page_bytes: int,
    page_miss_cycles: int,
    banks: int,
) -> tuple[Indices, Indices, Indices, Indices]:
    """Kernel of `run`; the last array is (page hits, page misses).

    The channel's and the banks' times are in ticks, all others in cycles.
    """
    lookups = len(rows)
    issued = np.empty(lookups, np.int64)
    arrived = np.empty(lookups, np.int64)
    finished = np.empty(lookups, np.int64)
    pages = np.zeros(2, np.int64)
    open_page, bank_free = np.full(banks, -1, np.int64), np.zeros(banks, np.int64)
    channel_free = last_finished = 0
    issue = -1
    for at in range(lookups):
        issue += 1
        if at >= outstanding:
            issue = max(issue, finished[at - outstanding])
        issued[at] = issue
        burst, left = first_burst[rows[at]], bursts[rows[at]]
        while left > 0:
            ready, taken = issue * per_cycle, left
            bank = 0
            if page_bytes > 0:
                page = burst * burst_bytes // page_bytes
                next_page_burst = -(-(page + 1) * page_bytes // burst_bytes)
                taken = min(left, next_page_burst - burst)
                bank = page % banks
                ready = max(ready, bank_free[bank])
                if open_page[bank] != page:
                    open_page[bank] = page
                    ready += page_miss_cycles * per_cycle
                    pages[1] += 1
                else:
                    pages[0] += 1
            channel_free = max(channel_free, ready) + taken * per_burst
            bank_free[bank] = channel_free
            burst += taken
            left -= taken
        arrived[at] = -(-channel_free // per_cycle) + latency_cycles
        last_finished = max(arrived[at], last_finished) + dequantise_cycles
        finished[at] = last_finished
    return issued, arrived, finished, pages
