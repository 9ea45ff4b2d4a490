"""`sparqsim accuracy`: what designs do to a network's answers, beside their cycles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparqsim.base.plugins import named_file
from sparqsim.base.wording import counted
from sparqsim.cli.accelerator import array_config
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
    known_classes,
    names,
    opened_recipe,
)
from sparqsim.cli.options import (
    Array,
    Baseline,
    CalibrateOn,
    Coupling,
    Dataflow,
    Designs,
    Format,
    Include,
    KeptAs,
    Limit,
    Model,
    Output,
    Overlap,
    SignedAs,
    Trust,
    split_designs,
)

if TYPE_CHECKING:
    from sparqsim.networks.evaluate import AnsweringNetwork
    from sparqsim.networks.images import Pictures
    from sparqsim.quantise.recipe import Recipe
    from sparqsim.results.accuracy_report import AccuracyReport

Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Classes: .csv with columns file,class; or .npy. [default: those in the .npz, else "
        "none]",
        show_default=False,
    ),
]
LabelOffset = Annotated[
    int,
    typer.Option(
        "--label-offset",
        metavar="N",
        min=-(2**31),
        max=2**31,
        help="Added to every class (1 for networks whose class 0 is background).",
    ),
]
TracePictures = Annotated[
    int | None,
    typer.Option(
        "--trace-pictures",
        metavar="N",
        min=1,
        help="The first pictures, on which cycles and SQNR are measured. "
        "[default: 1, or as many as the network takes at a time]",
        show_default=False,
    ),
]

Bits = Annotated[
    str | None,
    typer.Option(
        "--bits",
        metavar="FILE",
        help="JSON file: by layer, bits of weights, which lose the rest (requantise and strip).",
    ),
]


def accuracy(
    model: Model,
    images: Images,
    pe: Designs = None,
    labels: Labels = None,
    label_offset: LabelOffset = 0,
    preprocess: Steps = "",
    max_pixels: MaxPixels = None,
    calibrate: Calibrate = None,
    calibrate_on: CalibrateOn = None,
    limit: Limit = None,
    trace_pictures: TracePictures = None,
    baseline: Baseline = "mac-8b8b",
    skip: Skip = "",
    keep_8bit: Keep = None,
    bits: Bits = None,
    scheme: Scheme = "",
    recipe: RecipeFile = None,
    quantised: Quantised = None,
    all_layers: Include = False,
    kept: KeptAs = "honest",
    signed: SignedAs = "magnitude",
    array: Array = "16x16",
    dataflow: Dataflow = "os",
    coupling: Coupling = "lockstep",
    overlap: Overlap = "off",
    batch: Batch = None,
    output: Output = None,
    format_: Format = "table",
    trust: Trust = False,
) -> None:
    """Answer pictures with every layer in a design's arithmetic: accuracy, agreement, SQNR, cycles,
    speedup.
    """
    from sparqsim.base.errors import InputError
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.progress import steps_bar
    from sparqsim.cli.show_accuracy import accuracy_shown
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.engine.assignment import assigned, assignment_file, checked_kept, file_of
    from sparqsim.engine.simulation import DEFAULT_PES
    from sparqsim.networks.images import Pictures
    from sparqsim.networks.modelfiles import open_network
    from sparqsim.pe.signs import checked_signed
    from sparqsim.trace.bitlist import BitList

    checked_format(format_)
    checked_kept(kept)
    checked_signed(signed)
    if scheme and bits is None:
        raise InputError(f"--scheme {scheme}: names a list of --bits, expected --bits FILE")
    config = array_config(array, dataflow, coupling, overlap)
    designs = split_designs(pe) if pe else list(DEFAULT_PES)
    flags = {
        "--calibrate": calibrate,
        "--keep-8bit": keep_8bit,
        "--calibrate-on": calibrate_on,
        "--bits": bits,
    }
    calibrate = calibrate or CALIBRATOR
    plugins = [named_file(calibrate), *map(file_of, [*designs, baseline])]
    check_outputs({"-o": output}, [model, images, labels, bits, recipe, quantised, *plugins])
    read = opened_recipe(recipe, flags, trust=trust)
    check_alone("--quantised", quantised, flags | {"--recipe": recipe, "--skip": skip or None})
    pictures = Pictures.open(images, preprocess, max_pixels).first(limit)
    classes = known_classes(pictures, labels, label_offset)
    labelled = replace(pictures, labels=classes)
    calibration = calibration_pictures(labelled, calibrate_on, read)
    with steps_bar() as progress:
        network = open_network(
            model,
            calibration,
            calibrate=calibrate,
            skip=names(skip),
            keep_8bit=None if keep_8bit is None else names(keep_8bit),
            batch=batch,
            bits=None if bits is None else BitList.load(bits, scheme),
            recipe=read,
            quantised=quantised,
            progress=progress,
        )
    report = _measured(
        network,
        pictures,
        classes,
        [assigned(pe, trust=trust) if assignment_file(pe) else pe for pe in designs],
        array=config,
        baseline=baseline,
        traced_pictures=trace_pictures,
        keep_8bit=not all_layers,
        kept=kept,
        signed=signed,
        data=counted(len(pictures), "picture"),
        calibration=_calibrated_on(calibration, read, quantised),
    )
    deliver(accuracy_shown(report), format_, saving(output, report.to_json))


def _calibrated_on(calibration: Pictures, recipe: Recipe | None, quantised: str | None) -> str:
    """Return on which pictures scales were found."""
    if quantised is not None:
        from sparqsim.networks.saved import SavedNetwork

        note = SavedNetwork.load(quantised).preprocess_note(calibration.preprocess.spec)
        return "; ".join(filter(None, ["not here: scales of a quantised network in a file", note]))
    stated = None if recipe is None else recipe.calibration.pictures
    return f"{len(calibration.first(stated))} of them"


def _measured(network: AnsweringNetwork, *arguments: Any, **settings: Any) -> AccuracyReport:
    """Return `sparqsim.networks.accuracy.accuracy` of these arguments, with progress shown."""
    from sparqsim.cli.show_accuracy import batch_progress
    from sparqsim.networks.accuracy import accuracy as measured

    with batch_progress() as progress:
        return measured(network, *arguments, **settings, progress=progress)
