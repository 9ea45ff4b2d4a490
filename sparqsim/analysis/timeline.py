"""A run as a Chrome trace (JSON), which Perfetto opens: tracks for the array, DRAM, DMA engines and
scratchpad halves.

One cycle is shown as one microsecond. Every layer has an equal share of a stated cap on events: of
a longer layer only the beginning is written, and the file says so.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.analysis.network import outcomes
from sparqsim.array.config import ArrayConfig
from sparqsim.base.files import replaced
from sparqsim.engine.models import EngineModel
from sparqsim.engine.models.kept import ran
from sparqsim.memory.config import MemoryConfig
from sparqsim.memory.schedule import ENGINES, Schedule, Times
from sparqsim.memory.system import Outcome
from sparqsim.pe import PEDesign
from sparqsim.results.report import Report
from sparqsim.trace import Layer, Trace
from sparqsim.trace.reader import as_trace

Spans = NDArray[np.int64]

#: Tile-level events in one file, about 100 bytes each.
MOST_EVENTS = 200_000
TRACKS = (
    "layer",
    "array",
    "DRAM channel",
    "DMA activations",
    "DMA weights",
    "DMA partial sums",
    "write-back",
    *(f"{pad} half {half}" for pad in ENGINES for half in (0, 1)),
)
FIRST_HALF = 7


def save_timeline(
    path: str | Path,
    trace: Trace | str | PathLike[str],
    report: Report,
    array: ArrayConfig,
    memory: MemoryConfig,
    *,
    known: Collection[EngineModel | PEDesign] = (),
) -> int:
    """Write the timeline of a simulated run; return how many events were left out.

    Parameters
    ----------
    path : str or Path
    trace : Trace, or the path of a trace file
        That of the report.
    report : Report
        Of `simulate(trace, ..., array, memory=memory)`: it says which design ran which layer.
    array, memory
        Those of the run.
    known : collection of EngineModel or PEDesign
        Designs from files; the report's own names lead to shipped and installed ones only.

    Raises
    ------
    InputError
        When the path cannot be written.
    """
    loaded = as_trace(trace)
    parts = zip(report.layers, loaded.layers, strict=True)
    designs = [ran(part, layer, known) for part, layer in parts]
    runs = ((layer, outcome) for layer, _, outcome in outcomes(loaded, designs, array, memory))
    return write_timeline(path, runs, layers=len(designs))


def write_timeline(
    path: str | Path,
    runs: Iterable[tuple[Layer, Outcome]],
    *,
    layers: int,
    most_events: int = MOST_EVENTS,
) -> int:
    """Write the timeline of a network; return how many events were left out to keep to
    `most_events`.

    Parameters
    ----------
    path : str or Path
    runs : layers and what the memory made of them, in order
    layers : int
        How many there are: each gets an equal share of the events.
    most_events : int

    Raises
    ------
    InputError
        When the path cannot be written.
    """
    share = max(1, most_events // layers)
    start = left_out = 0
    with replaced(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit":"ns","traceEvents":[\n')
        file.write(",\n".join(_dumped(event) for event in _names()))
        for layer, outcome in runs:
            events, missing = _shown(layer.name, outcome, start, share)
            file.write("".join(",\n" + _dumped(event) for event in events))
            start += sum(each.times.total for each in outcome.passes)
            left_out += missing
        notes = {
            "unit": "1 us shown is 1 cycle",
            "most_events": most_events,
            "events_left_out": left_out,
        }
        file.write(f'\n],"otherData":{_dumped(notes)}}}\n')
    return left_out


def _shown(
    name: str, outcome: Outcome, start: int, most_events: int
) -> tuple[list[dict[str, Any]], int]:
    """Return the events of a layer that starts at a cycle, that of the whole layer first, and how
    many were left out.
    """
    of_each_pass = max(1, most_events // len(outcome.passes))
    shown, missing, begun = [], 0, start
    for each in outcome.passes:
        events, beyond = layer_events(each.program, each.times, of_each_pass)
        for begin, end, track, what in events:
            shown.append(_event(track, what, begun + begin, end - begin))
        missing += beyond
        begun += each.times.total
    whole = _event(0, name, start, begun - start)
    whole["args"] = {"memory_stall_cycles": outcome.memory_stall, "events_left_out": missing}
    return [whole, *shown], missing


def layer_events(
    program: Schedule, times: Times, most: int
) -> tuple[list[tuple[int, int, int, str]], int]:
    """Return the first `most` events of a layer, (start cycle, end cycle, track, name), and how
    many more there are.
    """
    moved = np.stack([times.starts, times.ends], axis=1)
    tracks = [
        (1, "item", np.stack([times.item_starts, times.item_ends], axis=1)),
        (2, "busy", _merged(moved)),
    ]
    tracks += [
        (3 + engine, "fetch", moved[program.reads & (program.engine == engine)])
        for engine in range(len(ENGINES))
    ]
    tracks.append((6, "write", moved[~program.reads]))
    for engine in range(len(ENGINES)):
        fillings = half_spans(program, times, engine)
        tracks += [
            (FIRST_HALF + 2 * engine + half, f"half {half} filling", fillings[half::2])
            for half in (0, 1)
        ]
    events = [
        (begin, end, track, f"{name} {at}")
        for track, name, spans in tracks
        for at, (begin, end) in enumerate(spans[:most].tolist())
    ]
    return sorted(events)[:most], max(0, sum(len(spans) for _, _, spans in tracks) - most)


def half_spans(program: Schedule, times: Times, engine: int) -> Spans:
    """Return from when to when each filling of a scratchpad stands there, int64 (fillings, 2)."""
    generations = program.generations[:, engine]
    wanted = np.arange(int(generations[-1]) + 1)
    begin = times.item_starts[np.searchsorted(generations, wanted)]
    end = times.item_ends[np.searchsorted(generations, wanted, "right") - 1]
    mine = program.engine == engine
    fetched, written = mine & program.reads, mine & ~program.reads
    np.minimum.at(begin, program.generation[fetched], times.starts[fetched])
    np.maximum.at(end, program.generation[written], times.ends[written])
    return np.stack([begin, end], axis=1)


def _merged(spans: Spans) -> Spans:
    """Return the union of spans: the channel is busy from start to end of every transfer."""
    if not len(spans):
        return spans
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    starts = np.flatnonzero(np.concatenate([[True], spans[1:, 0] > reach[:-1]]))
    ends = np.append(starts[1:], len(spans)) - 1
    return np.stack([spans[starts, 0], reach[ends]], axis=1)


def _names() -> list[dict[str, Any]]:
    thread: dict[str, Any] = {"ph": "M", "pid": 0}
    names = [
        {**thread, "tid": track, "name": "thread_name", "args": {"name": name}}
        for track, name in enumerate(TRACKS)
    ]
    order = [
        {**thread, "tid": track, "name": "thread_sort_index", "args": {"sort_index": track}}
        for track in range(len(TRACKS))
    ]
    return [{**thread, "name": "process_name", "args": {"name": "accelerator"}}, *names, *order]


def _event(track: int, name: str, start: int, cycles: int) -> dict[str, Any]:
    return {"ph": "X", "pid": 0, "tid": track, "name": name, "ts": start, "dur": cycles}


def _dumped(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
