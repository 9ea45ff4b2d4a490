"""Networks, shapes and arrays from files, by the kind of file: into traces, or to answer pictures.

PyTorch networks are objects, not files: `sparqsim.torch.dump` and `sparqsim.torch.evaluate`.
"""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparqsim.base.errors import InputError
from sparqsim.networks.images import Pictures
from sparqsim.networks.importing import import_trace
from sparqsim.networks.phase import Phase
from sparqsim.networks.recipes import (
    check_all_activation_bits,
    check_no_overflow,
    check_one_source_of_bits,
    check_whole_kv,
)
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.weights.facts import Progress, silent
from sparqsim.trace.bitlist import BitList
from sparqsim.trace.dumpreport import DumpReport

if TYPE_CHECKING:
    from sparqsim.networks.dump import SiteNetwork
    from sparqsim.networks.evaluate import AnsweringNetwork
    from sparqsim.networks.site import Site

__all__ = ["dump", "import_trace", "open_network", "quantise"]


def dump(
    model: str,
    pictures: Pictures,
    target: str,
    *,
    calibration: Pictures | None = None,
    calibrate: str = "mean-max",
    skip: Collection[str] = (),
    keep_8bit: Collection[str] | None = None,
    license_note: str = "",
    batch: int | None = None,
    recipe: Recipe | str | PathLike[str] | None = None,
    quantised: str | None = None,
    phase: str = "",
    progress: Progress = silent,
) -> DumpReport:
    """Run a network of a file on pictures and store the 8-bit operands of its layers as a trace.

    Parameters
    ----------
    model : str
        .onnx or .tflite.
    pictures : Pictures
        `sparqsim.networks.images.Pictures.open(folder_or_file, preprocess)`.
    target : str
        The trace file.
    calibration : Pictures, optional
        Those that scales are found on; default: `pictures`. A TFLite network has its own scales.
    calibrate : str
        'mean-max', 'max', 'percentile:P', 'mse' or 'lp:P'.
    skip : collection of str
        Nodes or operators to leave out.
    keep_8bit : collection of str, optional
        Layers that stay at 8 bits; default: first convolution and last layer.
    license_note : str
        Kept in the trace.
    batch : int, optional
        Pictures that an ONNX network runs at a time; other kinds say it themselves.
    recipe : Recipe or path of a .toml file, optional
        Says all of `calibrate` and `keep_8bit`, and how real weights are quantised; it goes into
        the trace's provenance.
    quantised : str, optional
        A file that `quantise` wrote of the network: its integers and scales are taken, and nothing
        is measured.
    phase : str
        'prefill:T' or 'decode:T' of an ONNX language model (`sparqsim.networks.phase`).
    progress : callable
        As in `sparqsim.networks.recipes.followed`.

    Raises
    ------
    InputError
        For another kind of file, and for a network or pictures that cannot be used.
    """
    from sparqsim.networks.dump import dump as written

    measured_on = pictures if calibration is None else calibration
    read = None if recipe is None else Recipe.of(recipe)
    part = None
    if phase:
        part, batch = Phase.parse(phase), 1
        pictures, measured_on = part.pictures(pictures), part.pictures(measured_on)
        check_decodes(model, part, pictures)
    network = _opened(
        model,
        measured_on,
        "dump",
        calibrate,
        skip=skip,
        keep_8bit=keep_8bit,
        batch=batch,
        recipe=read,
        quantised=quantised,
        progress=progress,
    )
    source = quantised if read is None else read.origin
    if source is not None:
        check_no_overflow(network.sites, source)
    return written(network, pictures, target, part, license_note=license_note)


def check_decodes(model: str, phase: Phase, pictures: Pictures) -> None:
    """Raise InputError for a phase of a network that is no causal ONNX network."""
    if Path(model).suffix != ".onnx":
        raise InputError(f"{model}: --phase takes a language model, expected an .onnx file")
    if phase.kind == "decode":
        from sparqsim.networks.onnx.causality import check_causal

        check_causal(model, phase, pictures)


def open_network(
    model: str,
    pictures: Pictures,
    *,
    calibrate: str = "mean-max",
    skip: Collection[str] = (),
    keep_8bit: Collection[str] | None = None,
    batch: int | None = None,
    bits: BitList | None = None,
    recipe: Recipe | str | PathLike[str] | None = None,
    quantised: str | None = None,
    progress: Progress = silent,
) -> AnsweringNetwork:
    """Return the network of a file, ready for `sparqsim.networks.accuracy.accuracy`.

    Parameters are those of `dump`; `pictures` are those that scales are found on. `bits`: of the
    layers' weights (`sparqsim.networks.site.with_bits`).

    Raises
    ------
    InputError
        For another kind of file than .onnx and .tflite, and for one that cannot be used.
    """
    check_one_source_of_bits(recipe, bits)
    network: Any = _opened(
        model,
        pictures,
        "evaluate",
        calibrate,
        skip=skip,
        keep_8bit=keep_8bit,
        batch=batch,
        recipe=None if recipe is None else Recipe.of(recipe),
        quantised=quantised,
        progress=progress,
    )
    if Path(model).suffix.lower() == ".onnx":
        from sparqsim.networks.onnx.evaluate import OnnxNetwork

        check_whole_kv(network.sites, "answers of an ONNX network")
        answering: AnsweringNetwork = OnnxNetwork(network, bits=bits)
    else:
        from sparqsim.networks.tflite.evaluate import TfliteNetwork

        answering = TfliteNetwork(network, bits)
    answering.calibration = pictures
    return answering


def quantise(
    model: str,
    pictures: Pictures,
    target: str,
    recipe: Recipe,
    *,
    skip: Collection[str] = (),
    batch: int | None = None,
    progress: Progress = silent,
) -> tuple[Site, ...]:
    """Quantise a network of a file by a recipe, and save its layers' integers and scales.

    Parameters
    ----------
    model : str
        .onnx; PyTorch networks are saved by `QuantisedNetwork.save`.
    pictures : Pictures
        Calibration pictures; the recipe says how many of them.
    target : str
        The file (.safetensors), written whole or not at all.
    recipe : Recipe
    skip, batch, progress
        As in `dump`.

    Returns
    -------
    tuple of Site
        The layers that were saved.

    Raises
    ------
    InputError
        For another kind of file, and for what the network cannot take of the recipe.
    """
    if Path(model).suffix.lower() == ".tflite":
        raise InputError(
            f"{model}: a TFLite network is integers already; expected a network of real weights "
            "(.onnx; PyTorch: sparqsim.torch.QuantisedNetwork.save)"
        )
    check_all_activation_bits(recipe, "a file of a quantised network")
    from sparqsim.networks.saved import save

    network: Any = _opened(
        model,
        pictures,
        "QuantisedNetwork",
        Recipe().activations,
        skip=skip,
        keep_8bit=None,
        batch=batch,
        recipe=recipe,
        quantised=None,
        progress=progress,
    )
    from sparqsim.networks.onnx.restoring import digest_of

    save(
        target,
        network.sites,
        source=network.name,
        source_sha256=digest_of(model),
        calibrator=network.calibrator,
        recipe=dict(network.recipe_entry),
        recipe_title=network.recipe,
        stated=network.stated,
        pictures=recipe.calibration.pictures or len(pictures),
        preprocess=pictures.preprocess.spec,
        skip=tuple(skip),
    )
    return tuple(network.sites)


def _opened(
    model: str,
    pictures: Pictures,
    task: str,
    calibrate: str,
    *,
    skip: Collection[str],
    keep_8bit: Collection[str] | None,
    batch: int | None,
    recipe: Recipe | None,
    quantised: str | None,
    progress: Progress,
) -> SiteNetwork:
    """Return the network of a file, calibrated on pictures; `task`: PyTorch's function for it."""
    suffix = Path(model).suffix.lower()
    if quantised is not None:
        return _restored(model, quantised, pictures, batch)
    if suffix == ".onnx":
        from sparqsim.networks.onnx.network import calibrated
        from sparqsim.networks.onnx.running import with_recipe

        network = calibrated(
            model, pictures, calibrate, skip=skip, keep_8bit=keep_8bit, batch=batch, recipe=recipe
        )
        return network if recipe is None else with_recipe(network, recipe, pictures, progress)
    if batch is not None:
        raise InputError(
            f"--batch {batch}: {model} says itself how many pictures it takes at a time, expected "
            "--batch for .onnx only"
        )
    if suffix == ".tflite":
        from sparqsim.networks.tflite.network import TfliteSites

        return TfliteSites(model, skip, keep_8bit, recipe)
    raise InputError(
        f"{model}: unknown kind of network, expected .onnx or .tflite (PyTorch: "
        f"sparqsim.torch.{task})"
    )


def _restored(model: str, quantised: str, pictures: Pictures, batch: int | None) -> SiteNetwork:
    """Return the network of a file with the integers of another, that `quantise` wrote."""
    if Path(model).suffix.lower() != ".onnx":
        raise InputError(
            f"{model}: a quantised network is made of .onnx here, expected such a model (PyTorch: "
            "sparqsim.torch.QuantisedNetwork.load)"
        )
    from sparqsim.networks.onnx.restoring import restored
    from sparqsim.networks.saved import SavedNetwork

    return restored(model, SavedNetwork.load(quantised), pictures, batch)
