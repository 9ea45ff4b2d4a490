"""What bits of layers are searched against: cycles, energy of the array, or time at the design's
own clock.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from sparqsim.base.errors import InputError, nearest
from sparqsim.results.clock import time_us

CostName = Literal["cycles", "energy", "time"]
COSTS: Final[tuple[CostName, ...]] = get_args(CostName)
#: What amounts of each are counted in.
UNITS: Final[dict[CostName, str]] = {"cycles": "cycles", "energy": "nJ", "time": "us"}
PJ_PER_NJ: Final = 1000


def checked_cost(name: str) -> CostName:
    """Return the cost of a name. Raises InputError for another name."""
    for cost in COSTS:
        if name == cost:
            return cost
    raise InputError(f"--cost {name}: expected one of {', '.join(COSTS)}{nearest(name, COSTS)}")


def amount(
    cost: CostName, cycles: int, energy_pj: float | None, period_ns: float | None
) -> float | None:
    """Return how much of a cost a point takes, in its unit; None where that is not known.

    Parameters
    ----------
    cost : 'cycles', 'energy' or 'time'
    cycles : int
    energy_pj : float, optional
        Of the array.
    period_ns : float, optional
        The design's clock period.
    """
    if cost == "cycles":
        return cycles
    if cost == "energy":
        return None if energy_pj is None else energy_pj / PJ_PER_NJ
    return None if period_ns is None else time_us(cycles, period_ns)


def in_words(cost: CostName, value: float) -> str:
    """Return an amount with its unit, cycles in whole numbers: '1,234 cycles', '56.78 nJ'."""
    number = f"{value:,.0f}" if cost == "cycles" else f"{value:,.4g}"
    return f"{number} {UNITS[cost]}"
