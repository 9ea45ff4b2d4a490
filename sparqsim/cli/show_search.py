"""What `sparqsim search` shows: the bits chosen, layer by layer, and the front."""

from __future__ import annotations

from sparqsim.base.errors import printable
from sparqsim.base.wording import counted
from sparqsim.cli.tables import Shown, Table
from sparqsim.results.search_cost import amount
from sparqsim.results.search_report import SearchReport, SearchTrial


def search_shown(report: SearchReport) -> Shown:
    """Return the bits chosen, layer by layer, and the front."""
    best, default = report.best, report.default
    layers = Table(
        f"chosen: {best.total_bits} of {default.total_bits} bits summed over edges",
        ["layer", "activation\nbits", "weight\nbits"],
        text=True,
    )
    for name, bits in report.layer_bits(best).items():
        layers.add_row(printable(name), *map(str, bits))
    what = "as the reference" if report.objective == "agree" else "by their labels"
    notes = [
        f"Answered well: {what} ({report.reference}).",
        f"Method {report.method}: {report.method_words}.",
        f"Hardware: {report.hardware}.",
        (
            f"Cycles of {counted(report.traced_pictures, 'picture')}, {report.array.words}; scales "
            f"from {counted(report.calibration_pictures, 'other picture')}."
        ),
        *_of_costs(report),
    ]
    return Shown(
        printable(
            f"{report.network}: {counted(len(report.trials), 'trial')} of "
            f"{counted(len(report.edges), 'edge')} under {report.design}"
        ),
        [layers, _front(report)],
        "\n".join(map(printable, notes)),
        report.flat_rows,
        report.to_json,
    )


def _front(report: SearchReport) -> Table:
    """Return the front, with what each of its points takes."""
    columns = {"cycles": "cycles", "energy_nj": "energy (nJ)", "time_us": "time (us)"}
    rows = [_amounts(report, trial) for trial in report.front]
    shown = [name for name in columns if rows[0][name]]
    table = Table(
        f"front: no other trial is better in both answers and {report.cost}",
        [
            "bits of edges",
            "pictures\nanswered well",
            *(columns[name] for name in shown),
            f"{report.cost}\nsaved (x)",
            "chosen",
        ],
        text=True,
    )
    for trial, amounts in zip(report.front, rows, strict=True):
        table.add_row(
            " ".join(map(str, trial.bits)),
            f"{report.quality(trial)} of {report.pictures}",
            *(amounts[name] for name in shown),
            f"{report.gain(trial):.2f}",
            "yes" if trial == report.best else "",
        )
    return table


def _amounts(report: SearchReport, trial: SearchTrial) -> dict[str, str]:
    """Return what a trial takes, as text; '' for what is not known."""
    energy = amount("energy", trial.cycles, trial.energy_pj, None)
    time = amount("time", trial.cycles, None, report.period_ns)
    return {
        "cycles": f"{trial.cycles:,}",
        "energy_nj": "" if energy is None else f"{energy:,.4g}",
        "time_us": "" if time is None else f"{time:,.4g}",
    }


def _of_costs(report: SearchReport) -> list[str]:
    """Return what to know of times and energies."""
    notes = []
    if report.period_ns is not None:
        notes.append(f"Time: at the design's own shortest clock period, {report.period_ns:g} ns.")
    if report.energy is not None:
        notes.append(
            f"Energy: of the array, by the fast model, table {report.energy.table}; "
            f"{' '.join(report.energy.remarks)}"
        )
    return notes
