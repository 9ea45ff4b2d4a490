"""How fast a first look is: `--help`, a warm comparison of the shipped trace, and the numerics of
one large layer.

    python benchmarks/bench_first_light.py [--repeats 5]

Prints wall times (the least of several runs, so that other work on the machine disturbs little),
and for every PE design the time of `pe.matmul` on a 3136 x 576 x 64 layer over that of numpy's own
float64 `x @ w`, both measured in turn. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sparqsim.pe.registry import designs, get_pe

TRACE = Path(__file__).parent.parent / "workloads" / "digits_resnet.safetensors"
M, K, N = 3136, 576, 64


def wall(work: Callable[[], object]) -> float:
    """Return the wall time of one run, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def command(*arguments: str) -> Callable[[], object]:
    """Return a run of `sparqsim ARGUMENTS` in a process of its own, output thrown away."""
    return lambda: subprocess.run(
        [sys.executable, "-m", "sparqsim", *arguments], check=True, stdout=subprocess.DEVNULL
    )


def operands() -> tuple[np.ndarray, np.ndarray]:
    """Return X uint8 (M, K), half of it zero, and W int8 (K, N)."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 256, (M, K)) * (rng.random((M, K)) < 0.5)
    return x.astype(np.uint8), rng.integers(-128, 128, (K, N)).astype(np.int8)


def numerics(repeats: int) -> dict[str, tuple[float, float]]:
    """Return the seconds of every design's `matmul` and those of numpy, by design, the two measured
    in turn.
    """
    x, w = operands()
    x_float, w_float = x.astype(np.float64), w.astype(np.float64)
    found = {}
    for name in designs():
        pe = get_pe(name)
        pe.matmul(x[:2], w)  # fills look-up tables
        taken, reference = float("inf"), float("inf")
        for _ in range(repeats):
            reference = min(reference, wall(lambda: x_float @ w_float))
            taken = min(taken, wall(lambda pe=pe: pe.matmul(x, w)))
        found[name] = taken, reference
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    compare = command("compare", str(TRACE))
    compare()  # compiles the kernels
    print(
        f"sparqsim --help        {min(wall(command('--help')) for _ in range(repeats)):6.3f} "
        "s (goal 0.3)"
    )
    print(f"sparqsim compare, warm {min(wall(compare) for _ in range(repeats)):6.3f} s (goal 3)")
    for name, (taken, reference) in numerics(4 * repeats).items():
        print(
            f"{name:<14} {1000 * taken:7.2f} ms = {taken / reference:4.2f} x numpy's float64 x @ "
            f"w, {M}x{K}x{N}, {1000 * reference:.2f} ms (goal 4)"
        )


if __name__ == "__main__":
    main()
