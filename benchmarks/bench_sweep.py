"""Sweep throughput: 200 points of the shipped trace, warm, on one core and on two, with a worker
process for each.

    python benchmarks/bench_sweep.py [--repeat 3] [-o sweep.json]

The command and its workers may run on these cores only (Linux; elsewhere only the workers are as
many). The overhead of a point is what a sweep on one core takes beyond the simulations themselves
(the same points in the same groups, with one thread, in one process, kernels loaded), divided by
the points: starting command and worker, keys, commits, hand-over. Seconds are the least of the
repeats, since other load only ever adds; the speedup is the median of the repeats' own, each of two
sweeps that ran one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
TRACE = ROOT / "workloads" / "digits_resnet.safetensors"
AXES = {
    "pe": ["mac-8b8b", "mac-4b4b", "sparq-5opt", "sparq-2opt", "sparq-exact"],
    "array": ["8x8", "16x16", "32x32", "16x32", "32x16"],
    "dataflow": ["os", "ws"],
    "coupling": ["lockstep", "elastic:2"],
    "overlap": ["off", "on"],
}
POINTS = 200


def seconds_of(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def sweep_once(cores: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        axes = [word for axis, values in AXES.items() for word in (f"--{axis}", ",".join(values))]
        subprocess.run(
            [
                sys.executable,
                "-m",
                "sparqsim",
                "sweep",
                str(TRACE),
                *axes,
                "-o",
                f"{folder}/store.sqlite",
                "--jobs",
                str(cores),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            preexec_fn=partial(keep_to, cores),
        )


def keep_to(cores: int) -> None:
    """Let this process, and those it starts, run on so many of its cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def simulate_all() -> None:
    """Run in a process of its own, with one thread: see `simulation_seconds`."""
    from sparqsim.sweep.case import run_together
    from sparqsim.sweep.grid import cases_of
    from sparqsim.sweep.point import Planner
    from sparqsim.sweep.sharing import tasks_of
    from sparqsim.trace import load_trace

    points = Planner().points(cases_of({"trace": str(TRACE), **AXES}))
    if len(points) != POINTS:
        raise SystemExit(f"{len(points)} points, expected {POINTS}")
    trace, tasks = load_trace(TRACE), tasks_of(points, slots=1)
    run_together(trace, [point.case for point in tasks[0]])  # kernels are loaded
    print(
        seconds_of(lambda: [run_together(trace, [point.case for point in task]) for task in tasks])
    )


def simulation_seconds() -> float:
    one_thread = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    ended = subprocess.run(
        [sys.executable, __file__, "--simulate-all"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | one_thread,
    )
    return float(ended.stdout)


def measured(repeat: int) -> dict[str, object]:
    sweep_once(2)  # warm: kernels compiled, files in memory
    # In turn, so that a machine that gets slower or faster meanwhile does so for all three.
    taken = [
        (simulation_seconds(), seconds_of(lambda: sweep_once(1)), seconds_of(lambda: sweep_once(2)))
        for _ in range(repeat)
    ]
    simulation, one, two = (min(seconds) for seconds in zip(*taken, strict=True))
    speedup = median(alone / both for _, alone, both in taken)
    system = f"{platform.system()}, Python {platform.python_version()}"
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {system}",
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "points": POINTS,
        "simulation_seconds": round(simulation, 2),
        "one_core_seconds": round(one, 2),
        "two_cores_seconds": round(two, 2),
        "speedup_of_two_cores": round(speedup, 2),
        "overhead_ms_per_point": round(1000 * (one - simulation) / POINTS, 1),
    }


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("-o", "--output")
    options.add_argument("--simulate-all", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.simulate_all:
        simulate_all()
        return
    text = json.dumps(measured(given.repeat), indent=1) + "\n"
    if given.output:
        Path(given.output).write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
