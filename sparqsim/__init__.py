"""sparqsim: what a processing element buys you on a real network, in cycles, error and utilization.

    trace = sparqsim.load_trace("net.safetensors")
    array = sparqsim.ArrayConfig(rows=16, cols=16)
    both = sparqsim.compare(trace, pes=["mac-8b8b", "sparq-5opt"], array=array)
    both.speedup("sparq-5opt", over="mac-8b8b")

Names are imported when first used, so `import sparqsim` costs next to nothing.
"""

from __future__ import annotations

import importlib

from sparqsim.base.version import VERSION as __version__  # noqa: N811 - Python's name for it

#: Not of `typing`, which takes longer to load than all that is needed here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_HOMES = {
    "ArrayConfig": "array.config",
    "Assignment": "engine.assignment",
    "Comparison": "results.comparison",
    "EngineModel": "engine.models",
    "GemmShape": "trace",
    "InputError": "base.errors",
    "Layer": "trace",
    "MemoryConfig": "memory",
    "PEDesign": "pe",
    "Report": "results.report",
    "Trace": "trace",
    "card": "results.cardfile",
    "check_trace": "trace",
    "compare": "engine.simulation",
    "get_pe": "pe",
    "load_accelerator": "memory",
    "load_trace": "trace",
    "predict": "engine.prediction",
    "simulate": "engine.simulation",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names are strings, from the table above

if TYPE_CHECKING:
    from sparqsim.array.config import ArrayConfig as ArrayConfig
    from sparqsim.base.errors import InputError as InputError
    from sparqsim.engine.assignment import Assignment as Assignment
    from sparqsim.engine.models import EngineModel as EngineModel
    from sparqsim.engine.prediction import predict as predict
    from sparqsim.engine.simulation import compare as compare
    from sparqsim.engine.simulation import simulate as simulate
    from sparqsim.memory import MemoryConfig as MemoryConfig
    from sparqsim.memory import load_accelerator as load_accelerator
    from sparqsim.pe import PEDesign as PEDesign
    from sparqsim.pe import get_pe as get_pe
    from sparqsim.results.cardfile import card as card
    from sparqsim.results.comparison import Comparison as Comparison
    from sparqsim.results.report import Report as Report
    from sparqsim.trace import GemmShape as GemmShape
    from sparqsim.trace import Layer as Layer
    from sparqsim.trace import Trace as Trace
    from sparqsim.trace import check_trace as check_trace
    from sparqsim.trace import load_trace as load_trace


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sparqsim' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"sparqsim.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
