"""`sparqsim simulate` and `sparqsim compare`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparqsim.base.errors import InputError
from sparqsim.cli.accelerator import accelerator_config, energy_plan
from sparqsim.cli.options import (
    AccBits,
    Areas,
    Array,
    Baseline,
    Config,
    Coupling,
    Dataflow,
    Design,
    Designs,
    EnergyTable,
    Engine,
    Format,
    Include,
    KeptAs,
    MemoryEnergy,
    Output,
    Overlap,
    ScaleTo,
    SignedAs,
    Timeline,
    Trace,
    Trust,
    accumulator_option,
    check_figure,
    option_words,
    plot_option,
    split_designs,
)

if TYPE_CHECKING:
    import sparqsim
    from sparqsim.array.config import ArrayConfig
    from sparqsim.engine.assignment import Assignment
    from sparqsim.results.comparison import Comparison


WaveFile = Annotated[
    str | None,
    typer.Option(
        "--wave",
        metavar="FILE",
        help="Write one tile, cycle by cycle, as a waveform (.vcd) that GTKWave opens; arrays up "
        "to 16x16, no smt-sa. With --overlap on: between the tiles that share the array "
        "with it, the first of them into an empty array.",
    ),
]
WaveLayer = Annotated[
    str | None,
    typer.Option(
        "--wave-layer",
        metavar="NAME",
        help="Layer of the tile. Default: the design's first.",
        show_default=False,
    ),
]
WaveTile = Annotated[
    int | None,
    typer.Option(
        "--wave-tile",
        metavar="N",
        help="Tile of the layer, from 0. Default: 0.",
        show_default=False,
    ),
]

Actions = Annotated[
    bool,
    typer.Option(
        "--actions",
        help="Also a table of actions that cost energy: steps, hops, reads, writes. JSON and CSV "
        "always have them.",
    ),
]


Iso = Annotated[
    str | None,
    typer.Option(
        "--iso",
        metavar="area",
        show_default=False,
        help="Also on arrays that take the area of the baseline's, by this project's synthesis.",
    ),
]
ClockOption = Annotated[
    str | None,
    typer.Option(
        "--clock",
        metavar="equal|own",
        show_default=False,
        help="Also times: one clock for all, the slowest design's, or each design at its own "
        "shortest period, by this project's timing. Without it: cycles, at one clock.",
    ),
]


def simulate(
    trace: Trace,
    pe: Design,
    array: Array = None,
    dataflow: Dataflow = None,
    coupling: Coupling = None,
    overlap: Overlap = None,
    config: Config = None,
    engine: Engine = "fast",
    all_layers: Include = False,
    kept: KeptAs = "honest",
    signed: SignedAs = "magnitude",
    output: Output = None,
    format_: Format = "table",
    actions: Actions = False,
    energy: EnergyTable = None,
    memory_energy: MemoryEnergy = None,
    scale_to: ScaleTo = None,
    timeline: Timeline = None,
    wave: WaveFile = None,
    wave_layer: WaveLayer = None,
    wave_tile: WaveTile = None,
    trust: Trust = False,
) -> None:
    """Simulate one PE design on a trace: cycles and where they went, utilization, error."""
    import sparqsim
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.show import layer_progress, report_shown
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.engine.assignment import assigned, file_of

    checked_format(format_)
    check_outputs(
        {"-o": output, "--timeline": timeline, "--wave": wave},
        [trace, config, file_of(pe), energy, memory_energy],
    )
    shape, memory = accelerator_config(config, array, dataflow, coupling, overlap)
    plan = energy_plan(energy, memory_energy, scale_to, with_memory=memory is not None)
    if timeline and memory is None:
        raise InputError(f"--timeline {timeline!r}: memory is not modelled; expected --config too")
    if "," in pe and len(split_designs(pe)) > 1:
        raise InputError(
            f"--pe {pe!r}: names several designs, expected one; `sparqsim compare` takes several"
        )
    loaded = sparqsim.load_trace(trace)
    run = assigned(pe, trust=trust).with_signed(signed)
    how = None if all_layers else kept
    _write_wave(wave, loaded, run, shape, wave_layer, wave_tile, kept=how)
    with layer_progress() as progress:
        report = sparqsim.simulate(
            loaded,
            run,
            shape,
            memory=memory,
            keep_8bit=not all_layers,
            kept=kept,
            signed=signed,
            engine=engine,
            energy=plan,
            progress=progress,
        )

    def write_timeline() -> None:
        """Write what memory and array did, where it is asked for."""
        if timeline and memory is not None:
            from sparqsim.analysis.timeline import save_timeline
            from sparqsim.cli.memory import tell_left_out

            left_out = save_timeline(timeline, loaded, report, shape, memory, known=run.models)
            tell_left_out(timeline, left_out)

    shown = report_shown(report, actions=actions)
    deliver(shown, format_, saving(output, report.to_json), write_timeline)


def _write_wave(
    path: str | None,
    trace: sparqsim.Trace,
    run: Assignment,
    array: ArrayConfig,
    layer: str | None,
    tile: int | None,
    *,
    kept: str | None,
) -> None:
    """Write the waveform of a tile, where a path is given."""
    if not path:
        if layer is not None or tile is not None:
            raise InputError(
                "--wave-layer and --wave-tile choose what --wave writes; expected --wave FILE too"
            )
        return
    from sparqsim.analysis.wave import write_wave

    if run.own_rules:
        raise InputError(
            f"--wave: assignment {run.name!r} runs several designs; expected --pe with one of them"
        )
    signed = run.signed
    write_wave(path, trace, run.default, array, layer, tile or 0, kept=kept, signed=signed)


def compare(
    trace: Trace,
    pe: Designs = None,
    baseline: Baseline = "mac-8b8b",
    array: Array = None,
    dataflow: Dataflow = None,
    coupling: Coupling = None,
    overlap: Overlap = None,
    config: Config = None,
    engine: Engine = "fast",
    all_layers: Include = False,
    kept: KeptAs = "honest",
    signed: SignedAs = "magnitude",
    iso: Iso = None,
    acc_bits: AccBits = "32",
    areas: Areas = None,
    clock: ClockOption = None,
    energy: EnergyTable = None,
    memory_energy: MemoryEnergy = None,
    scale_to: ScaleTo = None,
    output: Output = None,
    format_: Format = "table",
    actions: Actions = False,
    plot: Annotated[str | None, plot_option("speedups and error")] = None,
    trust: Trust = False,
) -> None:
    """Compare PE designs on a trace and the same array."""
    import sparqsim
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.show import comparison_shown, layer_progress
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.engine.assignment import assigned, file_of
    from sparqsim.engine.simulation import DEFAULT_PES

    checked_format(format_)
    check_figure(plot)
    shape, memory = accelerator_config(config, array, dataflow, coupling, overlap)
    designs = list(DEFAULT_PES) if pe is None else split_designs(pe)
    read = [trace, config, areas, energy, memory_energy, *map(file_of, [*designs, baseline])]
    check_outputs({"-o": output, "--plot": plot}, read)
    plan = energy_plan(energy, memory_energy, scale_to, with_memory=memory is not None)
    with layer_progress() as progress:
        result = sparqsim.compare(
            sparqsim.load_trace(trace),
            [assigned(name, trust=trust) for name in designs],
            shape,
            baseline=assigned(baseline, trust=trust),
            memory=memory,
            keep_8bit=not all_layers,
            kept=kept,
            signed=signed,
            engine=engine,
            iso=iso,
            acc_bits=accumulator_option(acc_bits),
            areas=areas,
            clock=clock,
            energy=plan,
            progress=progress,
        )

    def draw() -> None:
        """Draw the speedups, where a figure is asked for."""
        if plot:
            from sparqsim.plot import plot_speedup

            command = _command(result, trace, shape.dataflow, config, areas, plot)
            plot_speedup(result, plot, command=command)

    deliver(
        comparison_shown(result, actions=actions), format_, saving(output, result.to_json), draw
    )


def _command(
    result: Comparison,
    trace: str,
    dataflow: str,
    config: str | None,
    areas: str | None,
    plot: str,
) -> str:
    """Return the command that draws the figure again; of files only their names."""
    from sparqsim.results.setting import HONEST

    report = result.reports[result.baseline]
    array, plainly = report.array, not report.keep_8bit or report.kept == HONEST
    named = {
        "pe": ",".join(result.order),
        "baseline": result.baseline,
        "array": array.size,
        "dataflow": Path(dataflow).name,
        "coupling": array.coupling,
        "overlap": "on" if array.overlap else "off",
        "iso": None if result.iso_area is None else "area",
        "clock": None if result.clock is None else result.clock.kind,
        "acc-bits": _other_accumulators(result),
        "areas": areas and Path(areas).name,
        "config": config and Path(config).name,
        "kept": None if plainly else report.kept,
        "all-layers": None if report.keep_8bit else True,
        "plot": Path(plot).name,
    }
    return shlex.join(["sparqsim", "compare", Path(trace).name, *option_words(named)])


def _other_accumulators(result: Comparison) -> str | None:
    """Return the width of the accumulators of areas, where it is not the usual one."""
    areas_of = result.iso_area and result.iso_area.areas_of
    return None if not areas_of or areas_of.acc_bits == 32 else str(areas_of.acc_bits)
