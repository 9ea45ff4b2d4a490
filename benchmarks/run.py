"""Every figure of docs/benchmarks.md in one command: ratios, with the machine they were measured
on.

    python benchmarks/run.py                              # about six minutes; writes docs/benchmarks.json and .md
    python benchmarks/run.py --scalesim-layers all        # SCALE-Sim on the whole ResNet-18: a quarter of an hour more
    python benchmarks/run.py --only gemm,startup          # the other parts stay as the JSON file has them
    python benchmarks/run.py --only "" --page             # writes the page anew from the JSON file, measures nothing

Run it on a machine that does nothing else: the load when a part began is written down with its
figures. Every time is the least of several runs, since other work only ever adds. Cold start-up
compiles kernels into a new, empty folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import page

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
#: Short ones; the whole network takes SCALE-Sim minutes.
SCALESIM_LAYERS = "Conv3_s,Conv4_s,Conv5_s"
#: Design, dataflow, coupling, overlap of the memory figures.
LARGE = {
    "mac-8b8b os": ("mac-8b8b", "os", "lockstep", "off"),
    "sparq-exact ws elastic:2": ("sparq-exact", "ws", "elastic:2", "off"),
}
BARE_GEMM = """
import numpy as np
from peak import peak_mib
x, w = np.zeros((12_544, 576)), np.zeros((576, 128))
x @ w
print(peak_mib())
"""
#: Compiled modules are kept, as by any Python that is not told otherwise: those of the packages that
#: start-up is compared with were compiled when they were installed.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
} | {"PYTHONPATH": str(ROOT)}


def machine() -> dict[str, Any]:
    """Describe the machine, without its name."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": memory_gib(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "numba": version("numba"),
        "sparqsim": version("sparqsim"),
    }


def cpu_model() -> str:
    """Return the processor's model as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor() or "unknown",
    )


def memory_gib() -> int:
    """Return the machine's memory, rounded."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def seconds_of(
    command: list[str], environment: Mapping[str, str] = ENVIRONMENT
) -> dict[str, float]:
    """Return wall seconds, and processor seconds, of a command and what it starts."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(environment))
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall": wall,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def least(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the least of each clock."""
    return {clock: min(run[clock] for run in runs) for clock in runs[0]}


def over(taken: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float]:
    """Return ratios, clock by clock, to three digits."""
    return {clock: digits(taken[clock] / reference[clock]) for clock in taken}


def digits(value: float) -> float:
    """Round to three significant digits."""
    return float(f"{value:.3g}")


def scalesim(options: argparse.Namespace) -> dict[str, Any]:
    """Measure SCALE-Sim v3, in its own virtual environment, over this simulator:
    `bench_scalesim.py`.
    """
    layers = [] if options.scalesim_layers == "all" else ["--layers", options.scalesim_layers]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        subprocess.run(
            [sys.executable, str(HERE / "bench_scalesim.py"), *layers, "-o", str(out)],
            check=True,
            stdout=subprocess.DEVNULL,
            env=ENVIRONMENT,
        )
        found = json.loads(out.read_text(encoding="utf-8"))
    theirs, ours = found["scalesim"], found["sparqsim"]
    ratios = {}
    for mode in ("with_values", "cycles_and_memory"):
        peak = ours[mode].get("peak_mib", ours.get("peak_mib"))
        ratios[mode] = {
            "wall": digits(theirs["wall_s"] / ours[mode]["wall_s"]),
            "cpu": digits(theirs["cpu_s"] / ours[mode]["cpu_s"]),
            "peak_memory": digits(theirs["peak_mib"] / peak),
        }
    return {
        "layers": found["layers"],
        "array": found["array"],
        "dataflow": found["dataflow"],
        "equal_compute_cycles": found["equal_compute_cycles"],
        "scalesim_over_sparqsim": ratios,
    }


def gemm(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every design's arithmetic, and whole simulations, over numpy's float64 `x @ w` of the
    same layer.
    """
    import bench_first_light
    import numpy as np
    from bench_engine import best_of

    from sparqsim import Layer, Trace, simulate

    x, w = bench_first_light.operands()
    trace = Trace([Layer.from_gemm("layer", x, w)], synthetic="half zeros")
    x_float, w_float = x.astype(np.float64), w.astype(np.float64)
    bare = best_of(lambda: x_float @ w_float, times=4 * options.repeats)
    whole = {
        pe: best_of(lambda pe=pe: simulate(trace, pe), times=options.repeats)
        for pe in ("mac-8b8b", "sparq-5opt", "sparq-exact")
    }
    values = bench_first_light.numerics(4 * options.repeats)
    return {
        "layer": [bench_first_light.M, bench_first_light.K, bench_first_light.N],
        "matmul_over_gemm": {
            pe: digits(taken / reference) for pe, (taken, reference) in values.items()
        },
        "simulate_over_gemm": {pe: digits(taken / bare) for pe, taken in whole.items()},
    }


def startup(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what a first look costs, cold (kernels are compiled) and warm, over Python with numpy
    and numba.
    """
    python = [sys.executable, "-c", "import numpy, numba"]
    sparqsim = [sys.executable, "-m", "sparqsim"]
    compare = [*sparqsim, "compare", str(ROOT / "workloads" / "digits_resnet.safetensors")]
    seconds_of(compare)  # compiles what is not compiled yet
    reference, warm, helped = (
        least([seconds_of(command) for _ in range(options.repeats)])
        for command in (python, compare, [*sparqsim, "--help"])
    )
    with tempfile.TemporaryDirectory() as folder:
        cold = seconds_of(compare, ENVIRONMENT | {"XDG_CACHE_HOME": folder})
    return {
        "help_over_import_numba": over(helped, reference),
        "warm_over_import_numba": over(warm, reference),
        "cold_over_warm": over(cold, warm),
    }


def memory(_: argparse.Namespace) -> dict[str, Any]:
    """Measure the peak memory of one large layer, M = 12544, K = 576, N = 128, over that of the
    bare GEMM.
    """
    bare = printed([sys.executable, "-c", BARE_GEMM])
    script = [sys.executable, str(HERE / "bench_engine.py"), "--memory"]
    return {
        "peak_over_gemm": {
            name: digits(printed([*script, *setting]) / bare) for name, setting in LARGE.items()
        }
    }


def printed(command: list[str]) -> float:
    """Return the number that a command prints; it runs in this folder."""
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=ENVIRONMENT, cwd=HERE
    )
    return float(done.stdout)


def sweep(options: argparse.Namespace) -> dict[str, Any]:
    """Measure 200 points on one core and on two: `bench_sweep.py`."""
    import bench_sweep

    found = bench_sweep.measured(max(1, options.repeats // 2))
    simulation = found["simulation_seconds"]
    return {
        "points": found["points"],
        "one_core_over_two": found["speedup_of_two_cores"],
        "one_core_over_simulation": digits(found["one_core_seconds"] / simulation),
        "two_cores_over_simulation": digits(found["two_cores_seconds"] / simulation),
        "overhead_ms_per_point": found["overhead_ms_per_point"],
    }


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "scalesim": scalesim,
    "gemm": gemm,
    "startup": startup,
    "memory": memory,
    "sweep": sweep,
}


def measured(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return a part's figures and the load of the minute before it."""
    print(f"measuring {part} ...", file=sys.stderr)
    load = round(os.getloadavg()[0], 1)
    return {"load_before": load, **PARTS[part](options)}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", default=",".join(PARTS), help="parts to measure, separated by commas"
    )
    parser.add_argument(
        "--scalesim-layers", default=SCALESIM_LAYERS, help="separated by commas, or `all`"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "benchmarks.json")
    parser.add_argument(
        "--page",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write the page beside the JSON file, same name, .md",
    )
    return parser.parse_args()


def main() -> int:
    """Measure the parts, and write them into the JSON file and the page."""
    options = parsed()
    parts = [part for part in options.only.split(",") if part]
    if unknown := set(parts) - set(PARTS):
        print(
            f"--only {','.join(sorted(unknown))}: expected some of {', '.join(PARTS)}",
            file=sys.stderr,
        )
        return 2
    result = (
        json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {}
    )
    for part in parts:
        try:
            result |= {"machine": machine(), part: measured(part, options)}
        except subprocess.CalledProcessError as error:  # it has said why
            print(f"{part}: `{error.cmd[1]}` failed; --only leaves it out", file=sys.stderr)
            return 2
        options.output.write_text(
            json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
    if options.page:
        kept = json.loads(
            options.output.read_text(encoding="utf-8")
        )  # its order, whatever was measured just now
        options.output.with_suffix(".md").write_text(page.text_of(kept), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
