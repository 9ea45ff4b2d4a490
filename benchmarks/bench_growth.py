"""How time and memory grow: over layers, pictures, K, the array's side and the number of designs.

    python benchmarks/bench_growth.py            # some minutes; writes docs/growth.json, .md and figures/growth.svg
    python benchmarks/bench_growth.py --page     # the page and the figure anew from the JSON file

One process, one thread, everything compiled before. Time is the processor time of a simulation, the
least of some; memory is the most that the process held during it beyond what it held before
(VmHWM - VmRSS; Linux resets the first on request). Values are drawn (`networks_drawn.tables`). Each
exponent is the slope of a line through the logarithms, with its standard error.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _name in ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[_name] = "1"

import growth_page  # noqa: E402 - after the threads are set
import numpy as np  # noqa: E402
from networks_drawn import REAL, TABLE, tables  # noqa: E402

import sparqsim  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
SIZES = (1, 2, 4, 8, 16)
SIDES = (8, 16, 32, 64, 128)
#: Height and width, channels in and out of the layer that everything is made of.
SIZE, INSIDE, OUTSIDE = 28, 64, 64
DESIGNS = (
    "mac-8b8b",
    "sparq-exact",
    "sparq-5opt",
    "sparq-2opt",
    "mac-4b4b",
    "sparq-3opt",
    "mac-4b8b",
    "sparq-5opt:rounding=trim",
    "sparq-3opt:rounding=trim",
    "sparq-2opt:rounding=trim",
    "sparq-5opt:pairing=off",
    "sparq-3opt:pairing=off",
    "sparq-2opt:pairing=off",
    "mac-4b4b:rounding=trim",
    "mac-4b8b:rounding=trim",
    "sparq-6opt",
)


@dataclass(frozen=True)
class Curve:
    """What grows. `over`: in words. `sizes`: along it. `made`: a simulation of a size."""

    over: str
    setting: str
    sizes: tuple[int, ...]
    made: Callable[[int], Callable[[], object]]


def layer(name: str, pictures: int = 1, inside: int = INSIDE) -> sparqsim.Layer:
    """Return a 3x3 convolution of drawn values."""
    rng, (activations, weights) = np.random.default_rng(len(name)), tables(REAL)
    return sparqsim.Layer.conv2d(
        name,
        activations[rng.integers(0, TABLE, (pictures, SIZE, SIZE, inside))],
        weights[rng.integers(0, TABLE, (OUTSIDE, 9, inside))],
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
    )


def stored(layers: list[sparqsim.Layer]) -> sparqsim.Trace:
    """Return the trace as read from a file, so that operands are not in memory before."""
    path = FOLDER / "growth.safetensors"
    sparqsim.Trace(layers, synthetic="drawn").save(path)
    return sparqsim.load_trace(path)


def compared(trace: sparqsim.Trace, *designs: str, array: str = "32x32", **settings: Any) -> Any:
    """Return a comparison that is still to be made."""
    config = sparqsim.ArrayConfig.parse(array, **settings)
    return lambda: sparqsim.compare(trace, designs, config, baseline=designs[0])


def curves() -> Iterator[Curve]:
    """Yield everything that is measured."""
    three = DESIGNS[:3]
    told = f"{', '.join(three)} on 32x32 os"
    yield Curve(
        "layers",
        told,
        SIZES,
        lambda n: compared(stored([layer(f"l{at}") for at in range(n)]), *three),
    )
    yield Curve(
        "pictures", told, SIZES, lambda n: compared(stored([layer("l", pictures=n)]), *three)
    )
    yield Curve("K", told, SIZES, lambda n: compared(stored([layer("l", inside=32 * n)]), *three))
    yield Curve(
        "designs",
        "the first of a list of 16, MACs and SPARQ, on 32x32 os",
        SIZES,
        lambda n: compared(stored([layer("l", pictures=2)]), *DESIGNS[:n]),
    )
    for flow, coupling in (("os", "lockstep"), ("is", "lockstep"), ("os", "elastic:2")):
        yield Curve(
            "side",
            f"sparq-exact, {flow}, {coupling}",
            SIDES,
            lambda n, flow=flow, coupling=coupling: compared(
                stored([layer("l", pictures=2)]),
                "sparq-exact",
                array=f"{n}x{n}",
                dataflow=flow,
                coupling=coupling,
            ),
        )


def kib(name: str) -> int:
    """Return a memory figure of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def point(simulation: Callable[[], object], repeats: int) -> dict[str, float]:
    """Return processor seconds and the bytes that a simulation holds at most beyond those before."""
    simulation()  # kernels are loaded, the file is in memory
    seconds = []
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = kib("VmRSS")
    for _ in range(repeats):
        begun = time.process_time()
        simulation()
        seconds.append(time.process_time() - begun)
    return {"s": round(min(seconds), 4), "mb": round(1.024e-3 * (kib("VmHWM") - before), 2)}


def measured(curve: Curve, repeats: int) -> dict[str, Any]:
    """Return a curve's points."""
    print(f"measuring {curve.over}: {curve.setting} ...", file=sys.stderr)
    points = [point(curve.made(size), repeats) for size in curve.sizes]
    of = {"layers": 1, "pictures": 1, "K": 9 * 32}
    sizes = [size * of.get(curve.over, 1) for size in curve.sizes]
    return {"over": curve.over, "setting": curve.setting, "sizes": sizes, "points": points}


def main() -> None:
    """Measure, and write the JSON file, the page and the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", action="store_true", help="measure nothing")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "growth.json")
    given = parser.parse_args()
    if not given.page:
        load = round(os.getloadavg()[0], 1)
        found = [measured(curve, given.repeats) for curve in curves()]
        from run import machine

        result = {"machine": machine(), "load_before": load, "curves": found}
        text = json.dumps(result, indent=1, sort_keys=True) + "\n"
        given.output.write_text(text, encoding="utf-8")
    result = json.loads(given.output.read_text(encoding="utf-8"))
    given.output.with_suffix(".md").write_text(growth_page.text_of(result), encoding="utf-8")
    growth_page.draw(result, given.output.parent / "figures" / "growth.svg")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as _folder:
        FOLDER = Path(_folder)
        main()
