"""A prediction as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sparqsim.base.errors import printable
from sparqsim.base.wording import counted
from sparqsim.cli.cells import new_table
from sparqsim.cli.show_iso import spread
from sparqsim.cli.tables import Shown, Table
from sparqsim.results.iso_area import SOURCE
from sparqsim.results.prediction import (
    BitOperations,
    DesignPrediction,
    LayerPrediction,
    PredictedTotals,
    Prediction,
)
from sparqsim.results.setting import note_lines, timing_notes

#: Bit operations are shown in millions.
MILLION = 1e6
CYCLES = ("predicted", "error\n%", "roofline", "error\n%", "simulated")
BIT_OPERATIONS = ("HCM\nMbitops", "UNIQ\nMbitops", "MACs\nx b x b\nM")


def prediction_shown(prediction: Prediction) -> Shown:
    """Return a table of designs, and one of layers for each design."""
    layers = [_layers_table(prediction, name) for name in prediction.order]
    return Shown(
        _heading(prediction),
        [_designs_table(prediction), *layers],
        "\n".join(_notes(prediction)),
        prediction.flat_rows,
        prediction.to_json,
    )


def _heading(prediction: Prediction) -> str:
    memory = prediction.memory
    around = "memory not modelled" if memory is None else f"memory {printable(memory.name)}"
    macs = sum(each.gemm.macs for each in prediction.designs[prediction.order[0]].layers)
    coverage = prediction.provenance.coverage.label(macs)
    source = prediction.provenance.source()
    return f"{source}: {prediction.array.words}, {around}, {coverage}"


def _designs_table(prediction: Prediction) -> Table:
    table = new_table(
        "design",
        *CYCLES,
        *BIT_OPERATIONS,
        "PE area\nx 8b8b",
        "HCM um2\nby b",
        "HCM um2\nby bitops",
        title="Whole network: predicted before, simulated after; areas of one PE",
    )
    for name in prediction.order:
        each = prediction.designs[name]
        varies = "~" if each.pe.cycles_depend_on_values else ""
        cells = [*_cycle_cells(each.totals), *_bit_cells(each.totals.bit_operations)]
        table.add_row(name + varies, *cells, *_area_cells(each))
    return table


def _layers_table(prediction: Prediction, name: str) -> Table:
    has_memory = prediction.memory is not None
    of_memory = ("MACs per\nDRAM bit",) if has_memory else ()
    table = new_table(
        "layer",
        *("predicted", "error\n%", "bound", "roofline", "error\n%", "bound", "simulated"),
        *of_memory,
        "bits",
        "HCM per\npixel",
        *BIT_OPERATIONS,
        title=printable(f"{name}, layer by layer"),
    )
    for layer in prediction.designs[name].layers:
        moved = [f"{layer.macs_per_dram_bit or 0:.2f}"] if has_memory else []
        table.add_row(
            printable(layer.name) + ("*" if layer.kept_8bit else ""),
            f"{layer.predicted_cycles:,}",
            f"{layer.error_percent:.1f}",
            layer.bound,
            f"{layer.roofline_cycles:,}",
            f"{layer.roofline_error_percent:.1f}",
            layer.roofline_bound,
            f"{layer.simulated_cycles:,}",
            *moved,
            f"{layer.activation_bits}x{layer.weight_bits}",
            f"{layer.hcm_per_pixel:,.0f}",
            *_bit_cells(layer.bit_operations),
        )
    return table


def _cycle_cells(totals: PredictedTotals) -> list[str]:
    return [
        f"{totals.predicted_cycles:,}",
        f"{totals.error_percent:.1f}",
        f"{totals.roofline_cycles:,}",
        f"{totals.roofline_error_percent:.1f}",
        f"{totals.simulated_cycles:,}",
    ]


def _bit_cells(counts: BitOperations) -> list[str]:
    """Return bit operations in millions, '-' where a form is not defined."""
    return [_millions(count) for count in (counts.hcm, counts.uniq, counts.product)]


def _millions(count: float | None) -> str:
    return "-" if count is None else f"{count / MILLION:,.2f}"


def _area_cells(design: DesignPrediction) -> list[str]:
    area = design.area
    fits = (area.hcm_by_bits_um2, area.hcm_by_bit_operations_um2)
    return [
        "-" if area.synthesised is None else spread(area.synthesised),
        *("-" if size is None else f"{size:.1f}" for size in fits),
    ]


def _notes(prediction: Prediction) -> list[str]:
    designs = [prediction.designs[name] for name in prediction.order]
    macs = sum(each.gemm.macs for each in designs[0].layers)
    lines = [
        *prediction.provenance.coverage.notes(macs),
        (
            "predicted: a lower bound, error = (predicted - simulated) / simulated. Bounds: "
            "compute (tiles with skew, loads and drains, each step at its least) or bandwidth "
            "(each used byte once over the DRAM channel). roofline: HCM's, all PEs at work in "
            "every cycle, or bandwidth. Not predicted: steps that values make longer, waiting, "
            "refetches, latency, ports of scratchpads."
        ),
        *_exact(prediction),
        (
            "Bit operations: HCM's and UNIQ's forms, and MACs x bits x bits; HCM's form is of one "
            "output pixel of a group (per pixel), times pixels and groups in the other column. "
            + _bits(prediction)
        ),
        (
            f"PE area: {SOURCE}, median (range), with its part of skew, edge units and control. "
            "HCM: published fits for a PE of 3x3 multipliers, TSMC 28 nm: another circuit; compare "
            "ratios, not sizes."
        ),
        *_without_area(prediction.designs),
        *_order_line(prediction),
        *note_lines(timing_notes(each.pe for each in designs)),
    ]
    kept = dict.fromkeys(layer.name for each in designs for layer in each.layers if layer.kept_8bit)
    if kept:
        lines.append(f"* kept at 8 bits ({prediction.kept}): {', '.join(map(printable, kept))}.")
    return lines


def _exact(prediction: Prediction) -> list[str]:
    """Return what must be known of errors that are 0 by construction."""
    if prediction.memory is not None:
        return []
    fixed = [
        name for name in prediction.order if not prediction.designs[name].pe.cycles_depend_on_values
    ]
    if not fixed:
        return []
    return [
        (
            f"{', '.join(fixed)}: shapes alone decide cycles, so the bound compute is the "
            "simulator's own closed form and exact by construction; only the roofline's error says "
            "anything."
        )
    ]


def _bits(prediction: Prediction) -> str:
    """Return whose bits were counted."""
    of_codes = [name for name in prediction.order if _of_codes(prediction.designs[name].layers)]
    told = "Bits are those that multipliers take"
    if not of_codes:
        return told + "."
    return f"{told}; of {', '.join(of_codes)}, and of layers kept in passes, those of the codes."


def _of_codes(layers: Sequence[LayerPrediction]) -> bool:
    return all(layer.bits_of == "codes" for layer in layers)


def _without_area(designs: Mapping[str, DesignPrediction]) -> list[str]:
    synthesised = {name: each.area.not_synthesised for name, each in designs.items()}
    fitted = {name: each.area.not_fitted for name, each in designs.items()}
    return [
        *(f"No area: {line}" for line in note_lines(_told(synthesised))),
        *(f"No fit of HCM: {line}" for line in note_lines(_told(fitted))),
    ]


def _told(reasons: Mapping[str, str]) -> dict[str, str]:
    return {name: printable(reason) for name, reason in reasons.items() if reason}


def _order_line(prediction: Prediction) -> list[str]:
    """Return on how many layers designs stand in the order of the simulation."""
    if len(prediction.order) == 1:
        return []
    counts = [
        sum(prediction.order_agrees(cycles=cycles))
        for cycles in ("predicted_cycles", "roofline_cycles")
    ]
    layers = counted(len(prediction.order_agrees()), "layer")
    return [
        (
            "Designs stand in the order of the simulation, ties included, on "
            f"{counts[0]} of {layers} by prediction and on {counts[1]} by the roofline."
        )
    ]
