"""More layers than a page can show: consecutive ones are summed until they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sparqsim.results.comparison import Comparison
from sparqsim.results.iso_area import IsoArea, ScaledArray, ScaledArrays
from sparqsim.results.layer_report import LayerReport, Totals
from sparqsim.results.report import Report

Result = TypeVar("Result", Comparison, Report)
Item = TypeVar("Item")


def grouped(result: Result, size: int) -> Result:
    """Return a result whose layers are sums of `size` consecutive ones, named after their first.

    Cycles, counts and errors are summed; the last group may be smaller. Totals stay what they are.
    """
    if size == 1:
        return result
    if isinstance(result, Report):
        parts = _parts(result.layers, size)
        return result.model_copy(update={"layers": tuple(map(_sum, parts))})
    reports = {name: grouped(report, size) for name, report in result.reports.items()}
    iso = None if result.iso_area is None else _grouped_area(result.iso_area, size)
    return result.model_copy(update={"reports": reports, "iso_area": iso})


def group_note(layers: Sequence[LayerReport], size: int) -> list[str]:
    """Return how layers were grouped, as notes."""
    if size == 1:
        return []
    more = size - 1
    following = "the next one" if more == 1 else f"the next {more}"
    note = (
        f"{len(layers)} layers, summed in groups of {size}: +{more} after a name = and {following}"
    )
    kept = any(layer.kept_8bit for layer in layers)
    return [f"{note}, * = at least one of them is kept" if kept else note]


def _parts(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


def _sum(layers: Sequence[LayerReport]) -> LayerReport:
    first, totals = layers[0], Totals.of(layers)
    summed = {name: getattr(totals, name) for name in Totals.model_fields if name != "traffic"}
    name = first.name if len(layers) == 1 else f"{first.name} +{len(layers) - 1}"
    kept = any(layer.kept_8bit for layer in layers)
    return first.model_copy(update={**summed, "name": name, "kept_8bit": kept, "traffic": None})


def _grouped_area(iso: IsoArea, size: int) -> IsoArea:
    designs = {
        name: design.model_copy(update={"arrays": _grouped_arrays(design.arrays, size)})
        for name, design in iso.designs.items()
    }
    return iso.model_copy(update={"designs": designs})


def _grouped_arrays(arrays: ScaledArrays, size: int) -> ScaledArrays:
    low, middle, high = (_grouped_array(array, size) for array in arrays.all)
    return ScaledArrays(low=low, middle=middle, high=high)


def _grouped_array(array: ScaledArray, size: int) -> ScaledArray:
    cycles = tuple(sum(part) for part in _parts(array.layer_cycles, size))
    return array.model_copy(update={"layer_cycles": cycles})
