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

    from sparqsim.pe.activity import state_counts
    from sparqsim.pe.registry import designs

    import_module("sparqsim.engine.simulation")
    import_module("sparqsim.sweep.local")
    designs()
    # The first kernel makes numba load most of itself.
    state_counts(np.zeros((1, 1, 1), np.uint8), 1)


with ends_with_parent():
    load()
