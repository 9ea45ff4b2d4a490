"""Dump the whole of ResNet-18 for one 224x224 picture, and compare the seven default designs on it,
32x32.

    SPARQSIM_SHARED=../shared python benchmarks/bench_resnet18.py [--repeats 5] [--trace FILE]

Each part runs in a process of its own and says its seconds and peak memory: the dump (two pictures
set the scales), the first comparison of a fresh process, later ones in the same process (warm), and
the products of one design alone (X and W in memory as float64). Then both by turns in one process,
and the ratios' least, median and largest; and where a warm comparison spends its time, by cProfile.
Targets on two idle cores: dump under 60 s; warm comparison at most 14 times the products, and under
2 GB. Needs the extra `torch` and the shared data.
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
from typing import Any

import numpy as np

import sparqsim

ROOT = Path(__file__).resolve().parent.parent
ARRAY = sparqsim.ArrayConfig(rows=32, cols=32)
#: Functions that the breakdown shows.
SHOWN = 14
MEGA = 1e6


def seconds_of(action: Callable[[], Any]) -> float:
    """Return how long `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def peak_mb() -> float:
    """Return the largest resident memory of this process, in 10^6 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGA


def dump(trace: Path, _: int) -> dict[str, Any]:
    """Dump the network; two pictures set the scales, one is dumped."""
    sys.path.insert(0, str(ROOT / "tests"))
    from networks import convolutional, shared

    from sparqsim.networks.torch import dump as dumped

    pictures = [(images, labels) for images, labels in shared.ImagenetSamples("torch", 2, stop=2)]
    return {
        "s": seconds_of(lambda: dumped(convolutional.resnet18(), pictures, trace, images=1)),
        "peak_mb": peak_mb(),
    }


def compare(trace: Path, repeats: int) -> dict[str, Any]:
    """Compare the default designs, first and warm."""
    loaded = sparqsim.load_trace(trace)
    seconds = [
        seconds_of(lambda: sparqsim.compare(loaded, array=ARRAY)) for _ in range(1 + repeats)
    ]
    return {
        "first_s": seconds[0],
        "warm_s": min(seconds[1:]),
        "peak_mb": peak_mb(),
        "layers": len(loaded.layers),
        "macs": sum(layer.gemm.macs for layer in loaded.layers),
    }


def products(trace: Path, repeats: int) -> dict[str, Any]:
    """Multiply every layer's X and W once, in float64, nothing else on the clock."""
    total = 0.0
    for layer in sparqsim.load_trace(trace).layers:
        x, w = bare_operands(layer)
        total += min(seconds_of(lambda x=x, w=w: x @ w) for _ in range(repeats))
    return {"s": total, "peak_mb": peak_mb()}


def ratio(trace: Path, repeats: int) -> dict[str, Any]:
    """Time a warm comparison and the bare products by turns, and divide."""
    loaded = sparqsim.load_trace(trace)
    operands = [bare_operands(layer) for layer in loaded.layers]
    sparqsim.compare(loaded, array=ARRAY)
    found = []
    for _ in range(repeats):
        bare = sum(min(seconds_of(lambda x=x, w=w: x @ w) for _ in range(3)) for x, w in operands)
        found.append(seconds_of(lambda: sparqsim.compare(loaded, array=ARRAY)) / bare)
    return {"ratios": sorted(found)}


def bare_operands(layer: Any) -> tuple[Any, Any]:
    """Return X and W of a layer as float64."""
    lowered = layer.lower()
    return lowered.rows().astype(np.float64), lowered.weights.astype(np.float64)


def profile(trace: Path, _: int) -> dict[str, Any]:
    """Profile a warm comparison."""
    loaded = sparqsim.load_trace(trace)
    sparqsim.compare(loaded, array=ARRAY)
    profiler = cProfile.Profile()
    profiler.runcall(sparqsim.compare, loaded, array=ARRAY)
    stats = pstats.Stats(profiler)
    lines = [
        (own, f"{Path(file).name}:{name}", calls)
        for (file, _, name), (_, calls, own, _, _) in stats.stats.items()
    ]  # type: ignore[attr-defined]
    return {"s": stats.total_tt, "lines": sorted(lines, reverse=True)[:SHOWN]}  # type: ignore[attr-defined]


PARTS = {
    "dump": dump,
    "compare": compare,
    "products": products,
    "ratio": ratio,
    "profile": profile,
}


def in_process(part: str, trace: Path, repeats: int) -> dict[str, Any]:
    """Run one part in a fresh process."""
    command = [
        sys.executable,
        __file__,
        "--part",
        part,
        "--trace",
        str(trace),
        "--repeats",
        str(repeats),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def show(trace: Path, repeats: int) -> None:
    """Run every part and print it."""
    if not trace.exists():
        found = in_process("dump", trace, repeats)
        print(f"dump: {found['s']:.1f} s, peak {found['peak_mb']:.0f} MB")
    found, alone = in_process("compare", trace, repeats), in_process("products", trace, repeats)
    print(
        f"compare, 7 designs, 32x32, {found['layers']} layers, {found['macs'] / 1e9:.2f} G MACs: "
        f"first {found['first_s']:.2f} s, warm {found['warm_s']:.2f} s, peak "
        f"{found['peak_mb']:.0f} MB"
    )
    print(
        f"float64 products of one design: {alone['s']:.2f} s; the warm comparison takes "
        f"{found['warm_s'] / alone['s']:.1f} times that"
    )
    ratios = in_process("ratio", trace, repeats)["ratios"]
    print(
        f"by turns, {repeats} times: min {ratios[0]:.1f}, median {ratios[len(ratios) // 2]:.1f}, "
        f"max {ratios[-1]:.1f} times the products"
    )
    rest = in_process("profile", trace, repeats)
    print(f"where a warm comparison spends its time ({rest['s']:.2f} s under cProfile):")
    for own, name, calls in rest["lines"]:
        print(f"  {own:6.2f} s {own / rest['s']:6.1%} {calls:7d} calls  {name}")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--trace", type=Path, help="where the trace is, or is to be written; default: not kept"
    )
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options.trace, options.repeats)))
        return
    with tempfile.TemporaryDirectory() as folder:
        show(options.trace or Path(folder) / "resnet18.safetensors", options.repeats)


if __name__ == "__main__":
    main()
