"""What every worker needs, for the fork server to import (see `sparqsim.sweep.processes`).

Not in `sparqsim.sweep`, whose own imports would come first. Nothing here may start a thread, which
a fork would not copy: no parallel kernel, no BLAS on more than one thread.
"""

from __future__ import annotations

from importlib import import_module

from sparqsim.sweep.processes import ends_with_parent


def load() -> None:
    """Import and compile."""
    import numpy as np

    from sparqsim.pe.activity import count_states
    from sparqsim.pe.registry import designs

    import_module("sparqsim.engine.simulation")
    import_module("sparqsim.sweep.local")
    designs()
    # The first kernel makes numba load most of itself.
    count_states(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1), np.int64))


with ends_with_parent():
    load()
