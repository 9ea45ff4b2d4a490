"""Options of `sparqsim plot`: what they are, which kind of figure takes which, and the command they
make up.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sparqsim.base.errors import InputError, nearest
from sparqsim.cli.completion import one_of
from sparqsim.cli.options import option_words

#: The options each kind of figure takes, beside those that all take.
OPTIONS = {
    "speedup": ("baseline",),
    "layers": ("baseline", "pe"),
    "utilization": ("pe", "trace", "layer"),
    "pareto": ("baseline", "loss"),
    "roofline": (),
    "energy": (),
    "gather": (),
    "bandwidth": ("baseline", "only"),
    "array-size": ("baseline", "only"),
    "k": ("baseline", "only"),
    "zero-fraction": ("baseline", "only"),
    "adc": ("only",),
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
        help="speedup: bars and error by layer. layers: where cycles went. utilization: how busy "
        "each PE was (needs --trace). pareto: error against speedup, or (with the JSON of "
        "`accuracy`) answers lost. roofline: attained MACs per cycle against MACs per DRAM byte "
        "(results with memory). energy: pJ per MAC by part (results of --energy). gather: "
        "bytes, bursts and rate over the width of a row (the JSON of `gather`). bandwidth: "
        "speedup against DRAM bandwidth (the JSON of `sparqsim "
        "bandwidth`, or results that differ in it). array-size, k, zero-fraction: speedup against "
        "PEs, K, zero activations (sweep stores, or results that differ in it). adc: SQNR and "
        "cycles against bits of converters (results of crossbars).",
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
        help="The one design of a comparison to draw (layers, utilization), or assignment, by name "
        "or as @FILE.toml; FILE.py:CLASS for utilization of one of your own: no file runs because "
        "a result names it.",
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
        help="What the designs of an accuracy record lose (pareto). Default: top1, or agree "
        "without labels.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="KEY=VALUE",
        help="Of a store's results (curves) only these: trace (the network's name), pe, "
        "array, dataflow, coupling, overlap, memory, keep_8bit, kept; may be repeated.",
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
        help="Leave out the words above the figure, for a caption of your own; the file's "
        "metadata keeps them.",
    ),
]
NoNotes = Annotated[
    bool,
    typer.Option(
        "--no-notes",
        help="Leave out the notes below the figure; the file's metadata keeps them.",
    ),
]


def check_options(kind: str, options: Mapping[str, Any]) -> None:
    """Raise InputError for an unknown kind of figure, or an option that it does not take."""
    if kind not in OPTIONS:
        raise InputError(
            f"--kind {kind!r}{nearest(kind, OPTIONS)}: expected one of {', '.join(OPTIONS)}"
        )
    for name, value in options.items():
        if value is not None and name not in OPTIONS[kind]:
            takers = ", ".join(other for other, names in OPTIONS.items() if name in names)
            raise InputError(
                f"--{name} {value!r}: figures of kind {kind} do not take it, expected --kind "
                f"{takers}"
            )


def command_of(results: list[str], kind: str, options: Mapping[str, Any], output: str) -> str:
    """Return the command that makes the figure; of the output only its name."""
    words = option_words({"kind": kind, **options})
    return shlex.join(["sparqsim", "plot", *results, *words, "-o", Path(output).name])
