"""`evaluate`: the whole network in a design's integer arithmetic.

Activations are quantised at each layer's input; the integer sums are exactly those of
`PEDesign.matmul`; they are brought back to real units with the scales, and the bias is added in
float64. All else runs in float.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, inf
from os import PathLike
from typing import Any

from torch import Tensor, nn

from sparqsim.base.errors import InputError
from sparqsim.networks.arithmetic import Arithmetic, LayerResult
from sparqsim.networks.evaluate import best, hits
from sparqsim.networks.torch.answers import Answers, answered, answers
from sparqsim.networks.torch.dump import operands_in_float
from sparqsim.networks.torch.fold import NORMS
from sparqsim.networks.torch.loaders import checked
from sparqsim.networks.torch.network import Skipped
from sparqsim.networks.torch.quantised import Keep, QuantisedNetwork
from sparqsim.pe import PEDesign, get_pe
from sparqsim.quantise.recipe import Recipe
from sparqsim.results.accuracy_report import KeptAs
from sparqsim.trace.bitlist import BitList

#: Numbers from here have no exponential in float64.
LARGEST_LOG = 709.0


@dataclass(frozen=True)
class Evaluation:
    """What a network makes of inputs when its layers compute as a design does.

    `pe` is None for the float network. `rows`: predictions made. `top1`, `top5`: right ones (None
    without labels). `agreement`: predictions (top-1) that equal the float network's. `logits`
    float32 (rows, classes). `cross_entropy`: mean over rows of -ln of the probability that the
    label has (None without labels).

    Of a language model a row is a token, its label the next one: `agreement` over `rows` is then
    the agreement of tokens.
    """

    pe: str | None
    calibrator: str
    kept: KeptAs
    recalibrated_bn: bool
    rows: int
    top1: int | None
    top5: int | None
    agreement: int
    layers: tuple[LayerResult, ...]
    skipped: tuple[Skipped, ...]
    logits: Tensor
    cross_entropy: float | None = None

    @property
    def perplexity(self) -> float | None:
        """Exp of the cross-entropy: among how many equally likely answers it would be as unsure."""
        if self.cross_entropy is None:
            return None
        return exp(self.cross_entropy) if self.cross_entropy < LARGEST_LOG else inf

    @property
    def sqnr_db(self) -> dict[str, float | None]:
        """SQNR of each layer that the design computed, dB; None where nothing was lost."""
        return {
            layer.name: layer.error.sqnr_db
            for layer in self.layers
            if layer.error is not None and layer.pe == self.pe
        }


def evaluate(
    model: nn.Module | QuantisedNetwork,
    loader: Iterable[Any],
    pe: str | PEDesign | None = "sparq-5opt",
    *,
    calibrate: str = "mean-max",
    calibration_loader: Iterable[Any] | None = None,
    keep_8bit: Keep = "first-last",
    kept: KeptAs = "8bit",
    recalibrate_bn: bool = False,
    matmuls: Sequence[str] | None = None,
    bits: BitList | None = None,
    recipe: Recipe | str | PathLike[str] | None = None,
    inputs: Callable[[Any], Any] | None = None,
    forward: Callable[..., Any] | None = None,
    images: int | None = None,
    error_images: int | None = None,
    in_float: Answers | None = None,
) -> Evaluation:
    """Return the accuracy of a network in which every Conv2d and Linear computes as a design does.

    Parameters
    ----------
    model : nn.Module or QuantisedNetwork
        A QuantisedNetwork brings its own scales and keys; several designs can share it.
    pe : str or PEDesign, or None
        None: the float network.
    loader, calibrate, calibration_loader, keep_8bit, matmuls, images
        As in `dump`. Designs that find the scale of a tensor (`olive-4b`) find it on the
        calibration inputs, of a QuantisedNetwork too.
    bits, recipe, inputs, forward : optional
        As in `QuantisedNetwork`. Errors of layers are then of the design on those weights.
    kept : '8bit', 'float' or 'design'
        How layers marked keep_8bit compute.
    recalibrate_bn : bool
        Whether batch norms are measured anew under the design (`recalibrate`). Needs an nn.Module:
        none is then folded.
    error_images : int, optional
        Inputs on which each layer's error is measured, the loader's first, in whole batches; all by
        default.
    in_float : Answers, optional
        What `answers` gives for the float network, where several designs share it.

    Raises
    ------
    InputError
        NaN or infinite values, or activations the design cannot take, naming the layer.
    """
    checked(loader, "loader")
    calibration = checked(
        loader if calibration_loader is None else calibration_loader, "calibration_loader"
    )
    quantised = _quantised(
        model,
        calibration,
        recalibrate_bn,
        calibrate=calibrate,
        keep_8bit=keep_8bit,
        matmuls=matmuls,
        bits=bits,
        recipe=recipe,
        inputs=inputs,
        forward=forward,
    )
    arithmetic = None
    if pe is not None:
        arithmetic = arithmetic_of(quantised, pe, calibration, kept, error_images)
    in_float = in_float or answers(quantised, loader, images)
    if recalibrate_bn:
        recalibrate(quantised, calibration, arithmetic)
    same = arithmetic is None and not recalibrate_bn
    found = in_float if same else answers(quantised, loader, images, arithmetic)
    return _evaluation(quantised, arithmetic, recalibrate_bn, in_float, found)


def arithmetic_of(
    quantised: QuantisedNetwork,
    pe: str | PEDesign,
    calibration: Iterable[Any],
    kept: KeptAs = "8bit",
    error_images: int | None = None,
) -> Arithmetic:
    """Return the arithmetic of a network's layers under a design, as `evaluate` has it.

    Parameters
    ----------
    quantised : QuantisedNetwork
    pe : str or PEDesign
    calibration : iterable of batches
        Where designs that find the scale of a tensor find it; read for them alone.
    kept, error_images
        As in `evaluate`.

    Raises
    ------
    InputError
        For activations the design cannot take, naming the layer.
    """
    design = get_pe(pe)
    seen = operands_in_float(quantised, calibration) if design.tensor_scales else None
    return Arithmetic(quantised.layers.values(), design, kept, error_images, seen)


def _quantised(
    model: nn.Module | QuantisedNetwork,
    calibration: Iterable[Any],
    recalibrate_bn: bool,
    **keys: Any,
) -> QuantisedNetwork:
    if not isinstance(model, QuantisedNetwork):
        return QuantisedNetwork(model, calibration, fold=not recalibrate_bn, **keys)
    if recalibrate_bn:
        raise InputError("recalibrate_bn=True needs the nn.Module, expected no QuantisedNetwork")
    return model


def _evaluation(
    quantised: QuantisedNetwork,
    arithmetic: Arithmetic | None,
    recalibrated: bool,
    in_float: Answers,
    found: Answers,
) -> Evaluation:
    labels = None if found.labels is None else found.labels.numpy()
    answers_found, reference = (best(each.logits.double().numpy()) for each in (found, in_float))
    counted = hits(answers_found, reference, labels)
    return Evaluation(
        pe=None if arithmetic is None else arithmetic.pe.spec,
        calibrator=quantised.calibrator,
        kept="8bit" if arithmetic is None else arithmetic.kept,
        recalibrated_bn=recalibrated,
        rows=len(found.logits),
        top1=counted.top1,
        top5=counted.top5,
        agreement=counted.agree,
        layers=() if arithmetic is None else arithmetic.results(),
        skipped=quantised.network.skipped,
        logits=found.logits.float(),
        cross_entropy=found.cross_entropy,
    )


def recalibrate(
    quantised: QuantisedNetwork, calibration: Iterable[Any], arithmetic: Arithmetic | None
) -> None:
    """Replace running statistics by the mean over calibration batches, each norm seeing the
    design's own outputs.

    As the authors' code does.
    """
    norms = [module for module in quantised.network.model.modules() if isinstance(module, NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch: a cumulative mean over batches
        norm.train()
    for inputs, _ in quantised.batches(calibration):
        answered(quantised, inputs, arithmetic)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    if arithmetic is not None:
        arithmetic.reset()
