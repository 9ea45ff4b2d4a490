"""A network's layers in a design's integer arithmetic, and the error of their sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from sparqsim.base.errors import InputError
from sparqsim.engine.measure import sum_of_squares
from sparqsim.networks.torch.integer import as_array
from sparqsim.networks.torch.network import Operands, Site, naming
from sparqsim.networks.torch.quantised import IntegerLayer, QuantisedNetwork
from sparqsim.pe import PEDesign, get_pe
from sparqsim.results.layer_report import Error

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
