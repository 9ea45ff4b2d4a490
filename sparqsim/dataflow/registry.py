"""Dataflows found by name: the files of this folder, entry points of other packages, or a file of the user's.

`get_dataflow` takes what a user names; it runs the file that a `FILE.py:CLASS` names. `reported_dataflow` takes what a
report says, and never runs a file.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from sparqsim.dataflow.base import STATIONARY, Dataflow
from sparqsim.errors import InputError, nearest

ENTRY_POINTS = "sparqsim.dataflow"
FILE_SPEC = re.compile(r"(.+\.py):(\w+)")
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
    from_file = FILE_SPEC.fullmatch(spec)
    if from_file is None:
        return _named(spec)
    flow = _in_file(from_file[1], from_file[2], _stamp(Path(from_file[1])))
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


def names_a_file(spec: str) -> bool:
    """Return whether the text names a file of Python, which would be run."""
    return re.search(r"\.py(:|$)", spec) is not None


@cache
def shipped_dataflows() -> dict[str, Dataflow]:
    """Return every dataflow that ships with the package, by name: first those whose outputs stay."""
    package = importlib.import_module("sparqsim.dataflow")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    modules = [importlib.import_module(f"sparqsim.dataflow.{name}") for name in names]
    flows = [flow() for module in modules for flow in _classes_of(module)]
    what_stays = list(STATIONARY.values())
    flows.sort(key=lambda flow: (what_stays.index(flow.stationary), flow.name))
    return {flow.name: flow for flow in flows}


def outside_dataflows() -> dict[str, EntryPoint]:
    """Return the entry points of installed packages that offer dataflows, by name, not loaded."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


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
    origin = f"entry point {entry.name!r} of group {ENTRY_POINTS}"
    try:
        value = entry.load()
    except Exception as error:
        raise InputError(f"{origin} cannot be loaded: {error!r}") from error
    flow = _checked(value, origin)
    if flow.name != entry.name:
        raise InputError(
            f"{origin} gives a dataflow of name {flow.name!r}: expected {entry.name!r}"
        )
    return flow


def _stamp(file: Path) -> tuple[str, int, int]:
    """Return what changes when the file is another or is written to."""
    if not file.is_file():
        raise InputError(f"dataflow: {str(file)!r} is not a file; expected a name or FILE.py:CLASS")
    status = file.stat()
    return str(file.resolve()), status.st_mtime_ns, status.st_size


@cache
def _in_file(path: str, class_name: str, _stamp: tuple[str, int, int]) -> Dataflow:
    module = _module_of(Path(path))
    if not hasattr(module, class_name):
        known = [flow.__name__ for flow in _classes_of(module)]
        raise InputError(
            f"{path}: no class {class_name!r}{nearest(class_name, known)}; "
            f"expected one of {', '.join(known) or '(the file holds no dataflow)'}"
        )
    flow = _checked(getattr(module, class_name), f"{path}:{class_name}")
    if flow.name in dataflow_names():
        raise InputError(
            f"{path}:{class_name}: name={flow.name!r} is that of another dataflow; "
            f"expected none of {', '.join(dataflow_names())}"
        )
    return flow


def _module_of(file: Path) -> ModuleType:
    module_spec = importlib.util.spec_from_file_location(f"sparqsim_user_{file.stem}", file)
    if module_spec is None or module_spec.loader is None:
        raise InputError(
            f"dataflow file {str(file)!r} is not Python source; expected FILE.py:CLASS"
        )
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module  # dataclasses look their module up
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"dataflow file {str(file)!r} cannot be run: {error!r}") from error
    return module


def _classes_of(module: ModuleType) -> Iterator[type[Dataflow]]:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, Dataflow)
            and value.__module__ == module.__name__
            and "name" in vars(value)
        ):
            yield value


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
