"""What the tests of `sparqsim regress` share: a small trace, and where the package is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import sparqsim

PACKAGE = Path(sparqsim.__file__).parent


def trace_of(seed: int, sizes: tuple[int, ...] = (5, 9)) -> sparqsim.Trace:
    """Return a trace of products: layer0, layer1, ... with as many rows as `sizes` says."""
    rng = np.random.default_rng(seed)
    return sparqsim.Trace(
        [
            sparqsim.Layer.from_gemm(
                f"layer{at}",
                rng.integers(0, 256, (m, 11), np.uint8),
                rng.integers(-128, 128, (11, 6), np.int8),
            )
            for at, m in enumerate(sizes)
        ],
        synthetic="uniform",
    )
