"""docs/growth.md and its figure, from docs/growth.json; a test checks that page and file agree."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from page import table

#: Points that a slope is fitted to: the largest ones, where what is fixed counts least.
FITTED = 4
HEAD = """# How time and memory grow

This page is written by `python benchmarks/bench_growth.py` from [growth.json](growth.json), where it puts what it
measures: processor time of one thread, warm, the least of some runs, and the most memory held beyond what was held
before. Layers are synthetic: a 3x3 convolution of 28x28 pixels and 64 channels, values drawn one by one by the
histograms of the trace that ships.

Measured on {cpu}, {cores} cores, {system} {architecture}; Python {python}, numpy {numpy}, numba {numba},
sparqsim {sparqsim}. Load average before: {load}; processor time depends less on it than wall time, and is not free of it.

![processor time and memory over layers, pictures, K, designs and the array's side](figures/growth.svg)

Exponents: x in time ~ size^x, fitted to the {fitted} largest sizes, with the standard error of the slope. 1 is linear.
Memory that does not grow beyond a megabyte has none.

"""
FOOT = """
## What it means

No time grows faster than linear, and no memory, within the errors of the fits.

* **Layers** are worked on one by one: time is linear, and memory is that of one layer.
* **Pictures and K** are operands: time is linear, less where fixed costs still count. Rows are read in blocks of a
  bounded size, so that memory levels off; what is kept of each row is its step cycles, a byte for each of M x steps, and
  the bits that lockstep arrays are timed from.
* **Designs** are measured in one pass over the operands. Each that changes activations adds rows of its own to the block
  that meets the weights, so memory grows with them, and time with their products.
* **Side of the array**: the work is that of the layer. In lockstep, `os`, waves are counted by the tile's columns
  alone; elastic links whose columns share costs are stepped in one column. In `is` a layer this small is timed in a form
  that needs no kernel and goes over the PEs of a tile one by one (the hump at 64); larger arrays, and layers of over a
  million step cycles, are timed by a kernel.

## Repeat it

<!-- not run: takes minutes -->
```sh
python benchmarks/bench_growth.py
```
"""


def fitted(sizes: list[int], values: list[float]) -> tuple[float, float] | None:
    """Return the slope of logarithms and its standard error; None where values hardly grow."""
    sizes, values = sizes[-FITTED:], values[-FITTED:]
    if min(values) <= 0:
        return None
    x = [math.log(size) for size in sizes]
    y = [math.log(value) for value in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((each - mean_x) ** 2 for each in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    rest = sum((b - mean_y - slope * (a - mean_x)) ** 2 for a, b in zip(x, y, strict=True))
    return slope, math.sqrt(rest / (len(x) - 2) / spread)


def exponent(curve: dict[str, Any], what: str) -> str:
    """Return an exponent with its error, as text."""
    values = [point[what] for point in curve["points"]]
    if what == "mb" and max(values[-FITTED:]) - min(values[-FITTED:]) < 1:
        return "none"
    found = fitted(curve["sizes"], values)
    return "none" if found is None else f"{found[0]:.2f} ± {found[1]:.2f}"


def text_of(result: dict[str, Any]) -> str:
    """Return the page."""
    head = HEAD.format(**result["machine"], load=result["load_before"], fitted=FITTED)
    rows = []
    for curve in result["curves"]:
        first, last = curve["points"][0], curve["points"][-1]
        rows.append(
            (
                curve["over"],
                curve["setting"],
                f"{curve['sizes'][0]} to {curve['sizes'][-1]}",
                f"{first['s']:.3f} to {last['s']:.3f}",
                exponent(curve, "s"),
                f"{first['mb']:.1f} to {last['mb']:.1f}",
                exponent(curve, "mb"),
            )
        )
    names = ["over", "of", "sizes", "time, s", "exponent", "memory, MB", "exponent"]
    return head + table(names, rows) + FOOT


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw time and memory over size, each over that of its largest size."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams |= {"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 9}
        _draw(plt, result, path)


def _draw(plt: Any, result: dict[str, Any], path: Path) -> None:
    """Draw with the settings of the moment."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    for axis, what, name in zip(axes, ("s", "mb"), ("time", "memory"), strict=True):
        for curve, marker in zip(result["curves"], "osD^vPX", strict=True):
            relative = [size / curve["sizes"][0] for size in curve["sizes"]]
            values = [max(point[what], 1e-3) for point in curve["points"]]
            unit = values[0]
            label = curve["over"] if curve["over"] != "side" else f"side: {curve['setting']}"
            axis.plot(relative, [value / unit for value in values], marker=marker, label=label)
        axis.plot([1, 16], [1, 16], color="0.6", linestyle=":", label="linear")
        axis.set(xscale="log", yscale="log", xlabel="size / smallest size (1)")
        axis.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
        axis.minorticks_off()
        axis.set_ylabel(f"{name} / {name} at the smallest size (1)")
        axis.grid(visible=True, color="0.9")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
