"""What the layers of a network compute as: a design, or an assignment of designs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from sparqsim.base.errors import InputError
from sparqsim.engine.assignment import Assignment, Marked, Runnable, assigned
from sparqsim.engine.models import get_model
from sparqsim.pe.base import PEDesign
from sparqsim.pe.signs import REFUSE

Computing: TypeAlias = PEDesign | Assignment


def computing(pe: Runnable, signed: str = REFUSE) -> Computing:
    """Return the design, or the assignment of designs, that computes the layers of a network.

    `signed`: what designs of unsigned activations do with int8 layers, as in `simulate`.

    Raises
    ------
    InputError
        For an engine that is no array of PEs, and so has no arithmetic of its own.
    """
    run = assigned(pe).with_signed(signed)
    for model in run.models:
        if model.pe is None:
            raise InputError(f"{model.spec} {model.kind}, and computes no network; expected PEs")
    design = run.default.pe
    if run.own_rules or design is None or run.taking_signed(design) is not design:
        return run
    return design


def scales_tensors(pe: Computing) -> bool:
    """Whether some layer's design may find a scale on a whole tensor of activations."""
    models = pe.models if isinstance(pe, Assignment) else [get_model(pe)]
    return any(model.pe is not None and model.pe.tensor_scales for model in models)


def designs_by_name(
    pe: Computing, layers: Iterable[Marked], *, keep_8bit: bool
) -> dict[str, PEDesign]:
    """Return which design computes which layer of a network, by the layer's name.

    Parameters
    ----------
    pe : PEDesign or Assignment
    layers : iterable of Marked
    keep_8bit : bool
        Whether layers marked keep_8bit run on `KEPT`: exactly, as on any circuit that keeps them.
    """
    run = pe if isinstance(pe, Assignment) else Assignment.of(get_model(pe))
    run = run.keeping_8bit("ideal") if keep_8bit else run
    chosen = {layer.name: run.design(layer).pe for layer in layers}
    return {name: design for name, design in chosen.items() if design is not None}
