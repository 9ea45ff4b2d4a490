"""`sparqsim trace ...`: look at trace files, make them."""

from __future__ import annotations

from typing import Annotated

import typer

from sparqsim.base.plugins import named_file
from sparqsim.base.wording import counted
from sparqsim.cli.help import command_group
from sparqsim.cli.network_options import (
    CALIBRATOR,
    Batch,
    Calibrate,
    Images,
    Keep,
    MaxPixels,
    Quantised,
    RecipeFile,
    Scheme,
    Skip,
    Steps,
    calibration_pictures,
    check_alone,
    names,
    opened_recipe,
)
from sparqsim.cli.options import CalibrateOn, Format, Limit, Model, Trace, Trust

app = command_group("Look at trace files, check them, make them.")

Target = Annotated[
    str, typer.Option("-o", "--output", metavar="FILE", help="Trace file to write (.safetensors).")
]


@app.command()
def info(trace: Trace, format_: Format = "table") -> None:
    """Show what a trace holds: network, layers, their shapes and zeros, how it was made."""
    import sparqsim
    from sparqsim.cli.show_trace import trace_shown
    from sparqsim.cli.tables import checked_format, show

    checked_format(format_)
    show(trace_shown(sparqsim.load_trace(trace)), format_)


@app.command()
def check(trace: Trace, format_: Format = "table") -> None:
    """Name every fault of a trace file; exit code 0 if there is none, 2 if there are.

    Layers of which all weights or all activations are zero are remarked on, and no fault.
    """
    import sparqsim
    from sparqsim.cli.show_checks import faults_shown
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.trace.reader import trace_remarks

    checked_format(format_)
    faults = sparqsim.check_trace(trace)
    if format_ != "table" or len(faults) != 1:  # of a single fault the line on stderr says all
        remarks = [] if faults else trace_remarks(trace)
        show(faults_shown(trace, faults, remarks), format_)
    if len(faults) > 1:
        raise sparqsim.InputError(
            f"{trace}: {counted(len(faults), 'fault')}, listed on standard output; the "
            f"first: {faults[0]}"
        )
    if faults:
        raise sparqsim.InputError(f"{trace}: {faults[0]}")


@app.command()
def dump(
    model: Model,
    images: Images,
    output: Target,
    preprocess: Steps = "",
    max_pixels: MaxPixels = None,
    calibrate: Calibrate = None,
    limit: Limit = None,
    calibrate_on: CalibrateOn = None,
    skip: Skip = "",
    keep_8bit: Keep = None,
    license_note: Annotated[
        str, typer.Option("--license-note", metavar="TEXT", help="Kept in the trace.")
    ] = "",
    batch: Batch = None,
    recipe: RecipeFile = None,
    quantised: Quantised = None,
    phase: Annotated[
        str,
        typer.Option(
            "--phase",
            metavar="prefill:T|decode:T",
            help="Of a language model's work: a prompt of T tokens, or one token behind a cache "
            "of T.",
        ),
    ] = "",
    trust: Trust = False,
    format_: Format = "table",
) -> None:
    """Run a network on pictures and store the 8-bit operands of its convolutions and products."""
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.dumping import dump_shown
    from sparqsim.cli.progress import steps_bar
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.networks.images import Pictures
    from sparqsim.networks.modelfiles import dump as dump_model

    checked_format(format_)
    flags = {"--calibrate": calibrate, "--keep-8bit": keep_8bit, "--calibrate-on": calibrate_on}
    calibrate = calibrate or CALIBRATOR
    check_outputs({"-o": output}, [model, images, named_file(calibrate), recipe, quantised])
    read = opened_recipe(recipe, flags, trust=trust)
    check_alone("--quantised", quantised, flags | {"--recipe": recipe, "--skip": skip or None})
    pictures = Pictures.open(images, preprocess, max_pixels)
    with steps_bar() as progress:
        report = dump_model(
            model,
            pictures.first(limit),
            output,
            calibration=calibration_pictures(pictures, calibrate_on or limit, read),
            calibrate=calibrate,
            skip=names(skip),
            keep_8bit=None if keep_8bit is None else names(keep_8bit),
            license_note=license_note,
            batch=batch,
            recipe=read,
            quantised=quantised,
            phase=phase,
            progress=progress,
        )
    show(dump_shown(report, output), format_)


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="SCALE-Sim topology (.csv), ONNX graph (.onnx, shapes only), or directory of "
        "act-*.npy and wgt-*.npy.",
    ),
]
Zeros = Annotated[
    float,
    typer.Option(
        "--zeros",
        metavar="SHARE",
        help="Expected share of zero activations, where values are drawn.",
    ),
]
Correlation = Annotated[
    float, typer.Option("--correlation", metavar="R", help="Of neighbouring channels.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N")]
Values = Annotated[
    str,
    typer.Option(
        "--values",
        metavar="drawn|stored",
        help="Whether the file says how values are drawn (small; whoever reads it draws "
        "them), or stores them.",
    ),
]
Sizes = Annotated[
    str,
    typer.Option(
        "--size",
        metavar="NAME=N,...",
        help="Free sizes of an ONNX graph: the name of a size, or INPUT:AXIS. [default: batch 1]",
        show_default=False,
    ),
]


@app.command("import")
def import_(
    source: Source,
    output: Target,
    zeros: Zeros = 0.5,
    correlation: Correlation = 0.0,
    seed: Seed = 0,
    values: Values = "drawn",
    calibrate: Calibrate = None,
    skip: Skip = "",
    size: Sizes = "",
) -> None:
    """Make a trace of layer shapes, with drawn values that are labelled synthetic; or of .npy
    files.
    """
    from sparqsim.base.errors import printable
    from sparqsim.base.files import check_outputs
    from sparqsim.networks.importing import import_trace
    from sparqsim.trace.drawn import checked_values
    from sparqsim.trace.synthetic import Distribution

    calibrate = calibrate or CALIBRATOR
    check_outputs({"-o": output}, [source, named_file(calibrate)])
    for note in import_trace(
        source,
        output,
        Distribution(zeros, correlation, seed),
        calibrate=calibrate,
        skip=names(skip),
        sizes=size,
        values=checked_values(values),
    ):
        typer.echo(printable(note))


@app.command("transform")
def transform_(
    trace: Trace,
    chosen: Annotated[
        list[str],
        typer.Option(
            "--with",
            metavar="NAME",
            help="What is done to every layer; several are applied in the order given: "
            "requantise:weights=4, prune-2of4, or FILE.py:CLASS.",
        ),
    ],
    output: Target,
    format_: Format = "table",
) -> None:
    """Write a trace whose layers are changed: fewer bits, pruned weights; it says what was done.

    SQNR: outputs of a layer against those of the trace read; '-': nothing is lost.
    """
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.show_transforms import transforms_shown
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.trace.transforms import transform

    checked_format(format_)
    check_outputs({"-o": output}, [trace, *map(named_file, chosen)])
    new = transform(trace, chosen)
    new.save(output)
    show(transforms_shown(new, len(chosen), output), format_)


@app.command("requantise")
def requantise_(
    trace: Trace,
    bits: Annotated[
        str,
        typer.Option(
            "--bits",
            metavar="FILE",
            help="JSON file: by layer, bits of weights, or of weights and activations; a list of "
            "BSQ, HAWQ or HAQ, too.",
        ),
    ],
    output: Target,
    scheme: Scheme = "",
    format_: Format = "table",
) -> None:
    """Write a trace whose layers have the bits of a list: codes to their top bits, scales to match.

    SQNR: outputs of a layer against those of the trace read; '-': nothing is lost.
    """
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.show_transforms import transforms_shown
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.trace.bitlist import requantise

    checked_format(format_)
    check_outputs({"-o": output}, [trace, bits])
    new = requantise(trace, bits, scheme)
    new.save(output)
    show(transforms_shown(new, 1, output), format_)
