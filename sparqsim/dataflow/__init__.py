"""Dataflows: one file each. They time work; they know nothing of PE designs."""

from __future__ import annotations

from sparqsim.dataflow.base import Dataflow, Timing, Work
from sparqsim.dataflow.input_stationary import InputStationary
from sparqsim.dataflow.output_stationary import OutputStationary
from sparqsim.dataflow.weight_stationary import WeightStationary

__all__ = ["Dataflow", "Timing", "Work", "get_dataflow"]

DATAFLOWS: dict[str, Dataflow] = {
    flow.name: flow for flow in (OutputStationary(), WeightStationary(), InputStationary())
}


def get_dataflow(name: str) -> Dataflow:
    """Return the dataflow `name`: 'os', 'ws' or 'is'."""
    return DATAFLOWS[name]
