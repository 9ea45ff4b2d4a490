"""Gathers from an embedding table on the page: bytes, bursts, rates, errors, energy, shares."""

from __future__ import annotations

from collections.abc import Iterator

from sparqsim.base.wording import counted
from sparqsim.html.actions import explained
from sparqsim.html.cells import Cell, Column, Table, count, decimal, share
from sparqsim.html.definitions import meaning
from sparqsim.html.figures import Drawing, optional
from sparqsim.html.summary import Number, Piece
from sparqsim.plot.gather import plot_gather
from sparqsim.results.gather_report import GatherEntry, GatherReport

PER_THOUSAND = 1000
#: What stands where something is not known, or not limited.
UNKNOWN, NO_LIMIT = "not known", "no limit"
NAMED = (
    Column("format", "gather.format", text=True),
    Column("layout", "gather.layout", text=True),
    Column("elements", "gather.width"),
)


def gather_tables(report: GatherReport) -> Iterator[Table]:
    """Yield what gathers take, what they lose, what they cost, and their share beside a network."""
    yield _rates(report)
    yield _errors(report)
    if report.energy is not None:
        yield _energies(report)
    if report.mlp is not None:
        yield _shares(report)


def _named(each: GatherEntry) -> tuple[Cell, ...]:
    return Cell(each.format), Cell(each.layout), count(each.width)


def _rates(report: GatherReport) -> Table:
    columns = (
        *NAMED,
        Column("a row (bytes)", "gather.row_bytes"),
        Column("table (% of fp32)", "gather.share_of_fp32"),
        Column("a look-up (bursts)", "gather.bursts_per_lookup"),
        Column("pages found open (%)", "gather.pages_open"),
        Column("bound (per 1000 cycles)", "gather.bound"),
        Column("bound by", "gather.bound_by", text=True),
        Column("reached (per 1000 cycles)", "gather.lookups_per_cycle"),
        Column("cycles", "gather.cycles"),
    )
    rows = []
    for each in report.entries:
        limit, bound = each.bounds.tightest
        stretches = each.page_hits + each.page_misses
        rows.append(
            (
                *_named(each),
                count(each.row_bytes),
                decimal(100 * report.share_of_reference(each)),
                decimal(each.bursts_per_lookup, 3),
                share(each.page_hits / stretches if stretches else None),
                decimal(PER_THOUSAND * bound),
                Cell(limit),
                decimal(PER_THOUSAND * each.lookups_per_cycle),
                count(each.cycles),
            )
        )
    return Table("Bytes, bursts and look-ups", columns, tuple(rows))


def _errors(report: GatherReport) -> Table:
    names = ("mean", "median", "p99", "worst", "worst_row", "mean_of_lookups")
    labels = ("mean", "median", "99th percentile", "worst", "worst row", "mean of look-ups")
    columns = (
        NAMED[0],
        NAMED[2],
        *(Column(label, f"row_errors.{name}") for label, name in zip(labels, names, strict=True)),
    )
    seen: dict[tuple[str, int], tuple[Cell, ...]] = {}
    for each in report.entries:  # the same in every layout
        values = each.errors.model_dump()
        cells = (
            count(values[name]) if name == "worst_row" else decimal(values[name], 5)
            for name in names
        )
        seen[each.format, each.width] = (Cell(each.format), count(each.width), *cells)
    return Table("Error: |row - as read back| / |row|", columns, tuple(seen.values()))


def _energies(report: GatherReport) -> Table:
    columns = (
        *NAMED,
        Column("a look-up (pJ)", "gather_energy.per_lookup"),
        Column("DRAM (pJ)", "gather_energy.dram"),
        Column("row buffers (pJ)", "gather_energy.row_buffers"),
    )
    rows = []
    for each in report.entries:
        energy = each.energy_pj
        if energy is not None:
            parts = (energy.total, energy.dram, energy.row_buffers)
            rows.append((*_named(each), *(decimal(part / each.lookups, 1) for part in parts)))
    told = [] if report.energy is None else [report.energy.words, *report.energy.remarks]
    return Table("Energy of a look-up, mean", columns, tuple(rows), note=" ".join(told))


def _shares(report: GatherReport) -> Table:
    columns = (
        *NAMED,
        Column("gathers (cycles)", "gather.input_cycles"),
        Column("network (cycles)", "network_behind.input_cycles"),
        Column("gathers of both (%)", "gather.share"),
    )
    rows = tuple(
        (
            *_named(each),
            decimal(each.cycles / report.mlp.inputs, 1),
            decimal(each.mlp.input_cycles, 1),
            share(report.gather_share(each)),
        )
        for each in report.entries
        if report.mlp is not None and each.mlp is not None
    )
    note = "One after the other: that they overlap is not simulated."
    return Table("Cycles of one input", columns, rows, note=note)


def gather_actions_table(report: GatherReport) -> Table:
    """Return what was done that costs energy: an action a column."""
    units = {name: action.unit for name, action in sorted(report.entries[0].actions.items())}
    columns = (
        *NAMED,
        *(
            Column(f"{name} ({unit})", f"actions.{name}", said=explained(name))
            for name, unit in units.items()
        ),
    )
    rows = tuple(
        (*_named(each), *(count(each.actions[name].count) for name in units))
        for each in report.entries
    )
    return Table("Actions that cost energy", columns, rows, wide=True)


def gather_summary(report: GatherReport) -> list[Piece]:
    """Say what was looked up, and what the fastest format gains over the first."""
    lookups = report.lookups
    width = max(each.width for each in report.entries)
    first, *others = (each for each in report.entries if each.width == width)
    fastest = max([first, *others], key=lambda each: each.lookups_per_cycle)
    drawn = f" The look-ups are SYNTHETIC: {lookups.synthetic}." if lookups.synthetic else ""
    pieces: list[Piece] = [
        f"{report.table.name}: {report.table.rows:,} rows of {report.table.width} elements, ",
        Number(counted(lookups.lookups, "look-up"), "gather_lookups.lookups"),
        " of ",
        Number(counted(lookups.distinct_rows, "row"), "gather_lookups.distinct_rows"),
        f" ({lookups.source}), pooled to ",
        Number(counted(lookups.bags, "vector"), "gather_lookups.bags"),
        f".{drawn} ",
    ]
    if fastest.lookups_per_cycle > first.lookups_per_cycle:
        gain = fastest.lookups_per_cycle / first.lookups_per_cycle
        fewer = first.row_bytes / fastest.row_bytes
        pieces += [
            f"Of {width} elements {fastest.format}, {fastest.layout}, is looked up fastest: ",
            Number(f"{gain:.2f}", "gather.gain"),
            f" times as fast as {first.format}, {first.layout}, whose rows have ",
            Number(f"{fewer:.2f}", "gather.row_bytes"),
            " times the bytes.",
        ]
    return pieces


def gather_drawings(report: GatherReport, prefix: str) -> Iterator[Drawing]:
    """Yield the figure of bytes, bursts and rate over width, where there are several widths."""
    if len({each.width for each in report.entries}) > 1:
        yield from optional(
            "Bytes, bursts and rate over the width of a row",
            "A line for each format; short bars: bounds.",
            ("gather.row_bytes", "gather.bursts_per_lookup", "gather.lookups_per_cycle"),
            f"{prefix}-gather",
            lambda: plot_gather(report),
        )


def gather_settings(report: GatherReport) -> Table:
    """Return the channel and the unit: setting, value, meaning."""
    hardware, rows = report.hardware.model_dump(), []
    for name, value in hardware.items():
        if name == "name":
            continue
        record = "dram" if name.startswith(("bandwidth", "latency", "burst")) else "gather_unit"
        absent = UNKNOWN if name == "clock_mhz" else NO_LIMIT
        shown = absent if value is None else f"{value:g}" if isinstance(value, float) else value
        rows.append((name.replace("_", " "), str(shown), meaning(f"{record}.{name}")))
    columns = (
        Column("setting", "", text=True),
        Column("value", "", text=True),
        Column("meaning", "", text=True),
    )
    cells = tuple(tuple(Cell(text) for text in row) for row in rows)
    return Table(f"Channel and gather unit: {report.hardware.name}", columns, cells)


def gather_provenance(report: GatherReport) -> list[tuple[str, str]]:
    """Return what made the results."""
    lookups, mlp = report.lookups, report.mlp
    rows = [
        ("table", report.table.name),
        ("table SHA-256", report.table.sha256),
        ("elements of the file", report.table.dtype),
        ("look-ups", lookups.source),
        ("look-ups SHA-256", lookups.sha256),
        ("pooled by", report.pool),
    ]
    if lookups.synthetic:
        rows.append(("look-ups", f"SYNTHETIC: {lookups.synthetic}"))
    if mlp is not None:
        rows += [
            ("network behind", f"{mlp.trace}, {counted(mlp.layers, 'layer')}"),
            ("network's trace SHA-256", mlp.trace_sha256),
            ("network runs on", f"{mlp.design}, {mlp.array.words}"),
        ]
    return [*rows, ("sparqsim version", report.version), ("sparqsim engine", report.engine)]
