"""The figures that explain timing, drawn from the event model's own records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from processes import Recorded

from sparqsim.event.array import StepRecord
from sparqsim.plot.style import (
    CYCLE_LOOKS,
    INK,
    PALE,
    SMALL_POINTS,
    Look,
    house_style,
    new_figure,
    save_figure,
)

STEP, SLOW = CYCLE_LOOKS["fill"], CYCLE_LOOKS["pe_stall"]
#: Fills of the first, second and third tile.
TILES = (Look("#0072b2"), Look("#c6e4f7", "////"), Look("#e69f00", "xxxx"))
SNAPSHOTS = (0, 1, 3, 6, 8, 12)
BAR = 0.82


def draw_wavefront(record: Recorded, path: Path, *, command: str) -> None:
    """Draw the array in some cycles: which step each PE is at."""
    with house_style():
        figure = new_figure("page", 1.75)
        for axes, cycle in zip(figure.subplots(1, len(SNAPSHOTS)), SNAPSHOTS, strict=True):
            _snapshot(axes, record, cycle)
        figure.suptitle(
            f"Step of K each PE is at ({_setting(record)}, S = {_items(record)} steps; "
            "blank: no work)"
        )
        save_figure(figure, path, title="The wavefront of one tile", command=command)


def _snapshot(axes: Axes, record: Recorded, cycle: int) -> None:
    working = {
        (step.row, step.col): step.item
        for step in record.run.steps
        if step.start <= cycle < step.start + step.cycles
    }
    for row in range(record.array.rows):
        for col in range(record.array.cols):
            item = working.get((row, col))
            axes.bar(
                col, 0.9, 0.9, row - 0.45, color=PALE if item is None else STEP.color, edgecolor=INK
            )
            if item is not None:
                axes.text(col, row, str(item), ha="center", va="center")
    axes.set_title(f"cycle {cycle}")
    axes.set(
        xticks=range(record.array.cols),
        yticks=range(record.array.rows),
        aspect="equal",
        xlabel="column j",
    )
    axes.invert_yaxis()
    axes.label_outer()
    if axes.get_subplotspec().is_first_col():
        axes.set_ylabel("row i")


def draw_tile(record: Recorded, path: Path, *, command: str) -> None:
    """Draw one tile: every step of every PE, and the cycles by what they are attributed to."""
    with house_style():
        figure = new_figure("page", 3.4)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _gantt(upper, record)
        _bands(lower, record)
        figure.suptitle(
            f"One tile, {_setting(record)}, S = {_items(record)}: {record.run.cycles} cycles"
        )
        save_figure(figure, path, title="Fill, compute and drain of one tile", command=command)


def _bands(axes: Axes, record: Recorded) -> None:
    """Draw how many PEs work in each cycle, over the classes of the attribution."""
    busy = _busy(record.run.steps)
    start = 0
    for name in ("fill", "compute", "drain"):
        length = getattr(record.cycles, name)
        axes.axvspan(start, start + length, color=CYCLE_LOOKS[name].color, alpha=0.45, linewidth=0)
        axes.text(
            start + length / 2, record.array.pes * 1.12, f"{name}: {length} cycles", ha="center"
        )
        start += length
    axes.stairs(
        [busy[cycle] for cycle in range(record.run.cycles)], range(record.run.cycles + 1), color=INK
    )
    axes.set(ylim=(0, record.array.pes * 1.4), ylabel="PEs at work", xlabel="cycle")
    axes.set_yticks([0, record.array.pes // 2, record.array.pes])


def draw_overlap(separate: Recorded, overlapped: Recorded, path: Path, *, command: str) -> None:
    """Draw how many PEs work in each cycle, tile by tile, without and with overlap."""
    with house_style():
        figure = _one_below_the_other(
            {
                f"overlap {'on' if record.array.overlap else 'off'}": record
                for record in (separate, overlapped)
            },
            _stacked,
            2.6,
        )
        _legend(figure, [(f"tile {number}", look) for number, look in enumerate(TILES)])
        save_figure(figure, path, title="Three tiles, without and with overlap", command=command)


def _one_below_the_other(
    records: dict[str, Recorded], draw: Callable[[Axes, Recorded], None], height_inches: float
) -> Figure:
    """Return a figure of records on one axis of cycles, each under its name and its length."""
    figure = new_figure("page", height_inches)
    for axes, (name, record) in zip(
        figure.subplots(len(records), 1, sharex=True), records.items(), strict=True
    ):
        draw(axes, record)
        axes.set_title(f"{name}: {record.run.cycles} cycles", loc="left")
    axes.set_xlabel("cycle")
    return figure


def _stacked(axes: Axes, record: Recorded) -> None:
    below = [0] * record.run.cycles
    for number, look in enumerate(TILES):
        busy = _busy(step for step in record.run.steps if step.tile == number)
        heights = [busy[cycle] for cycle in range(record.run.cycles)]
        axes.bar(
            range(len(heights)),
            heights,
            1,
            below,
            align="edge",
            color=look.color,
            hatch=look.hatch,
            linewidth=0,
        )
        below = [low + high for low, high in zip(below, heights, strict=True)]
    _end(axes, record)
    axes.set(ylabel="PEs at work", ylim=(0, record.array.pes * 1.1))


def draw_coupling(lockstep: Recorded, elastic: Recorded, path: Path, *, command: str) -> None:
    """Draw the same steps, some of two cycles, in a lockstep array and in an elastic one."""
    with house_style():
        figure = _one_below_the_other(
            {record.array.coupling: record for record in (lockstep, elastic)}, _gantt, 4.6
        )
        _legend(figure, [("step of one cycle", STEP), ("step of two cycles", SLOW)])
        save_figure(figure, path, title="Lockstep and elastic links", command=command)


def draw_dataflows(*records: Recorded | Path, command: str) -> None:
    """Draw the PEs at work over time for each dataflow; the last argument is the figure's path."""
    *runs, path = records
    with house_style():
        figure = new_figure("page", 3.0)
        for axes, record in zip(figure.subplots(len(runs), 1, sharex=True), runs, strict=True):
            _stacked(axes, record)
            cycles = record.cycles
            axes.set_title(
                f"{record.array.dataflow}: {cycles.total} cycles = compute {cycles.compute} + fill "
                f"{cycles.fill} + drain {cycles.drain}",
                loc="left",
            )
        axes.set_xlabel("cycle")
        _legend(figure, [(f"tile {number}", look) for number, look in enumerate(TILES[:2])])
        save_figure(figure, path, title="Three dataflows", command=command)


def _gantt(axes: Axes, record: Recorded) -> None:
    """Draw a line per PE, in the order in which the wavefront reaches them, and its steps as
    bars.
    """
    places = sorted(
        ((i, j) for i in range(record.array.rows) for j in range(record.array.cols)),
        key=lambda place: (sum(place), place),
    )
    lines = {place: line for line, place in enumerate(places)}
    for cycles, look in ((1, STEP), (2, SLOW)):
        steps = [step for step in record.run.steps if step.cycles == cycles]
        axes.barh(
            [lines[step.row, step.col] for step in steps],
            [step.cycles for step in steps],
            BAR,
            [step.start for step in steps],
            color=look.color,
            hatch=look.hatch if cycles > 1 else "",
            edgecolor=INK,
        )
    axes.set_yticks(range(len(places)), [f"({i}, {j})" for i, j in places])
    axes.tick_params(axis="y", labelsize=SMALL_POINTS - 1)
    axes.invert_yaxis()
    axes.set_ylabel("PE (i, j)")
    _end(axes, record)


def _end(axes: Axes, record: Recorded) -> None:
    axes.axvline(record.run.cycles, color=INK, linestyle=(0, (4, 2)))
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _busy(steps: Iterable[StepRecord]) -> Counter[int]:
    """Return how many PEs work in each cycle."""
    return Counter(step.start + cycle for step in steps for cycle in range(step.cycles))


def _items(record: Recorded) -> int:
    return 1 + max(step.item for step in record.run.steps)


def _setting(record: Recorded) -> str:
    return (
        f"{record.array.rows}x{record.array.cols} array, {record.array.dataflow}, {record.pe.spec}"
    )


def _legend(figure: Figure, entries: Sequence[tuple[str, Look]]) -> None:
    handles = [
        Patch(facecolor=look.color, hatch=look.hatch, edgecolor=INK, label=label)
        for label, look in entries
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(entries))
