"""`sparqsim rtl ...`: the circuits behind the numbers."""

from __future__ import annotations

from typing import Annotated

import typer

from sparqsim.cli.accelerator import array_config
from sparqsim.cli.completion import design, one_of
from sparqsim.cli.help import command_group
from sparqsim.cli.options import (
    AccBits,
    Areas,
    Coupling,
    Dataflow,
    Design,
    Designs,
    Format,
    Output,
    Overlap,
    Trace,
    accumulator_option,
    array_option,
)
from sparqsim.cli.rtl_options import (
    ClockPeriod,
    Flow,
    InIcarus,
    Layers,
    Liberty,
    Measure,
    RandomOperands,
    Sample,
    Seed,
    SizedArray,
    Slew,
    Vectorless,
)

#: Of a single tile in RTL: small enough to look at.
SMALL_ARRAY = "8x8"
#: Whose tiles are sampled.
ENERGY_ARRAY = "16x16"

app = command_group("Run and synthesise the SystemVerilog of the arrays and PE designs.")


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="PE design: see `sparqsim pe list`.", autocompletion=design
        ),
    ],
    array: Annotated[
        str, typer.Option("--array", metavar="RxC", help="PEs: rows x columns.")
    ] = "4x5",
    steps: Annotated[
        int,
        typer.Option(
            "--steps", metavar="N", min=1, max=1_000_000, help="Steps of a tile's stream."
        ),
    ] = 40,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Seed of the random operands.")
    ] = 0,
    acc_bits: Annotated[
        int, typer.Option("--acc-bits", metavar="N", help="Bits of the accumulators, 8 to 32.")
    ] = 32,
    overflow: Annotated[
        str,
        typer.Option(
            "--overflow",
            metavar="refuse|wrap",
            autocompletion=one_of("refuse", "wrap"),
            help="Operands whose sums the accumulators may not hold: refused, or (wrap) checked to "
            "come out modulo 2^N.",
        ),
    ] = "refuse",
) -> None:
    """Run a design's RTL in every dataflow on random operands and compare it with the simulator,
    cycle by cycle.

    Needs Icarus Verilog. Ends with exit code 1 at the first difference.
    """
    from sparqsim.cli.rtl_work import check_design
    from sparqsim.rtl.accumulator import Accumulator

    if not check_design(name, array, steps, seed, Accumulator(acc_bits, overflow)):
        raise typer.Exit(1)


@app.command()
def simulate(
    trace: Trace,
    layer: Annotated[str, typer.Option("--layer", metavar="L", help="Name of the layer.")],
    pe: Design,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="WAVE.vcd", help="Where the waveform goes.")
    ],
    tile: Annotated[
        int,
        typer.Option("--tile", metavar="N", min=0, help="Which tile of the layer's first group."),
    ] = 0,
    array: Annotated[str, array_option(SMALL_ARRAY)] = SMALL_ARRAY,
    dataflow: Dataflow = "os",
    coupling: Coupling = "lockstep",
    overlap: Overlap = "off",
) -> None:
    """Run one tile of a layer in RTL, compare it with the simulator, and write the waveform (VCD).

    Needs Icarus Verilog. Ends with exit code 1 at the first difference.
    """
    from sparqsim.base.files import check_outputs
    from sparqsim.base.plugins import named_file
    from sparqsim.cli.rtl_work import simulate_tile

    check_outputs({"-o": output}, [trace, named_file(pe)])
    if not simulate_tile(
        trace, layer, tile, pe, array_config(array, dataflow, coupling, overlap), output=output
    ):
        raise typer.Exit(1)


@app.command()
def area(
    liberty: Liberty = None,
    measure: Measure = False,
    areas: Areas = None,
    array: SizedArray = "16x16",
    dataflow: Dataflow = None,
    coupling: Coupling = None,
    overlap: Overlap = None,
    acc_bits: AccBits = "32",
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write the table as JSON.")
    ] = None,
    format_: Format = "table",
) -> None:
    """Show areas of the PE designs relative to the conventional ones, each with its part of what
    else an array has.

    From the table that ships, or (--measure, --liberty) synthesised now; that needs Yosys.
    """
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.rtl_work import area_table, areas_shown
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.rtl.area import ArrayAreas
    from sparqsim.rtl.measure import area_text
    from sparqsim.rtl.structure import Structure

    checked_format(format_)
    check_outputs({"-o": output}, [areas, *(liberty or [])])
    asked = array_config(array, dataflow or "os", coupling or "lockstep", overlap or "off")
    bits = accumulator_option(acc_bits)
    one = any((dataflow, coupling, overlap)) or bits != 32
    structure = Structure.of(asked, bits)
    table = area_table(liberty or [], measure, areas, structure if one or liberty else None)
    shown = areas_shown(table, ArrayAreas.of(asked, bits, table))
    deliver(shown, format_, saving(output, lambda: area_text(table)))


@app.command()
def timing(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DESIGN",
            help="PE designs. Default: all of the table.",
            autocompletion=design,
            show_default=False,
        ),
    ] = None,
    liberty: Liberty = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Time again for the shipped table's library, Debian's osu018."
        ),
    ] = False,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write it as JSON.")
    ] = None,
    format_: Format = "table",
) -> None:
    """Show the shortest clock period of the PE designs, and the path that limits it.

    From the table that ships, or (--measure, --liberty) synthesised and timed now; that needs Yosys
    and OpenSTA.
    """
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.rtl_timing import timing_shown, timing_table
    from sparqsim.cli.rtl_work import synthesis_progress
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.rtl.synthesis import table_text

    checked_format(format_)
    check_outputs({"-o": output}, liberty or [])
    table = timing_table(names or [], liberty or [], measure, synthesis_progress)
    deliver(timing_shown(table, names or []), format_, saving(output, lambda: table_text(table)))


@app.command()
def energy(
    trace: Trace,
    pe: Designs = None,
    sample: Sample = 128,
    layers: Layers = None,
    array: Annotated[str, array_option(ENERGY_ARRAY)] = ENERGY_ARRAY,
    liberty: Liberty = None,
    clock_ns: ClockPeriod = 10.0,
    slew_ns: Slew = 0.1,
    check: InIcarus = 1,
    random: RandomOperands = False,
    vectorless: Vectorless = False,
    flow: Flow = "default",
    seed: Seed = 0,
    output: Output = None,
    format_: Format = "table",
) -> None:
    """Measure energy at gate level: netlists of PE and edge unit, driven by a trace's operands.

    Needs Yosys and Icarus Verilog. Ends with exit code 1 where netlist, RTL and simulator differ.
    """
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.options import split_designs
    from sparqsim.cli.rtl_energy import energies_shown, energy_record
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.engine.simulation import DEFAULT_PES
    from sparqsim.rtl.gates.costs import Operating
    from sparqsim.rtl.gates.reference import Plan
    from sparqsim.rtl.synthesis import debian_library, library_of

    checked_format(format_)
    check_outputs({"-o": output}, [trace, *(liberty or [])])
    plan = Plan(
        library_of(liberty) if liberty else debian_library(),
        Operating(clock_ns, slew_ns),
        array_config(array, "os", "lockstep", "off"),
        sample,
        check,
        seed,
        random,
        vectorless,
        flow,
    )
    names = DEFAULT_PES if pe is None else split_designs(pe)
    record = energy_record(trace, names, plan, None if layers is None else layers.split(","))
    if record is None:
        raise typer.Exit(1)
    deliver(energies_shown(record), format_, saving(output, record.to_json))


@app.command()
def fit(
    record: Annotated[
        str, typer.Argument(metavar="RECORD", help="What `sparqsim rtl energy -o` wrote.")
    ],
    trace: Trace,
    node: Annotated[
        float,
        typer.Option("--node", metavar="NM", min=1, max=1e5, help="Node of the library, in nm."),
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="TABLE.json", help="Where the table goes.")
    ],
    test: Annotated[
        list[str] | None,
        typer.Option(
            "--test",
            metavar="RECORD=TRACE",
            show_default=False,
            help="Try it on a record of another trace; repeat for more.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Of the table. [default: of its file]",
            show_default=False,
        ),
    ] = None,
    format_: Format = "table",
) -> None:
    """Fit an energy table on gate-level runs of a trace, for --energy of simulate and compare.

    Coefficients come from RECORD alone; --test says how wrong they are elsewhere.
    """
    from pathlib import Path

    from sparqsim.base.files import check_outputs
    from sparqsim.cli.rtl_fit import fitted_table, split_test, table_shown
    from sparqsim.cli.tables import checked_format, deliver, saving

    checked_format(format_)
    tests = [split_test(each, "--test") for each in test or []]
    check_outputs({"-o": output}, [record, trace, *(path for pair in tests for path in pair)])
    table = fitted_table(name or Path(output).stem, (record, trace), tests, node)
    deliver(table_shown(table), format_, saving(output, table.to_json))


@app.command("try")
def try_(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Name of a table that ships, or a file.")
    ],
    tests: Annotated[
        list[str],
        typer.Argument(
            metavar="RECORD=TRACE...", help="What `sparqsim rtl energy -o` wrote, and of what."
        ),
    ],
    output: Output = None,
    format_: Format = "table",
) -> None:
    """Try an energy table on gate-level runs of other traces; its coefficients stay what they are.

    -o writes the table with these errors instead of those that it had.
    """
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.rtl_fit import split_test, table_shown, tried_table
    from sparqsim.cli.tables import checked_format, deliver, saving

    checked_format(format_)
    pairs = [split_test(each, "RECORD=TRACE") for each in tests]
    check_outputs({"-o": output}, [table, *(path for pair in pairs for path in pair)])
    tried = tried_table(table, pairs)
    deliver(table_shown(tried), format_, saving(output, tried.to_json))
