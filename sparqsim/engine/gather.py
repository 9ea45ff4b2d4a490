"""gather(): embedding gathers on one screen, beside `simulate` and `compare`.

table and look-ups -> rows of a format, where they lie -> bursts -> the gather unit's time -> pooled
vectors -> the first layer of a network -> GatherReport

No engine model of `engine/models`: those run a matrix product, and a gather has none
(docs/design-decisions.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.version import VERSION
from sparqsim.cost.memory import MemoryTable
from sparqsim.gather import recurrence
from sparqsim.gather.lookups import Lookups
from sparqsim.gather.program import LAYOUTS, GatherTimes, Layout, Placement, Program
from sparqsim.gather.table import Table
from sparqsim.memory.config import Accelerator
from sparqsim.quantise.rows import RowFormat, get_row_format
from sparqsim.results.gather_energy import GatherEnergyInfo, gather_actions, gather_energy
from sparqsim.results.gather_parts import (
    GatherHardware,
    GatherLookups,
    GatherTable,
    RateBounds,
    RowErrors,
)
from sparqsim.results.gather_report import GatherEntry, GatherReport

if TYPE_CHECKING:
    from sparqsim.engine.behind import Behind

DEFAULT_FORMATS = ("fp32", "fp16", "int8", "int4", "codebook4")
#: Look-ups that the processes can run: each is a dozen events of Python.
MOST_EVENT_LOOKUPS = 20_000

Runner = Callable[[Program], GatherTimes]


@dataclass(frozen=True, eq=False)
class Asked:
    """What is gathered, and how.

    Parameters
    ----------
    table : Table
    lookups : Lookups
    accelerator : Accelerator
        Its DRAM channel and gather unit; its scratchpads and array for the network behind.
    formats : sequence of str or RowFormat
    layouts : sequence of {'padded', 'packed'}
    widths : sequence of int
        Elements of a row, the first ones; () for all.
    engine : {'fast', 'event'}
    energy : MemoryTable, optional
        What a word of the memories costs; None: energy is not asked for.
    """

    table: Table
    lookups: Lookups
    accelerator: Accelerator
    formats: Sequence[str | RowFormat] = DEFAULT_FORMATS
    layouts: Sequence[Layout] = LAYOUTS
    widths: Sequence[int] = field(default=())
    engine: str = "fast"
    energy: MemoryTable | None = None


def gather(asked: Asked, behind: Behind | None = None) -> GatherReport:
    """Return what gathers from a table take, under every format, layout and width asked for.

    Parameters
    ----------
    asked : Asked
    behind : Behind, optional
        The network that takes the pooled vectors.

    Raises
    ------
    InputError
        For an unknown format, layout or engine, a width that the table does not have, or a row that
        a format cannot hold, naming it.
    """
    formats = _formats(asked.formats)
    widths = _widths(asked)
    runner = _runner(asked)
    _check_layouts(asked.layouts)
    if behind is not None and len(widths) > 1:
        raise InputError(f"widths {widths}: expected one where a network takes the vectors")
    hardware = GatherHardware.of(asked.accelerator)
    entries: list[GatherEntry] = []
    for width in widths:
        rows = np.ascontiguousarray(asked.table.values[:, :width])
        for each in formats:
            with _named(asked.table, each):
                read = each.decode(each.encode(rows), width)
            errors = row_errors(rows, read, asked.lookups.counts)
            mlp = None if behind is None else behind.run(read, asked.lookups)
            for layout in dict.fromkeys(asked.layouts):
                entry = _entry(asked, each, width, layout, runner, hardware, errors)
                entries.append(entry.model_copy(update={"mlp": mlp}))
    return GatherReport(
        version=VERSION,
        engine="event" if asked.engine == "event" else "fast",
        table=_table_info(asked.table),
        lookups=_lookups_info(asked.lookups),
        hardware=hardware,
        energy=None if asked.energy is None else GatherEnergyInfo(memory=asked.energy.info),
        mlp=None if behind is None else behind.info(asked.lookups, widths[0]),
        card=None if behind is None else behind.card,
        entries=tuple(entries),
    )


def row_errors(
    rows: NDArray[np.float32], read: NDArray[np.float32], counts: NDArray[np.int64]
) -> RowErrors:
    """Return errors of rows as they are read back.

    Parameters
    ----------
    rows, read : float32 (rows, width)
    counts : int64 (rows up to the last that is looked up,)
        How often each is looked up.
    """
    errors = normalised_errors(rows, read)
    return RowErrors(
        mean=float(errors.mean()),
        median=float(np.median(errors)),
        p99=float(np.quantile(errors, 0.99)),
        worst=float(errors.max()),
        worst_row=int(errors.argmax()),
        mean_of_lookups=float(errors[: len(counts)] @ counts / counts.sum()),
    )


def normalised_errors(rows: NDArray[np.float32], read: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return |row - read| / |row| of each row, float64 (rows,); of a row of zeros 0 or 1."""
    exact = rows.astype(np.float64)
    lost = np.linalg.norm(exact - read, axis=1)
    norms = np.linalg.norm(exact, axis=1)
    errors: NDArray[np.float64] = np.where(
        norms > 0, lost / np.where(norms > 0, norms, 1), (lost > 0).astype(np.float64)
    )
    return errors


def _entry(
    asked: Asked,
    format_: RowFormat,
    width: int,
    layout: Layout,
    runner: Runner,
    hardware: GatherHardware,
    errors: RowErrors,
) -> GatherEntry:
    dram, table = asked.accelerator.memory.dram, asked.table
    row_bytes = format_.row_bytes(width)
    placement = Placement(row_bytes, dram.burst_bytes, layout)
    shape = (table.height, width)
    program = Program.of(asked.lookups.rows, shape, placement, dram, asked.accelerator.gather)
    times = runner(program)
    bursts = program.moved_bursts
    moved = bursts * dram.burst_bytes
    actions = gather_actions(program.lookups, width, row_bytes, moved, times.page_misses)
    energy = None if asked.energy is None else gather_energy(actions, asked.energy.info)
    return GatherEntry(
        format=format_.spec,
        layout=layout,
        width=width,
        lookups=program.lookups,
        row_bytes=row_bytes,
        table_bytes=table.height * placement.stride_bytes,
        bursts=bursts,
        page_hits=times.page_hits,
        page_misses=times.page_misses,
        cycles=times.cycles,
        dequantise_cycles=program.lookups * program.dequantise_cycles,
        bounds=RateBounds.of(hardware, program.lookups, bursts, width),
        errors=errors,
        actions=actions,
        energy_pj=energy,
    )


def _formats(asked: Sequence[str | RowFormat]) -> list[RowFormat]:
    """Return the formats, each once. Raises InputError for two of one name."""
    named: dict[str, RowFormat] = {}
    for each in map(get_row_format, asked):
        if named.setdefault(each.spec, each) != each:
            raise InputError(f"row format {each.spec}: two have this name; expected one")
    return list(named.values())


def _widths(asked: Asked) -> Sequence[int]:
    for width in asked.widths:
        if not 1 <= width <= asked.table.width:
            raise InputError(
                f"width {width}: rows of {asked.table.name} have {asked.table.width} elements, "
                f"expected 1 to {asked.table.width}"
            )
    return tuple(dict.fromkeys(asked.widths)) or (asked.table.width,)


def _check_layouts(layouts: Sequence[str]) -> None:
    for layout in layouts:
        if layout not in LAYOUTS:
            raise InputError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")


def _runner(asked: Asked) -> Runner:
    if asked.engine not in ("fast", "event"):
        raise InputError(f"engine {asked.engine!r}: expected fast or event")
    if asked.engine == "fast":
        return recurrence.run
    lookups = len(asked.lookups.rows)
    if lookups > MOST_EVENT_LOOKUPS:
        raise InputError(
            f"engine event: {lookups:,} look-ups, expected at most {MOST_EVENT_LOOKUPS:,}; the "
            "fast engine gives the same"
        )
    from sparqsim.event import gather as event

    return event.run


@contextmanager
def _named(table: Table, format_: RowFormat) -> Iterator[None]:
    """Name table and format in what is raised about a row."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{table.name}, format {format_.spec}: {error}") from None


def _table_info(table: Table) -> GatherTable:
    return GatherTable(
        name=table.name,
        sha256=table.sha256,
        dtype=table.dtype,
        rows=table.height,
        width=table.width,
    )


def _lookups_info(lookups: Lookups) -> GatherLookups:
    return GatherLookups(
        source=lookups.source,
        sha256=lookups.sha256,
        synthetic=lookups.synthetic,
        seed=lookups.seed,
        lookups=len(lookups.rows),
        bags=lookups.bags,
        distinct_rows=lookups.distinct_rows,
    )
