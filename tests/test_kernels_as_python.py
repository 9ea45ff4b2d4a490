"""Kernels where numba is told not to compile (NUMBA_DISABLE_JIT)."""

from __future__ import annotations

import numba

from sparqsim.base.compiling import compiled


def test_a_kernel_is_its_function(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert compiled(lambda x: 2 * x, parallel=False)(3) == 6
