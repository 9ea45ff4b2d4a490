"""The trainers of `workloads/`, for the tests of them."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

MODULES = {
    "bsq": "bsq",
    "digits": "digits_network",
    "dropbits": "dropbits",
    "few": "few_bits",
    "measure": "measure_trainers",
    "slices": "bit_slice_l1",
    "step": "learned_step",
    "trained": "trained_network",
}


def trainer_modules() -> SimpleNamespace:
    """Return the modules by the names that tests give them."""
    return SimpleNamespace(
        **{name: importlib.import_module(module) for name, module in MODULES.items()}
    )
