"""PE designs made ready for a layer: whatever runs a layer runs what `bound_to` returns."""

from __future__ import annotations

from sparqsim.base.errors import InputError
from sparqsim.pe.base import LayerFacts, PEDesign
from sparqsim.trace import Layer


def facts_of(layer: Layer) -> LayerFacts:
    """Return what a design may know of a layer."""
    record = layer.record
    return LayerFacts(layer.gemm.k, layer.signed, record.activation_bits, record.weight_bits)


def bound_to(layer: Layer, pe: PEDesign) -> PEDesign:
    """Return the design as it runs a layer (`PEDesign.for_layer`).

    Raises
    ------
    InputError
        Where the design gives something else than a design of the name the user gave.
    """
    return bound_by(facts_of(layer), pe, layer.name)


def bound_by(facts: LayerFacts, pe: PEDesign, layer: str) -> PEDesign:
    """Return the design as it runs a layer of these facts and this name: see `bound_to`."""
    bound = pe.for_layer(facts)
    if not isinstance(bound, PEDesign) or bound.spec != pe.spec:
        found = bound.spec if isinstance(bound, PEDesign) else repr(bound)
        raise InputError(
            f"layer {layer!r}: for_layer of {pe.spec} gives {found}, expected a design of the "
            'same spec: what follows a layer is a field with metadata={"key": False}'
        )
    return bound
