"""Dataflows found by name: the files of `dataflows/`, entry points of other packages, or a file of
the user's.

`get_dataflow` takes what a user names; it runs the file that a `FILE.py:CLASS` names.
`reported_dataflow` takes what a report says, and never runs a file.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from sparqsim.array.dataflow import STATIONARY, Dataflow
from sparqsim.base.errors import InputError, nearest
from sparqsim.base.plugins import SourceClass, described, installed, load_installed, shipped_classes

ENTRY_POINTS = "sparqsim.dataflow"
WHAT = "dataflow"
#: Letters that no name has: names stand in lists 'A,B', next to 'FILE.py:CLASS', and in file names.
NOT_IN_NAMES = re.compile(r"[^\w.+-]")

#: Dataflows of files that this process was told to load, by name; of two of one name the later one.
_LOADED: dict[str, Dataflow] = {}


def get_dataflow(spec: str) -> Dataflow:
    """Return the dataflow that 'NAME' or 'FILE.py:CLASS' names.

    Raises
    ------
    InputError
        For an unknown name (with the nearest known one), or a file that holds no such dataflow.
    """
    source = SourceClass.parse(spec, WHAT)
    if source is None:
        return _named(spec)
    if source.keys:
        raise InputError(
            f"dataflow {spec!r}: a dataflow has no keys, expected FILE.py:CLASS without them"
        )
    flow = _in_file(source, _stamp(source.file))
    _LOADED[flow.name] = flow
    return flow


def reported_dataflow(name: str) -> Dataflow:
    """Return the dataflow that a report names: shipped, installed, or loaded by this process.

    Raises
    ------
    InputError
        For any other; a report cannot make the simulator run a file.
    """
    loaded = _LOADED.get(name)
    return loaded if loaded is not None else _named(name)


@cache
def shipped_dataflows() -> dict[str, Dataflow]:
    """Return every dataflow that ships, by name: first those whose outputs stay."""
    flows = [flow() for flow in shipped_classes("sparqsim.array.dataflows", Dataflow)]
    what_stays = list(STATIONARY.values())
    flows.sort(key=lambda flow: (what_stays.index(flow.stationary), flow.name))
    return {flow.name: flow for flow in flows}


def outside_dataflows() -> dict[str, EntryPoint]:
    """Return the entry points of installed packages that offer dataflows, by name, not loaded."""
    return installed(ENTRY_POINTS)


def dataflow_names() -> list[str]:
    """Return the names of all shipped and installed dataflows."""
    return list(dict.fromkeys((*shipped_dataflows(), *outside_dataflows())))


def _named(name: str) -> Dataflow:
    shipped = shipped_dataflows()
    if name in shipped:
        return shipped[name]
    outside = outside_dataflows().get(name)
    if outside is None:
        known = dataflow_names()
        raise InputError(
            f"dataflow={name!r}: expected one of {', '.join(known)}{nearest(name, known)}, "
            "or FILE.py:CLASS"
        )
    return _installed(outside)


@cache
def _installed(entry: EntryPoint) -> Dataflow:
    origin = described(entry)
    flow = _checked(load_installed(entry), origin)
    if flow.name != entry.name:
        raise InputError(
            f"{origin} gives a dataflow of name {flow.name!r}: expected {entry.name!r}"
        )
    return flow


def _stamp(file: Path) -> tuple[str, bytes]:
    """Return what changes when the file is another or holds another text.

    Copies keep the time of what they copy, so time and length tell nothing.
    """
    return str(file.resolve()), file.read_bytes()


@cache
def _in_file(source: SourceClass, _stamp: tuple[str, bytes]) -> Dataflow:
    flow = _checked(source.load(Dataflow), source.origin)
    if flow.name in dataflow_names():
        raise InputError(
            f"{source.origin}: name={flow.name!r} is that of another dataflow; "
            f"expected none of {', '.join(dataflow_names())}"
        )
    return flow


def _checked(value: Any, origin: str) -> Dataflow:
    """Return the dataflow of a class. Raises InputError where it is none, or unfinished."""
    if not (isinstance(value, type) and issubclass(value, Dataflow)):
        raise InputError(
            f"{origin} is {value!r}, expected a subclass of sparqsim.dataflow.Dataflow"
        )
    name = getattr(value, "name", None)
    if not hasattr(value, "roles") or name is None:
        raise InputError(f"{origin} is unfinished: expected `name` and `roles`")
    if not isinstance(name, str) or not name or NOT_IN_NAMES.search(name):
        raise InputError(f"{origin}: name={name!r}: expected letters, digits, '-', '_', '+', '.'")
    try:
        return value()
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None
    except TypeError as error:
        raise InputError(f"{origin}: cannot be made without arguments ({error})") from None
