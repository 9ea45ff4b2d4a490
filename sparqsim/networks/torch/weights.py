"""A layer's weights, made ready once for exact products with many batches.

Integer products are computed in float32, in pieces of K short enough that every sum stays within 2^24, where float32
holds integers exactly whatever the order of additions; where no such piece is long enough, in float64.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sparqsim.pe import PEDesign

#: Integers up to here are exact in float32.
FLOAT32_EXACT = 1 << 24
#: Pieces of K that are no longer than this are not worth float32.
SHORTEST_PIECE = 16


class Factor:
    """The second operand of products: integers (groups, K, N)."""

    def __init__(self, integers: Tensor) -> None:
        self.integers = integers
        self._pieces: dict[int, int | None] = {}

    @cached_property
    def single(self) -> Tensor:
        """The integers as float32."""
        return self.integers.float()

    def pieces(self, largest: int) -> int | None:
        """Return how much of K float32 may sum up exactly for |x| <= `largest`; None where float64 has to.

        A sum over part of K is at most `largest` * (sum of |w| over the part) in size, whatever the order of additions.
        """
        if (
            torch.get_float32_matmul_precision() != "highest"
        ):  # the user let PyTorch round float32 operands
            return None
        if largest not in self._pieces:
            self._pieces[largest] = self._longest_piece(largest)
        return self._pieces[largest]

    def _longest_piece(self, largest: int) -> int | None:
        k = self.integers.shape[1]
        sums = self.integers.double().abs().cumsum(dim=1)
        pieces = k
        while pieces > SHORTEST_PIECE:
            reached = sums[:, [end - 1 for end in (*range(pieces, k, pieces), k)]]
            parts = torch.diff(reached, dim=1, prepend=torch.zeros_like(reached[:, :1]))
            if largest * float(parts.max()) <= FLOAT32_EXACT:
                return pieces
            pieces = -(-pieces // 2)
        return None


class Weights:
    """W of one layer under every design.

    Parameters
    ----------
    w : int8 (output channel, kernel position, input channel of the group)
    groups : int
    """

    def __init__(self, w: Tensor, groups: int) -> None:
        matrices = w.reshape(groups, -1, w.shape[1] * w.shape[2]).transpose(1, 2).contiguous()
        #: W as it is stored, int8 (groups, K, N).
        self.stored = Factor(matrices)
        self._used: dict[PEDesign, Factor | None] = {}

    def used(self, pe: PEDesign) -> Factor | None:
        """Return the weights that the multipliers of `pe` see; None where they depend on the activations they meet."""
        if pe not in self._used:
            self._used[pe] = self._made(pe)
        return self._used[pe]

    def _made(self, pe: PEDesign) -> Factor | None:
        w = self.stored.integers.numpy()
        if pe.values_by_pair:
            return None
        used = pe.used_weights(w)
        return self.stored if used is w else Factor(torch.from_numpy(np.ascontiguousarray(used)))


def exact_product(x: Tensor, w: Factor) -> Tensor:
    """Return x @ w, integers (groups, M, K) and (groups, K, N), exactly, as float64."""
    largest = max(abs(int(value)) for value in torch.aminmax(x)) if x.numel() else 0
    # One bound for all batches of 8-bit values: pieces are found once.
    pieces = w.pieces(max(255, largest))
    if pieces is None:
        return x.double() @ w.integers.double()
    x, k = x.float(), x.shape[2]
    total = (x[:, :, :pieces] @ w.single[:, :pieces]).double()
    for start in range(pieces, k, pieces):
        total += x[:, :, start : start + pieces] @ w.single[:, start : start + pieces]
    return total
