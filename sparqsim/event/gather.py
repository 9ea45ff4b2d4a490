"""The gather unit as processes: the definition of its timing.

`sparqsim.gather.recurrence` is the fast form.

* **The issuer** sends one request a cycle, in the order of the look-ups, as soon as one of the
  `outstanding` row buffers is free.
* **Banks** take the stretches of requests that lie in their pages, in that order. Where the page is
  not open it is opened first, which takes `page_miss_cycles`; a page stays open until the next one
  of its bank, and a bank opens none before its last stretch has been moved.
* **The DRAM channel** moves stretches in order, whole bursts, each when its page is open. It is a
  stream: where a stretch ends in the middle of a cycle, the next begins there.
* **A row arrives** in its buffer `latency_cycles` after the end of the cycle in which its last byte
  was moved.
* **The lanes** read rows in order, one at a time, dequantise them and add them to the pooled
  vector; then the row's buffer is free. Pooled vectors leave meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from sparqsim.gather.program import GatherTimes, Program

Process = Generator[simpy.Event, Any, None]


@dataclass
class Stretch:
    """Bursts of one request within one page; `opened` and `moved` happen to them."""

    lookup: int
    page: int
    bursts: int
    is_last: bool
    opened: simpy.Event
    moved: simpy.Event


class GatherUnit:
    """The whole unit; time is counted in ticks, `per_cycle` of them a cycle."""

    def __init__(self, program: Program) -> None:
        self.env = env = simpy.Environment()
        self._program = program
        self._per_cycle, self._per_burst = program.ticks
        self._buffers = simpy.Container(env, init=program.gather.outstanding)
        self._requests = simpy.Store(env)
        self._banks = [simpy.Store(env) for _ in range(program.gather.banks)]
        self._arrived = [env.event() for _ in range(program.lookups)]
        self._hits = self._misses = 0
        self._issued, self._arrivals, self._finished = (
            np.full(program.lookups, -1, np.int64) for _ in range(3)
        )

    def run(self) -> GatherTimes:
        """Run all look-ups; return when everything happened."""
        self.env.process(self._issue())
        self.env.process(self._channel())
        for bank in range(len(self._banks)):
            self.env.process(self._bank(bank))
        self.env.process(self._lanes())
        self.env.run()
        return GatherTimes(self._issued, self._arrivals, self._finished, self._hits, self._misses)

    def _now(self) -> int:
        return int(self.env.now) // self._per_cycle

    def _issue(self) -> Process:
        for lookup in range(self._program.lookups):
            yield self._buffers.get(1)
            self._issued[lookup] = self._now()
            for stretch in self._stretches(lookup):
                if self._program.gather.page_bytes:
                    self._banks[stretch.page % len(self._banks)].put(stretch)
                else:
                    stretch.opened.succeed()
                self._requests.put(stretch)
            yield self.env.timeout(self._per_cycle)

    def _stretches(self, lookup: int) -> list[Stretch]:
        """Return a request's bursts, burst by burst put together as long as the page is one."""
        program = self._program
        row = program.rows[lookup]
        first = int(program.first_burst[row])
        found: list[Stretch] = []
        for burst in range(first, first + int(program.bursts[row])):
            page = self._page(burst)
            if found and found[-1].page == page:
                found[-1].bursts += 1
            else:
                found.append(Stretch(lookup, page, 1, False, self.env.event(), self.env.event()))
        found[-1].is_last = True
        return found

    def _page(self, burst: int) -> int:
        page_bytes = self._program.gather.page_bytes
        return burst * self._program.dram.burst_bytes // page_bytes if page_bytes else 0

    def _bank(self, bank: int) -> Process:
        open_page = None
        while True:
            stretch: Stretch = yield self._banks[bank].get()
            if stretch.page == open_page:
                self._hits += 1
            else:
                self._misses += 1
                open_page = stretch.page
                yield self.env.timeout(self._program.gather.page_miss_cycles * self._per_cycle)
            stretch.opened.succeed()
            yield stretch.moved

    def _channel(self) -> Process:
        while True:
            stretch: Stretch = yield self._requests.get()
            yield stretch.opened
            yield self.env.timeout(stretch.bursts * self._per_burst)
            stretch.moved.succeed()
            if stretch.is_last:
                self.env.process(self._arrive(stretch.lookup))

    def _arrive(self, lookup: int) -> Process:
        rest_of_cycle = -int(self.env.now) % self._per_cycle
        latency = self._program.dram.latency_cycles * self._per_cycle
        yield self.env.timeout(rest_of_cycle + latency)
        self._arrivals[lookup] = self._now()
        self._arrived[lookup].succeed()

    def _lanes(self) -> Process:
        for lookup in range(self._program.lookups):
            yield self._arrived[lookup]
            yield self.env.timeout(self._program.dequantise_cycles * self._per_cycle)
            self._finished[lookup] = self._now()
            yield self._buffers.put(1)


def run(program: Program) -> GatherTimes:
    """Return when everything of the look-ups happens."""
    return GatherUnit(program).run()
