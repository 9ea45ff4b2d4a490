"""The memory system: stored formats, tiles as blocks of bytes, DMA transfers, and the time they
take.

    Layer -> cuts -> loop nest -> blocks -> transfers (schedule) -> recurrence -> memory_stall and
    traffic

The definition of the timing is the SimPy model in `sparqsim.event.memory`; `recurrence` is its fast
form.
"""

from __future__ import annotations

from sparqsim.memory.accelerator import load_accelerator, preset_names
from sparqsim.memory.config import Accelerator, DramConfig, MemoryConfig, ScratchpadConfig

__all__ = [
    "Accelerator",
    "DramConfig",
    "MemoryConfig",
    "ScratchpadConfig",
    "load_accelerator",
    "preset_names",
]
