"""Design spaces: a grid of cases, computed once, kept in a store that a crash cannot harm.

    grid -> cases -> points (each with a key) -> tasks for workers -> results -> store -> CSV,
    Parquet, DataFrame

From Python: `sweep([Case(trace="net.safetensors", pe=pe) for pe in ("mac-8b8b", "sparq-5opt")],
"store.sqlite")`, then `Store("store.sqlite").to_frame()`.
"""

from __future__ import annotations

from sparqsim.sweep.case import Case
from sparqsim.sweep.grid import load_grid
from sparqsim.sweep.run import Summary, sweep
from sparqsim.sweep.store import Store

__all__ = ["Case", "Store", "Summary", "load_grid", "sweep"]
