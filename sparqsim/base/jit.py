"""Kernels: functions of arrays and integers that become machine code when they are first called.

numba is imported then (`sparqsim.base.compiling`), not before: it takes longer than most of what a
short run does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from threading import RLock
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["SMALL", "Kernel", "jit", "only_read", "parallel_jit", "prange"]

#: Elements up to which a form in numpy takes a few milliseconds: less than numba takes to load, and
#: far less than compiling. A short run of a small network then needs no kernel at all.
SMALL = 1 << 20

#: Kernels become machine code one at a time, with those that they call: numba's settings are the
#: process's.
COMPILING = RLock()

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=np.generic)


def prange(*bounds: int) -> range:
    """Stand where numba's `prange` stands in a compiled kernel."""
    return range(*bounds)


class Kernel(Generic[P, R]):
    """A function that is compiled when it is first called.

    Parameters
    ----------
    function : callable
        Arrays and integers in, arrays and integers out. It may call kernels of its own file.
    parallel : bool
        Whether its `prange` loops are spread over the cores.
    """

    def __init__(self, function: Callable[P, R], *, parallel: bool) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._parallel = parallel
        self._machine_code: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the machine code for the types of these arguments."""
        return self.compiled(*args, **kwargs)

    @property
    def compiled(self) -> Callable[P, R]:
        """The function as numba has it: the same, whichever thread asks first."""
        if self._machine_code is None:
            with COMPILING:
                self._machine_code = self._machine_code or self._made()
        return self._machine_code

    def _made(self) -> Callable[P, R]:
        from sparqsim.base.compiling import PRANGE, compiled

        function: Any = self._function
        names = dict(function.__globals__)
        for name in function.__code__.co_names:
            value = names.get(name)
            if isinstance(value, Kernel):
                names[name] = value.compiled
            elif value is prange:
                names[name] = PRANGE
        return compiled(_with_globals(function, names), parallel=self._parallel)


def _with_globals(function: FunctionType, names: dict[str, Any]) -> Any:
    """Return a function that finds other values under the names of its module."""
    copy = FunctionType(function.__code__, names, function.__name__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    return copy


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` (arrays and integers in, arrays out) to machine code, cached on disk."""
    return Kernel(function, parallel=False)


def parallel_jit(function: Callable[P, R]) -> Callable[P, R]:
    """Like `jit`, with `prange` loops spread over the cores."""
    return Kernel(function, parallel=True)


def only_read(values: NDArray[E]) -> NDArray[E]:
    """Return an array in C order, of which nothing can be written; `values` stay as they are.

    To numba, arrays that can be written and those that cannot are of two types, and a kernel that
    is given now these and now those is compiled for both.
    """
    held = np.ascontiguousarray(values).view()
    held.flags.writeable = False
    return held
