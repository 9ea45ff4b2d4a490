"""`sparqsim plot`: figures from saved results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparqsim.base.errors import InputError, nearest
from sparqsim.cli.options import Trust
from sparqsim.cli.plot_options import (
    OPTIONS,
    Baseline,
    Design,
    Figure,
    Kind,
    LayerName,
    Loss,
    NoNotes,
    NoTitle,
    Only,
    Operands,
    Results,
    Width,
    check_options,
    command_of,
)

if TYPE_CHECKING:
    from sparqsim.analysis.bandwidth import BandwidthCurves
    from sparqsim.analysis.heatmap import Heatmap
    from sparqsim.engine.assignment import Assignment
    from sparqsim.engine.models import EngineModel
    from sparqsim.results.comparison import Comparison
    from sparqsim.results.report import Report


def plot(
    results: Results,
    *,
    output: Figure,
    kind: Kind = "speedup",
    baseline: Baseline = None,
    pe: Design = None,
    trace: Operands = None,
    layer: LayerName = None,
    loss: Loss = None,
    only: Only = None,
    width: Width = None,
    no_title: NoTitle = False,
    no_notes: NoNotes = False,
    trust: Trust = False,
) -> None:
    """Draw a figure from results: speedups, where cycles went, busy PEs, error against speedup."""
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.plot_accuracy import is_record, plot_record
    from sparqsim.cli.plot_gather import plot_gather_record
    from sparqsim.cli.plot_search import is_search, plot_search_record
    from sparqsim.engine.assignment import file_of
    from sparqsim.plot import figure_format, plot_utilization

    options = {
        "baseline": baseline,
        "pe": pe,
        "trace": trace,
        "layer": layer,
        "loss": loss,
        "only": only or None,
    }
    check_options(kind, options)
    output = output if Path(output).suffix else f"{output}.svg"
    figure_format(output)
    check_outputs({"-o": output}, [*results, trace, file_of(pe)])
    named = _designs_of_file(pe, trust=trust)
    drawn = {
        **options,
        "trust": trust or None,
        "width": width,
        "no-title": no_title or None,
        "no-notes": no_notes or None,
    }
    how: dict[str, Any] = {
        "command": command_of(results, kind, drawn, output),
        "with_title": not no_title,
        "with_notes": not no_notes,
    }
    if width is not None:
        how["width"] = width
    if kind == "gather":
        plot_gather_record(results, output, how)
    elif "only" in OPTIONS[kind]:
        _plot_curves(results, kind, baseline, only or (), output, how)
    elif kind == "pareto" and is_search(results):
        plot_search_record(results, output, loss, baseline, how)
    elif kind == "pareto" and is_record(results, loss):
        plot_record(results, output, loss, baseline, how)
    elif kind == "utilization":
        report = _one_report(_loaded(results, kind), named.spec if named else pe)
        known = named.models if named else ()
        plot_utilization(_heatmap(report, trace, layer, known), output, **how)
    else:
        one = named.spec if named else pe
        _plot_results(_loaded(results, kind), kind, one, baseline, output, how)


def _loaded(results: list[str], kind: str) -> list[Comparison | Report]:
    from sparqsim.results.loading import load_result

    commands = (
        "`simulate`, `compare` or `accuracy`" if kind == "pareto" else "`simulate` or `compare`"
    )
    return [load_result(path, f"the -o of {commands}") for path in results]


def _designs_of_file(pe: str | None, *, trust: bool) -> Assignment | None:
    """Return what '@FILE.toml' or FILE.py:CLASS stands for; None for the name of a result."""
    from sparqsim.engine.assignment import assigned, file_of

    return None if pe is None or file_of(pe) is None else assigned(pe, trust=trust)


def _plot_results(
    results: list[Comparison | Report],
    kind: str,
    pe: str | None,
    baseline: str | None,
    output: str,
    how: Mapping[str, Any],
) -> None:
    from sparqsim.plot import plot_layers, plot_pareto, plot_speedup
    from sparqsim.results.loading import as_comparison

    if kind in {"roofline", "energy"}:
        from sparqsim.plot.energy import plot_energy
        from sparqsim.plot.roofline import plot_roofline

        of_all = plot_roofline if kind == "roofline" else plot_energy
        of_all(as_comparison(results), output, **how)
    elif kind == "layers":
        one = pe is not None or (len(results) == 1 and not hasattr(results[0], "reports"))
        plot_layers(
            _one_report(results, pe) if one else _comparison(results, kind, baseline),
            output,
            **how,
        )
    else:
        draw = plot_speedup if kind == "speedup" else plot_pareto
        draw(_comparison(results, kind, baseline), output, **how)


def _plot_curves(
    results: list[str],
    kind: str,
    baseline: str | None,
    only: Sequence[str],
    output: str,
    how: Mapping[str, Any],
) -> None:
    from sparqsim.plot.bandwidth import plot_bandwidth
    from sparqsim.plot.bandwidth_points import curves_of_bandwidth
    from sparqsim.plot.curves import plot_curves
    from sparqsim.plot.points import speedup_curves
    from sparqsim.plot.reports import load_reports

    if kind == "bandwidth" and _is_bandwidth(results[0]):
        plot_bandwidth(_bandwidth_curves(results, baseline, only), output, **how)
        return
    commands = ("`simulate`", "`compare`", "`sweep`", "`bandwidth`")[
        : 4 if kind == "bandwidth" else 3
    ]
    expected = f"the -o of {', '.join(commands[:-1])} or {commands[-1]}"
    reports, compared_with = load_reports(results, only, expected)
    if kind == "adc":
        from sparqsim.plot.adc import plot_adc
        from sparqsim.plot.adc_points import converter_points

        plot_adc(converter_points(reports), output, **how)
        return
    baseline = baseline or compared_with
    if kind == "bandwidth":
        plot_bandwidth(curves_of_bandwidth(reports, baseline), output, **how)
    else:
        plot_curves(speedup_curves(reports, kind, baseline), output, **how)


def _is_bandwidth(path: str) -> bool:
    """Return whether a file is the JSON of `sparqsim bandwidth`."""
    from sparqsim.results.filekinds import is_of_schema

    return is_of_schema(path, "sparqsim.bandwidth")


def _bandwidth_curves(
    results: list[str], baseline: str | None, only: Sequence[str]
) -> BandwidthCurves:
    from sparqsim.analysis.bandwidth import BandwidthCurves

    if len(results) != 1:
        raise InputError(
            f"--kind bandwidth: {len(results)} files, expected one, the JSON of `sparqsim "
            "bandwidth`"
        )
    if baseline is not None or only:
        raise InputError(
            f"{results[0]}: curves of `sparqsim bandwidth` have their baseline and designs, "
            "expected neither --baseline nor --only"
        )
    return BandwidthCurves.load(results[0])


def _comparison(results: list[Comparison | Report], kind: str, baseline: str | None) -> Comparison:
    from sparqsim.results.loading import as_comparison

    comparison = as_comparison(results, baseline)
    if len(comparison.order) < 2:
        raise InputError(
            f"--kind {kind}: the results hold one design, {comparison.order[0]}; expected a "
            "comparison or at least two reports"
        )
    return comparison


def _one_report(results: list[Comparison | Report], pe: str | None) -> Report:
    """Return the only report, or that of the design `pe`."""
    from sparqsim.results.loading import as_comparison

    reports = as_comparison(results).reports
    if pe is None and len(reports) > 1:
        raise InputError(
            f"the results hold {len(reports)} designs, expected --pe with one of "
            f"{', '.join(reports)}"
        )
    name = next(iter(reports)) if pe is None else pe
    if name not in reports:
        raise InputError(
            f"--pe {name!r} is not in the results{nearest(name, reports)}; "
            f"expected one of {', '.join(reports)}"
        )
    return reports[name]


def _heatmap(
    report: Report, trace: str | None, layer: str | None, named: Sequence[EngineModel]
) -> Heatmap:
    """Return the heat map; `named`: designs that the user gave a file of."""
    import sparqsim
    from sparqsim.analysis.heatmap import heatmap

    if trace is None:
        raise InputError(
            "--kind utilization: a report holds no operands, expected --trace with the trace it "
            "was made from"
        )
    return heatmap(report, sparqsim.load_trace(trace), layer, known=named)
