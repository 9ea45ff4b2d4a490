"""`sparqsim accuracy`: what designs do to a network's answers, beside their cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sparqsim.cli.options import Array, Coupling, Dataflow, Include, Output, Overlap, array_config
from sparqsim.cli.trace import Calibrate, Images, Keep, Skip, Steps, names

if TYPE_CHECKING:
    from sparqsim.accuracy import Answering
    from sparqsim.images import Pictures


def accuracy(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Network: .onnx or .tflite.")],
    images: Images,
    pe: Annotated[
        str | None, typer.Option("--pe", metavar="A,B,C", help="PE designs. [default: as compare]", show_default=False)
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Classes: .csv with columns file,class; or .npy. [default: those in the .npz, else none]",
            show_default=False,
        ),
    ] = None,
    label_offset: Annotated[
        int,
        typer.Option(
            "--label-offset", metavar="N", help="Added to every class (1 for networks whose class 0 is background)."
        ),
    ] = 0,
    preprocess: Steps = "",
    calibrate: Calibrate = "mean-max",
    calibrate_on: Annotated[
        int | None,
        typer.Option(
            "--calibrate-on",
            metavar="N",
            min=1,
            help="Pictures that scales are found on. [default: all]",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Pictures answered. [default: all]", show_default=False),
    ] = None,
    trace_pictures: Annotated[
        int,
        typer.Option(
            "--trace-pictures", metavar="N", min=1, help="The first pictures, on which cycles and SQNR are measured."
        ),
    ] = 1,
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="NAME", help="Design that has speedup 1.")
    ] = "mac-8b8b",
    skip: Skip = "",
    keep_8bit: Keep = None,
    all_layers: Include = False,
    array: Array = "16x16",
    dataflow: Dataflow = "os",
    coupling: Coupling = "lockstep",
    overlap: Overlap = "off",
    output: Output = None,
) -> None:
    """Answer pictures with every layer in a design's arithmetic: accuracy, agreement, SQNR, cycles, speedup."""
    from sparqsim.accuracy import accuracy as measured
    from sparqsim.cli.run import split_designs
    from sparqsim.cli.show_accuracy import batch_progress, show_accuracy
    from sparqsim.files import write_text
    from sparqsim.images import Pictures, load_labels
    from sparqsim.simulation import DEFAULT_PES

    config = array_config(array, dataflow, coupling, overlap)
    pictures = Pictures.open(images, preprocess).first(limit)
    found = pictures.labels if labels is None else load_labels(labels, pictures.names)
    network = _network(model, pictures.first(calibrate_on), calibrate, names(skip),
                       None if keep_8bit is None else names(keep_8bit))
    with batch_progress() as progress:
        report = measured(network, pictures, None if found is None else found + label_offset,
                          split_designs(pe) if pe else list(DEFAULT_PES), array=config, baseline=baseline,
                          traced_pictures=trace_pictures, calibration_pictures=calibrate_on, keep_8bit=not all_layers,
                          progress=progress)
    if output:
        write_text(output, report.to_json())
    show_accuracy(report)


def _network(model: str, pictures: Pictures, calibrate: str, skip: tuple[str, ...],
             keep_8bit: tuple[str, ...] | None) -> Answering:
    """Return the network of a file, by its kind."""
    from pathlib import Path

    from sparqsim.errors import InputError

    suffix = Path(model).suffix.lower()
    if suffix == ".onnx":
        from sparqsim.onnx.dump import calibrated
        from sparqsim.onnx.evaluate import OnnxNetwork

        return OnnxNetwork(calibrated(model, pictures, calibrate, skip=skip, keep_8bit=keep_8bit))
    if suffix == ".tflite":
        from sparqsim.tflite.evaluate import TfliteNetwork

        return TfliteNetwork(model, skip=skip, keep_8bit=keep_8bit)
    raise InputError(f"{model}: unknown kind of network, expected .onnx or .tflite (PyTorch: sparqsim.torch.evaluate)")
