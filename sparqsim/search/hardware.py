"""What a PE design's circuit takes and gives, and which layers it cannot run: HAGO's hardware.

HAGO describes hardware as entries of each operator, types in and types out, and refuses what has no
entry. Here the entries follow from the design: the widths of operands at which its PEs become
faster (`widths`; operands of other bits take the next wider entry), and the accumulator that sums
leave by. *Source*: ZihengJiang/tvm-hago at 6e71860. Ours: how the widths are found, and that an
accumulator which cannot hold a single product is no entry: longer sums are simulated, they wrap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sparqsim.base.errors import InputError
from sparqsim.pe.base import LayerFacts, PEDesign
from sparqsim.search.space import LayerBits
from sparqsim.trace.codebits import ALL_BITS


@dataclass(frozen=True)
class HardwareSpec:
    """What a design takes: widths of its entries, most first, and bits of its accumulator."""

    design: str
    activation_bits: tuple[int, ...]
    weight_bits: tuple[int, ...]
    accumulator_bits: int

    @classmethod
    def of(cls, pe: PEDesign, accumulator_bits: int) -> HardwareSpec:
        """Return the hardware of a design."""
        activations = widths([rate(pe, bits, ALL_BITS) for bits in range(1, ALL_BITS + 1)])
        weights = widths([rate(pe, ALL_BITS, bits) for bits in range(1, ALL_BITS + 1)])
        return cls(pe.spec, activations, weights, accumulator_bits)

    def takes(self, bits: LayerBits) -> bool:
        """Whether there is an entry: operands fit, and the accumulator holds a product of them."""
        fits = bits.activations <= self.activation_bits[0] and bits.weights <= self.weight_bits[0]
        return fits and sum(bits) <= self.accumulator_bits

    def limit(self) -> int:
        """Return the most bits of an edge: what consumers take, and producers' sums have."""
        return min(self.activation_bits[0], self.accumulator_bits)

    def check(self, layers: Iterable[tuple[str, LayerBits]]) -> None:
        """Raise InputError for the first layer that has no entry at its bits, naming it."""
        for name, bits in layers:
            if self.takes(bits):
                continue
            raise InputError(
                f"layer {name!r}: {bits.activations}-bit activations times {bits.weights}-bit "
                f"weights are products of {sum(bits)} bits, and {self.design} is given "
                f"accumulators of {self.accumulator_bits}; expected --accumulator-bits "
                f"{sum(bits)} or more, or fewer bits of layers (--most-bits, --keep-8bit '')"
            )

    @property
    def words(self) -> str:
        """All of it in a line."""
        activations = ", ".join(map(str, self.activation_bits))
        weights = ", ".join(map(str, self.weight_bits))
        return (
            f"{self.design}: activations of {activations} bits, weights of {weights} bits, "
            f"accumulators of {self.accumulator_bits} bits"
        )


def rate(pe: PEDesign, activation_bits: int, weight_bits: int) -> float:
    """Return pairs of operands that a PE takes per cycle at these bits, as its design says it.

    Designs whose cycles follow values are asked for their lanes alone.
    """
    facts = LayerFacts(1, activation_bits=activation_bits, weight_bits=weight_bits)
    bound = pe.for_layer(facts)
    cycles = bound.fixed_step_cycles() if bound.cost == "shape" else 1
    return bound.lanes / cycles


def widths(rates: list[float]) -> tuple[int, ...]:
    """Return the widths of entries, most first, given rates at 1, 2, ... bits: the most bits of
    each rate.
    """
    bits = range(1, len(rates) + 1)
    return tuple(
        each for each in reversed(bits) if each == len(rates) or rates[each] != rates[each - 1]
    )
