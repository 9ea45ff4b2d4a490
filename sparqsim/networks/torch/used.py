"""What a design uses in place of codes, for float32 tensors: the fast form of `used_activations`.

A design that uses activations one by one is asked once, about all codes. A step sees `lanes`
adjacent elements of K, so one of two lanes is asked once, too, about all pairs of codes. Others are
asked about every batch, in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparqsim.networks.sums import used_activations
from sparqsim.networks.torch import kernels
from sparqsim.networks.torch.spreading import spread
from sparqsim.pe import PEDesign

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Used:
    """How a design uses activations.

    Parameters
    ----------
    pe : PEDesign
        Bound to the layer.
    signed : bool
        Whether codes are int8.
    table : array or None
        float32 (256,) by code, or int32 (65536,) by pair, as `kernels` takes them.
    limits : (int, int)
        Bounds of what is used, 0 between them; at least 255 wide, so that designs share them.
    same : bool
        Whether it is the codes themselves.
    """

    pe: PEDesign
    signed: bool
    table: Array | None
    limits: tuple[int, int]
    same: bool = False

    def of(self, codes: Tensor) -> Tensor | None:
        """Return what is used in place of codes, float32 (batch, channels, height, width) or
        (rows, K).

        None where that is out of the limits.
        """
        if self.same:
            return codes
        if self.table is None:
            return self._asked(codes)
        used = torch.empty_like(codes)
        flat = codes.numpy(), used.numpy()
        if self.table.dtype == np.float32:
            spread(kernels.looked_up, [each.reshape(-1) for each in flat], self.table)
        elif codes.ndim == 2:
            spread(kernels.pairs_in_rows, [each.reshape(-1, 2) for each in flat], self.table)
        else:
            pixels = codes.shape[2] * codes.shape[3]
            planes = [each.reshape(-1, 2, pixels) for each in flat]
            spread(kernels.pairs_of_planes, planes, self.table)
        return used

    def _asked(self, codes: Tensor) -> Tensor | None:
        kind = torch.int8 if self.signed else torch.uint8
        stored = codes.to(kind)
        innermost = stored.permute(0, 2, 3, 1).contiguous() if codes.ndim == 4 else stored
        used = used_activations(self.pe, innermost.numpy())
        if used.min() < self.limits[0] or used.max() > self.limits[1]:
            return None
        found = torch.from_numpy(used.astype(np.float32))
        return found.permute(0, 3, 1, 2).contiguous() if codes.ndim == 4 else found


def used_by(pe: PEDesign, signed: bool) -> Used:
    """Return how a bound design uses activations."""
    widest = (-255, 255) if signed else (0, 255)
    if type(pe).used_activations is PEDesign.used_activations:
        return Used(pe, signed, None, widest, same=True)
    seen = 1 if pe.one_by_one else pe.lanes
    if seen not in (1, 2):
        return Used(pe, signed, None, widest)
    codes = _all_codes(seen, signed)
    used = used_activations(pe, codes).astype(np.int64)
    limits = min(int(used.min()), widest[0]), max(int(used.max()), widest[1])
    same = bool(np.array_equal(used, codes))
    return Used(pe, signed, _table(used), limits, same)


def _all_codes(seen: int, signed: bool) -> Array:
    """Return every code (256, 1), or every pair (65536, 2): as many as are `seen` at once."""
    numbers = np.arange(1 << 8 * seen, dtype="<u2")
    each = numbers.view(np.uint8).reshape(-1, 2)[:, :seen]
    return np.ascontiguousarray(each).view(np.int8 if signed else np.uint8)


def _table(used: NDArray[np.int64]) -> Array:
    if used.shape[1] == 1:
        return used[:, 0].astype(np.float32)
    packed = (used[:, 0] & 0xFFFF) | (used[:, 1] << 16)
    return packed.astype(np.int32)
