"""SPARQ behind a sparse tensor core: weights choose two of every four activations.

What the circuit does with four adjacent positions of K in one cycle: at most two of the four
weights are other than zero (2:4), and lie in memory as their values and 2-bit places. **Two 4:2
muxes** take the activations at those places, in order, and the two are the pair of `sparq.py`:
**pair-zero detector, trim unit, weight muxes, two narrow multipliers, shifts, adder**. With one
weight its activation's partner is 0, so it is lone and keeps its 8 bits. Which activations meet
follows the filter, so every PE has a trim unit of its own, and none stands at the array's edge.

y = the SPARQ step of the two activations chosen and their weights

A PE takes four positions of K per cycle, whatever the values: MACs are those of the unpruned
layer, half of which are not done.

**A layer that is not 2:4** is pruned: of every four weights along K the two largest |w| stay, the
lower place of equal ones, without training (as the transform `prune-2of4`, which error can be taken
against: on a trace that it made, error is that of SPARQ alone). Error on an unpruned trace is that
of both.

Layers that stay at 8 bits are not pruned: one MAC per cycle through the lone path, as in
`sparq.py`. `signed=magnitude` is the extension of `sparq.py`, ours as well.

Source: the STC mode of SPARQ's authors (Shomron et al., NeurIPS 2021, their code): the order of the
pair, the lone value, and that more than two weights are an error there. Ours: pruning where a layer
is not 2:4, where the parts stand, four positions per cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.exact import exact_matmul
from sparqsim.pe.base import Array, LayerFacts, PEDesign, Step
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.layout import padded_to
from sparqsim.pe.sparq import Sparq, Sparq2opt, Sparq3opt, Sparq5opt
from sparqsim.pe.sparq_lone import lone_mode
from sparqsim.pe.trimming import Trimming
from sparqsim.pe.windows import Rounding
from sparqsim.trace.lowering import LoweredLayer

#: Positions of K of which weights choose, and how many they choose.
POSITIONS, CHOSEN = 4, 2
PLACES = tuple(combinations(range(POSITIONS), CHOSEN))


@dataclass(frozen=True)
class StcSparq(PEDesign):
    """The circuit for any windows; a design fixes those of its SPARQ PE."""

    lanes: ClassVar[int] = POSITIONS
    multipliers: ClassVar[int] = 2
    signed_activations: ClassVar[bool] = False
    #: Two values of 8 bits and two places of 2 bits, of four weights.
    weight_bits: ClassVar[int] = 5
    sparq: ClassVar[type[Sparq]]
    rounding: Rounding = "nearest-even"
    signed: Literal["refuse", "magnitude"] = "refuse"

    def __post_init__(self) -> None:
        object.__setattr__(self, "signed_activations", self.signed == "magnitude")

    @property
    def pair_design(self) -> Sparq:
        """The SPARQ PE behind the muxes."""
        return self.sparq(rounding=self.rounding, signed=self.signed)

    @property
    def trimming(self) -> Trimming:
        """Two of four weights with their places; their activations as in `sparq.py`."""
        pair = self.pair_design.trimming
        place_bits = (POSITIONS - 1).bit_length()
        return Trimming(
            self.rounding,
            f"{CHOSEN} of {POSITIONS} weights along K stay; of their activations: {pair.rule}",
            pair.activation_metadata_bits,
            place_bits * CHOSEN / POSITIONS,
        )

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Take the activations of at most two weights, and do the SPARQ step of the pair."""
        self.check_signedness(signed)
        places = chosen_places(ws)
        pair_x, pair_w = [xs[at] for at in places], [ws[at] for at in places]
        missing = [0] * (CHOSEN - len(places))
        return self.pair_design.step(pair_x + missing, pair_w + missing, signed)

    def kept_8bit(self, facts: LayerFacts) -> KeptMode[PEDesign]:
        """Return one MAC per cycle through the lone path."""
        return lone_mode(self, self.sparq.windows_of_pair.bits, facts)

    def matmul(self, x: Array, w: Array) -> NDArray[np.int64]:
        """Return the products of what is chosen: for each pair of places, those filters and groups
        of four that choose it.
        """
        self.check_operands(x, w)
        staying = pruned(w)
        return _of_pairs(self.pair_design, x, staying) + exact_matmul(x, _lone_weights(staying))

    def encoded(self, layer: LoweredLayer) -> LoweredLayer:
        """Return the layer with its weights pruned, which zero points are then corrected by."""
        if layer.has_weight_zero_points:
            raise InputError(
                f"layer {layer.name!r}: weight_zero_points are not all 0, and {self.spec} leaves "
                "out weights of the code 0; expected zero points of 0"
            )
        return layer.with_weights(pruned(layer.weights))


def chosen_places(ws: Sequence[int]) -> list[int]:
    """Return the places, ascending, of the at most two weights that stay: the plain definition."""
    by_size = sorted(range(POSITIONS), key=lambda at: (-abs(ws[at]), at))
    return sorted(at for at in by_size[:CHOSEN] if ws[at] != 0)


def pruned(w: Array) -> NDArray[np.int8]:
    """Return int8 (..., K, N) with the smaller two of every four weights along K at 0."""
    fours = in_fours(w)
    # A stable sort puts the lower place first where sizes are equal; 16 bits hold |-128|.
    order = np.argsort(-np.abs(fours.astype(np.int16)), axis=-2, kind="stable")
    result = fours.copy()
    np.put_along_axis(result, order[..., CHOSEN:, :], 0, axis=-2)
    whole: NDArray[np.int8] = result.reshape(*w.shape[:-2], -1, w.shape[-1])
    return np.ascontiguousarray(whole[..., : w.shape[-2], :])


def in_fours(w: Array) -> Array:
    """Return (..., K, N) as (..., ceil(K / 4), 4, N), zeros appended."""
    by_filter = padded_to(w.swapaxes(-1, -2), POSITIONS)
    fours = by_filter.reshape(*by_filter.shape[:-1], -1, POSITIONS)
    return np.moveaxis(fours, -3, -1)


def _lone_weights(w: Array) -> Array:
    """Return pruned weights that stand alone in their four, others at 0."""
    fours = in_fours(w)
    alone = np.count_nonzero(fours, axis=-2, keepdims=True) == 1
    lone = np.where(alone, fours, 0).reshape(*w.shape[:-2], -1, w.shape[-1])
    return lone[..., : w.shape[-2], :]


def _of_pairs(design: Sparq, x: Array, w: Array) -> NDArray[np.int64]:
    """Return the sums of all pairs that pruned weights choose, int64 (..., M, N)."""
    fours = in_fours(w)
    activations = padded_to(x, POSITIONS).reshape(*x.shape[:-1], -1, POSITIONS)
    total = np.zeros((*x.shape[:-1], w.shape[-1]), np.int64)
    for places in PLACES:
        chosen = fours[..., list(places), :]
        both = (chosen != 0).all(axis=-2, keepdims=True)
        if not both.any():
            continue
        weights = np.where(both, chosen, 0).reshape(*w.shape[:-2], -1, w.shape[-1])
        pairs = activations[..., list(places)].reshape(*x.shape[:-1], -1)
        total += exact_matmul(design.used_activations(np.ascontiguousarray(pairs)), weights)
    return total


@dataclass(frozen=True)
class StcSparq5opt(StcSparq):
    """Behind 4:2 muxes: 4-bit windows at shifts 4..0; a lone value keeps its 8 bits."""

    name: ClassVar[str] = "stc-sparq-5opt"
    sparq: ClassVar[type[Sparq]] = Sparq5opt


@dataclass(frozen=True)
class StcSparq3opt(StcSparq):
    """Behind 4:2 muxes: 4-bit windows at shifts 4, 2, 0; a lone value keeps its 8 bits."""

    name: ClassVar[str] = "stc-sparq-3opt"
    sparq: ClassVar[type[Sparq]] = Sparq3opt


@dataclass(frozen=True)
class StcSparq2opt(StcSparq):
    """Behind 4:2 muxes: 4-bit windows at shifts 4, 0; a lone value keeps its 8 bits."""

    name: ClassVar[str] = "stc-sparq-2opt"
    sparq: ClassVar[type[Sparq]] = Sparq2opt
