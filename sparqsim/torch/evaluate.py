"""`evaluate`: the whole network in a design's integer arithmetic.

Activations are quantised at each layer's input; the integer sums are exactly those of `PEDesign.matmul`; they are
brought back to real units with the scales, and the bias is added in float64. All else runs in float.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sparqsim.errors import InputError
from sparqsim.layer_report import Error
from sparqsim.measure import sum_of_squares
from sparqsim.pe import PEDesign, get_pe
from sparqsim.torch.fold import NORMS
from sparqsim.torch.integer import as_array
from sparqsim.torch.loaders import Inputs, checked
from sparqsim.torch.network import Operands, Site, Skipped, naming
from sparqsim.torch.outputs import described, logits_of
from sparqsim.torch.quantised import IntegerLayer, Keep, QuantisedNetwork

#: What becomes of layers marked keep_8bit: `mac-8b8b`, float (as the authors' code), or the design itself.
Kept = Literal["8bit", "float", "design"]
EIGHT_BIT = "mac-8b8b"


@dataclass(frozen=True)
class LayerResult:
    """One layer: the design that computed it ('float' for none), and the error of its outputs.

    `error` compares integer sums with the exact 8-bit sums of the same operands.
    """

    name: str
    pe: str
    signed: bool
    error: Error | None


@dataclass(frozen=True)
class Evaluation:
    """What a network makes of inputs when its layers compute as a design does.

    `pe` is None for the float network. `rows`: predictions made. `top1`, `top5`: right ones (None without labels).
    `agreement`: predictions (top-1) that equal the float network's. `logits` float32 (rows, classes).
    """

    pe: str | None
    calibrator: str
    kept: Kept
    recalibrated_bn: bool
    rows: int
    top1: int | None
    top5: int | None
    agreement: int
    layers: tuple[LayerResult, ...]
    skipped: tuple[Skipped, ...]
    logits: Tensor

    @property
    def sqnr_db(self) -> dict[str, float | None]:
        """Signal to quantisation noise of each layer that the design computed, dB; None where nothing was lost."""
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
    kept: Kept = "8bit",
    recalibrate_bn: bool = False,
    matmuls: Sequence[str] = (),
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
        As in `dump`.
    kept : '8bit', 'float' or 'design'
        How layers marked keep_8bit compute.
    recalibrate_bn : bool
        Whether batch norms are measured anew under the design (`recalibrate`). Needs an nn.Module: none is then folded.
    error_images : int, optional
        Inputs on which each layer's error is measured, the loader's first, in whole batches; all by default.
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
    )
    arithmetic = None if pe is None else Arithmetic(quantised, get_pe(pe), kept, error_images)
    in_float = in_float or answers(quantised, loader, images)
    if recalibrate_bn:
        recalibrate(quantised, calibration, arithmetic)
    same = arithmetic is None and not recalibrate_bn
    found = in_float if same else answers(quantised, loader, images, arithmetic)
    return _evaluation(quantised, arithmetic, recalibrate_bn, in_float, found)


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


@dataclass(frozen=True)
class Answers:
    """Logits (rows, classes) of every input, and the labels int64 (rows,) if the loader gives them."""

    logits: Tensor
    labels: Tensor | None


def answers(
    quantised: QuantisedNetwork,
    loader: Iterable[Any],
    images: int | None = None,
    arithmetic: Arithmetic | None = None,
) -> Answers:
    """Return what the network answers in `arithmetic`, in float without one."""
    logits, labels = [], []
    for inputs, label in quantised.batches(loader, images):
        logits.append(_logits(quantised, inputs, arithmetic))
        labels.append(label)
        if arithmetic is not None:
            arithmetic.inputs_done += len(inputs)
    if not logits:
        raise InputError("loader holds no batch, expected at least one")
    return Answers(_joined(logits), _row_labels(labels, sum(map(len, logits))))


def _joined(logits: list[Tensor]) -> Tensor:
    classes = sorted({batch.shape[1] for batch in logits})
    if len(classes) > 1:
        raise InputError(
            f"the network gives {' and '.join(map(str, classes))} logits in different batches, "
            "expected equally many classes in each"
        )
    return torch.cat(logits)


def _row_labels(labels: list[Tensor | None], rows: int) -> Tensor | None:
    """Return the class number of every row of logits, int64 (rows,), or None without labels."""
    known = [label.reshape(-1) for label in labels if label is not None]
    if not known:
        return None
    found = torch.cat(known)
    if found.is_floating_point() or found.is_complex() or len(found) != rows:
        raise InputError(
            f"labels are {described(found)} for {rows} rows of logits, expected one integer class "
            "number for each row"
        )
    return found.long()


def _evaluation(
    quantised: QuantisedNetwork,
    arithmetic: Arithmetic | None,
    recalibrated: bool,
    in_float: Answers,
    found: Answers,
) -> Evaluation:
    logits, labels = found.logits, found.labels
    return Evaluation(
        pe=None if arithmetic is None else arithmetic.pe.spec,
        calibrator=quantised.calibrator.spec,
        kept="8bit" if arithmetic is None else arithmetic.kept,
        recalibrated_bn=recalibrated,
        rows=len(logits),
        top1=None if labels is None else right(logits, labels, 1),
        top5=None if labels is None else right(logits, labels, 5),
        agreement=right(logits, in_float.logits.argmax(dim=1), 1),
        layers=() if arithmetic is None else arithmetic.results(),
        skipped=quantised.network.skipped,
        logits=logits.float(),
    )


def right(logits: Tensor, labels: Tensor, top: int) -> int:
    """Return for how many rows the label is among the `top` largest logits; NaN is never right."""
    largest = logits.topk(min(top, logits.shape[1]), dim=1).indices
    return int(((largest == labels[:, None]).any(dim=1) & ~logits.isnan().any(dim=1)).sum())


def _logits(quantised: QuantisedNetwork, inputs: Inputs, visitor: Any) -> Tensor:
    output = quantised.network.run(inputs, visitor)
    logits = logits_of(output)
    if logits is None:
        raise InputError(
            f"the network's output is {described(output)}, and none of it is known to be logits; "
            "expected (batch, classes) or (batch, positions, classes), alone, as the first of a "
            "tuple, or under the name 'logits'"
        )
    return logits


def recalibrate(
    quantised: QuantisedNetwork, calibration: Iterable[Any], arithmetic: Arithmetic | None
) -> None:
    """Replace running statistics by the mean over calibration batches, each norm seeing the design's own outputs.

    As the authors' code does.
    """
    norms = [module for module in quantised.network.model.modules() if isinstance(module, NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch: a cumulative mean over batches
        norm.train()
    for inputs, _ in quantised.batches(calibration):
        quantised.network.run(inputs, arithmetic)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    if arithmetic is not None:
        arithmetic.reset()


class Arithmetic:
    """The visitor that computes every site as a design does.

    It measures layers' errors as long as `inputs_done`, which its user counts, is below `error_images` (None: always).

    Raises
    ------
    InputError
        For a layer whose activations the design cannot take, naming it.
    """

    def __init__(
        self,
        quantised: QuantisedNetwork,
        pe: PEDesign,
        kept: Kept = "8bit",
        error_images: int | None = None,
    ) -> None:
        if kept not in ("8bit", "float", "design"):
            raise InputError(f"kept={kept!r}, expected '8bit', 'float' or 'design'")
        self.pe, self.kept = pe, kept
        self._quantised = quantised
        self._errors: dict[str, ErrorMeter] = {}
        self._error_images = error_images
        self.inputs_done = 0
        for name, layer in quantised.layers.items():
            design = self._design(layer)
            if design is not None:
                with naming(name):
                    design.check_signedness(layer.activation.signed)

    def __call__(self, site: Site, operands: Operands) -> Tensor:
        """Return one site's output."""
        layer = self._quantised.layer(site)
        design = self._design(layer)
        if design is None:
            return site.in_float(operands)
        with naming(site.name):
            integers = layer.integers(operands)
            return layer.real(self._sums(site.name, integers, design), operands)

    def _sums(self, name: str, integers: Any, design: PEDesign) -> Tensor:
        """Return the design's integer sums in the layer's output shape, its error noted."""
        if self._error_images is not None and self.inputs_done >= self._error_images:
            return integers.result(design)  # type: ignore[no-any-return]
        meter = self._errors.setdefault(name, ErrorMeter())
        blocks = []
        for result, exact in integers.products(design):
            meter.add(result, exact)
            blocks.append(result)
        return integers.shaped(blocks)  # type: ignore[no-any-return]

    def _design(self, layer: IntegerLayer) -> PEDesign | None:
        """Return what computes a layer, None for float."""
        if not layer.keep_8bit or self.kept == "design":
            return self.pe
        return None if self.kept == "float" else get_pe(EIGHT_BIT)

    def reset(self) -> None:
        """Forget the errors and inputs seen so far."""
        self._errors.clear()
        self.inputs_done = 0

    def results(self) -> tuple[LayerResult, ...]:
        """Return every layer's result."""
        found = []
        for name, layer in self._quantised.layers.items():
            design = self._design(layer)
            error = self._errors[name].error() if name in self._errors else None
            found.append(
                LayerResult(
                    name, "float" if design is None else design.spec, layer.activation.signed, error
                )
            )
        return tuple(found)


class ErrorMeter:
    """Adds up the error of integer sums over batches, exactly."""

    def __init__(self) -> None:
        self._outputs = self._signal = self._noise = self._max_abs = 0

    def add(self, result: Tensor, exact: Tensor) -> None:
        """Add a block: integers held in float64, the design's and the exact ones."""
        true = as_array(exact).astype(np.int64)
        self._outputs += true.size
        self._signal += sum_of_squares(true)
        if result is not exact:
            difference = as_array(result).astype(np.int64) - true
            self._noise += sum_of_squares(difference)
            self._max_abs = max(self._max_abs, int(np.abs(difference).max(initial=0)))

    def error(self) -> Error:
        """Return the error so far."""
        return Error(
            outputs=self._outputs, signal=self._signal, noise=self._noise, max_abs=self._max_abs
        )
