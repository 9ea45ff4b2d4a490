"""The public path of dataflows: `from sparqsim.dataflow import Dataflow`.

They live in `sparqsim.array`.
"""

from __future__ import annotations

from sparqsim.array.dataflow import Dataflow, Timing, Work
from sparqsim.array.registry import get_dataflow

__all__ = ["Dataflow", "Timing", "Work", "get_dataflow"]
