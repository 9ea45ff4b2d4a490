"""What `sparqsim rtl` does and prints."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np
import typer

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import dataflow_names, get_dataflow
from sparqsim.base.errors import InputError, nearest
from sparqsim.base.wording import counted
from sparqsim.cli import records
from sparqsim.cli.cells import new_table
from sparqsim.cli.options import array_config
from sparqsim.cli.tables import Shown
from sparqsim.pe import PEDesign, get_pe
from sparqsim.pe.registry import designs
from sparqsim.rtl import area
from sparqsim.rtl.check import MismatchError, check_gemm, compare, rtl_activity, simulated_activity
from sparqsim.rtl.designs import circuit_of
from sparqsim.rtl.synthesis import libraries, measured_table, table_text
from sparqsim.rtl.tiles import FLOWS, circuit_flow, cut
from sparqsim.trace import Layer, Trace, load_trace

#: A sum that takes more than 24 bits.
LARGE_SUM = 1 << 24


def check_design(name: str, shape: str, steps: int, seed: int) -> bool:
    """Check a design in every dataflow, lockstep and elastic, overlapped and not; say what was compared."""
    design, rng = get_pe(name), np.random.default_rng(seed)
    circuit_of(design)
    circuits = [name for name in dataflow_names() if get_dataflow(name).roles in FLOWS]
    compared = 0
    for coupling, dataflow, overlap in product(("lockstep", "elastic:2"), circuits, ("off", "on")):
        array = array_config(shape, dataflow, coupling, overlap)
        m, k, n = _random_sizes(rng, design, array, steps)
        x = (rng.integers(0, 256, (m, k)) * (rng.random((m, k)) < 0.6)).astype(np.uint8)
        try:
            checked = check_gemm(design, array, x, rng.integers(-128, 128, (k, n)).astype(np.int8))
        except MismatchError as error:
            typer.echo(f"MISMATCH {error}")
            return False
        compared += checked.comparisons
        typer.echo(
            f"{array}: {m}x{k}x{n}, {counted(checked.cycles, 'cycle')}, "
            f"{counted(checked.comparisons, 'sum')} equal"
        )
    try:
        compared += _check_large_sums(design)
    except MismatchError as error:
        typer.echo(f"MISMATCH {error}")
        return False
    typer.echo(
        f"{design.spec}: RTL and simulator agree: {compared:,} PE sums x cycles, all results, all cycles"
    )
    return True


def _check_large_sums(design: PEDesign) -> int:
    """Check sums that random operands do not reach, beyond 24 bits either way; return the comparisons made."""
    steps = -(-LARGE_SUM // (128 * 127 * design.multipliers))
    x = np.full((1, steps * design.lanes), 255, np.uint8)
    w = np.stack([np.full(x.size, 127), np.full(x.size, -128)], axis=1).astype(np.int8)
    array = ArrayConfig(rows=1, cols=2)
    checked = check_gemm(design, array, x, w)
    typer.echo(
        f"{array}: the largest operands, {checked.comparisons:,} equal sums up to "
        f"{int(np.abs(design.matmul(x, w)).max()):,}"
    )
    return checked.comparisons


def _random_sizes(
    rng: np.random.Generator, design: PEDesign, array: ArrayConfig, steps: int
) -> tuple[int, int, int]:
    """Return (M, K, N) of up to four tiles, ragged, with `steps` streamed; K odd where lanes allow."""
    along_rows, along_cols = (
        side + int(rng.integers(0, side + 1)) for side in (array.rows, array.cols)
    )
    roles = get_dataflow(array.dataflow).roles
    size = dict(zip(roles, (steps, along_rows, along_cols), strict=True))
    return size["m"], max(size["s"] * design.lanes - 1, 1), size["n"]


def simulate_tile(
    path: str, layer_name: str, tile: int, name: str, array: ArrayConfig, *, output: str
) -> bool:
    """Run one tile in RTL and in the simulator, and keep the waveform."""
    from sparqsim.base.files import replaced

    design, layer = get_pe(name), _layer_named(load_trace(path), layer_name, path)
    circuit_of(design, signed=layer.signed)
    circuit_flow(array.dataflow)
    lowered = layer.lower()
    tiles = cut(design, array, lowered.rows()[0], lowered.weights[0])
    if tile >= len(tiles):
        raise InputError(
            f"--tile {tile}: layer {layer_name!r} has {counted(len(tiles), 'tile')} on {array}; "
            f"expected 0 to {len(tiles) - 1}"
        )
    tile_alone, tile_count = tiles.only(tile), len(tiles)
    simulated, plan = simulated_activity(design, array, tile_alone)
    with replaced(output) as temporary:
        shown = rtl_activity(
            design, array, tile_alone, plan, cycles=len(simulated.advance) + 1, wave=str(temporary)
        )
    try:
        compare(simulated, shown, f"{design.spec} on {array}")
    except MismatchError as error:
        typer.echo(f"MISMATCH {error}")
        return False
    typer.echo(
        f"{layer_name}, tile {tile} of {tile_count}: {design.spec} on {array} takes "
        f"{counted(shown.cycles, 'cycle')}; "
        f"RTL and simulator agree in {counted(simulated.psums.size, 'comparison')}; waveform in {output}"
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


def area_table(liberty: str | None, measure: bool) -> Mapping[str, Any]:
    """Return the table that ships, or synthesise one."""
    if liberty is None and not measure:
        return area.shipped_table()
    return measured_table(libraries(liberty), _synthesis_progress)


def _synthesis_progress(runs: list[Any]) -> Iterable[Any]:
    from rich.console import Console
    from rich.progress import track

    return track(
        runs,
        "libraries x flows",
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def designs_without_area(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the designs of the package that the table has no area of, each with the reason."""
    measured = table["rows"][0]["pe"]
    return {name: _why_no_area(name) for name in designs() if name not in measured}


def _why_no_area(name: str) -> str:
    try:
        circuit_of(get_pe(name))
    except InputError:
        return "no RTL here"
    return "not in this table"


def _left_out_lines(table: Mapping[str, Any]) -> list[str]:
    """Return a line for each reason for which designs are left out."""
    names: dict[str, list[str]] = {}
    for name, reason in designs_without_area(table).items():
        names.setdefault(reason, []).append(name)
    return [f"Left out, {reason}: {', '.join(each)}." for reason, each in names.items()]


def areas_shown(table: Mapping[str, Any], cols: int) -> Shown:
    """Return ranges over the table's rows, then the rows' sources."""
    rows = table["rows"]
    shown = new_table(
        "design",
        "PE",
        "per MAC\nx mac-8b8b",
        "per MAC\nx mac-2x8b8b",
        "trim\nunit %",
        title=f"Relative area: median (range) of {counted(len(rows), 'combination')}, "
        f"{counted(cols, 'column')} to a trim unit",
    )
    for name in rows[0]["pe"]:
        share = area.trim_unit_share(name, cols, table).scaled(100)
        shown.add_row(
            name,
            str(area.relative_pe_area(name, cols=cols, table=table)),
            *(str(area.relative_area_per_mac(name, base, cols, table)) for base in area.BASELINES),
            f"{share.low:.1f}-{share.high:.1f}" if share.high else "-",
        )
    notes = [
        table["label"],
        "PE: over mac-8b8b's. Per MAC: at the peak of one step per cycle (sparq-exact may need two).",
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
        lambda: records.of_areas(table, cols, designs_without_area(table)),
        lambda: table_text(table),
    )
