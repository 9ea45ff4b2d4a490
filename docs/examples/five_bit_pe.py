"""A PE of one's own: a 5-bit window on the first activation of a pair, a 3-bit window on the
second.

The two multipliers of a SPARQ PE share 8 bits evenly, 4 and 4. Here the first takes 5 and the
second 3. As in SPARQ, a lone activation (the other one is zero) uses both: its high 5 bits go
through the first multiplier, its low 3 bits through the second, so nothing is lost. `placement=top`
leaves the window muxes out and always keeps the top bits.

Source: none, this is an example. Rounding is half to even and saturates inside the window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim import PEDesign
from sparqsim.pe import Step

BITS = (5, 3)


@dataclass(frozen=True)
class FiveBit(PEDesign):
    """Two multipliers, 5 bits by 8 and 3 bits by 8, that share a pair of activations unevenly."""

    name: ClassVar[str] = "five-bit"
    lanes: ClassVar[int] = 2
    multipliers: ClassVar[int] = 2
    signed_activations: ClassVar[bool] = False
    edge_cycles: ClassVar[int] = 1  # the unit at the row edge that places the windows is registered
    placement: Literal["leading-one", "top"] = "leading-one"

    def window(self, x: int, bits: int) -> tuple[int, int]:
        """Return (q, shift): x is used as q << shift, with q of `bits` bits."""
        shift = max(0, x.bit_length() - bits) if self.placement == "leading-one" else 8 - bits
        return min(round(x / 2**shift), 2**bits - 1), shift

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Define the design: what one step does with two activations and two weights."""
        if 0 in xs:
            lone, weight = (xs[0], ws[0]) if xs[1] == 0 else (xs[1], ws[1])
            return Step(((lone >> 3) * weight << 3) + (lone & 7) * weight, controls={"lone": 1})
        (q0, shift0), (q1, shift1) = (
            self.window(x, bits) for x, bits in zip(xs, BITS, strict=True)
        )
        value = (q0 * ws[0] << shift0) + (q1 * ws[1] << shift1)
        return Step(value, controls={"lone": 0, "shift0": shift0, "shift1": shift1})

    def used_activations(self, x: NDArray[Any]) -> NDArray[Any]:
        """Give the fast form of `step`: activations as the multipliers see them, all at once."""
        windowed = x.copy()
        for lane, bits in enumerate(BITS):
            used = [q << shift for q, shift in (self.window(value, bits) for value in range(256))]
            windowed[..., lane::2] = np.array(used, np.uint8)[x[..., lane::2]]
        partner = np.zeros_like(
            x
        )  # what each activation is paired with; the last of an odd K with zero
        pairs = x.shape[-1] // 2 * 2
        partner[..., 0:pairs:2], partner[..., 1:pairs:2] = x[..., 1:pairs:2], x[..., 0:pairs:2]
        return np.where((x == 0) | (partner == 0), x, windowed)
