"""Engine models: what runs a layer.

`base.py` says what one must give; `registry.py` finds them by name.
"""

from sparqsim.engine.models.base import Capacity, Defined, EngineModel, Task
from sparqsim.engine.models.registry import get_model

__all__ = ["Capacity", "Defined", "EngineModel", "Task", "get_model"]
