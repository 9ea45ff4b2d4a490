"""The memory system as processes: the definition of its timing.

`sparqsim.memory.recurrence` is the fast form.

* **DMA engines** for activations, weights and outputs each run their transfers in program order,
  one request at a time: a fetch waits until its scratchpad half is free, a write until its item is
  done.
* **The DRAM channel** is given to one request at a time, at the end of a cycle in which it is free,
  among the requests posted by then.
* **Scratchpads** have two halves. A half takes the next filling when all that used the one before
  is done: items for operands, writes for outputs. Nothing is put where something else stands, nor
  more than fits.
* **The array** works on its items in order; each starts when its operands have arrived and its half
  of the outputs is free.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, inf
from typing import Any

import numpy as np
import simpy

from sparqsim.memory.config import DramConfig, MemoryConfig, rate
from sparqsim.memory.schedule import ENGINES, OUTPUTS, Schedule, Times

Process = Generator[simpy.Event, Any, None]
#: After everything else of the same cycle (simpy's own events have priorities 0 and 1).
LAST = 2


class ScratchpadError(AssertionError):
    """Data were put into a half in use, or too small: a fault of the program that was run."""


class Scratchpad:
    """Two halves; filling h stands in half h % 2."""

    def __init__(self, env: simpy.Environment, name: str, half_bytes: int) -> None:
        self._env, self._name, self._half_bytes = env, name, half_bytes
        self._filling, self._held = [0, 1], [0, 0]
        self._freed = [env.event(), env.event()]
        self.most_held = 0

    def free(self, filling: int) -> Process:
        """Wait until the half belongs to this filling."""
        while self._filling[filling % 2] < filling:
            yield self._freed[filling % 2]

    def put(self, filling: int, size: int) -> None:
        """Take up `size` bytes of the half.

        Raises
        ------
        ScratchpadError
            If the half belongs to another filling, or is full.
        """
        half = filling % 2
        if self._filling[half] != filling:
            raise ScratchpadError(
                f"{self._name}: filling {filling} put where {self._filling[half]} stands"
            )
        self._held[half] += size
        self.most_held = max(self.most_held, self._held[half])
        if self._held[half] > self._half_bytes:
            raise ScratchpadError(
                f"{self._name}: {self._held[half]} bytes in a half of {self._half_bytes}"
            )

    def release(self, filling: int) -> None:
        """Give the half to the filling after the next."""
        half = filling % 2
        self._filling[half], self._held[half] = filling + 2, 0
        freed, self._freed[half] = self._freed[half], self._env.event()
        freed.succeed()


@dataclass
class Request:
    """A piece of a transfer that asks for the channel; `served` happens at its end."""

    engine: int
    transfer: int
    size: int
    last: bool
    posted: int
    served: simpy.Event
    granted: int = -1


class Channel:
    """The DRAM channel and its arbiter."""

    def __init__(self, env: simpy.Environment, dram: DramConfig, ports: list[float]) -> None:
        self._env, self._dram, self._ports = env, dram, ports
        self._waiting: dict[int, Request] = {}
        self._arrived = env.event()
        self._last_engine = len(ENGINES) - 1
        #: For in-order arbitration: the transfer whose turn it is.
        self._next_transfer = 0

    def move(
        self, engine: int, transfer: int, size: int, *, last: bool
    ) -> Generator[simpy.Event, Any, int]:
        """Wait for the channel and move `size` bytes; return when it was granted."""
        request = Request(engine, transfer, size, last, int(self._env.now), self._env.event())
        self._waiting[engine] = request
        arrived, self._arrived = self._arrived, self._env.event()
        arrived.succeed()
        yield request.served
        return request.granted

    def run(self) -> Process:
        """Serve requests for ever."""
        while True:
            while not self._eligible():
                yield self._arrived
            yield self._end_of_cycle()
            request = self._chosen()
            del self._waiting[request.engine]
            self._last_engine, request.granted = request.engine, int(self._env.now)
            yield self._env.timeout(self._cycles(request))
            self._next_transfer += request.last
            request.served.succeed()

    def _eligible(self) -> bool:
        if self._dram.arbitration == "in-order":
            return any(
                request.transfer == self._next_transfer for request in self._waiting.values()
            )
        return bool(self._waiting)

    def _end_of_cycle(self) -> simpy.Event:
        event = self._env.event()
        event._ok, event._value = True, None  # noqa: SLF001 - as simpy's own Timeout does; succeed() has no priority
        self._env.schedule(event, priority=LAST)  # type: ignore[arg-type]
        return event

    def _chosen(self) -> Request:
        waiting = self._waiting.values()
        if self._dram.arbitration == "in-order":
            return next(request for request in waiting if request.transfer == self._next_transfer)
        if self._dram.arbitration == "fifo":
            return min(waiting, key=lambda request: (request.posted, request.engine))
        return min(
            waiting, key=lambda request: (request.engine - self._last_engine - 1) % len(ENGINES)
        )

    def _cycles(self, request: Request) -> int:
        bursts = ceil(request.size / self._dram.burst_bytes) * self._dram.burst_bytes
        return max(
            _cycles(bursts, self._dram.bandwidth_bytes_per_cycle),
            _cycles(request.size, self._ports[request.engine]),
        )


def _cycles(size: int, bytes_per_cycle: float) -> int:
    return 0 if bytes_per_cycle == inf else ceil(size / Fraction(*rate(bytes_per_cycle)))


class MemorySystem:
    """The whole machine, for one layer."""

    def __init__(self, program: Schedule, memory: MemoryConfig) -> None:
        self.env = env = simpy.Environment()
        self._program, self._dram = program, memory.dram
        configs = [getattr(memory, engine) for engine in ENGINES]
        self.pads = [
            Scratchpad(env, name, pad.half_bytes)
            for name, pad in zip(ENGINES, configs, strict=True)
        ]
        self._channel = Channel(env, memory.dram, [pad.port_bytes_per_cycle for pad in configs])
        items, transfers = len(program.lengths), len(program.size)
        self._finished = [env.event() for _ in range(items)]
        self._arrived = [env.event() for _ in range(transfers)]
        self._fetched: list[list[int]] = [[] for _ in range(items)]
        for transfer in np.flatnonzero(program.reads).tolist():
            self._fetched[program.item[transfer]].append(transfer)
        writes = program.generation[~program.reads]
        self._writes_left = np.bincount(writes, minlength=int(program.generations[-1, OUTPUTS]) + 1)
        self.times = Times(
            *(
                np.full(count, -1, np.int64)
                for count in (items, items, transfers, transfers, transfers)
            )
        )

    def run(self) -> Times:
        """Run the layer; return when everything happened.

        Raises
        ------
        ScratchpadError
            For a program that overfills a half, writes over one in use, or waits for ever.
        """
        self.env.process(self._channel.run())
        for engine in range(len(ENGINES)):
            self.env.process(self._dma(engine))
        self.env.process(self._array())
        self.env.run()
        stuck = np.flatnonzero(self.times.item_ends < 0)
        if len(stuck):
            raise ScratchpadError(
                f"item {stuck[0]} never ran: it waits for a half that is never free"
            )
        return self.times

    def _dma(self, engine: int) -> Process:
        for transfer in np.flatnonzero(self._program.engine == engine).tolist():
            if self._program.reads[transfer]:
                yield from self._fetch(engine, transfer)
            else:
                yield from self._write(engine, transfer)

    def _fetch(self, engine: int, transfer: int) -> Process:
        filling = int(self._program.generation[transfer])
        yield from self.pads[engine].free(filling)
        if engine != OUTPUTS:  # the place of partial sums is taken up by the item that adds to them
            self.pads[engine].put(filling, int(self._program.size[transfer]))
        yield from self._move(engine, transfer)
        self.env.process(self._arrive(transfer))

    def _arrive(self, transfer: int) -> Process:
        yield self.env.timeout(self._dram.latency_cycles)
        self.times.done[transfer] = self.env.now
        self._arrived[transfer].succeed()

    def _write(self, engine: int, transfer: int) -> Process:
        yield self._finished[self._program.item[transfer]]
        yield from self._move(engine, transfer)
        self.times.done[transfer] = self.env.now
        filling = int(self._program.generation[transfer])
        self._writes_left[filling] -= 1
        if self._writes_left[filling] == 0:
            self.pads[engine].release(filling)

    def _move(self, engine: int, transfer: int) -> Process:
        left = int(self._program.size[transfer])
        while left:
            size = min(left, self._dram.request_bytes)
            granted = yield from self._channel.move(engine, transfer, size, last=size == left)
            if self.times.starts[transfer] < 0:
                self.times.starts[transfer] = granted
            left -= size
        self.times.ends[transfer] = self.env.now

    def _array(self) -> Process:
        program = self._program
        for item, length in enumerate(program.lengths.tolist()):
            for transfer in self._fetched[item]:
                if not self._arrived[transfer].processed:
                    yield self._arrived[transfer]
            fillings = program.generations[item].tolist()
            yield from self.pads[OUTPUTS].free(fillings[OUTPUTS])
            self.pads[OUTPUTS].put(fillings[OUTPUTS], int(program.produced[item]))
            self.times.item_starts[item] = self.env.now
            yield self.env.timeout(length)
            self.times.item_ends[item] = self.env.now
            self._finished[item].succeed()
            self._release_operands(item, fillings)

    def _release_operands(self, item: int, fillings: list[int]) -> None:
        following = (
            self._program.generations[item + 1].tolist()
            if item + 1 < len(self._program.lengths)
            else None
        )
        for engine in range(OUTPUTS):
            if following is None or following[engine] != fillings[engine]:
                self.pads[engine].release(fillings[engine])


def run(program: Schedule, memory: MemoryConfig) -> Times:
    """Return when everything of a layer happens."""
    return MemorySystem(program, memory).run()
