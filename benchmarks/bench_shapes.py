"""A sweep of array shapes on ResNet-18: one pass over the values, every shape timed from it.

    SPARQSIM_SHARED=../shared python benchmarks/bench_shapes.py --make resnet18.safetensors
    python benchmarks/bench_shapes.py resnet18.safetensors [--points 10000] [--pe sparq-exact] [--jobs 2]
                                      [--dask] [--sample 20] [-o shapes.json]

The trace is the whole of ResNet-18 for one 224x224 picture (`bench_resnet18.py`'s dump; needs the
extra `torch` and the shared data). The grid is square in rows and columns, from 8 in steps of 2,
for `os`, `ws` and `is`. Says wall time, processor time of the command and its workers, and what the
store takes; `--sample` points, by chance, are simulated alone and compared byte for byte, and with
`--dask` the sweep is done again by a Dask cluster of two workers on this machine, and every byte of
every point compared. Goal: 10,000 points in under 300 s on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATAFLOWS = ["os", "ws", "is"]
FIRST_SIDE, SIDE_STEP = 8, 2
GOAL_S = 300
#: Workers are spawned, not forked by a server, so that their processor time is known.
SWEEP = """
import sys
from sparqsim.sweep import load_grid, sweep
grid, store, jobs, scheduler = sys.argv[1:]
print(sweep(load_grid(grid), store, jobs=int(jobs), scheduler=scheduler or None))
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def grid(trace: Path, pe: str, points: int) -> str:
    """Return a grid of at least so many points, as TOML."""
    sides = math.ceil(math.sqrt(points / len(DATAFLOWS)))
    lengths = [FIRST_SIDE + SIDE_STEP * number for number in range(sides)]
    arrays = [f"{rows}x{cols}" for rows in lengths for cols in lengths]
    axes = {"trace": str(trace.resolve()), "pe": pe, "array": arrays, "dataflow": DATAFLOWS}
    return "".join(f"{axis} = {json.dumps(value)}\n" for axis, value in axes.items())


def swept(grid_file: Path, store: Path, jobs: int = 1, scheduler: str = "") -> dict[str, Any]:
    """Sweep in a process of its own; return seconds, processor time with its workers' (not those of
    a cluster).
    """
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    options = [str(grid_file), str(store), str(jobs), scheduler]
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, *options],
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"told": done.stdout.strip(), "wall_s": round(wall, 1), "cpu_s": round(cpu, 1)}


@contextmanager
def cluster() -> Iterator[str]:
    """Start a scheduler and two workers of one thread each; yield the address."""
    from distributed import LocalCluster

    one_thread = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
    )
    os.environ.update(one_thread)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as started:
        yield started.scheduler_address


def texts(store: Path) -> dict[str, str]:
    """Return every point's report by its key."""
    from sparqsim.sweep import Store

    with Store(store) as opened:
        return {point.key: point.text for point in opened.recorded()}


def check_alone(trace: Path, grid_file: Path, found: dict[str, str], count: int) -> int:
    """Simulate points by chance alone; return how many are the same bytes. Raises where not."""
    from sparqsim.sweep.case import run
    from sparqsim.sweep.grid import load_grid
    from sparqsim.sweep.point import Planner
    from sparqsim.trace import load_trace

    loaded = load_trace(trace)
    points = Planner().points(load_grid(grid_file))
    random.seed(0)
    for point in random.sample(points, min(count, len(points))):
        if run(loaded, point.case).to_json() != found[point.key]:
            raise SystemExit(f"{point.case}: not what it is alone")
    return min(count, len(points))


def measured(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Sweep, compare, and return the figures."""
    grid_file, store = folder / "grid.toml", folder / "shapes.sqlite"
    grid_file.write_text(grid(given.trace, given.pe, given.points), encoding="utf-8")
    figures: dict[str, Any] = {"pe": given.pe, "load_before": round(os.getloadavg()[0], 1)}
    figures["sweep"] = swept(grid_file, store, given.jobs)
    found = texts(store)
    from sparqsim.sweep import Store

    with Store(store) as opened:
        figures["passes"], figures["pass_bytes"] = opened.passes_kept()
    figures |= {"points": len(found), "store_bytes": store.stat().st_size}
    figures["same_alone"] = check_alone(given.trace, grid_file, found, given.sample)
    if given.dask:
        other = folder / "dask.sqlite"
        with cluster() as address:
            figures["dask"] = swept(grid_file, other, scheduler=address)
        figures["dask_same_bytes"] = texts(other) == found
    return figures


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trace", type=Path)
    parser.add_argument("--make", action="store_true", help="dump the trace, and end")
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--pe", default="sparq-exact")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--dask", action="store_true")
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    if given.make:
        from bench_resnet18 import dump

        dump(given.trace, 1)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(given, Path(folder))
    text = json.dumps(figures, indent=1) + "\n"
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
