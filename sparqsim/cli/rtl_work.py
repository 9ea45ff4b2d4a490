"""What `sparqsim rtl` does and prints."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError, nearest
from sparqsim.base.wording import counted
from sparqsim.cli import records
from sparqsim.cli.cells import new_table
from sparqsim.cli.tables import Shown
from sparqsim.pe import get_pe
from sparqsim.pe.registry import designs
from sparqsim.rtl import area
from sparqsim.rtl.accumulator import USUAL_K, Accumulator, least_bits, unit_of
from sparqsim.rtl.area import ArrayAreas
from sparqsim.rtl.check import MismatchError
from sparqsim.rtl.designs import REASONS, circuit_of
from sparqsim.rtl.measure import area_text, measured_table, runs_of, shipped_runs
from sparqsim.rtl.structure import Structure
from sparqsim.rtl.synthesis import libraries
from sparqsim.rtl.trials import largest_sums, random_trials, run_tile
from sparqsim.trace import Layer, Trace, load_trace


def check_design(name: str, shape: str, steps: int, seed: int, accumulator: Accumulator) -> bool:
    """Check a design in every dataflow, coupling and overlap; say what was compared."""
    design, array = get_pe(name), ArrayConfig.parse(shape)
    circuit_of(design)
    compared = 0
    trials = random_trials(
        design, array.rows, array.cols, steps=steps, seed=seed, accumulator=accumulator
    )
    try:
        for trial in trials:
            compared += trial.checked.comparisons
            m, k, n = trial.size
            a, w = trial.bits
            bits = "" if a == w == 8 else f" of {a}-bit activations and {w}-bit weights"
            typer.echo(
                f"{trial.array}: {m}x{k}x{n}{bits}, {counted(trial.checked.cycles, 'cycle')}, "
                f"{counted(trial.checked.comparisons, 'sum')} equal"
            )
        large = largest_sums(design, accumulator)
    except MismatchError as error:
        typer.echo(f"MISMATCH {error}")
        return False
    compared += large.checked.comparisons
    unit = _units(unit_of(design))
    typer.echo(
        f"{large.array}: the largest operands, {large.checked.comparisons:,} equal sums up to "
        f"{large.largest_sum:,}, {unit} in {accumulator.bits} bits"
    )
    typer.echo(
        f"{design.spec}: RTL and simulator agree: {compared:,} PE sums x cycles, all "
        "results, all cycles"
    )
    return True


def _units(unit: int) -> str:
    return "counted" if unit == 1 else f"counted in units of {unit}"


def simulate_tile(
    path: str, layer_name: str, tile: int, name: str, array: ArrayConfig, *, output: str
) -> bool:
    """Run one tile in RTL and in the simulator, and keep the waveform."""
    design, layer = get_pe(name), _layer_named(load_trace(path), layer_name, path)
    try:
        run = run_tile(layer, design, array, output, tile)
    except MismatchError as error:
        typer.echo(f"MISMATCH {error}")
        return False
    typer.echo(
        f"{layer_name}, tile {tile} of {run.tiles}: {design.spec} on {array} takes "
        f"{counted(run.cycles, 'cycle')}; "
        f"RTL and simulator agree in {counted(run.compared, 'comparison')}; waveform in {output}"
    )
    return True


def _layer_named(trace: Trace, name: str, path: str) -> Layer:
    for layer in trace.layers:
        if layer.name == name:
            return layer
    names = [layer.name for layer in trace.layers]
    raise InputError(
        f"{path}: has no layer {name!r}{nearest(name, names)}; expected one of {', '.join(names)}"
    )


def area_table(
    liberty: Sequence[str], measure: bool, areas: str | None, one: Structure | None
) -> Mapping[str, Any]:
    """Return the table that ships or is named, or synthesise one: of the structure `one`, or all
    rows of the shipped table.
    """
    if not liberty and not measure:
        return area.shipped_table() if areas is None else area.load_table(areas)
    if areas is not None:
        raise InputError("--areas: what is measured needs no table; expected --measure or --areas")
    chosen = libraries(*liberty)
    runs = shipped_runs(chosen) if one is None else runs_of(one, chosen)
    return measured_table(runs, synthesis_progress)


def synthesis_progress(runs: Sequence[Any]) -> Iterable[Any]:
    """Show how far a measurement is, on a terminal."""
    from rich.console import Console
    from rich.progress import track

    return track(
        runs,
        "syntheses",
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def designs_without_area(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the designs of the package that the table has no area of, each with the reason."""
    measured = table["rows"][0]["designs"]
    return {name: _why_no_area(name) for name in designs() if name not in measured}


def _why_no_area(name: str) -> str:
    try:
        circuit_of(get_pe(name))
    except InputError:
        return f"no RTL here ({REASONS[name]})" if name in REASONS else "no RTL here"
    return "not in this table"


def _left_out_lines(table: Mapping[str, Any]) -> list[str]:
    """Return a line for each reason for which designs are left out."""
    names: dict[str, list[str]] = {}
    for name, reason in designs_without_area(table).items():
        names.setdefault(reason, []).append(name)
    return [f"Left out, {reason}: {', '.join(each)}." for reason, each in names.items()]


def areas_shown(table: Mapping[str, Any], areas: ArrayAreas) -> Shown:
    """Return ranges over the rows of one array, then the rows' sources."""
    rows = areas.rows
    shown = new_table(
        "design",
        "PE",
        "per MAC\nx mac-8b8b",
        "per MAC\nx mac-2x8b8b",
        "edge\nunits %",
        "acc\nbits",
        "least\nbits",
        title="Relative area: median (range) of "
        f"{counted(len(rows), 'combination')}, {areas.array}",
    )
    for name in sorted(rows[0]["designs"]):
        share = areas.trim_unit_share(name).scaled(100)
        shown.add_row(
            name,
            str(areas.relative_pe_area(name)),
            *(str(areas.relative_area_per_mac(name, base)) for base in area.BASELINES),
            f"{share.low:.1f}-{share.high:.1f}" if share.high else "-",
            str(areas.acc_bits(name)),
            str(least_bits(get_pe(name))),
        )
    notes = [
        table["label"],
        (
            "PE: the array's area over that of mac-8b8b's, edges, skew and control included. Per "
            "MAC: at 8 bits; where values decide how long a step takes (sparq-exact, pragmatic), "
            "at the peak of one step per cycle. Edge units: trim units and the registers behind "
            f"them. Least: bits of accumulators that cannot overflow at K = {USUAL_K}."
        ),
        *_kept_lines(areas),
    ]
    notes += _left_out_lines(table)
    notes += [
        f"{key}: " + "; ".join(dict.fromkeys(row[key] for row in rows))
        for key in ("library", "flow", "tool")
    ]
    return Shown(
        "",
        [shown],
        "\n".join(notes),
        lambda: records.of_areas(areas, designs_without_area(table)),
        lambda: area_text(table),
    )


def _kept_lines(areas: ArrayAreas) -> list[str]:
    """Return a line for each design whose area lacks what layers kept at 8 bits need."""
    return [
        f"Layers kept at 8 bits, {name}: not in the area, {needs}."
        for name, needs in areas.kept.items()
        if needs
    ]
