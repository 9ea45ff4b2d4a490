"""Equal budgets: 'b bits everywhere' beside 'the first and the last layer at 8', at equal bits.

Networks are quantised with all layers at b bits, or with the ends at 8 bits and the others at b.
Their bits are then not the same: what the ends take more, the others must take less. Sizes are
those of a trace's own layers. *Source* of the comparison: "Confounding tradeoffs", whose own
figures (4 bits including the ends, 4.32 excluding them) are of a network that is not here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from math import prod
from typing import Literal

from pydantic import Field, computed_field

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.record import Name, Record
from sparqsim.trace.codebits import ALL_BITS
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.layer import Layer
from sparqsim.trace.trace import Trace

Operand = Literal["weights", "activations"]


class OperandBudget(Record):
    """Bits of one operand under two schemes: all layers alike, or some kept at 8 bits.

    kept_elements: codes of the layers that are kept. inner_elements: of the others. inputs: of the
    network that the elements are of; totals are per input. bits: of all layers in the one scheme,
    of the others in the other. kept_bits: of the layers that are kept.
    """

    operand: Operand
    kept_elements: int = Field(ge=0)
    inner_elements: int = Field(ge=0)
    inputs: int = Field(default=1, ge=1)
    bits: float = Field(gt=0, le=ALL_BITS, allow_inf_nan=False)
    kept_bits: int = ALL_BITS

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_bits(self) -> float:
        """Bits with `bits` everywhere."""
        return float(self._everywhere / self.inputs)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_bits_kept(self) -> float:
        """Bits with the kept layers at `kept_bits`, the others at `bits`."""
        return float(self._with_kept / self.inputs)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def average_bits_kept(self) -> float:
        """Bits of a code, on average, in that scheme: so many everywhere give its total."""
        return float(self._with_kept / self._elements)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def equal_inner_bits(self) -> float | None:
        """Bits of the other layers that give the total of `bits` everywhere; None where the kept
        layers alone take it, or all layers are kept.
        """
        left = self._everywhere - self.kept_bits * self.kept_elements
        if left <= 0 or not self.inner_elements:
            return None
        return float(left / self.inner_elements)

    @property
    def _elements(self) -> int:
        return self.kept_elements + self.inner_elements

    @property
    def _everywhere(self) -> Fraction:
        return Fraction(self.bits) * self._elements

    @property
    def _with_kept(self) -> Fraction:
        return self.kept_bits * self.kept_elements + Fraction(self.bits) * self.inner_elements


class EqualBudget(Record):
    """Both operands of a trace under both schemes. kept: the layers that are kept at 8 bits."""

    kept: tuple[Name, ...]
    weights: OperandBudget
    activations: OperandBudget


def equal_budget(
    trace: Trace, bits: float, keep_8bit: Collection[str] | None = None
) -> EqualBudget:
    """Return what 'bits everywhere' and 'first and last layer at 8' take, and how they convert.

    Parameters
    ----------
    trace : Trace
        Its layers' sizes; operands are not read.
    bits : float
        More than 0, at most 8; fractions are an average over layers.
    keep_8bit : collection of str, optional
        The layers at 8 bits in the second scheme. Default: the first and the last.

    Raises
    ------
    InputError
        For bits out of range, or a layer that is not in the trace.
    """
    if not 0 < bits <= ALL_BITS:
        raise InputError(f"bits={bits}: expected more than 0, at most {ALL_BITS}")
    kept = _kept([layer.name for layer in trace.layers], keep_8bit)
    inputs = Coverage.of(trace.metadata.provenance).inputs or 1
    return EqualBudget(
        kept=kept,
        weights=_budget("weights", trace.layers, kept, bits, 1),
        activations=_budget("activations", trace.layers, kept, bits, inputs),
    )


def _kept(names: Sequence[str], chosen: Collection[str] | None) -> tuple[str, ...]:
    if chosen is None:
        return tuple(dict.fromkeys([names[0], names[-1]]))
    for name in chosen:
        if name not in names:
            raise InputError(
                f"keep_8bit: layer {name!r} is not in the trace{nearest(name, names)}; expected "
                f"some of {', '.join(names)}"
            )
    return tuple(name for name in names if name in chosen)


def _budget(
    operand: Operand, layers: Sequence[Layer], kept: Collection[str], bits: float, inputs: int
) -> OperandBudget:
    sizes = {layer.name: prod(getattr(layer, f"{operand}_source").shape) for layer in layers}
    of_kept = sum(size for name, size in sizes.items() if name in kept)
    return OperandBudget(
        operand=operand,
        kept_elements=of_kept,
        inner_elements=sum(sizes.values()) - of_kept,
        inputs=inputs,
        bits=bits,
    )
