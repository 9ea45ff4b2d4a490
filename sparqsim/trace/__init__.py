"""Traces: the 8-bit operands of a real network, layer by layer, and how they were made."""

from sparqsim.trace.layer import GemmShape, Layer
from sparqsim.trace.lowering import LoweredLayer
from sparqsim.trace.reader import check_trace, load_trace
from sparqsim.trace.trace import Trace

__all__ = ["GemmShape", "Layer", "LoweredLayer", "Trace", "check_trace", "load_trace"]
