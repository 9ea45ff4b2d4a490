"""ResNet-18 on a 32x32 array with the memory system on, values included: seconds of each design,
and where they go.

    python benchmarks/bench_memory.py [TRACE] [--pe sparq-5opt,mac-8b8b] [--config edge] [--array
    32x32] [--repeats 3]
                                      [--profile] [-o result.json]

Without TRACE: the 21 layers of ResNet-18 on a 224x224 picture, with their padding, of random
weights and random activations, half of them zero. The first run of each design compiles, or loads
compiled kernels, and does not count. `whole`: `simulate` with memory, values included.
`array_and_values`: the same without memory. `memory`: array timing, plan, schedule and recurrence
without values, as for timelines. `command`: the command line, a process of its own that starts
Python and reads the trace. Seconds are medians; cpu_s is processor time of all threads, which
depends less than wall time on what else the machine does. Goal: `whole` under 3 s of wall time on
two cores.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import sparqsim
from sparqsim.analysis.network import outcomes
from sparqsim.engine.assignment import Assignment

GOAL_S = 3.0
#: Input size, kernel, channels in and out, stride; a 3x3 kernel is padded by 1, the 7x7 one by 3.
FIRST = [(224, 7, 3, 64, 2)]
STAGES = [(56, 64, 64, 1), (56, 64, 128, 2), (28, 128, 256, 2), (14, 256, 512, 2)]


def resnet18_shapes() -> list[tuple[int, int, int, int, int]]:
    """Return input size, kernel, channels in, channels out and stride of every layer, the last one
    1x1.
    """
    shapes = list(FIRST)
    for size, before, channels, stride in STAGES:
        inside = size // stride
        shapes += [(size, 3, before, channels, stride), (inside, 3, channels, channels, 1)]
        shapes += [(size, 1, before, channels, stride)] if stride > 1 else []
        shapes += [(inside, 3, channels, channels, 1)] * 2
    return [*shapes, (1, 1, 512, 1000, 1)]


def random_trace() -> sparqsim.Trace:
    """Return ResNet-18 with random operands."""
    values = np.random.default_rng(0)
    layers = []
    for at, (size, kernel, before, channels, stride) in enumerate(resnet18_shapes()):
        shape = (1, size, size, before)
        x = values.integers(1, 256, shape) * (values.random(shape) < 0.5)
        w = values.integers(-128, 128, (channels, kernel * kernel, before))
        geometry = {
            "kernel": (kernel, kernel),
            "stride": (stride, stride),
            "padding": (kernel // 2,) * 4,
        }
        layers.append(
            sparqsim.Layer.conv2d(f"layer{at}", x.astype(np.uint8), w.astype(np.int8), **geometry)
        )
    return sparqsim.Trace(
        layers, network="resnet18", synthetic="uniform random, half of the activations zero"
    )


def seconds(run: Callable[[], object], repeats: int) -> dict[str, float]:
    """Return the median wall and processor seconds of a run, children included; one run before does
    not count.
    """
    run()
    wall, cpu = [], []
    for _ in range(repeats):
        wall_start, cpu_start = time.perf_counter(), processor_seconds()
        run()
        wall.append(time.perf_counter() - wall_start)
        cpu.append(processor_seconds() - cpu_start)
    return {"wall_s": sorted(wall)[repeats // 2], "cpu_s": sorted(cpu)[repeats // 2]}


def processor_seconds() -> float:
    """Return the processor seconds of this process and of its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measured(path: str, design: str, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the seconds of every way to run a design on a trace file."""
    trace, pe = sparqsim.load_trace(path), sparqsim.get_pe(design)
    array = sparqsim.ArrayConfig.parse(arguments.array)
    memory = sparqsim.load_accelerator(arguments.config).memory
    run = Assignment(pe).keeping_8bit()
    running = [run.bound(layer) for layer in trace.layers]
    command = [
        sys.executable,
        "-m",
        "sparqsim",
        "simulate",
        path,
        "--pe",
        design,
        "--config",
        arguments.config,
        "--array",
        arguments.array,
        "--dataflow",
        "os",
    ]
    ways: dict[str, Callable[[], object]] = {
        "whole": lambda: sparqsim.simulate(trace, pe, array, memory=memory),
        "array_and_values": lambda: sparqsim.simulate(trace, pe, array),
        "memory": lambda: list(outcomes(trace, running, array, memory)),
        "command": lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL),
    }
    if arguments.profile:
        ways["whole"]()
        profile(ways["whole"])
    return {name: seconds(run, arguments.repeats) for name, run in ways.items()}


def profile(run: Callable[[], object]) -> None:
    """Print the twenty functions that take the most time themselves."""
    profiler = cProfile.Profile()
    profiler.runcall(run)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(20)


def main() -> int:
    """Print and write every figure; exit with 1 where a design misses the goal."""
    arguments = parsed()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.trace
        if path is None:
            path = str(Path(folder) / "resnet18.safetensors")
            random_trace().save(path)
        found = {design: measured(path, design, arguments) for design in arguments.pe.split(",")}
    result = {
        "array": arguments.array,
        "config": arguments.config,
        "goal_s": GOAL_S,
        "designs": found,
        "trace": "ResNet-18, random" if arguments.trace is None else Path(path).name,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    text = json.dumps(result, indent=1, sort_keys=True)
    if arguments.output:
        Path(arguments.output).write_text(text + "\n", encoding="utf-8")
    print(text)
    return int(max(ways["whole"]["wall_s"] for ways in found.values()) > GOAL_S)


def parsed() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trace", nargs="?")
    parser.add_argument("--pe", default="mac-8b8b,sparq-5opt,sparq-exact")
    parser.add_argument("--config", default="edge")
    parser.add_argument("--array", default="32x32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("-o", "--output")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
