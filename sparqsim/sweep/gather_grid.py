"""Grids of gathers: tables [[gather]] of a grid file, each field a value or a list of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from sparqsim.base.errors import InputError, shown
from sparqsim.base.limits import GRID_CASES
from sparqsim.sweep.case import checked
from sparqsim.sweep.gathers import GatherCase

#: Fields whose lists make one case: a record holds them all.
WHOLE = ("format", "width")


def gather_cases(tables: object, path: str | Path, *, trust: bool = False) -> list[GatherCase]:
    """Return the cases of tables [[gather]].

    Parameters
    ----------
    tables : list of tables
        Fields of `GatherCase`. A list makes a case for each of its values, but for `format` and
        `width`, of which a case has several.
    path : str or Path
        The file, whose folder relative files are taken from.
    trust : bool
        Whether it may name Python source.

    Raises
    ------
    InputError
        Naming the file, the field and the value.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path}: gather={shown(tables)}: expected tables, [[gather]]")
    GRID_CASES.check(sum(map(_count, tables)), str(path))
    cases = [
        checked(GatherCase, fields, f"{path}: gather[{number}]")
        for number, table in enumerate(tables)
        for fields in _combinations(table)
    ]
    for case in cases if not trust else ():
        case.refuse_files(str(path))
    home = Path(path).parent
    return [case.found_from(home).trusted(trust) for case in cases]


def _axes(table: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {
        name: value if isinstance(value, list) and name not in WHOLE else [value]
        for name, value in table.items()
    }


def _count(table: Mapping[str, Any]) -> int:
    return math.prod(len(values) for values in _axes(table).values())


def _combinations(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    axes = _axes(table)
    for name, values in axes.items():
        if not values:
            raise InputError(f"gather: {name}=[]: expected at least one value")
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
