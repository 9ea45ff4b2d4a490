"""What a dumper did: each layer's sign and why, zeros, what clipped; what was left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from sparqsim.base.wording import counted
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.layer import Layer
from sparqsim.trace.pairs import PairCounts, pair_counts

#: Share of a layer's activations that may clip before a dump warns. Clipping 0.2 % of the values of
#: a Gaussian (vectors of 256 values, calibrator `mean-max`) costs 6 dB, one of the eight bits;
#: 1 % (vectors of 64) costs 12 dB, 7 % (vectors of 8) costs 25 dB.
CLIPPED_SHARE_WARNED = 0.002


@dataclass
class DumpedLayer:
    """One layer of a dump. `reason`: why its activations are signed or unsigned.

    Counts grow batch by batch. `values`, `zeros`: activations stored, and those that are zero.
    `pairs`, `pairs_with_zero`: pairs of adjacent channels (2i, 2i+1) at one position, and those of
    which at least one is zero. `quantised`, `clipped`: real values that were given a code (both
    operands of a product of activations), and those outside the code's range. `macs`:
    multiply-accumulates. `array_pairs`: pairs of X as the array sees them, padding included.
    """

    name: str
    op: str
    reason: str
    keep_8bit: bool = False
    values: int = 0
    zeros: int = 0
    pairs: int = 0
    pairs_with_zero: int = 0
    quantised: int = 0
    clipped: int = 0
    signed: bool = False
    activation_scale: float = 1.0
    macs: int = 0
    array_pairs: PairCounts = field(default_factory=PairCounts)

    def count(self, batch: Layer, quantised: int = 0, clipped: int = 0) -> None:
        """Count a batch of the layer.

        Parameters
        ----------
        batch : Layer
        quantised, clipped : int
            As the fields; the network's own codes do not say.
        """
        stored = batch.activations
        self.values += stored.size
        self.zeros += stored.size - int(np.count_nonzero(stored))
        even = stored.shape[-1] // 2 * 2  # a last odd channel is in no pair
        both = (stored[..., 0:even:2] != 0) & (stored[..., 1:even:2] != 0)
        self.pairs += both.size
        self.pairs_with_zero += both.size - int(np.count_nonzero(both))
        self.quantised += quantised
        self.clipped += clipped
        self.macs += batch.gemm.macs
        self.array_pairs = self.array_pairs.plus(pair_counts(batch))

    @property
    def why(self) -> str:
        """The same as `reason`."""
        return self.reason

    @property
    def clipped_share(self) -> float | None:
        """Share of the quantised values that clipped; None where the network brought its codes."""
        return self.clipped / self.quantised if self.quantised else None

    @property
    def zero_pair_share(self) -> float:
        """Share of the array's pairs with at least one zero."""
        return self.array_pairs.with_zero / max(1, self.array_pairs.pairs)

    @property
    def lone_share(self) -> float:
        """Share of the array's pairs with exactly one zero."""
        return self.array_pairs.lone / max(1, self.array_pairs.pairs)


@dataclass(frozen=True)
class DumpReport:
    """A whole dump.

    `skipped`: nodes with multiply-accumulates that are not in the trace. `pictures`: in the trace.
    `coverage`: for how many inputs it is, and the multiply-accumulates of what is not in it.
    `notes`: what else a user must know of how the network was run.
    """

    layers: tuple[DumpedLayer, ...]
    skipped: tuple[str, ...]
    pictures: int
    coverage: Coverage = field(default_factory=Coverage)
    notes: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates in the trace."""
        return sum(layer.macs for layer in self.layers)


def clipping_warning(shares: Iterable[tuple[str, float | None]]) -> str | None:
    """Return the line that warns of layers that clip too much, or None.

    Parameters
    ----------
    shares : iterable of (layer name, share of its activations that clipped or None)
    """
    above = [(share, name) for name, share in shares if share and share > CLIPPED_SHARE_WARNED]
    if not above:
        return None
    worst, name = max(above)
    count = f"{counted(len(above), 'layer')} {'clips' if len(above) == 1 else 'clip'}"
    return (
        f"warning: {count} more than {CLIPPED_SHARE_WARNED:.1%} of the activations, {name!r} "
        f"{worst:.1%}: about one bit of precision or more is lost there; calibrate with max, mse "
        "or percentile:99.9 instead (mean-max clips small vectors hard)"
    )
