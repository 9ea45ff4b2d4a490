"""Designs found by name: the files of this folder, entry points of other packages, or a file of the user's."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import MISSING, Field, fields
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sparqsim.errors import DESIGN_FILE, InputError, nearest, refuse_code
from sparqsim.parse import whole_number
from sparqsim.pe.base import PEDesign

ENTRY_POINTS = "sparqsim.pe"
#: Of an integer key.
LARGEST_KEY = 999_999_999


def get_pe(spec: str | PEDesign) -> PEDesign:
    """Return the design that 'NAME', 'NAME:key=value,key=value' or 'FILE.py:CLASS[:key=value]' names.

    The last one runs the file, so this is for what a user has typed; see `resolve` for names that stand in files.

    Raises
    ------
    InputError
        For an unknown name (with the nearest known one), an unknown key, or a value out of range.
    """
    return resolve(spec, trust_files=True)


def resolve(
    spec: str | PEDesign, *, trust_files: bool = False, known: Collection[PEDesign] = ()
) -> PEDesign:
    """Return the design of a name, wherever the name comes from.

    Parameters
    ----------
    spec : str or PEDesign
    trust_files : bool
        Whether 'FILE.py:CLASS' may run the file. A name read from a result, a store or a golden report may not.
    known : collection of PEDesign
        Designs that are found by their `spec`, before all others: those that the user has named for this command.

    Raises
    ------
    InputError
        As `get_pe`; and for a file that is not trusted.
    """
    if isinstance(spec, PEDesign):
        return spec
    for design in known:
        if design.spec == spec:
            return design
    if not trust_files:
        refuse_code(str(spec), "PE design", "a result", "one that you name with --pe")
    from_file = DESIGN_FILE.fullmatch(str(spec))
    if from_file:
        return with_keys(_class_in_file(from_file[1], from_file[2]), from_file[3] or "", spec)
    if re.search(r"\.py:?$", str(spec)):
        raise InputError(
            f"PE design {spec!r}: names a file but no class in it{_classes_in(str(spec).rstrip(':'))}; "
            "expected FILE.py:CLASS"
        )
    name, _, keys = str(spec).partition(":")
    return with_keys(_class_named(name), keys, spec)


@cache
def designs() -> dict[str, type[PEDesign]]:
    """Return every design that ships with the package, by name."""
    package = importlib.import_module("sparqsim.pe")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    modules = [importlib.import_module(f"sparqsim.pe.{name}") for name in names]
    found = {design.name: design for module in modules for design in _designs_in(module)}
    return dict(sorted(found.items()))


def outside_designs() -> dict[str, Any]:
    """Return the entry points of installed packages that offer designs, by name, not loaded."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def _designs_in(module: ModuleType) -> Iterator[type[PEDesign]]:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, PEDesign)
            and value.__module__ == module.__name__
            and "name" in vars(value)
        ):
            yield value


def _class_named(name: str) -> type[PEDesign]:
    if name in designs():
        return designs()[name]
    outside = outside_designs()
    if name not in outside:
        known = [*designs(), *outside]
        raise InputError(
            f"PE design {name!r} is not known{nearest(name, known)}; expected one of {', '.join(known)}, "
            "or FILE.py:CLASS"
        )
    try:
        return _checked_class(outside[name].load(), f"entry point {name!r}")
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"entry point {name!r} of group {ENTRY_POINTS} cannot be loaded: {error!r}"
        ) from error


def _classes_in(path: str) -> str:
    """Return ' (it has X, Y)' for the classes that a file's source defines, without running it."""
    try:
        found = re.findall(r"^class (\w+)", Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    except (OSError, ValueError):
        return ""
    return f" (it has {', '.join(found)})" if found else ""


def _class_in_file(path: str, class_name: str) -> type[PEDesign]:
    file = Path(path)
    if not file.is_file():
        raise InputError(f"PE design file {path!r} is not a file; expected FILE.py:CLASS")
    module_spec = importlib.util.spec_from_file_location(f"sparqsim_user_{file.stem}", file)
    if module_spec is None or module_spec.loader is None:
        raise InputError(f"PE design file {path!r} is not Python source; expected FILE.py:CLASS")
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module  # dataclasses look their module up
    try:
        module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"PE design file {path!r} cannot be run: {error!r}") from error
    if not hasattr(module, class_name):
        known = [design.__name__ for design in _designs_in(module)]
        raise InputError(
            f"{path}: no class {class_name!r}{nearest(class_name, known)}; "
            f"expected one of {', '.join(known) or '(the file holds no PE design)'}"
        )
    return _checked_class(getattr(module, class_name), f"{path}:{class_name}")


def _checked_class(value: Any, origin: str) -> type[PEDesign]:
    if not (isinstance(value, type) and issubclass(value, PEDesign)):
        raise InputError(f"{origin} is {value!r}, expected a subclass of sparqsim.PEDesign")
    if (
        getattr(value, "__abstractmethods__", None)
        or not hasattr(value, "name")
        or not hasattr(value, "lanes")
    ):
        raise InputError(f"{origin} is unfinished: expected `name`, `lanes` and `step`")
    return value


def with_keys(design: type[PEDesign], text: str, spec: str) -> PEDesign:
    """Return the design with the keys of 'key=value,key=value'; `spec` is what messages show. Raises InputError."""
    known = {key.name: key for key in fields(design)}
    hints = get_type_hints(design)
    values: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if name in known and not equals:
            raise InputError(
                f"PE design {spec!r}: key {name!r} has no value, expected {name}="
                f"{key_choices(design)[name][1]} (keys: {', '.join(known)})"
            )
        if name not in known:
            accepted = ", ".join(known) or "no keys"
            raise InputError(
                f"PE design {spec!r}: key {part!r} is not known{nearest(name, known)}; "
                f"{design.name} accepts {accepted}"
            )
        values[name] = _key_value(spec, known[name], hints[name], value)
    try:
        return design(**values)
    except (ValueError, TypeError) as error:
        raise InputError(f"PE design {spec!r}: {error}") from None


def _key_value(spec: str, key: Field[Any], hint: Any, text: str) -> Any:
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            choices = get_args(hint)
            raise InputError(
                f"PE design {spec!r}: {key.name}={text!r}{nearest(text, choices)}; "
                f"expected one of {', '.join(choices)}"
            )
        return text
    value = whole_number(text, key.metadata.get("least", 0), LARGEST_KEY) if hint is int else None
    if value is not None:
        return value
    raise InputError(
        f"PE design {spec!r}: {key.name}={text!r}, expected an integer of at least "
        f"{key.metadata.get('least', 0)}"
    )


def key_choices(design: type[PEDesign]) -> dict[str, tuple[str, str]]:
    """Return for each key of a design its default and what it accepts, as text."""
    hints = get_type_hints(design)
    return {
        key.name: (
            "" if key.default is MISSING else str(key.default),
            " | ".join(get_args(hints[key.name])) or f"integer >= {key.metadata.get('least', 0)}",
        )
        for key in fields(design)
    }
