"""Which circuits run layers kept at 8 bits as they are: operands laid out for it give x @ w."""

from __future__ import annotations

import numpy as np
import pytest

from sparqsim.array.config import ArrayConfig
from sparqsim.pe import get_pe
from sparqsim.rtl.check import check_gemm
from sparqsim.rtl.designs import DESIGNS, family_of

SPARSE = ("stc-sparq-5opt", "stc-sparq-3opt", "stc-sparq-2opt")
LONE = ("sparq-5opt", "sparq-3opt", "sparq-2opt", "sysmt-2t", *SPARSE)
LACKING = {"mac-4b4b", "sparq-6opt", "sparq-7opt", "swis", "olive-4b"}


def with_zeros_beside(x, w, lanes):
    """One activation for every step; what zeros beside it would meet does not matter."""
    lone_x = np.zeros((len(x), lanes * x.shape[1]), x.dtype)
    lone_x[:, ::lanes] = x
    return lone_x, np.repeat(w, lanes, axis=0)


def passes(name, x, w):
    """Operands of each pass, and what its sums count."""
    if name in LONE:
        return [(*with_zeros_beside(x, w, get_pe(name).lanes), 1)]
    if name == "mac-4b8b":  # it takes top nibbles: so do low ones enter
        return [(x & 0xF0, w, 1), (x << 4 & 0xF0, w, 16)]
    return [(x, w, 1)]


@pytest.mark.parametrize("name", DESIGNS)
def test_circuits_that_lack_nothing_give_exact_sums(name, rng, compared):
    design, exact = get_pe(name), 0
    if family_of(design).kept_needs(design):
        assert name in LACKING
        return
    x = rng.integers(0, 256, (4, 13)).astype(np.uint8)
    w = rng.integers(-128, 128, (13, 3)).astype(np.int8)
    for px, pw, count in passes(name, x, w):
        compared(check_gemm(design, ArrayConfig(3, 2), px.astype(np.uint8), pw).comparisons)
        exact = exact + design.matmul(px.astype(np.uint8), pw) // count
    assert np.array_equal(exact, x.astype(int) @ w.astype(int))


def test_circuits_that_lack_something_say_so():
    said = {name for name in DESIGNS if family_of(get_pe(name)).kept_needs(get_pe(name))}
    assert said == LACKING
