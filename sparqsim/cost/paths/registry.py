"""Which path a PE design has, found by its class in the files of this folder."""

from __future__ import annotations

from functools import cache

from sparqsim.base.plugins import shipped_classes
from sparqsim.cost.paths.base import DataPath
from sparqsim.pe.base import PEDesign


def path_of(design: PEDesign) -> DataPath | None:
    """Return the path of a design's class, or of the nearest that it derives from; None: none."""
    for each in type(design).__mro__:
        if each in _paths():
            return _paths()[each]
    return None


@cache
def _paths() -> dict[type, DataPath]:
    classes = shipped_classes("sparqsim.cost.paths", DataPath)
    return {each.design: each() for each in classes}
