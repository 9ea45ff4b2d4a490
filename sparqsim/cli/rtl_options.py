"""Options of `sparqsim rtl`."""

from __future__ import annotations

from typing import Annotated

import typer

from sparqsim.cli.options import array_option

Liberty = Annotated[
    list[str] | None,
    typer.Option(
        "--liberty",
        metavar="FILE",
        help="Synthesise for this library; repeat for one that comes in several files.",
        show_default=False,
    ),
]
SizedArray = Annotated[str, array_option("16x16")]
Measure = Annotated[
    bool,
    typer.Option(
        "--measure",
        help="Synthesise again for the shipped table's libraries: Yosys' transistor estimate, "
        "Debian's qflow-tech-osu018. All rows of that table, or with an option that names the "
        "array or its accumulators the parts of that one in every flow.",
    ),
]
Sample = Annotated[
    int, typer.Option("--sample", metavar="N", min=2, help="Outputs sampled of each layer.")
]
Layers = Annotated[
    str | None,
    typer.Option(
        "--layers", metavar="A,B", help="Names of layers. [default: all]", show_default=False
    ),
]
ClockPeriod = Annotated[
    float, typer.Option("--clock-ns", metavar="P", min=1e-3, max=1e6, help="Period, for leakage.")
]
Slew = Annotated[
    float,
    typer.Option(
        "--slew-ns", metavar="S", min=0, max=1e3, help="Slew of every input, for the tables."
    ),
]
InIcarus = Annotated[
    int,
    typer.Option(
        "--check",
        metavar="N",
        min=0,
        help="Samples of each layer that run in Icarus Verilog too, as netlist and as RTL, for "
        "1,024 cycles at most.",
    ),
]
RandomOperands = Annotated[
    bool, typer.Option("--random", help="Draw operands at random instead of the trace's.")
]
Vectorless = Annotated[
    bool,
    typer.Option("--vectorless", help="Beside it what a statistical model of activity expects."),
]
Flow = Annotated[
    str,
    typer.Option(
        "--flow", metavar="NAME", help="Of synthesis, as `sparqsim rtl area` and `timing` name it."
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of what is sampled.")]
