"""`sparqsim plot`: figures from saved results."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparqsim.cli.completion import one_of
from sparqsim.errors import InputError, nearest

if TYPE_CHECKING:
    from sparqsim.heatmap import Heatmap
    from sparqsim.memory.curves import BandwidthCurves
    from sparqsim.pe import PEDesign
    from sparqsim.report import Comparison, Report

#: The options each kind of figure takes, beside those that all take.
OPTIONS = {
    "speedup": ("baseline",),
    "layers": ("baseline", "pe"),
    "utilization": ("pe", "trace", "layer"),
    "pareto": ("baseline", "loss"),
    "roofline": (),
    "bandwidth": ("baseline", "only"),
    "array-size": ("baseline", "only"),
    "k": ("baseline", "only"),
    "zero-fraction": ("baseline", "only"),
}

Results = Annotated[
    list[str],
    typer.Argument(
        metavar="REPORT...",
        help="JSON of `simulate` or `compare`, several are put together; for curves also stores of "
        "`sweep`.",
    ),
]
Figure = Annotated[
    str,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="The figure: .svg, .pdf or .png; .svg is added to a name without a suffix.",
    ),
]
Kind = Annotated[
    str,
    typer.Option(
        "--kind",
        metavar="KIND",
        autocompletion=one_of(*OPTIONS),
        help="speedup: bars and error by layer. layers: where cycles went. utilization: how busy each PE was (needs "
        "--trace). pareto: error against speedup, or (with the JSON of `accuracy`) answers lost. "
        "roofline: attained MACs per cycle against MACs per DRAM byte "
        "(results with memory). bandwidth: speedup against DRAM bandwidth (the JSON of `sparqsim bandwidth`, or "
        "results that differ in it). array-size, k, zero-fraction: speedup against PEs, K, zero activations (sweep "
        "stores, or results that differ in it).",
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="NAME",
        help="Design that has speedup 1. Default: the comparison's.",
        show_default=False,
    ),
]
Design = Annotated[
    str | None,
    typer.Option(
        "--pe",
        metavar="NAME",
        help="The one design of a comparison to draw (layers, utilization); FILE.py:CLASS for utilization of one of "
        "your own: no file runs because a result names it.",
        show_default=False,
    ),
]
Operands = Annotated[
    str | None,
    typer.Option(
        "--trace",
        metavar="TRACE",
        help="The trace the report was made from (utilization).",
        show_default=False,
    ),
]
LayerName = Annotated[
    str | None,
    typer.Option(
        "--layer",
        metavar="NAME",
        help="One layer (utilization); all of them if absent.",
        show_default=False,
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(
        "--loss",
        metavar="top1|top5|agree",
        show_default=False,
        help="What the designs of an accuracy record lose (pareto). Default: top1, or agree without labels.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="KEY=VALUE",
        help="Of a store's results (curves) only these: trace (the network's name), pe, "
        "array, dataflow, coupling, overlap, memory, keep_8bit; may be repeated.",
        show_default=False,
    ),
]
Width = Annotated[
    str | None,
    typer.Option(
        "--width",
        metavar="column|page",
        help="Width in a two-column paper. Default: column for pareto, else page.",
        show_default=False,
    ),
]
NoTitle = Annotated[
    bool,
    typer.Option(
        "--no-title",
        help="Leave out the words above the figure, for a caption of your own; the file's metadata keeps them.",
    ),
]
NoNotes = Annotated[
    bool,
    typer.Option(
        "--no-notes",
        help="Leave out the notes below the figure; the file's metadata keeps them.",
    ),
]


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
) -> None:
    """Draw a figure from results: speedups, where cycles went, busy PEs, error against speedup."""
    from sparqsim.cli.plot_accuracy import is_record, plot_record
    from sparqsim.errors import design_file
    from sparqsim.files import check_outputs
    from sparqsim.pe import get_pe
    from sparqsim.plot import (
        figure_format,
        plot_layers,
        plot_pareto,
        plot_speedup,
        plot_utilization,
    )
    from sparqsim.results import as_comparison, load_result

    options = {
        "baseline": baseline,
        "pe": pe,
        "trace": trace,
        "layer": layer,
        "loss": loss,
        "only": only or None,
    }
    _check_options(kind, options)
    output = output if Path(output).suffix else f"{output}.svg"
    figure_format(output)
    check_outputs({"-o": output}, [*results, trace, pe and design_file(pe)])
    drawn = {**options, "width": width, "no-title": no_title or None, "no-notes": no_notes or None}
    how: dict[str, Any] = {
        "command": _command(results, kind, drawn, output),
        "with_title": not no_title,
        "with_notes": not no_notes,
    }
    if width is not None:
        how["width"] = width
    if "only" in OPTIONS[kind]:
        _plot_curves(results, kind, baseline, only or (), output, how)
        return
    if kind == "pareto" and is_record(results, loss):
        plot_record(results, output, loss, baseline, how)
        return
    commands = (
        "`simulate`, `compare` or `accuracy`" if kind == "pareto" else "`simulate` or `compare`"
    )
    loaded = [load_result(path, f"the -o of {commands}") for path in results]
    if kind == "roofline":
        from sparqsim.plot.roofline import plot_roofline

        plot_roofline(as_comparison(loaded), output, **how)
    elif kind == "utilization":
        named = [] if pe is None or design_file(pe) is None else [get_pe(pe)]
        name = named[0].spec if named else pe
        plot_utilization(_heatmap(_one_report(loaded, name), trace, layer, named), output, **how)
    elif kind == "layers":
        one = pe is not None or (len(loaded) == 1 and not hasattr(loaded[0], "reports"))
        plot_layers(
            _one_report(loaded, pe) if one else _comparison(loaded, kind, baseline), output, **how
        )
    else:
        draw = plot_speedup if kind == "speedup" else plot_pareto
        draw(_comparison(loaded, kind, baseline), output, **how)


def _plot_curves(
    results: list[str],
    kind: str,
    baseline: str | None,
    only: Sequence[str],
    output: str,
    how: Mapping[str, Any],
) -> None:
    from sparqsim.plot.bandwidth import plot_bandwidth
    from sparqsim.plot.curves import plot_curves
    from sparqsim.plot.points import curves_of_bandwidth, load_reports, speedup_curves

    if kind == "bandwidth" and _is_bandwidth(results[0]):
        plot_bandwidth(_bandwidth_curves(results, baseline, only), output, **how)
        return
    commands = ("`simulate`", "`compare`", "`sweep`", "`bandwidth`")[
        : 4 if kind == "bandwidth" else 3
    ]
    expected = f"the -o of {', '.join(commands[:-1])} or {commands[-1]}"
    reports, compared_with = load_reports(results, only, expected)
    baseline = baseline or compared_with
    if kind == "bandwidth":
        plot_bandwidth(curves_of_bandwidth(reports, baseline), output, **how)
    else:
        plot_curves(speedup_curves(reports, kind, baseline), output, **how)


def _is_bandwidth(path: str) -> bool:
    """Return whether a file is the JSON of `sparqsim bandwidth`."""
    from sparqsim.filekinds import is_of_schema

    return is_of_schema(path, "sparqsim.bandwidth")


def _bandwidth_curves(
    results: list[str], baseline: str | None, only: Sequence[str]
) -> BandwidthCurves:
    from sparqsim.memory.curves import BandwidthCurves

    if len(results) != 1:
        raise InputError(
            f"--kind bandwidth: {len(results)} files, expected one, the JSON of `sparqsim bandwidth`"
        )
    if baseline is not None or only:
        raise InputError(
            f"{results[0]}: curves of `sparqsim bandwidth` have their baseline and designs, expected "
            "neither --baseline nor --only"
        )
    return BandwidthCurves.load(results[0])


def _check_options(kind: str, options: Mapping[str, Any]) -> None:
    if kind not in OPTIONS:
        raise InputError(
            f"--kind {kind!r}{nearest(kind, OPTIONS)}: expected one of {', '.join(OPTIONS)}"
        )
    for name, value in options.items():
        if value is not None and name not in OPTIONS[kind]:
            takers = ", ".join(other for other, names in OPTIONS.items() if name in names)
            raise InputError(
                f"--{name} {value!r}: figures of kind {kind} do not take it, expected --kind {takers}"
            )


def _comparison(results: list[Comparison | Report], kind: str, baseline: str | None) -> Comparison:
    from sparqsim.results import as_comparison

    comparison = as_comparison(results, baseline)
    if len(comparison.order) < 2:
        raise InputError(
            f"--kind {kind}: the results hold one design, {comparison.order[0]}; expected a comparison or "
            "at least two reports"
        )
    return comparison


def _one_report(results: list[Comparison | Report], pe: str | None) -> Report:
    """Return the only report, or that of the design `pe`."""
    from sparqsim.results import as_comparison

    reports = as_comparison(results).reports
    if pe is None and len(reports) > 1:
        raise InputError(
            f"the results hold {len(reports)} designs, expected --pe with one of {', '.join(reports)}"
        )
    name = next(iter(reports)) if pe is None else pe
    if name not in reports:
        raise InputError(
            f"--pe {name!r} is not in the results{nearest(name, reports)}; "
            f"expected one of {', '.join(reports)}"
        )
    return reports[name]


def _heatmap(
    report: Report, trace: str | None, layer: str | None, named: Sequence[PEDesign]
) -> Heatmap:
    """Return the heat map; `named`: designs that the user gave a file of."""
    import sparqsim
    from sparqsim.heatmap import heatmap

    if trace is None:
        raise InputError(
            "--kind utilization: a report holds no operands, expected --trace with the trace it was "
            "made from"
        )
    return heatmap(report, sparqsim.load_trace(trace), layer, known=named)


def _command(results: list[str], kind: str, options: Mapping[str, Any], output: str) -> str:
    """Return the command that makes the figure; of the output only its name, so that a moved figure is the same."""
    listed = {
        name: value if isinstance(value, list) else [value] for name, value in options.items()
    }
    given = [
        word
        for name, values in listed.items()
        for value in values
        if value is not None
        for word in ((f"--{name}",) if value is True else (f"--{name}", value))
    ]
    return shlex.join(
        ["sparqsim", "plot", *results, "--kind", kind, *given, "-o", Path(output).name]
    )
