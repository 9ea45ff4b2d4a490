"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from sparqsim.config import ArrayConfig
from sparqsim.errors import InputError

Trace = Annotated[str, typer.Argument(metavar="TRACE", help="Trace file (.safetensors).")]
Array = Annotated[str, typer.Option("--array", metavar="RxC", help="PEs: rows x columns.")]
Dataflow = Annotated[
    str,
    typer.Option("--dataflow", metavar="os|ws|is", help="What stays in a PE: sums, weights or activations."),
]
Coupling = Annotated[
    str,
    typer.Option(
        "--coupling",
        metavar="lockstep|elastic:D",
        help="How PEs wait for each other when steps take longer than a cycle.",
    ),
]
Overlap = Annotated[
    str,
    typer.Option(
        "--overlap",
        metavar="on|off",
        help="Whether a tile streams while the one before it drains (os) or the next one loads (ws, is).",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="fast|event",
        help="event: for small layers, every step of every PE by simulated processes; the same report.",
    ),
]
Include = Annotated[
    bool,
    typer.Option(
        "--all-layers",
        help="Run layers marked keep_8bit (first convolution, classifier) as the design too, not as mac-8b8b.",
    ),
]
Output = Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Write the result as JSON.")]


def array_config(array: str, dataflow: str, coupling: str, overlap: str) -> ArrayConfig:
    """Return the array that the options describe."""
    if overlap not in {"on", "off"}:
        raise InputError(f"--overlap {overlap!r}: expected on or off")
    return ArrayConfig.parse(array, dataflow=dataflow, coupling=coupling, overlap=overlap == "on")
