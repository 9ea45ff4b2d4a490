"""The only import of numba.

Two traps of numba's on-disk cache give plausible wrong numbers: a cached kernel is not rebuilt when
a function it calls *in another file* changes, nor when a module global it read changes. So kernels
here take arrays and integers only, call jitted functions of their own file only, and the cache
folder is named by a digest of all the package's sources: any edit starts an empty cache.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba import config as numba_config
from numba import prange
from numba.core.caching import FunctionCache

from sparqsim.base.files import cache_folder

__all__ = ["jit", "prange"]

P = ParamSpec("P")
R = TypeVar("R")

#: numba reads this setting when a decorator runs; it is the user's, so it is put back.
CACHE_SETTING = "CACHE_DIR"


def _sources_digest(package: Path) -> str:
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> str | None:
    """Return a private folder for compiled kernels, new for every state of the sources; None where
    none can be kept.
    """
    folder = cache_folder(f"kernels/{_sources_digest(Path(__file__).parent.parent)}")
    return None if folder is None else str(folder)


_CACHE_FOLDER = _cache_folder()


class _KernelCache(FunctionCache):
    """A kernel on disk; where there is no room for it, the next process compiles it again."""

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


def jit(function: Callable[P, R], *, parallel: bool = False) -> Callable[P, R]:
    """Compile `function` (arrays and integers in, arrays out) to machine code, cached on disk."""
    users_folder = getattr(numba_config, CACHE_SETTING)
    setattr(numba_config, CACHE_SETTING, _CACHE_FOLDER)
    try:
        compiled: Callable[P, R] = numba.njit(
            cache=_CACHE_FOLDER is not None, parallel=parallel, nogil=True
        )(function)
        if _CACHE_FOLDER is not None:
            vars(compiled)["_cache"] = _KernelCache(function)  # type: ignore[no-untyped-call]
    finally:
        setattr(numba_config, CACHE_SETTING, users_folder)
    return compiled


def parallel_jit(function: Callable[P, R]) -> Callable[P, R]:
    """Like `jit`, with `prange` loops spread over the cores."""
    return jit(function, parallel=True)
