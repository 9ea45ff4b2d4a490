"""From reports that differ in DRAM bandwidth to curves over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparqsim.analysis.bandwidth import BandwidthCurves
from sparqsim.base.errors import InputError
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.plot.reports import check_alike, chosen_baseline
from sparqsim.results.confounds import confound_notes
from sparqsim.results.report import Report, stated_coverage
from sparqsim.results.setting import timing_notes


def curves_of_bandwidth(reports: Sequence[Report], baseline: str | None = None) -> BandwidthCurves:
    """Return speedups against DRAM bandwidth, from reports that differ in it and in the design
    alone.

    Raises
    ------
    InputError
        For reports without memory, that differ in more, or of a single bandwidth; or where a design
        lacks one.
    """
    known = [(report, report.memory) for report in reports if report.memory is not None]
    runs = _by_design(known)
    chosen = chosen_baseline(runs, baseline)
    bandwidths = sorted(runs[chosen], key=lambda value: (value is None, value))
    cycles, starved = {}, {}
    for name, mine in runs.items():
        if set(mine) != set(bandwidths):
            raise InputError(
                f"--kind bandwidth: {name} ran at {len(mine)} DRAM bandwidths, the baseline "
                f"{chosen} at {len(bandwidths)}; expected the same"
            )
        cycles[name] = tuple(mine[at].cycles.total for at in bandwidths)
        starved[name] = mine[bandwidths[0]]
    first, memory = known[0]
    array_cycles = {name: _array_cycles(report) for name, report in starved.items()}
    by_values = {name: report.pe.cycles_depend_on_values for name, report in starved.items()}
    drawn = [report for report, _ in known]
    return BandwidthCurves(
        network=first.provenance.network,
        synthetic=first.provenance.synthetic,
        trace_sha256=first.provenance.trace_sha256,
        array=first.array,
        memory=memory,
        baseline=chosen,
        order=tuple(cycles),
        bandwidths=tuple(bandwidths),
        cycles=cycles,
        array_cycles=array_cycles,
        cycles_depend_on_values=by_values,
        timing_notes=timing_notes(report.pe for report in drawn),
        confound_notes=tuple(confound_notes([report.card for report in drawn], {"memory"})),
        coverage=stated_coverage(drawn),
        macs=first.totals.macs,
    )


def _by_design(known: Sequence[tuple[Report, MemoryInfo]]) -> dict[str, dict[Any, Report]]:
    """Return design -> DRAM bandwidth -> report, of reports that differ in nothing else."""
    if len({memory.dram.bandwidth_bytes_per_cycle for _, memory in known}) < 2:
        raise InputError(
            "--kind bandwidth: results of one DRAM bandwidth or none, expected several, or the "
            "JSON of `sparqsim bandwidth` (sparqsim.bandwidth/1)"
        )
    alike = [
        report.model_copy(update={"memory": _without_bandwidth(memory)}) for report, memory in known
    ]
    check_alike(alike, "bandwidth", "bandwidth")
    runs: dict[str, dict[Any, Report]] = {}
    for report, memory in known:
        runs.setdefault(report.pe.spec, {})[memory.dram.bandwidth_bytes_per_cycle] = report
    return runs


def _without_bandwidth(memory: Any) -> Any:
    """Return a memory without what the curves vary: the bandwidth, and its name."""
    dram = memory.dram.model_copy(update={"bandwidth_bytes_per_cycle": None})
    return memory.model_copy(update={"dram": dram, "name": ""})


def _array_cycles(report: Report) -> int:
    """Return the cycles the array would take without memory."""
    return report.cycles.total - report.cycles.memory_stall
