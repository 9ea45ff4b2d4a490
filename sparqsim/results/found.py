"""What a reader must know of keys that engines found themselves, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable

from sparqsim.results.report import Report


def found_lines(reports: Iterable[Report]) -> list[str]:
    """Return a sentence for each report whose engine found keys: which, and for which layers."""
    lines = []
    for report in reports:
        layers: dict[str, list[str]] = {}
        for layer in report.layers:
            if layer.found_keys:
                layers.setdefault(layer.found_keys, []).append(layer.name)
        if layers:
            told = "; ".join(f"{keys} for {', '.join(names)}" for keys, names in layers.items())
            lines.append(f"{report.pe.spec} found {told}.")
    return lines
