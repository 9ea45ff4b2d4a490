"""Simulate the digit-serial designs on the whole of ResNet-18 for one 224x224 picture.

    SPARQSIM_SHARED=../shared python benchmarks/bench_bit_serial.py [--repeats 3] [--trace FILE]

16x16 PEs of 16 lanes, `os`, all PEs of a tile in step (`coupling=broadcast`): the array of DNNsim
(https://github.com/isakedo/DNNsim at 4748a60, C++), whose seconds stand beside ours. They were
measured on another machine, on one core, DRAM timing included, ours not; the pictures differ. Each
design runs in a process of its own: seconds of the first simulation (kernels are compiled before),
of later ones (warm), and peak memory. Targets, warm: `pragmatic` under 1 s, `laconic` under 5 s,
both under 0.5 GB. Needs the extra `torch` and the shared data.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_resnet18 import in_process as part_of_resnet18
from bench_resnet18 import peak_mb, seconds_of

import sparqsim

ARRAY = sparqsim.ArrayConfig(16, 16, coupling="broadcast")
#: Seconds of a ResNet-18 picture in DNNsim, as measured for this project.
DNNSIM_S = {"stripes": 18.7, "pragmatic": 21.8, "laconic": 37.5}
DNNSIM_MB = 406


def simulated(design: str, trace: Path, repeats: int) -> dict[str, Any]:
    """Simulate one design, first and warm."""
    loaded = sparqsim.load_trace(trace)
    seconds = [
        seconds_of(lambda: sparqsim.simulate(loaded, design, ARRAY)) for _ in range(1 + repeats)
    ]
    cycles = sparqsim.simulate(loaded, design, ARRAY).cycles.total
    return {
        "first_s": seconds[0],
        "warm_s": min(seconds[1:]),
        "peak_mb": peak_mb(),
        "cycles": cycles,
    }


def in_process(design: str, trace: Path, repeats: int) -> dict[str, Any]:
    """Run one design in a fresh process."""
    command = [sys.executable, __file__, "--design", design]
    command += ["--trace", str(trace), "--repeats", str(repeats)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def show(trace: Path, repeats: int) -> None:
    """Run every design and print it beside DNNsim."""
    if not trace.exists():
        # In a process of its own: a child's peak memory is never below its parent's.
        part_of_resnet18("dump", trace, repeats)
    for design, theirs in DNNSIM_S.items():
        in_process(design, trace, 1)  # compiles kernels
        found = in_process(design, trace, repeats)
        print(
            f"{design}: first {found['first_s']:.2f} s, warm {found['warm_s']:.2f} s, peak "
            f"{found['peak_mb']:.0f} MB, {found['cycles']:,} cycles; DNNsim {theirs} s, "
            f"{DNNSIM_MB} MB: {theirs / found['warm_s']:.0f} times ours"
        )


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--trace", type=Path, help="where the trace is, or is to be written; default: not kept"
    )
    parser.add_argument("--design", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.design:
        print(json.dumps(simulated(options.design, options.trace, options.repeats)))
        return
    with tempfile.TemporaryDirectory() as folder:
        show(options.trace or Path(folder) / "resnet18.safetensors", options.repeats)


if __name__ == "__main__":
    main()
