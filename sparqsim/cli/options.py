"""Options that several commands share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from sparqsim.config import ArrayConfig
from sparqsim.errors import InputError, printable

if TYPE_CHECKING:
    from sparqsim.memory import MemoryConfig

Trace = Annotated[str, typer.Argument(metavar="TRACE", help="Trace file (.safetensors).")]
Array = Annotated[
    str | None, typer.Option("--array", metavar="RxC", show_default="16x16", help="PEs: rows x columns.")
]
Dataflow = Annotated[
    str | None,
    typer.Option(
        "--dataflow",
        metavar="os|ws|is",
        show_default="os",
        help="What stays in a PE: sums, weights or activations.",
    ),
]
Coupling = Annotated[
    str | None,
    typer.Option(
        "--coupling",
        show_default="lockstep",
        metavar="lockstep|elastic:D",
        help="How PEs wait for each other when steps take longer than a cycle.",
    ),
]
Overlap = Annotated[
    str | None,
    typer.Option(
        "--overlap",
        show_default="off",
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


Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Accelerator with its memory: a .toml file, a SCALE-Sim .cfg file, or a preset: edge, tpu-v1-like, "
        "eyeriss-like. Its array holds unless --array and the like say otherwise.",
    ),
]
Timeline = Annotated[
    str | None,
    typer.Option(
        "--timeline",
        metavar="FILE",
        help="Write tiles, DMA and scratchpads over time as a Chrome trace (opens in Perfetto); needs --config.",
    ),
]


def array_config(
    array: str | None, dataflow: str | None, coupling: str | None, overlap: str | None, base: ArrayConfig | None = None
) -> ArrayConfig:
    """Return the array that the options describe; what they leave out is as in `base`."""
    if overlap not in {None, "on", "off"}:
        raise InputError(f"--overlap {overlap!r}: expected on or off")
    base = base or ArrayConfig()
    shape = base if array is None else ArrayConfig.parse(array)
    return replace(
        base,
        rows=shape.rows,
        cols=shape.cols,
        dataflow=base.dataflow if dataflow is None else dataflow,
        coupling=base.coupling if coupling is None else coupling,
        overlap=base.overlap if overlap is None else overlap == "on",
    )


def accelerator_config(
    config: str | None, array: str | None, dataflow: str | None, coupling: str | None, overlap: str | None
) -> tuple[ArrayConfig, MemoryConfig | None]:
    """Return the array and the memory that the options describe; remarks on an imported file go to stderr."""
    if config is None:
        return array_config(array, dataflow, coupling, overlap), None
    from sparqsim.memory import load_accelerator

    accelerator = load_accelerator(config)
    for remark in accelerator.remarks:
        typer.echo(printable(f"{config}: {remark}"), err=True)
    return array_config(array, dataflow, coupling, overlap, accelerator.array), accelerator.memory
