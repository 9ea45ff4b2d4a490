"""The part of the contract of PE designs that is of layers that stay at 8 bits."""

from __future__ import annotations

import itertools

import numpy as np

from sparqsim.base.contract import expect
from sparqsim.pe.agreement import compare, compare_cost, difference_of
from sparqsim.pe.base import LayerFacts, PEDesign
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.trials import drawn, dtype_of, narrowed

#: (activation bits, weight bits) of layers that stay.
BITS = ((8, 8), (5, 8), (8, 3))


def check_kept(pe: PEDesign) -> None:
    """Expect passes as true to their `step` as any design, whose sums add up to X @ W exactly."""
    for signed, bits, k in itertools.product((False, True), BITS, (1, 9)):
        facts = LayerFacts(k, signed, *bits)
        mode = pe.kept_8bit(facts)
        if mode is None:
            continue
        expect(
            isinstance(mode, KeptMode)
            and bool(mode.passes)
            and all(isinstance(each, PEDesign) for each in mode.passes),
            f"kept_8bit({facts}) gives {mode!r}, expected None or a KeptMode of PEDesigns",
        )
        passes = [each.for_layer(facts) for each in mode.passes]
        _check_every_product(pe, passes, facts)
        rng = np.random.default_rng([18, k])
        x = narrowed(drawn((3, k), "sparse", rng, np.dtype(dtype_of(signed))), bits[0])
        w = narrowed(drawn((k, 4), "random", rng, np.dtype(np.int8)), bits[1])
        for each in passes:
            compare(each, x, w)
            compare_cost(each, x, w)


def _check_every_product(pe: PEDesign, passes: list[PEDesign], facts: LayerFacts) -> None:
    """Expect the sums of all passes to be exact for every activation and every weight."""
    codes = np.arange(256).astype(np.uint8)
    activations = narrowed(codes.view(dtype_of(facts.signed)), facts.activation_bits)
    weights = narrowed(codes.view(np.int8), facts.weight_bits)
    x = np.repeat(activations[:, None], facts.k, axis=1)
    w = np.repeat(weights[None], facts.k, axis=0)
    found = sum(each.matmul(x, w) for each in passes)
    exact = x.astype(np.int64) @ w.astype(np.int64)
    difference_of(pe, x, w, np.asarray(found), exact, "x @ w", "the sum of kept_8bit's passes")
