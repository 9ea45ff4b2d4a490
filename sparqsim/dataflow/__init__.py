"""Dataflows: one file each. They time work; they know nothing of PE designs."""

from __future__ import annotations

from sparqsim.dataflow.base import Dataflow, Timing, Work
from sparqsim.dataflow.registry import get_dataflow

__all__ = ["Dataflow", "Timing", "Work", "get_dataflow"]
