"""Counts of what toggles in a layer, for designs that the energy model knows."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sparqsim.cost.joint import ToggleCounter
from sparqsim.cost.paths.base import DataPath
from sparqsim.cost.paths.registry import path_of
from sparqsim.cost.toggles import Toggles, defined_toggles
from sparqsim.pe.base import Array, PEDesign


class Counter(Protocol):
    """Counts what toggles in the PEs of one design, block of rows by block of rows."""

    def add(self, x: Array) -> None:
        """Count a block of rows, uint8 or int8 (groups, rows, K)."""

    def toggles(self, rows: int, cols: int) -> Toggles:
        """Return what toggled in an array of rows x cols PEs."""


class SteppedCounter:
    """The same by the definition: every PE, step by step. For small layers."""

    def __init__(self, path: DataPath, design: PEDesign, weights: Array) -> None:
        self._path, self._design, self._weights = path, design, weights
        self._blocks: list[Array] = []

    def add(self, x: Array) -> None:
        """Keep a block of rows."""
        self._blocks.append(x)

    def toggles(self, rows: int, cols: int) -> Toggles:
        """Step through all of them."""
        groups = zip(np.concatenate(self._blocks, axis=1), self._weights, strict=True)
        stepped = (defined_toggles(self._path, self._design, x, w, rows, cols) for x, w in groups)
        return sum(stepped, Toggles())


class LayerCounter:
    """Counts one layer for a circuit that goes over it in one pass or several."""

    def __init__(
        self, designs: tuple[PEDesign, ...], weights: Array, *, stepped: bool = False
    ) -> None:
        """Start with no rows.

        Parameters
        ----------
        designs : tuple of PEDesign
            What the PEs are in each pass, bound to the layer, each with a path.
        weights : int8 (groups, K, N)
        stepped : bool
            Count by the definition.
        """
        kind = SteppedCounter if stepped else ToggleCounter
        self._passes: list[Counter] = []
        for design in designs:
            path = path_of(design)
            if path is None:
                raise ValueError(f"{design.spec}: what its PEs hold is not known")
            self._passes.append(kind(path, design, weights))

    def add_rows(self, x: Array) -> None:
        """Count a block of X, uint8 or int8 (groups, rows, K)."""
        for each in self._passes:
            each.add(x)

    def toggles(self, rows: int, cols: int) -> Toggles:
        """Return what toggled in all passes, in an array of rows x cols PEs."""
        return sum((each.toggles(rows, cols) for each in self._passes), Toggles())
