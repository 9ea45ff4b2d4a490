"""A kernel over arrays, spread over as many threads as PyTorch uses.

Numba's own threads would wait for work beside PyTorch's, on the same cores, and both wait by
spinning; these sleep.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

#: Arrays of fewer elements are not worth a second thread.
SMALL = 1 << 16


def spread(kernel: Callable[..., Any], arrays: Sequence[NDArray[Any]], *shared: Any) -> list[Any]:
    """Call a kernel on parts of arrays, cut along their first axis, and return what it gives.

    Parameters
    ----------
    kernel : callable
        Takes the parts, then `shared`; releases the interpreter's lock.
    arrays : sequence of arrays, equally long
    """
    threads = torch.get_num_threads()
    if threads == 1 or arrays[0].size < SMALL:
        return [kernel(*arrays, *shared)]
    ends = np.linspace(0, len(arrays[0]), threads + 1).astype(int).tolist()
    parts = [[array[start:stop] for array in arrays] for start, stop in itertools.pairwise(ends)]
    others = [
        _helpers(os.getpid(), threads - 1).submit(kernel, *part, *shared) for part in parts[1:]
    ]
    return [kernel(*parts[0], *shared), *(other.result() for other in others)]


@lru_cache(maxsize=1)
def _helpers(process: int, count: int) -> ThreadPoolExecutor:
    """Return threads of this process: a forked one does not inherit them."""
    del process
    return ThreadPoolExecutor(count, "sparqsim-kernels")
