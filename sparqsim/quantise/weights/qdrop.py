"""`qdrop:B`: `brecq`, its layers' inputs quantised at random while a block is learned.

One switch: while learning, each element of a block's input, and of each layer's input in it, is the
quantised one with probability `drop`, else the real one; afterwards always the quantised one. Of
the activations' 8-bit codes the top `activation_bits` are used, as `mac-4b8b` uses four: what is
learned is meant for designs that take so many.

*Source*: QDrop (Wei et al. 2022), as in MQBench (ModelTC/MQBench). **Ours**: as of `brecq`;
activation steps are the calibrator's, not learned.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from sparqsim.quantise.codes import LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS
from sparqsim.quantise.rounding import Schedule
from sparqsim.quantise.weights.brecq import Brecq

if TYPE_CHECKING:
    from sparqsim.quantise.descent import Learning


@dataclass(frozen=True)
class Qdrop(Brecq):
    """Learned rounding, block by block, with inputs that are quantised at random. steps, batch: as
    of `brecq`. activation_bits: top bits of activations that are used. drop: the probability.
    """

    name: ClassVar[str] = "qdrop"

    bits: int = field(default=4, metadata={"least": LEAST_WEIGHT_BITS, "most": MOST_WEIGHT_BITS})
    activation_bits: int = field(default=4, metadata={"least": 2, "most": 8})
    drop: float = field(default=0.5, metadata={"least": 0, "most": 1})

    def learning(self, seed: int) -> Learning:
        """Return how blocks are learned."""
        from sparqsim.quantise.descent import Learning

        schedule = Schedule(steps=self.steps)
        return Learning(schedule, self.batch, seed, self.drop, self.activation_bits)
