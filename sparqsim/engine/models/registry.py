"""Engine models found by name: the files of this folder, entry points of other packages, a file of
the user's.

The name of a PE design names the engine that is made of its PEs, so that every place that takes a
design takes an engine too.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.keys import with_keys
from sparqsim.base.plugins import (
    SourceClass,
    described,
    load_installed,
    refuse_code,
)
from sparqsim.base.registry import Registry, unknown
from sparqsim.engine.models.base import EngineModel, HostModel
from sparqsim.pe import registry as pe_registry
from sparqsim.pe.base import PEDesign
from sparqsim.pe.signs import by_magnitude, is_by_magnitude

WHAT = "engine model"


def get_model(spec: str | PEDesign | EngineModel) -> EngineModel:
    """Return the engine that a name, a design or 'FILE.py:CLASS[:key=value]' stands for.

    A name in a file is run, so this is for what a user has typed; see `resolve` for names that
    stand in files.

    Raises
    ------
    InputError
        For an unknown name (with the nearest known one), an unknown key, or a value out of range.
    """
    return resolve(spec, trust_files=True)


def resolve(
    spec: str | PEDesign | EngineModel,
    *,
    trust_files: bool = False,
    known: Collection[EngineModel | PEDesign] = (),
) -> EngineModel:
    """Return the engine of a name, wherever the name comes from.

    Parameters
    ----------
    spec : str, PEDesign or EngineModel
    trust_files : bool
        Whether 'FILE.py:CLASS' may run the file. A name read from a result, a store or a golden
        report may not.
    known : collection of EngineModel or PEDesign
        Those that are found by their `spec`, or as `signed=magnitude` of it, before all others:
        what the user has named for this command.

    Raises
    ------
    InputError
        As `get_model`; and for a file that is not trusted.
    """
    if isinstance(spec, EngineModel):
        return spec
    if isinstance(spec, PEDesign):
        return made_of(pe_registry.resolve(spec))
    for model in known:
        if model.spec == spec:
            return resolve(model)
        design = model if isinstance(model, PEDesign) else model.pe
        if design is not None and is_by_magnitude(str(spec), design.spec):
            return made_of(by_magnitude(design))
    if not trust_files:
        refuse_code(str(spec), pe_registry.WHAT, "a result", "one that you name with --pe")
    source = SourceClass.parse(str(spec), pe_registry.WHAT)
    if source is not None:
        loaded = source.load((PEDesign, EngineModel))
        return _of_class(loaded, source.origin, source.keys, str(spec))
    return _named(str(spec))


def made_of(design: PEDesign) -> EngineModel:
    """Return the engine whose PEs are of a design.

    Raises
    ------
    InputError
        Where the design names an engine that is not known.
    """
    shipped = REGISTRY.shipped_named(design.runs_on)
    if shipped is not None and issubclass(shipped, HostModel):
        return shipped(design)
    return _installed_host(design)(design)


def models() -> dict[str, type[EngineModel]]:
    """Return every engine that ships with the package and is no array of PEs, by name."""
    shipped = REGISTRY.shipped()
    return {name: model for name, model in shipped.items() if not issubclass(model, HostModel)}


def hosts() -> dict[str, type[HostModel]]:
    """Return every engine that ships with the package and is made of PEs, by name."""
    shipped = REGISTRY.shipped()
    return {name: model for name, model in shipped.items() if issubclass(model, HostModel)}


def model_names() -> list[str]:
    """Return the names of the engines that are no arrays of PEs, shipped and installed."""
    return [*models(), *outside_models()]


def known_names() -> list[str]:
    """Return every name that leads to an engine: of PE designs, and of engines of their own."""
    return [*pe_registry.known_names(), *model_names()]


def _named(spec: str) -> EngineModel:
    name, _, keys = spec.partition(":")
    shipped = REGISTRY.shipped_named(name)
    if shipped is not None and not issubclass(shipped, HostModel):
        return with_keys(shipped, keys, spec, WHAT)
    # What ships comes first: to look through what is installed takes as long as many layers do.
    is_design = pe_registry.REGISTRY.shipped_named(name) is not None
    if is_design or name in pe_registry.outside_designs():
        return made_of(pe_registry.resolve(spec))
    outside = outside_models()
    if name in outside:
        return _of_class(load_installed(outside[name]), described(outside[name]), keys, spec)
    if name.startswith("@"):
        raise InputError(
            f"{spec!r}: an assignment of designs to layers, where one design is asked for; "
            "expected a PE design"
        )
    raise unknown(pe_registry.WHAT, name, known_names())


def _of_class(value: Any, origin: str, keys: str, spec: str) -> EngineModel:
    """Return the engine of a class from outside the package."""
    if isinstance(value, type) and issubclass(value, EngineModel):
        return with_keys(_checked_class(value, origin), keys, spec, WHAT)
    if isinstance(value, type) and issubclass(value, PEDesign):
        design = pe_registry.checked_class(value, origin)
        return made_of(with_keys(design, keys, spec, pe_registry.WHAT))
    raise InputError(
        f"{origin} is {value!r}, expected a subclass of sparqsim.PEDesign or sparqsim.EngineModel"
    )


def _checked_class(model: type[EngineModel], origin: str) -> type[EngineModel]:
    if issubclass(model, HostModel):
        raise InputError(
            f"{origin} is made of PEs and has no name of its own; expected a PE design that runs "
            f"on it (runs_on={getattr(model, 'name', model.__name__)!r})"
        )
    missing = sorted(getattr(model, "__abstractmethods__", ()))
    if missing or not hasattr(model, "name"):
        needed = ", ".join(
            f"`{name}`" for name in [*missing, *(() if hasattr(model, "name") else ("name",))]
        )
        raise InputError(f"{origin} is unfinished: expected {needed} too")
    return model


def _installed_host(design: PEDesign) -> type[HostModel]:
    outside = outside_models()
    if design.runs_on not in outside:
        known = [*hosts(), *outside]
        raise InputError(
            f"{design.spec}: runs_on={design.runs_on!r} is no known engine of PEs"
            f"{nearest(design.runs_on, known)}; expected one of {', '.join(known)}"
        )
    entry = outside[design.runs_on]
    value = load_installed(entry)
    if not (isinstance(value, type) and issubclass(value, HostModel)):
        raise InputError(
            f"{described(entry)} is {value!r}, expected a subclass of "
            "sparqsim.engine.models.base.HostModel"
        )
    return value


REGISTRY: Registry[EngineModel] = Registry(
    WHAT,
    EngineModel,  # type: ignore[type-abstract] # a base to look for
    "sparqsim.engine.models",
    "sparqsim.engine.models",
    _checked_class,
)
outside_models = REGISTRY.outside
