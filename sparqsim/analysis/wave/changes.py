"""When signals of a waveform change, and to what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from heapq import merge

from sparqsim.analysis.wave.window import Window
from sparqsim.event.array import StepRecord

#: A value that a signal takes: cycle, scope, signal, value.
Change = tuple[int, str, str, int]


def changes(window: Window) -> Iterator[Change]:
    """Return the changes of every signal, in time."""
    wave_ends = _wave_ends(window)
    parts = [_phases(window)]
    if wave_ends:
        parts.append((start, "array", "wave", number) for number, start in enumerate(wave_ends))
    by_pe = defaultdict(list)
    for each in _with_sums(window):
        by_pe[each[0].row, each[0].col].append(each)
    for worked in by_pe.values():
        steps, sums = zip(*worked, strict=True)
        ends = [done.start + done.cycles for done in steps]
        wait_ends = [wave_ends[done.start] for done in steps] if wave_ends else ends
        parts += [
            _operands(window, steps),
            _active("busy", steps, ends),
            _active("valid", steps, wait_ends),
            _psums(steps, sums, window.late),
        ]
    return merge(*parts, key=lambda change: change[0])


def _wave_ends(window: Window) -> dict[int, int]:
    """Return for each start of a wave, in order, when it ends; nothing where there are no waves.

    The steps of a wave start together, and the slowest says how long it takes.
    """
    ends: dict[int, int] = {}
    if window.array.link_depth is None:
        for done in sorted(window.run.steps, key=lambda done: done.start):
            ends[done.start] = max(ends.get(done.start, 0), done.start + done.cycles)
    return ends


def _phases(window: Window) -> Iterator[Change]:
    """Yield load, stream and drain."""
    loaded, streamed = window.array.rows if window.loads else 0, window.last_step_end
    for name, start, end in (
        ("load", 0, loaded),
        ("stream", loaded, streamed),
        ("drain", streamed, window.run.cycles),
    ):
        if end > start:
            yield start, "array", name, 1
            yield end, "array", name, 0


def scope_of(done: StepRecord) -> str:
    """Return the scope of the PE that ran a step."""
    return f"array.pe_{done.row}_{done.col}"


def _operands(window: Window, steps: Sequence[StepRecord]) -> Iterator[Change]:
    """Yield what the steps of one PE take in, and their control codes."""
    for done in steps:
        values = {"tile": window.first + done.tile, "item": done.item}
        for side, lanes in zip("xw", window.operands(done), strict=True):
            values |= {f"{side}{lane}": value for lane, value in enumerate(lanes)}
        values |= window.controls(done)
        for name, value in values.items():
            yield done.start, scope_of(done), name, value


def _active(name: str, steps: Sequence[StepRecord], ends: Sequence[int]) -> Iterator[Change]:
    """Yield a signal that is high in one PE from each step's start to the given end."""
    next_starts = [*(done.start for done in steps[1:]), None]
    for done, end, next_start in zip(steps, ends, next_starts, strict=True):
        yield done.start, scope_of(done), name, 1
        if end != next_start:
            yield end, scope_of(done), name, 0


def _psums(steps: Sequence[StepRecord], sums: Sequence[int], late: int) -> Iterator[Change]:
    """Yield the sum that each step of one PE leaves, `late` cycles after the step ends."""
    for done, total in zip(steps, sums, strict=True):
        yield done.start + done.cycles + late, scope_of(done), "psum", total


def _with_sums(window: Window) -> Iterator[tuple[StepRecord, int]]:
    """Yield the steps in time, each with the sum it leaves."""
    # Where sums stay a PE has one for each tile; where they move, each item has one in each column.
    sums: dict[tuple[int, int, int], int] = defaultdict(int)
    for done in sorted(window.run.steps, key=lambda done: done.start):
        place = (done.tile, done.item if window.loads else done.row, done.col)
        sums[place] += done.value
        yield done, sums[place]


def sums_of(window: Window) -> list[int]:
    """Return every sum that a step leaves."""
    return [total for _, total in _with_sums(window)] or [0]
