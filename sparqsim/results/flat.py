"""One name for a number everywhere: its column is its path in the JSON, joined by '_'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: What another column tells; the first two, sums of squares, are beyond 64 bits for large networks.
LEFT_OUT = frozenset({"error_signal", "error_noise", "counts_macs", "energy_pj_macs"})
#: Absent where it was not asked for, or is not modelled.
OPTIONAL = frozenset({"traffic", "energy_pj_sram", "energy_pj_dram"})
#: Actions of the memory are the columns of `traffic`.
TOLD_BY_TRAFFIC = "memory."


def flat_fields(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was measured of a layer or a network as columns: `cycles.total` of the JSON is
    `cycles_total`, the count of the action 'pe.steps' is `actions_pe_steps`.

    Parameters
    ----------
    measured : mapping
        A layer or the totals of a report, as JSON holds them.
    """
    counts = {
        name.replace(".", "_"): action["count"]
        for name, action in measured.get("actions", {}).items()
        if not name.startswith(TOLD_BY_TRAFFIC)
    }
    return {
        name: value
        for name, value in _leaves({**measured, "actions": counts})
        if name not in LEFT_OUT and not (name in OPTIONAL and value is None)
    }


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}_")
        elif not isinstance(value, list):
            yield prefix + name, value
