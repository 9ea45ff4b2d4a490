"""What is done to the layers of a trace before it is simulated: one file for each transform."""

from sparqsim.trace.transforms.applying import transform
from sparqsim.trace.transforms.base import Transform, Transformed
from sparqsim.trace.transforms.registry import get_transform

__all__ = ["Transform", "Transformed", "get_transform", "transform"]
