"""What a reader must know of int8 layers that ran by sign and magnitude."""

from __future__ import annotations

from collections.abc import Iterable

from sparqsim.pe.signs import KEY_TEXT, is_by_magnitude
from sparqsim.results.report import Report
from sparqsim.results.runs import rule_of

#: What was done, in words that follow the designs.
BY_MAGNITUDE = (
    f"by sign and magnitude ({KEY_TEXT}), an extension of ours: the published designs take "
    "unsigned ones"
)
OTHERWISE = "--signed refuse: refused"
#: What must stand beside areas and clock periods.
WITHOUT_SIGNS = (
    "Areas and clock periods are of circuits without signs, also where int8 layers ran by sign and "
    "magnitude"
)


def signed_layers(report: Report) -> list[str]:
    """Return the names of the layers that a design ran so though its name does not say it."""
    pe = report.pe
    own = pe.spec if pe.assignment is None else pe.assignment.default
    return [
        layer.name
        for layer in report.layers
        if is_by_magnitude(layer.run_as, rule_of(pe, layer.name) or own)
    ]


def signed_notes(reports: Iterable[Report]) -> list[str]:
    """Return sentences without a stop: which layers, under which designs; designs of the same
    layers together.
    """
    designs: dict[tuple[str, ...], list[str]] = {}
    for report in reports:
        layers = tuple(signed_layers(report))
        if layers:
            designs.setdefault(layers, []).append(report.pe.spec)
    return [
        f"Layers of int8 activations ({', '.join(layers)}) ran under {', '.join(names)} "
        f"{BY_MAGNITUDE}"
        for layers, names in designs.items()
    ]
