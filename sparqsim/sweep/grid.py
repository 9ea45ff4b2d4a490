"""A grid: values per axis, in a TOML file or on the command line, and the cases they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sparqsim.case import Case, checked, read_toml
from sparqsim.errors import InputError
from sparqsim.pe.registry import refuse_design_file


def _listed(value: object) -> object:
    """Return a single value as a list of one."""
    return value if isinstance(value, list) else [value]


Texts = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
Switches = Annotated[list[Literal["on", "off"]], BeforeValidator(_listed), Field(min_length=1)]
Engines = Annotated[list[Literal["fast", "event"]], BeforeValidator(_listed), Field(min_length=1)]
Flags = Annotated[list[bool], BeforeValidator(_listed), Field(min_length=1)]


class Grid(BaseModel):
    """Values of each axis, one or a list; an axis that is not given is as in `Case`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trace: Texts
    pe: Texts
    array: Texts | None = None
    dataflow: Texts | None = None
    coupling: Texts | None = None
    overlap: Switches | None = None
    memory: Texts | None = None
    all_layers: Flags | None = None
    engine: Engines | None = None

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
) -> list[Case]:
    """Return the cases of a grid file.

    Parameters
    ----------
    path : str or Path
        TOML: axes at the top level; with tables [[grid]] each makes a grid of its own, on top of those axes. Relative
        files are taken from the folder of this file.
    overrides : mapping, optional
        Axes that replace those of the file; their files are relative to the current folder.
    trust : bool
        Whether the file may name designs FILE.py:CLASS, whose code a sweep runs.

    Raises
    ------
    InputError
        Naming the file, the axis and the value.
    """
    overrides = overrides or {}
    document = read_toml(path)
    tables = document.pop("grid", [{}])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path}: grid={tables!r}: expected tables, [[grid]]")
    here = {axis: _absolute(axis, values) for axis, values in overrides.items()}
    grids = [checked(Grid, document | table | here, str(path)) for table in tables]
    if not trust and "pe" not in overrides:
        for spec in dict.fromkeys(spec for grid in grids for spec in grid.pe):
            refuse_design_file(spec, str(path), "--trust, for a file that you have read")
    return [case.found_from(Path(path).parent) for grid in grids for case in grid.cases()]


def cases_of(axes: Mapping[str, Any]) -> list[Case]:
    """Return the cases of axes given on the command line."""
    return list(checked(Grid, dict(axes), "grid").cases())


def _absolute(axis: str, values: Any) -> Any:
    """Return values whose files no longer depend on the folder they are taken from."""
    if axis not in {"trace", "pe", "memory"}:
        return values
    cases = [
        Case.model_validate({"trace": "", axis: value}).found_from(Path.cwd()) for value in values
    ]
    return [getattr(case, axis) for case in cases]
