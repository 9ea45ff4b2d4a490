"""Speed and memory of the timing engine.

    python benchmarks/bench_engine.py            # all figures, about a minute
    python benchmarks/bench_engine.py --memory DESIGN DATAFLOW COUPLING OVERLAP   # one memory figure, used by the above

Figures are of the machine at hand; ratios say more. PE-steps include padded ones, which are stepped
like the rest.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numba
import numpy as np
from peak import peak_mib

from sparqsim import ArrayConfig, Layer, Trace, simulate
from sparqsim.array.costs import SideCosts
from sparqsim.dataflow import Work, get_dataflow

FLOWS, COUPLINGS = ("os", "ws", "is"), ("lockstep", "elastic:2")
BIT_SERIAL = str(Path(__file__).resolve().parents[1] / "tests" / "bit_serial.py") + ":BitSerial"
#: A layer of the size of ResNet-18's second stage, 32x32 PEs, two lanes.
LAYER = Work(m=1024, steps=288, n=128, edge_cycles=1)


def best_of(
    action: Callable[[], object], clock: Callable[[], float] = time.perf_counter, times: int = 5
) -> float:
    """Return the shortest of several runs, seconds; the first, which compiles, does not count."""
    action()
    seconds = []
    for _ in range(times):
        start = clock()
        action()
        seconds.append(clock() - start)
    return min(seconds)


def both_ways(action: Callable[[], object]) -> tuple[float, float]:
    """Return seconds on all cores, and processor seconds on one, which depend less on what else
    runs.
    """
    wall = best_of(action)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    one = best_of(action, time.process_time)
    numba.set_num_threads(threads)
    return wall, one


def throughput() -> None:
    """Print PE-steps per second at each rank, on the same layer, costs of the same kind.

    Full-rank costs come from memory, so that the engine is timed and not the design that gives
    them.
    """
    rng = np.random.default_rng(0)
    of_activations = SideCosts(rng.integers(1, 3, (1, LAYER.m, LAYER.steps), np.uint8), "ms")
    of_weights = SideCosts(rng.integers(1, 3, (1, LAYER.steps, LAYER.n), np.uint8), "sn")
    drawn = rng.integers(1, 3, (LAYER.m, LAYER.steps, LAYER.n), np.uint8)
    print(
        f"layer M={LAYER.m} steps={LAYER.steps} N={LAYER.n}, array 32x32; load "
        f"{os.getloadavg()[0]:.1f}"
    )
    print(
        f"{'':30}{'(S,R,C): M PE-steps/s':>22}{'(S,R) ms':>17}{'ratio':>12}{'(S,C) ms':>10}"
        f"{'constant ms':>13}"
    )
    print(
        f"{'':30}{f'{os.cpu_count()} cores':>11}{'one':>11}{f'{os.cpu_count()} cores':>9}{'one':>8}"
        f"{'one':>12}{'one':>10}"
    )
    for dataflow, coupling, overlap in itertools.product(FLOWS, COUPLINGS, (False, True)):
        flow, array = get_dataflow(dataflow), ArrayConfig(32, 32, dataflow, coupling, overlap)
        timing = partial(flow.timing, LAYER, array)
        full, full_one = both_ways(partial(timing, lambda _, m, s, n: drawn[m, s, n]))
        reduced, reduced_one = both_ways(partial(timing, of_activations))
        weights_one = both_ways(partial(timing, of_weights))[1]
        constant = best_of(timing)
        rate = flow.grid(LAYER, array).steps / 1e6
        name = f"{dataflow} {coupling} overlap={'on' if overlap else 'off'}"
        print(
            f"{name:30}{rate / full:11.0f}{rate / full_one:11.0f}{1e3 * reduced:9.2f}{1e3 * reduced_one:8.2f}{full_one / reduced_one:12.0f}{1e3 * weights_one:10.2f}{1e3 * constant:13.3f}"
        )


def kernels() -> None:
    """Print PE-steps per second of the recurrence and of the waves alone, costs laid out as they
    need them.
    """
    from sparqsim.array.elastic import Links, chained_stalls, separate_stalls
    from sparqsim.array.waves import tile_waves

    costs = np.random.default_rng(0).integers(1, 3, (64, 288, 32, 32), np.uint8)
    links = Links(2, 1, 288, 288, loads=False)
    actions = {
        "elastic:2": lambda: separate_stalls(costs, links),
        "elastic:2, overlap (one core)": lambda: chained_stalls([costs], links, len(costs)),
        "lockstep": lambda: tile_waves(costs, 288, 32, 32),
    }
    print(
        "\nkernels alone, (S,R,C) costs of 32x32 tiles in memory, M PE-steps/s: "
        f"{os.cpu_count()} cores, one"
    )
    for name, action in actions.items():
        wall, one = both_ways(action)
        print(f"{name:30}{costs.size / wall / 1e6:9.0f}{costs.size / one / 1e6:9.0f}")


def constant_time() -> None:
    """Print how long constant-cost timing takes for layers a million times apart in size."""
    print(
        "\nconstant costs, microseconds for M = N = steps = 10 and 1000, a million times the work"
    )
    for dataflow, coupling in itertools.product(FLOWS, ("lockstep", "elastic:1", "elastic:2")):
        timing, array = (
            get_dataflow(dataflow).timing,
            ArrayConfig(16, 16, dataflow, coupling, overlap=True),
        )
        small, large = (
            1e6 * best_of(partial(timing, Work(size, size, size), array)) for size in (10, 1000)
        )
        print(f"{dataflow} {coupling:12}{small:10.1f}{large:10.1f}")


def memory() -> None:
    """Print the peak memory of one large layer, each in a process of its own."""
    print("\npeak memory, M=12544 K=576 N=128 on 16x16, MB (seconds)")
    for pe, dataflow, coupling, overlap in itertools.product(
        ("mac-8b8b", "sparq-exact", BIT_SERIAL), FLOWS, COUPLINGS, ("off", "on")
    ):
        start = time.perf_counter()
        command = [sys.executable, __file__, "--memory", pe, dataflow, coupling, overlap]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(
            f"{pe.rpartition(':')[2]:12}{dataflow} {coupling} "
            f"overlap={overlap:4}{float(done.stdout):8.0f}{time.perf_counter() - start:8.1f}"
        )


def measure_memory(pe: str, dataflow: str, coupling: str, overlap: str) -> None:
    rng = np.random.default_rng(0)
    x, w = (
        rng.integers(0, 256, (12_544, 576), np.uint8),
        rng.integers(-128, 128, (576, 128), np.int8),
    )
    simulate(
        Trace([Layer.from_gemm("large", x, w)]),
        pe,
        ArrayConfig(16, 16, dataflow, coupling, overlap == "on"),
    )
    print(peak_mib())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", nargs=4)
    arguments = parser.parse_args()
    if arguments.memory:
        measure_memory(*arguments.memory)
    else:
        throughput()
        kernels()
        constant_time()
        memory()
