"""What a reader must know of engines: keys that they found, layer by layer, and what their actions
cost.
"""

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


def cost_lines(reports: Iterable[Report]) -> list[str]:
    """Return what actions cost under each design whose engine has figures."""
    lines = []
    for report in reports:
        engine, totals = report.pe.engine_model, report.totals
        if engine is not None and engine.costs is not None and totals.actions:
            lines.append(engine.costs.line(report.pe.spec, totals.actions, totals.macs))
    return lines
