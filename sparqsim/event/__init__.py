"""Discrete-event models: the definition of timing, slow and plain.

The only place that imports simpy.
"""

from __future__ import annotations

from sparqsim.event.array import Run, StepRecord, Tile
from sparqsim.event.run import run_tiles

__all__ = ["Run", "StepRecord", "Tile", "run_tiles"]
