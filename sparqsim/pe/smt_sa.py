"""SMT-SA: threads with operand queues share one multiplier; a zero operand costs nothing, a product
costs a cycle.

The rules of the array, output-stationary; `sparqsim.engine.models.queue_array_definition` has them
in plain Python, and `sparqsim.engine.models.queue_array` the fast form:

1. Activations move right, weights move down. A PE has one accumulator and, per thread, a queue of
   `queue_depth` entries for each operand.
2. K is cut into T contiguous parts of floor(K / T), the last with the remainder; all threads serve
   the same sum. Tiles at the matrices' ends are padded with zeros.
3. Each cycle, every PE scans its threads in fixed order. A thread fires if both its queues hold
   data, it is not finished, and both of its downstream queues have room, all judged on the
   occupancy at the **start** of the cycle. Firing takes one pair and forwards both operands. If
   both are non-zero they are multiplied and the scan **stops**, even for pairs with a zero;
   otherwise it goes on.
4. An operand takes 1 cycle from PE to PE and 2 from the array's edge to the first PE. The edge
   sends one entry per thread and cycle without asking for room, so the queues it feeds are
   unbounded.
5. Row i of activations and column j of weights start with i (j) empty slots, before the first tile
   only. The next tile is appended, at most one per cycle, when the edge queue of row 0, thread 0
   holds fewer than 128 entries. Tiles run by rows of the output, columns innermost.
6. A thread is finished at the end of the cycle that takes its last pair of a tile. At the end of
   the cycle **after** all threads are finished the PE emits its sum and clears their flags: one
   idle cycle per tile. The run ends when every PE has emitted every tile.

Deeper queues are mostly but not always faster: a full queue can hold thread 0 back in favour of a
thread that has more to do. No deadlock at any depth: no thread waits for another thread's operands,
and the PE furthest behind in the stream of pairs always finds room.

Attribution: `compute` = tiles x longest part, one pair per thread and cycle; `fill` = R + C (skew,
and the 2-cycle edge); `drain` = one emitting cycle per tile; `pe_stall` = the rest: products that
share the multiplier, full queues, and waiting for neighbours. How sums leave the array takes no
time in the source, so none here.

Source: SMT-SA, Shomron, Horowitz and Weiser, IEEE CAL 18(2), 2019; rules as in the public simulator
of the authors' group (nadavzach/BRP_SA_SIM), restated in our words. Our assumptions: R x C arrays
(the source's are square); groups run one after another, each with its own fill; images of a batch
are one matrix (the source tiles each by itself); K < T leaves the first threads without work;
signed activations are taken as they are, since only zeros matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.pe.base import Array, Cost, PEDesign, Step
from sparqsim.pe.layout import arranged, mask_examples, nonzero_masks

#: PEs of the largest array that is stepped unless the key `most_pes` says otherwise: 128 bytes
#: each, at most.
LARGEST_ARRAY = 1 << 18


def part_lengths(k: int, threads: int) -> NDArray[np.int64]:
    """Return how many elements of K each thread has: floor(K / T), the last with the remainder."""
    lengths = np.full(threads, k // threads)
    lengths[-1] += k % threads
    return lengths


@dataclass(frozen=True)
class SmtSa(PEDesign):
    """One multiplier shared by `lanes` threads; a named design fixes their number."""

    exact: ClassVar[bool] = True
    runs_on: ClassVar[str] = "queue-array"
    cost: ClassVar[Cost] = "pair"
    stationary: ClassVar[tuple[str, ...]] = ("outputs",)
    queue_depth: int = field(default=4096, metadata={"least": 1})
    most_pes: int = field(default=LARGEST_ARRAY, metadata={"least": LARGEST_ARRAY})

    def __post_init__(self) -> None:
        for key in fields(self):
            value, least = getattr(self, key.name), key.metadata["least"]
            if value < least:
                raise InputError(f"{key.name}={value}: expected an integer of at least {least}")

    def steps(self, k: int) -> int:
        """Return the length of the longest part."""
        return int(part_lengths(k, self.lanes)[-1])

    def k_order(self, k: int) -> NDArray[np.int64]:
        """Return the elements each thread takes, in its order."""
        lengths = part_lengths(k, self.lanes)
        place = np.arange(lengths[-1])[:, None]
        return np.where(place < lengths, (np.cumsum(lengths) - lengths) + place, -1)

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Take one pair of every thread, as a PE alone would: one cycle per product, at least
        one.
        """
        products = [x * w for x, w in zip(xs, ws, strict=True)]
        busy = sum(value != 0 for value in products)
        return Step(
            sum(products),
            max(1, busy),
            {"multiplier_0": busy, "pe": busy} if busy else {},
            {"products": busy},
        )

    def pair_step_cycles(self, x: Array, w: Array) -> NDArray[np.uint8]:
        """Return a cycle per product other than zero, at least one: what a PE alone would take."""
        products = (x != 0)[..., None] & (w != 0)
        cycles: NDArray[np.uint8] = np.maximum(products.sum(axis=2), 1).astype(np.uint8)
        return cycles

    def activation_states(self, x: Array) -> NDArray[np.uint8]:
        """Return which threads have an activation other than zero."""
        in_steps = arranged(x, self.k_order(x.shape[-1]))
        return nonzero_masks(in_steps.reshape(*in_steps.shape[:-2], -1), self.lanes)

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return operands of every mask."""
        return mask_examples(self.lanes, 1), mask_examples(self.lanes, 1)


@dataclass(frozen=True)
class SmtSa2t(SmtSa):
    """Two threads."""

    name: ClassVar[str] = "smt-sa-2t"
    lanes: ClassVar[int] = 2
    most_step_cycles: ClassVar[int] = 2


@dataclass(frozen=True)
class SmtSa4t(SmtSa):
    """Four threads."""

    name: ClassVar[str] = "smt-sa-4t"
    lanes: ClassVar[int] = 4
    most_step_cycles: ClassVar[int] = 4
