"""Which design computes which layer of a network, and the error of the layers' sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.engine.assignment import Assignment
from sparqsim.engine.models.base import KEPT
from sparqsim.engine.squares import sum_of_squares
from sparqsim.networks.computing import Computing, designs_by_name
from sparqsim.networks.observe import naming
from sparqsim.networks.site import Operands, Site
from sparqsim.pe import PEDesign, get_pe
from sparqsim.results.accuracy_report import KeptAs
from sparqsim.results.layer_report import Error

#: A layer's name -> the design that computes it.
Designs = dict[str, PEDesign]
#: A layer's name -> its operands on calibration inputs, batch by batch.
Seen = Mapping[str, Sequence[Operands]]


def designs_of(
    sites: Iterable[Site], pe: Computing, *, keep_8bit: bool = True, seen: Seen | None = None
) -> Designs:
    """Return every layer's design: that of `pe`, or for layers that stay at 8 bits the exact one.

    Parameters
    ----------
    sites : iterable of Site
    pe : PEDesign or Assignment
    keep_8bit : bool
    seen : mapping, optional
        On what designs of `tensor_scales` find their scales.

    Raises
    ------
    InputError
        For a layer whose activations its design cannot take, naming it, and for a design of
        `tensor_scales` without `seen`.
    """
    found = list(sites)
    designs = designs_by_name(pe, found, keep_8bit=keep_8bit)
    for site in found:
        signed = site.activation.stored_signed
        if signed and isinstance(pe, Assignment):
            designs[site.name] = pe.taking_signed(designs[site.name])
        with naming(site.name):
            designs[site.name].check_signedness(signed)
            designs[site.name] = _scaled(designs[site.name], site, seen)
    return designs


def _scaled(design: PEDesign, site: Site, seen: Seen | None) -> PEDesign:
    """Return a layer's design with the scale of its activations, if it finds one for a tensor."""
    if not design.tensor_scales:
        return design
    if seen is None:
        raise InputError(
            f"{design.spec} finds the scale of a layer's activations on all of them, and batches "
            "of pictures would each have one of their own; expected a trace (`compare`), answers "
            "beside calibration inputs (`evaluate`, `sparqsim accuracy`), or another design"
        )
    return design.with_tensor_scale(site.layer([batch]).lower() for batch in seen[site.name])


@dataclass(frozen=True)
class LayerResult:
    """One layer: the design that computed it ('float' for none), and the error of its outputs.

    `error` compares integer sums with the exact sums of the same operands, in an accumulator that
    holds them all.
    """

    name: str
    pe: str
    signed: bool
    error: Error | None


class Arithmetic:
    """Computes every site as a design does, and measures its error on the first inputs.

    Parameters
    ----------
    sites : iterable of Site
    pe : PEDesign or Assignment
    kept : '8bit', 'float' or 'design'
        What becomes of layers marked keep_8bit: exact 8-bit sums, float (as the authors' code), or
        the design itself.
    error_inputs : int, optional
        Errors are measured as long as `inputs_done`, which the user counts, is below it.
    seen : mapping, optional
        On what designs of `tensor_scales` find their scales.

    Raises
    ------
    InputError
        For a layer whose activations the design cannot take, naming it.
    """

    def __init__(
        self,
        sites: Iterable[Site],
        pe: Computing,
        kept: KeptAs = "8bit",
        error_inputs: int | None = None,
        seen: Seen | None = None,
    ) -> None:
        if kept not in ("8bit", "float", "design"):
            raise InputError(f"kept={kept!r}, expected '8bit', 'float' or 'design'")
        self.pe, self.kept = pe, kept
        self.inputs_done = 0
        self._sites = tuple(sites)
        self._error_inputs = error_inputs
        self._errors: dict[str, ErrorMeter] = {}
        integer = [site for site in self._sites if not (kept == "float" and site.keep_8bit)]
        self._designs = designs_of(integer, pe, keep_8bit=kept != "design", seen=seen)

    def design(self, site: Site) -> PEDesign | None:
        """Return what computes a layer, None for float."""
        return self._designs.get(site.name)

    def sums(self, site: Site, operands: Operands) -> NDArray[np.int64]:
        """Return the sums of a layer that a design computes, its error noted."""
        design, exact = self._designs[site.name], get_pe(KEPT)
        sums = site.sums(operands, design)
        if self.measuring:
            same = design == exact and not site.can_overflow
            true = sums if same else site.sums(operands, exact, overflows=False)
            self.note(site, SumsOfSquares.of(sums, true))
        return sums

    @property
    def measuring(self) -> bool:
        """Whether errors are measured on this batch."""
        return self._error_inputs is None or self.inputs_done < self._error_inputs

    def note(self, site: Site, found: SumsOfSquares) -> None:
        """Add a batch's error of a layer."""
        self._errors.setdefault(site.name, ErrorMeter()).note(found)

    def reset(self) -> None:
        """Forget the errors and inputs seen so far."""
        self._errors.clear()
        self.inputs_done = 0

    def results(self) -> tuple[LayerResult, ...]:
        """Return every layer's result."""
        return tuple(self._result(site) for site in self._sites)

    def _result(self, site: Site) -> LayerResult:
        design, meter = self.design(site), self._errors.get(site.name)
        return LayerResult(
            name=site.name,
            pe="float" if design is None else design.spec,
            signed=site.activation.stored_signed,
            error=None if meter is None else meter.error(),
        )


class SumsOfSquares(NamedTuple):
    """What one batch adds to a layer's error: `Error`'s fields."""

    outputs: int
    signal: int
    noise: int = 0
    max_abs: int = 0

    @classmethod
    def of(cls, result: NDArray[Any], exact: NDArray[Any]) -> SumsOfSquares:
        """Return the error of a design's int64 sums, given the exact ones."""
        signal = sum_of_squares(exact)
        if result is exact:
            return cls(exact.size, signal)
        difference = result - exact
        largest = int(np.abs(difference).max(initial=0))
        return cls(exact.size, signal, sum_of_squares(difference), largest)


class ErrorMeter:
    """Adds up the error of integer sums over batches, exactly."""

    def __init__(self) -> None:
        self._sum = SumsOfSquares(0, 0)

    def add(self, result: NDArray[Any], exact: NDArray[Any]) -> None:
        """Add a batch: a design's int64 sums and the exact ones."""
        self.note(SumsOfSquares.of(result, exact))

    def note(self, found: SumsOfSquares) -> None:
        """Add a batch's error."""
        so_far = self._sum
        self._sum = SumsOfSquares(
            so_far.outputs + found.outputs,
            so_far.signal + found.signal,
            so_far.noise + found.noise,
            max(so_far.max_abs, found.max_abs),
        )

    def error(self) -> Error:
        """Return the error so far."""
        return Error(**self._sum._asdict())
