"""A grid: values per axis, in a TOML file or on the command line, and the cases they make."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sparqsim.base.errors import InputError, nearest, shown
from sparqsim.base.limits import GRID_CASES
from sparqsim.base.plugins import refuse_code
from sparqsim.pe.signs import Signed
from sparqsim.results.setting import Kept
from sparqsim.sweep.case import CODE_FIELDS, REMEDY, Case, checked, read_toml
from sparqsim.sweep.gather_grid import gather_cases
from sparqsim.sweep.gathers import GatherCase


def _listed(value: object) -> object:
    """Return a single value as a list of one."""
    return value if isinstance(value, list) else [value]


def _default_designs() -> list[str]:
    from sparqsim.engine.simulation import DEFAULT_PES  # heavy, and mostly not needed

    return list(DEFAULT_PES)


Texts = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
Switches = Annotated[list[Literal["on", "off"]], BeforeValidator(_listed), Field(min_length=1)]
Engines = Annotated[list[Literal["fast", "event"]], BeforeValidator(_listed), Field(min_length=1)]
Ways = Annotated[list[Kept], BeforeValidator(_listed), Field(min_length=1)]
Signs = Annotated[list[Signed], BeforeValidator(_listed), Field(min_length=1)]
Flags = Annotated[list[bool], BeforeValidator(_listed), Field(min_length=1)]


class Grid(BaseModel):
    """Values of each axis, one or a list; an axis that is not given is as in `Case`.

    pe: without it the designs that `compare` takes by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trace: Texts
    pe: Texts = Field(default_factory=_default_designs, min_length=1)
    array: Texts | None = None
    dataflow: Texts | None = None
    coupling: Texts | None = None
    overlap: Switches | None = None
    memory: Texts | None = None
    all_layers: Flags | None = None
    kept: Ways | None = None
    signed: Signs | None = None
    engine: Engines | None = None
    energy: Texts | None = None

    def count(self) -> int:
        """Return how many cases there are, without making them."""
        axes = (getattr(self, name) for name in Grid.model_fields)
        return math.prod(len(values) for values in axes if values is not None)

    def cases(self) -> Iterator[Case]:
        """Yield every combination; `pe` varies fastest, so that neighbours can share work."""
        given = {
            name: values
            for name in Grid.model_fields
            if (values := getattr(self, name)) is not None
        }
        axes = sorted(given, key=lambda name: name == "pe")
        for values in product(*(given[axis] for axis in axes)):
            yield Case(**dict(zip(axes, values, strict=True)))


def load_grid(
    path: str | Path, overrides: Mapping[str, Any] | None = None, *, trust: bool = False
) -> list[Case | GatherCase]:
    """Return the cases of a grid file.

    Parameters
    ----------
    path : str or Path
        TOML: axes at the top level; with tables [[grid]] each makes a grid of its own, on top of
        those axes; tables [[gather]] are grids of gathers. Relative files are taken from the folder
        of this file.
    overrides : mapping, optional
        Axes that replace those of the file; their files are relative to the current folder.
    trust : bool
        Whether the file, and files of assignments, may name designs and dataflows FILE.py:CLASS,
        whose code a sweep runs.

    Raises
    ------
    InputError
        Naming the file, the axis and the value.
    """
    overrides = overrides or {}
    document = read_toml(path)
    tables = document.pop("grid", [{}])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path}: grid={shown(tables)}: expected tables, [[grid]]")
    gathers = gather_cases(document.pop("gather", []), path, trust=trust)
    if gathers and not document and tables == [{}] and not overrides:
        return [*gathers]
    here = {axis: _absolute(axis, values) for axis, values in overrides.items()}
    for axes in (document, *tables):
        _check_axes(axes, str(path))
    grids = [checked(Grid, document | table | here, str(path)) for table in tables]
    GRID_CASES.check(sum(grid.count() for grid in grids), str(path))
    if not trust:
        _refuse_files(grids, str(path), overrides)
    home = Path(path).parent
    simulated = [case.found_from(home).trusted(trust) for grid in grids for case in grid.cases()]
    return [*simulated, *gathers]


def _refuse_files(grids: Sequence[Grid], path: str, overrides: Mapping[str, Any]) -> None:
    """Raise InputError for a design or dataflow in a file, but for those that the user named."""
    for axis, what in CODE_FIELDS.items():
        if axis in overrides:
            continue
        specs = dict.fromkeys(spec for grid in grids for spec in getattr(grid, axis) or ())
        for spec in specs:
            refuse_code(spec, what, path, REMEDY)


def cases_of(axes: Mapping[str, Any], *, trust: bool = False) -> list[Case]:
    """Return the cases of axes given on the command line; `trust`: of assignments among them."""
    grid = checked(Grid, dict(axes), "grid")
    GRID_CASES.check(grid.count(), "grid")
    return [case.trusted(trust) for case in grid.cases()]


def _check_axes(axes: Mapping[str, Any], origin: str) -> None:
    for axis in axes:
        if axis not in Grid.model_fields:
            raise InputError(
                f"{origin}: {axis}={shown(axes[axis])}: unknown "
                f"axis{nearest(axis, Grid.model_fields)}; expected one of "
                f"{', '.join(Grid.model_fields)}, or tables [[grid]]"
            )


def _absolute(axis: str, values: Any) -> Any:
    """Return values whose files no longer depend on the folder they are taken from."""
    if axis not in {"trace", "pe", "dataflow", "memory"}:
        return values
    cases = [
        Case.model_validate({"trace": "", axis: value}).found_from(Path.cwd()) for value in values
    ]
    return [getattr(case, axis) for case in cases]
