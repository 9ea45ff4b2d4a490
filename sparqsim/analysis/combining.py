"""What it takes to add up the columns of a channel, where weights were quantised to several.

    combined(report, trace, per_cycle=16)

A layer of `multipoint` weights has more columns than output channels. The array runs them as a
layer of so many channels, so its report holds what they cost there. Behind the array each extra
column of each output is one multiply-add, of that column's sum with its scale, in a slot of its own
that does `per_cycle` of them in a cycle.

**Assumed**: the slot works while the array does, with room for sums that wait; a layer takes the
longer of both. No circuit of it was made: its area, energy and clock are in no table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.quantise.points import Combination, combination
from sparqsim.results.report import Report
from sparqsim.trace.trace import Trace


@dataclass(frozen=True)
class CombinedLayer:
    """A layer on the array and its combining.

    name: the layer's. columns: of weights, all groups together. channels: output channels.
    array_cycles: the report's. combining: multiply-adds and how long they take.
    """

    name: str
    columns: int
    channels: int
    array_cycles: int
    combining: Combination

    @property
    def cycles(self) -> int:
        """The longer of both."""
        return self.combining.total_cycles(self.array_cycles)


def combined(report: Report, trace: Trace, per_cycle: int) -> tuple[CombinedLayer, ...]:
    """Return every layer of a report with the combining of its columns, in the report's order.

    Parameters
    ----------
    report : Report
        Of the trace, on any array.
    trace : Trace
        Its provenance tells how many channels the columns of a layer are of
        (`weight_quantisers`); a layer that it does not speak of has one column for each.
    per_cycle : int
        Multiply-adds that the slot does in a cycle.

    Raises
    ------
    InputError
        For per_cycle below 1, or a report that has other layers than the trace.
    """
    if per_cycle < 1:
        raise InputError(f"per_cycle={per_cycle}, expected at least 1 multiply-add in a cycle")
    told = _told(trace)
    layers = {layer.name: layer for layer in trace.layers}
    found = []
    for each in report.layers:
        if each.name not in layers:
            raise InputError(
                f"layer {each.name!r} of the report is not in the trace, expected a report of it"
            )
        gemm = layers[each.name].gemm
        columns = gemm.n * gemm.groups
        channels = int(told.get(each.name, {}).get("channels", columns))
        work = combination(gemm.m, columns, channels, per_cycle)
        found.append(CombinedLayer(each.name, columns, channels, each.cycles.total, work))
    return tuple(found)


def _told(trace: Trace) -> dict[str, Mapping[str, Any]]:
    """Return what weight quantisers said of layers, by layer."""
    quantisers: Any = trace.metadata.provenance.get("weight_quantisers", {})
    found: dict[str, Mapping[str, Any]] = {}
    for facts in quantisers.values() if isinstance(quantisers, Mapping) else ():
        if isinstance(facts, Mapping) and isinstance(facts.get("layers"), Mapping):
            found |= {name: each for name, each in facts["layers"].items() if "columns" in each}
    return found
