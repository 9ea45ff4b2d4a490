"""docs/benchmarks.md, written from docs/benchmarks.json; a test checks that the two agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

HEAD = """# Benchmarks

This page is written by `python benchmarks/run.py`, which measures everything below, from
[benchmarks.json](benchmarks.json), where it puts the figures. They are ratios: seconds depend on the machine. Wall time
is what a user waits; processor time, summed over all cores, depends less on what else the machine does. Each time is
the least of several runs, but for cold starts and SCALE-Sim, which run once.

Measured on {cpu}, {cores} cores, {memory_gib} GiB, {system} {architecture}; Python {python}, numpy {numpy},
numba {numba}, sparqsim {sparqsim}. {loads}
"""

FOOT = """## Repeat it

<!-- not run: installs, and takes minutes -->
```sh
python -m venv .venv && .venv/bin/pip install -e .
.venv/bin/python benchmarks/run.py
```

Close what else runs. The part with SCALE-Sim installs it into a virtual environment of its own, below
`~/.cache/sparqsim`, and reads its topology files from the folder that `$SPARQSIM_SHARED` names;
`--only gemm,startup,memory,sweep` does without. `--scalesim-layers all` runs the whole ResNet-18.
`python benchmarks/compare_commits.py A B` tells whether commit B is slower than commit A.
`python benchmarks/bench_transformer.py` (extra `torch`) dumps a transformer of GPT-2 small's sizes for 128 tokens and
compares the default designs on it: seconds, processor seconds and peak memory of both.
"""


def text_of(result: dict[str, Any]) -> str:
    """Return the page; a part that was not measured is left out."""
    sections = [section(result[part]) for part, section in SECTIONS.items() if part in result]
    return "\n".join([HEAD.format(**result["machine"], loads=loads_of(result)), *sections, FOOT])


def loads_of(result: dict[str, Any]) -> str:
    """Say how busy the machine was."""
    loads = [result[part]["load_before"] for part in SECTIONS if part in result]
    return f"Load average before the parts: {min(loads)} to {max(loads)}." if loads else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def scalesim(part: dict[str, Any]) -> str:
    """Return the section on SCALE-Sim."""
    names = {
        "with_values": "with values, error and utilization",
        "cycles_and_memory": "cycles and memory alone, as SCALE-Sim",
    }
    rows = [
        (names[mode], *(ratios[key] for key in ("wall", "cpu", "peak_memory")))
        for mode, ratios in part["scalesim_over_sparqsim"].items()
    ]
    equal = "equal" if part["equal_compute_cycles"] else "**not equal**"
    layers = f"{len(part['layers'])} layers of its ResNet-18 topology ({', '.join(part['layers'])})"
    return (
        f"## SCALE-Sim v3\n\n{layers}, {part['array']} `{part['dataflow']}`; compute cycles are "
        f"{equal}, layer by layer. SCALE-Sim over `mac-8b8b` with the memory system on:\n\n"
        + table(["what ours computes", "wall time", "processor time", "peak memory"], rows)
    )


def gemm(part: dict[str, Any]) -> str:
    """Return the section on the bare matrix product."""
    m, k, n = part["layer"]
    whole = part["simulate_over_gemm"]
    rows = [(f"`{pe}`", ratio, whole.get(pe, "")) for pe, ratio in part["matmul_over_gemm"].items()]
    return (
        f"## The bare matrix product\n\nWall time over numpy's float64 `x @ w`, M = {m}, K = {k}, "
        f"N = {n}, half of x zero. `matmul`: a design's exact arithmetic. `simulate`: a whole "
        "report, with cycles, error and what the pairs are.\n\n"
        + table(["design", "`matmul`", "`simulate`"], rows)
    )


def startup(part: dict[str, Any]) -> str:
    """Return the section on start-up."""
    rows = [
        ("`sparqsim --help`, over `import numpy, numba`", "help_over_import_numba"),
        (
            "`sparqsim compare` of the shipped trace, warm, over `import numpy, numba`",
            "warm_over_import_numba",
        ),
        ("the same, cold (compiles its kernels), over warm", "cold_over_warm"),
    ]
    return "## Start-up\n\nProcesses of their own.\n\n" + table(
        ["command", "wall time", "processor time"],
        [(name, part[key]["wall"], part[key]["cpu"]) for name, key in rows],
    )


def memory(part: dict[str, Any]) -> str:
    """Return the section on memory."""
    rows = [(f"`{name}`", ratio) for name, ratio in part["peak_over_gemm"].items()]
    return (
        "## Peak memory\n\nOf a process that simulates one layer, M = 12544, K = 576, N = 128 on "
        "16x16, over one that only multiplies it in float64 with numpy.\n\n"
        + table(["design", "peak memory"], rows)
    )


def sweep(part: dict[str, Any]) -> str:
    """Return the section on sweeps."""
    rows = [
        ("one core over two", part["one_core_over_two"]),
        ("one core over the simulations alone, one thread", part["one_core_over_simulation"]),
        ("two cores over the simulations alone, one thread", part["two_cores_over_simulation"]),
    ]
    beyond_ms = part["overhead_ms_per_point"]
    beyond = (
        f"Beyond the simulations a point costs {beyond_ms} ms on one core: starting command and "
        "worker, keys, commits."
        if beyond_ms > 0
        else f"A point takes {-beyond_ms} ms less on one core than simulated by itself, starting "
        "and commits included: points that differ in the array share a pass over the values."
    )
    return (
        f"## Sweeps\n\n{part['points']} points of the shipped trace, warm, wall time. {beyond} The "
        "first ratio is the median of repeats, each of one sweep on each.\n\n"
        + table(["what", "ratio"], rows)
    )


SECTIONS = {
    "scalesim": scalesim,
    "gemm": gemm,
    "startup": startup,
    "memory": memory,
    "sweep": sweep,
}
