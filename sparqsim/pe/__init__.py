"""PE designs: one file per family.

`base.py` says what a design must give; `registry.py` finds them by name.
"""

from sparqsim.pe.base import LayerFacts, PEDesign, Step
from sparqsim.pe.registry import get_pe

__all__ = ["LayerFacts", "PEDesign", "Step", "get_pe"]
