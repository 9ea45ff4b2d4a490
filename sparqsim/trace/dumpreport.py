"""What a dumper did: per layer whether it is signed and why, how many zeros; what was left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparqsim.trace.trace import Array


@dataclass
class DumpedLayer:
    """One layer of a dump. `reason`: why its activations are signed or unsigned. Counts grow batch by batch.

    `values`, `zeros`: activations stored, and those that are zero. `pairs`, `pairs_with_zero`: pairs of adjacent
    channels (2i, 2i+1) at one position, and those of which at least one is zero.
    """

    name: str
    op: str
    reason: str
    keep_8bit: bool = False
    values: int = 0
    zeros: int = 0
    pairs: int = 0
    pairs_with_zero: int = 0

    def count(self, stored: Array) -> None:
        """Count a batch of stored activations (..., channels); a last odd channel is in no pair."""
        self.values += stored.size
        self.zeros += stored.size - int(np.count_nonzero(stored))
        even = stored.shape[-1] // 2 * 2
        both = (stored[..., 0:even:2] != 0) & (stored[..., 1:even:2] != 0)
        self.pairs += both.size
        self.pairs_with_zero += both.size - int(np.count_nonzero(both))


@dataclass(frozen=True)
class DumpReport:
    """A whole dump.

    `skipped`: nodes with multiply-accumulates that are not in the trace. `pictures`: in the trace.
    `notes`: what else a user must know of how the network was run.
    """

    layers: tuple[DumpedLayer, ...]
    skipped: tuple[str, ...]
    pictures: int
    notes: tuple[str, ...] = ()
