"""The only import of numba: kernels to machine code, which is kept on disk.

Three traps of numba's on-disk cache give plausible wrong numbers. A cached kernel is not rebuilt
when a function it calls *in another file* changes, nor when a module global it read changes. So
kernels take arrays and integers only, call jitted functions of their own file only, and the cache
folder is named by a digest of all the package's sources: any edit starts an empty cache. And numba
numbers a kernel's files, one per types of arguments, in an index: two processes that compile at
once can take the same number, after which one runs code made for other types. So files are named by
the types here, and there is no index.

What numba knows of Python and numpy, which compiling needs, takes longer to load than numba itself.
Machine code that is on disk does not need it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba import config as numba_config
from numba.core import types
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.runtime.nrt import rtsys

from sparqsim.base.files import cache_folder

__all__ = ["PRANGE", "compiled", "kernel_threads"]

P = ParamSpec("P")
R = TypeVar("R")

#: The loop over cores, as numba knows it.
PRANGE = numba.prange

#: numba reads this setting when a decorator runs; it is the user's, so it is put back.
CACHE_SETTING = "CACHE_DIR"

#: Whether kernels stay Python: the user's NUMBA_DISABLE_JIT.
DISABLED = "DISABLE_JIT"


def _sources_digest(package: Path) -> str:
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for path in sorted(_sources(str(package))):
        with open(path, "rb") as file:  # noqa: PTH123 - hundreds of files: a Path takes longer
            text = file.read()
        digest.update(os.path.relpath(path, package).encode() + b"\0" + text)
    return digest.hexdigest()[:16]


def _sources(folder: str) -> Iterator[str]:
    """Yield the paths of all Python sources in a folder and below."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _sources(entry.path)
            elif entry.name.endswith(".py"):
                yield entry.path


def _cache_folder() -> str | None:
    """Return a private folder for kernels, new for every state of the sources; None without one."""
    folder = cache_folder(f"kernels/{_sources_digest(Path(__file__).parent.parent)}")
    return None if folder is None else str(folder)


_CACHE_FOLDER = _cache_folder()


class _KernelFiles(IndexDataCacheFile):
    """A kernel's files: one per types of arguments, which name it."""

    def save(self, key: Any, data: Any) -> None:
        self._save_data(self._file_name(key), data)  # type: ignore[no-untyped-call]

    def load(self, key: Any) -> Any:
        """Return what was saved; None where there is nothing, or nothing whole."""
        with suppress(Exception):  # a damaged pickle raises anything, and costs compiling again
            return self._load_data(self._file_name(key))  # type: ignore[no-untyped-call]
        return None

    def _file_name(self, key: Any) -> str:
        digest = hashlib.sha256(repr((self._source_stamp, key)).encode()).hexdigest()[:16]
        return self._index_name.removesuffix(".nbi") + f".{digest}.nbc"


class _KernelCache(FunctionCache):
    """A kernel on disk; where there is no room for it, the next process compiles it again."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._cache_file = _KernelFiles(  # type: ignore[no-untyped-call]
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what was compiled for these types; None where nothing was.

        numba's own first loads all that compiling needs; code that is there needs the runtime.
        """
        rtsys.initialize(target_context)
        return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


class _ConstantsByType:
    """How a kernel calls this one: by the types of what it passes.

    numba would compile a function again for every constant that another kernel passes to it.
    """

    def __init__(self, dispatcher: Any) -> None:
        self._template_of = dispatcher.get_call_template

    def __call__(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        """Return what numba asks of a dispatcher: the template of a call with these types."""
        by_type = tuple(types.unliteral(each) for each in args)  # type: ignore[no-untyped-call]
        return self._template_of(by_type, {name: types.unliteral(kws[name]) for name in kws})  # type: ignore[no-untyped-call]


def compiled(function: Callable[P, R], *, parallel: bool) -> Callable[P, R]:
    """Return a function as machine code, cached on disk."""
    users_folder = getattr(numba_config, CACHE_SETTING)
    setattr(numba_config, CACHE_SETTING, _CACHE_FOLDER)
    try:
        dispatcher: Callable[P, R] = numba.njit(
            cache=_CACHE_FOLDER is not None, parallel=parallel, nogil=True
        )(function)
        if getattr(numba_config, DISABLED):
            return dispatcher
        vars(dispatcher)["get_call_template"] = _ConstantsByType(dispatcher)
        if _CACHE_FOLDER is not None:
            vars(dispatcher)["_cache"] = _KernelCache(function)
    finally:
        setattr(numba_config, CACHE_SETTING, users_folder)
    return dispatcher


def kernel_threads() -> int:
    """Return how many threads a parallel kernel runs on."""
    return int(numba.get_num_threads())
