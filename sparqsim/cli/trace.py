"""`sparqsim trace ...`: look at trace files, make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from sparqsim.base.plugins import named_file
from sparqsim.base.wording import counted
from sparqsim.cli.help import command_group
from sparqsim.cli.options import CalibrateOn, Format, Limit, Model, Trace, Trust

if TYPE_CHECKING:
    from sparqsim.networks.images import Pictures
    from sparqsim.quantise.recipe import Recipe

app = command_group("Look at trace files, check them, make them.")

#: How scales are found where neither a flag nor a recipe says it.
CALIBRATOR = "mean-max"

Target = Annotated[
    str, typer.Option("-o", "--output", metavar="FILE", help="Trace file to write (.safetensors).")
]
Images = Annotated[
    str,
    typer.Option("--images", metavar="DIR|FILE", help="Directory of pictures, or .npz/.npy file."),
]
Steps = Annotated[
    str,
    typer.Option(
        "--preprocess",
        metavar="SPEC",
        help="Steps, joined by commas, or by spaces in quotes: e.g. 'resize:256 crop:224 "
        "scale:1/255 mean:0.485:0.456:0.406 std:0.229:0.224:0.225 order:rgb layout:nchw'.",
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        metavar="N",
        min=1,
        max=10**12,
        help="Pixels of one picture, at most; a larger one is refused before it is decoded. "
        "Default: 100,000,000.",
    ),
]
Calibrate = Annotated[
    str | None,
    typer.Option(
        "--calibrate",
        metavar="NAME",
        help="How activation scales are found: mean-max, max, percentile:P, mse, lp:P, or "
        "FILE.py:CLASS.",
        show_default=CALIBRATOR,
    ),
]
RecipeFile = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="FILE",
        help="TOML file that says how the network becomes integers: calibrator, weight quantiser, "
        "kept layers, layer by layer; in the place of --calibrate, --keep-8bit, --calibrate-on.",
        show_default=False,
    ),
]
Quantised = Annotated[
    str | None,
    typer.Option(
        "--quantised",
        metavar="FILE",
        help="What `sparqsim quantise` wrote of the network: its integers and scales are taken, "
        "and nothing is measured.",
        show_default=False,
    ),
]
Skip = Annotated[
    str, typer.Option("--skip", metavar="A,B", help="Nodes or operators to leave out of the trace.")
]
Keep = Annotated[
    str | None,
    typer.Option(
        "--keep-8bit",
        metavar="A,B",
        help="Layers that stay at 8 bits ('' for none). [default: first convolution, last layer]",
        show_default=False,
    ),
]
Scheme = Annotated[
    str,
    typer.Option(
        "--scheme", metavar="NAME", help="Which list of --bits, where the file holds several."
    ),
]

Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        metavar="N",
        min=1,
        help="Pictures that an ONNX network runs at a time. [default: as many as it fixes, else 8, "
        "else 1 where a batch would mix pictures]",
        show_default=False,
    ),
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
    from sparqsim.networks.modelfiles import import_trace
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


def opened_recipe(path: str | None, flags: Mapping[str, object], *, trust: bool) -> Recipe | None:
    """Return the recipe of a file that --recipe names; None where none is.

    Raises
    ------
    InputError
        For one of `flags` beside it, which the recipe says.
    """
    from sparqsim.quantise.recipe import Recipe

    check_alone("--recipe", path, flags)
    if path is None:
        return None
    return Recipe.read(path, trust=trust)


def check_alone(option: str, path: str | None, flags: Mapping[str, object]) -> None:
    """Raise InputError for one of `flags` beside an option whose file says it."""
    from sparqsim.base.errors import InputError

    for flag, value in flags.items():
        if path is not None and value is not None:
            raise InputError(
                f"{flag} {value} beside {option} {path}, which says it; expected one of the two"
            )


def calibration_pictures(pictures: Pictures, first: int | None, recipe: Recipe | None) -> Pictures:
    """Return the pictures that scales are found on: the recipe's number of all, else the first."""
    stated = None if recipe is None else recipe.calibration.pictures
    return pictures.first(first) if stated is None else pictures


def names(text: str) -> tuple[str, ...]:
    """Return the comma-separated names of an option."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))
