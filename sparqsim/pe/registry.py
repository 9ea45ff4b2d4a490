"""Designs found by name: the files of this folder, entry points of other packages, or a file of the
user's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import MISSING, fields
from typing import Any

from sparqsim.base.errors import InputError, shown
from sparqsim.base.keys import check_keys
from sparqsim.base.plugins import refuse_code
from sparqsim.base.registry import Registry
from sparqsim.pe.base import COST_HOOKS, COSTS, PEDesign

WHAT = "PE design"
#: Whole numbers that a class declares, and the least of each.
NUMBERS = {
    "lanes": 1,
    "multipliers": 1,
    "edge_cycles": 0,
    "stage_cycles": 0,
    "most_step_cycles": 1,
    "weight_bits": 1,
}
MOST_OF_A_PE = 4096
#: What else a class declares: text, or whether something is so.
KINDS: dict[str, type] = {
    "name": str,
    "cost": str,
    "runs_on": str,
    "signed_activations": bool,
    "exact": bool,
    "values_by_pair": bool,
    "one_by_one": bool,
    "real_valued": bool,
    "tensor_scales": bool,
}
EXPECTED = {str: "text", bool: "True or False"}
LISTS_OF_NAMES = ("stationary", "dataflows")


def get_pe(spec: str | PEDesign) -> PEDesign:
    """Return the design that 'NAME', 'NAME:key=value,key=value' or 'FILE.py:CLASS[:key=value]'
    names.

    The last one runs the file, so this is for what a user has typed; see `resolve` for names that
    stand in files.

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
        Whether 'FILE.py:CLASS' may run the file. A name read from a result, a store or a golden
        report may not.
    known : collection of PEDesign
        Designs that are found by their `spec`, before all others: those that the user has named for
        this command.

    Raises
    ------
    InputError
        As `get_pe`; and for a file that is not trusted.
    """
    if isinstance(spec, PEDesign):
        refuse_former_hooks(type(spec), f"PE design {spec.name!r}")
        check_keys(spec, f"PE design {spec.name!r}")
        return spec
    for design in known:
        if design.spec == spec:
            return design
    if not trust_files:
        refuse_code(str(spec), WHAT, "a result", "one that you name with --pe")
    return REGISTRY.made(str(spec))


def checked_class(value: Any, origin: str) -> type[PEDesign]:
    """Return a class from outside the package if it is a finished design; `origin` is what messages
    name.
    """
    if not (isinstance(value, type) and issubclass(value, PEDesign)):
        raise InputError(f"{origin} is {value!r}, expected a subclass of sparqsim.PEDesign")
    if (
        getattr(value, "__abstractmethods__", None)
        or not hasattr(value, "name")
        or not hasattr(value, "lanes")
    ):
        raise InputError(f"{origin} is unfinished: expected `name`, `lanes` and `step`")
    refuse_former_hooks(value, origin)
    return value


def refuse_former_hooks(design: type[PEDesign], origin: str) -> None:
    """Raise InputError for a design written for hooks that are asked no more, with those to write.

    It would otherwise run with the defaults of today's hooks: other values, silently.
    """
    if hasattr(design, "used_operands"):
        raise InputError(
            f"{origin} has `used_operands(x, w)`, which is asked no more; expected "
            "`used_activations(x)` and `used_weights(w)`, each where it changes something, or "
            "`values_by_pair = True` and `matmul(x, w)` where `used_operands` gives None"
        )
    _check_kinds(design, origin)
    _check_numbers(design, origin)
    _check_cost(design, origin)


def _check_kinds(design: type[PEDesign], origin: str) -> None:
    """Raise InputError for a class that declares something of another kind than asked for.

    What follows a key is a property, and is not known here.
    """
    for field, kind in KINDS.items():
        value = getattr(design, field)
        if not isinstance(value, kind | property):
            raise InputError(f"{origin}: {field}={shown(value)}, expected {EXPECTED[kind]}")
    for field in LISTS_OF_NAMES:
        value = getattr(design, field)
        if not isinstance(value, property) and not _is_names(value):
            raise InputError(
                f"{origin}: {field}={shown(value)}, expected a tuple of names, or None"
            )


def _is_names(value: object) -> bool:
    """Return whether a value is a tuple of texts, or None."""
    return value is None or (
        isinstance(value, tuple) and all(isinstance(name, str) for name in value)
    )


def _check_numbers(design: type[PEDesign], origin: str) -> None:
    """Raise InputError for a class whose numbers are none of a circuit."""
    for field, least in NUMBERS.items():
        value = getattr(design, field)
        if isinstance(value, property):
            continue
        if type(value) is not int or not least <= value <= MOST_OF_A_PE:
            raise InputError(
                f"{origin}: {field}={shown(value)}, expected a whole number from {least} to "
                f"{MOST_OF_A_PE}"
            )


def _check_cost(design: type[PEDesign], origin: str) -> None:
    """Raise InputError for a class whose declared `cost` and hooks contradict each other."""
    declared = design.cost
    if isinstance(declared, property):  # it follows a key, and the hooks with it
        return
    if declared not in COSTS:
        raise InputError(f"{origin}: cost={declared!r}, expected one of {', '.join(COSTS)}")
    own = [cost for cost, hook in COST_HOOKS.items() if has_own(design, hook)]
    if declared != "unit" and declared not in own:
        raise InputError(
            f"{origin} declares cost={declared!r}, but has no `{COST_HOOKS[declared]}` of its own"
        )
    for cost in own:
        if cost != declared and _is_newer(design, COST_HOOKS[cost], "cost"):
            said = "no `cost`" if declared == "unit" else f"cost={declared!r}"
            raise InputError(
                f"{origin} has `{COST_HOOKS[cost]}` but declares {said}, so it would never be "
                f"asked; expected `cost = {cost!r}`"
            )
    most = design.most_step_cycles
    if declared == "unit" and isinstance(most, int) and most > 1:
        raise InputError(
            f"{origin}: most_step_cycles={most}, but its cost is 'unit': every step takes one "
            f"cycle; expected another `cost` of {', '.join(COSTS)}, with its hook"
        )


def _is_newer(design: type[PEDesign], name: str, other: str) -> bool:
    """Return whether `name` is defined further down than `other`: whoever wrote `other` did not
    know of it.
    """
    owners = [base for base in design.__mro__ if name in vars(base) or other in vars(base)]
    return other not in vars(owners[0])


def has_own(design: type[PEDesign], hook: str) -> bool:
    """Return whether a design has a hook of its own."""
    return getattr(design, hook) is not getattr(PEDesign, hook)


def at_defaults(design: type[PEDesign]) -> PEDesign | type[PEDesign]:
    """Return the design with its keys at their defaults; the class itself where a key has none.

    What a class declares may depend on its keys, as lanes do where a key sets them.
    """
    has_defaults = all(
        key.default is not MISSING or key.default_factory is not MISSING for key in fields(design)
    )
    return design() if has_defaults else design


REGISTRY: Registry[PEDesign] = Registry(
    WHAT,
    PEDesign,  # type: ignore[type-abstract] # a base to look for
    "sparqsim.pe",
    "sparqsim.pe",
    checked_class,
)
designs, outside_designs, known_names = REGISTRY.shipped, REGISTRY.outside, REGISTRY.names
