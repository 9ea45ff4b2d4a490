"""What the method predicts of error, where it is a theorem: value by value, for all 65,536
pairs.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sparqsim import get_pe

PAIRS = np.stack(np.divmod(np.arange(65_536), 256), axis=1).astype(np.uint8)
SPARQ = ["sparq-5opt", "sparq-3opt", "sparq-2opt", "sparq-6opt", "sparq-7opt"]


def error(spec):
    """The size of each value's error, (65536, 2)."""
    used = get_pe(spec).used_activations(PAIRS)
    return np.abs(used.astype(int) - PAIRS)


@pytest.mark.parametrize("pairing", ["on", "off"])
@pytest.mark.parametrize("name", SPARQ)
def test_rounding_never_makes_a_value_worse(name, pairing):
    rounded, trimmed = (
        error(f"{name}:rounding={how},pairing={pairing}") for how in ("nearest-even", "trim")
    )
    assert (rounded <= trimmed).all()
    assert (rounded < trimmed).any()


@pytest.mark.parametrize("rounding", ["nearest-even", "trim"])
@pytest.mark.parametrize("name", SPARQ)
def test_the_pair_rule_never_makes_a_value_worse(name, rounding):
    paired, alone = (error(f"{name}:rounding={rounding},pairing={how}") for how in ("on", "off"))
    assert (paired <= alone).all()
    assert (paired < alone).any()


@pytest.mark.parametrize("pairing", ["on", "off"])
def test_without_rounding_more_windows_are_never_worse(pairing):
    specs = [f"sparq-{options}opt:rounding=trim,pairing={pairing}" for options in (5, 3, 2)]
    errors = [error(spec) for spec in [*specs, "mac-4b8b:rounding=trim"]]
    for finer, coarser in pairwise(errors):
        assert (finer <= coarser).all()
        assert (finer < coarser).any()


@pytest.mark.parametrize("pairing", ["on", "off"])
def test_two_windows_are_never_worse_than_the_static_nibble_with_rounding(pairing):
    finer, coarser = error(f"sparq-2opt:pairing={pairing}"), error("mac-4b8b")
    assert (finer <= coarser).all()
    assert (finer < coarser).any()


def test_with_rounding_more_windows_are_better_on_average_but_not_always():
    five, three, two = (error(f"sparq-{options}opt") for options in (5, 3, 2))
    assert (five**2).sum() < (three**2).sum() < (two**2).sum()
    worse = PAIRS[(five > three).any(axis=1)]
    assert [127, 127] in worse.tolist()  # 120 through [6:3], saturated; 128 through [7:4]
