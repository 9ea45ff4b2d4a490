"""The part of the contract of PE designs that is of filters: their designs, their columns."""

from __future__ import annotations

import numpy as np

from sparqsim.base.contract import expect
from sparqsim.pe.base import PEDesign
from sparqsim.pe.trials import weights


def check_filters(pe: PEDesign) -> None:
    """Expect a design of the same lanes for every filter, and every filter in one column."""
    for k, n in ((1, 1), (7, 4), (33, 9)):
        w = weights((k, n), "random", seed=18)
        designs = list(pe.of_filters(w))
        expect(
            len(designs) == n
            and all(isinstance(each, PEDesign) and each.lanes == pe.lanes for each in designs),
            f"of_filters of {n} filters gives {designs}, expected {n} designs of {pe.lanes} lanes",
        )
        order = pe.filter_order(w)
        expect(
            np.array_equal(np.sort(order), np.arange(n)),
            f"filter_order of {n} filters gives {order.tolist()}, expected 0..{n - 1} once each",
        )
