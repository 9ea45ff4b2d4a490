"""What the memory system did, for the terminal; and `sparqsim bandwidth`."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from sparqsim.base.errors import InputError, printable, shown
from sparqsim.base.parse import real_number
from sparqsim.base.wording import counted
from sparqsim.cli.accelerator import accelerator_config
from sparqsim.cli.completion import preset
from sparqsim.cli.options import (
    Array,
    Baseline,
    Coupling,
    Dataflow,
    Designs,
    Format,
    Include,
    KeptAs,
    Output,
    Overlap,
    SignedAs,
    Trace,
    Trust,
    check_figure,
    plot_option,
    split_designs,
)


def tell_left_out(path: str, left_out: int) -> None:
    """Say how many events a timeline lacks, where it lacks some."""
    from sparqsim.analysis.timeline import MOST_EVENTS

    if left_out:
        typer.echo(
            f"{printable(path)}: {counted(left_out, 'event')} left out to keep to {MOST_EVENTS:,}: "
            "only the beginning of each layer is shown",
            err=True,
        )


Accelerator = Annotated[
    str,
    typer.Option(
        "--config",
        metavar="FILE",
        autocompletion=preset,
        help="Accelerator; its DRAM bandwidth is replaced.",
    ),
]
Bandwidths = Annotated[
    str | None,
    typer.Option(
        "--bandwidths",
        metavar="B,B,...",
        show_default="1,2,4,...,512",
        help="DRAM bandwidths in bytes per cycle.",
    ),
]
Curves = Annotated[str | None, plot_option("the curves")]


def bandwidth(
    trace: Trace,
    config: Accelerator,
    pe: Designs = None,
    baseline: Baseline = "mac-8b8b",
    bandwidths: Bandwidths = None,
    array: Array = None,
    dataflow: Dataflow = None,
    coupling: Coupling = None,
    overlap: Overlap = None,
    all_layers: Include = False,
    kept: KeptAs = "honest",
    signed: SignedAs = "magnitude",
    output: Output = None,
    format_: Format = "table",
    plot: Curves = None,
    trust: Trust = False,
) -> None:
    """Show at which DRAM bandwidth the speedup of each design dies."""
    import sparqsim
    from sparqsim.analysis.bandwidth import BANDWIDTHS, bandwidth_curves
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.show_memory import curves_shown
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.engine.assignment import assigned, file_of
    from sparqsim.engine.simulation import DEFAULT_PES

    checked_format(format_)
    check_figure(plot)
    shape, memory = accelerator_config(config, array, dataflow, coupling, overlap)
    names = list(dict.fromkeys([baseline, *(split_designs(pe) if pe else DEFAULT_PES)]))
    check_outputs({"-o": output, "--plot": plot}, [trace, config, *map(file_of, names)])
    designs = [assigned(name, trust=trust) for name in names]
    if memory is None:
        raise InputError("--config: expected an accelerator with a memory")
    result = bandwidth_curves(
        sparqsim.load_trace(trace),
        designs,
        shape,
        memory,
        baseline=designs[0].spec,
        kept=None if all_layers else kept,
        signed=signed,
        bandwidths=parse_bandwidths(bandwidths) if bandwidths else BANDWIDTHS,
    )

    def draw() -> None:
        """Draw the curves, where a figure is asked for."""
        if plot:
            from sparqsim.plot.bandwidth import plot_bandwidth

            plot_bandwidth(result, plot)

    deliver(curves_shown(result), format_, saving(output, result.to_json), draw)


def parse_bandwidths(text: str) -> list[float]:
    """Return the numbers of a comma-separated list; their range is checked where they are used."""
    parts = [part.strip() for part in text.split(",")]
    numbers = (math.inf if part == "inf" else real_number(part) for part in parts)
    values = [number for number in numbers if number is not None]
    if len(values) < len(parts) or len({*values}) < len(values):
        raise InputError(
            f"--bandwidths {shown(text)}: expected numbers of bytes per cycle, each once, "
            "e.g. 1,2.5,16"
        )
    return values
