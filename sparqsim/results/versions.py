"""Files of older versions: read as if this version had written them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: Schemas that are read, and the one that each becomes.
REPORTS: Final = {"sparqsim.report/1": "sparqsim.report/2"}
COMPARISONS: Final = {"sparqsim.comparison/1": "sparqsim.comparison/2"}
#: Fields of version 1 that have other names now, by the field that holds them.
RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "bounds": {"slack_cycles": "busiest_pe_cycles", "gap": "gap_cycles"},
    "gap": {"waiting": "pe_waiting"},
    "layers": {"pe": "run_as"},
    "traffic": {"kept": "resident", "port_stall": "port_stall_cycles"},
    "utilization": {"mapping": "used_pes"},
}


def upgraded_report(document: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of a report under today's names; one of this version as it is."""
    return _upgraded(document, REPORTS)


def upgraded_comparison(document: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of a comparison, and of the reports in it, under today's names."""
    reports = document.get("reports")
    if isinstance(reports, dict):
        document = document | {
            "reports": {
                name: upgraded_report(report) if isinstance(report, dict) else report
                for name, report in reports.items()
            }
        }
    schema = COMPARISONS.get(str(document.get("schema")))
    return document if schema is None else document | {"schema": schema}


def _upgraded(document: dict[str, Any], schemas: Mapping[str, str]) -> dict[str, Any]:
    schema = schemas.get(str(document.get("schema")))
    if schema is None:
        return document
    renamed: dict[str, Any] = _renamed(document, "")
    return renamed | {"schema": schema}


def _renamed(value: Any, holder: str) -> Any:
    if isinstance(value, list):
        return [_renamed(part, holder) for part in value]
    if not isinstance(value, dict):
        return value
    names = RENAMED.get(holder, {})
    return {
        names.get(name, name): _renamed(part, name)
        for name, part in _with_actions(_completed(value)).items()
    }


def _with_actions(layer: dict[str, Any]) -> dict[str, Any]:
    """Turn the activity of a PE's parts into the actions that it is now."""
    match layer:
        case {"activity": {**activity}}:
            parts = {
                f"pe.{part}": {"count": cycles, "unit": "cycles", "counter": "pe"}
                for part, cycles in activity.items()
            }
            others = {name: value for name, value in layer.items() if name != "activity"}
            return others | ({"actions": parts} if parts else {})
    return layer


def _completed(measured: dict[str, Any]) -> dict[str, Any]:
    """Complete `bounds.gap` of a file from before it had the cycles of waiting for memory."""
    match measured:
        case {"bounds": {"gap": {**gap}}, "cycles": {"memory_stall": stall}}:
            bounds = measured["bounds"] | {"gap": {"memory_stall": stall} | gap}
            return measured | {"bounds": bounds}
    return measured
