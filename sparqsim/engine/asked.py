"""What a comparison may be asked beside cycles: equal areas and clocks, loaded where they are."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING

from sparqsim.array.config import ArrayConfig
from sparqsim.engine.assignment import Assignment
from sparqsim.pe import PEDesign
from sparqsim.rtl.accumulator import USUAL_BITS

if TYPE_CHECKING:
    from sparqsim.engine.clock import Clocks
    from sparqsim.engine.iso_area import Scaling
    from sparqsim.rtl.area import Table

#: `iso`, `acc_bits` and `areas` where none is asked for.
NOTHING_OF_AREAS = (None, USUAL_BITS, None)


def check_iso(
    iso: str | None, acc_bits: int | str, areas: Table | str | PathLike[str] | None
) -> None:
    """Raise InputError for an equal area that is none, or what only areas have without one."""
    if (iso, acc_bits, areas) == NOTHING_OF_AREAS:
        return
    from sparqsim.engine import iso_area

    iso_area.check_iso(iso, acc_bits, areas)


def pes_with_area(runs: list[Assignment], reference: Assignment) -> dict[Assignment, PEDesign]:
    """Return the PE whose area each run takes."""
    from sparqsim.engine import iso_area

    return iso_area.pes_with_area(runs, reference)


def scaling_of(
    pe_of: Mapping[Assignment, PEDesign],
    reference: Assignment,
    array: ArrayConfig,
    acc_bits: int | str,
    areas: Table | str | PathLike[str] | None,
) -> Scaling:
    """Return what is known of designs at equal area."""
    from sparqsim.engine.iso_area import Scaling

    return Scaling.of(list(pe_of.values()), pe_of[reference], array, acc_bits, areas)


def clocks_of(
    clock: str | None, array: ArrayConfig, runs: list[Assignment], reference: Assignment
) -> Clocks | None:
    """Return what is known of clocks; None where none are asked for."""
    if clock is None:
        return None
    from sparqsim.engine.clock import Clocks, checked_clock

    return Clocks.of(checked_clock(clock, array), runs, reference)
