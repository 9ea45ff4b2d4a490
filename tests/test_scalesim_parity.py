"""Cycles of `mac-8b8b` against SCALE-Sim's formulas on its own topologies, and against what it
printed.

Its `os` leaves out the drain of R cycles per tile: it writes sums before their last operands have
been read, so no array can do it. Everything else agrees cycle by cycle. The topology files are not
part of this repository: see `shared_folder`.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing, Work
from sparqsim.array.registry import get_dataflow

TOPOLOGIES = (
    "AlphaGoZero",
    "Googlenet",
    "Resnet18",
    "alexnet",
    "alexnet_full",
    "gpt2",
    "mobilenet",
    "vit_b",
    "vit_s",
    "yolo_tiny",
)


def shared_folder() -> Path:
    """Return the folder with SCALE-Sim's files: $SPARQSIM_SHARED, or `shared` beside the
    repository.
    """
    folder = (
        Path(
            os.environ.get("SPARQSIM_SHARED", Path(__file__).resolve().parents[1].parent / "shared")
        )
        / "scalesim"
    )
    if not folder.is_dir():
        pytest.skip(f"shared data not found at {folder.parent} (set SPARQSIM_SHARED)")
    return folder


def gemm_shapes(path: Path) -> list[tuple[int, int, int]]:
    """Return (M, N, K) of a topology's layers as SCALE-Sim reads it: no header, the last field of a
    line dropped,

    output sizes by ceiling."""
    with path.open() as file:
        header, *lines = csv.reader(file)
    shapes = []
    for line in lines:
        if not any(field.strip() for field in line):
            continue
        sizes = [int(field) for field in line[1:-1]]
        if header[1].strip() == "M":
            shapes.append((sizes[0], sizes[1], sizes[2]))
            continue
        height, width, kernel_height, kernel_width, channels, filters, stride = sizes
        pixels = -(-(height - kernel_height + stride) // stride) * -(
            -(width - kernel_width + stride) // stride
        )
        shapes.append((pixels, filters, kernel_height * kernel_width * channels))
    return shapes


def scalesim_cycles(dataflow: str, rows: int, cols: int, m: int, n: int, k: int) -> int:
    """Return SCALE-Sim's compute cycles of a layer: its folds one after another."""
    down, across, cycles = {
        "os": (m, n, k + rows + cols - 2),
        "ws": (k, n, m + 2 * rows + cols - 2),
        "is": (k, m, n + 2 * rows + cols - 2),
    }[dataflow]
    return -(-down // rows) * -(-across // cols) * cycles


def ours(dataflow: str, rows: int, cols: int, m: int, n: int, k: int) -> Timing:
    return get_dataflow(dataflow).timing(Work(m, k, n), ArrayConfig(rows, cols, dataflow))


def comparable(timing: Timing, dataflow: str, rows: int) -> int:
    """Return what SCALE-Sim counts: everything in ws and is, everything but the drains in os."""
    assert timing.drain == (timing.tiles * rows if dataflow == "os" else 0)
    return timing.total - timing.drain


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("sides", [(16, 16), (32, 32), (8, 64)])
def test_every_layer_of_every_topology(topology, dataflow, sides):
    shapes = gemm_shapes(shared_folder() / "topologies" / f"{topology}.csv")
    assert len(shapes) >= 5
    for shape in shapes:
        timing = ours(dataflow, *sides, *shape)
        assert comparable(timing, dataflow, sides[0]) == scalesim_cycles(dataflow, *sides, *shape)


def test_the_topology_that_scalesim_cannot_parse_is_not_one_of_them():
    names = {path.stem for path in (shared_folder() / "topologies").glob("*.csv")}
    assert names == {*TOPOLOGIES, "Resnet50"}


def test_every_measured_row():
    """SCALE-Sim prints the index of the last cycle, stalls included."""
    with (shared_folder() / "measured_cycles.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 71
    for row in rows:
        sides = [int(side) for side in row["array"].split("x")]
        timing = ours(row["dataflow"], *sides, *(int(row[size]) for size in "MNK"))
        measured = int(row["reported_total_cycles"]) - int(row["reported_stall_cycles"]) + 1
        assert comparable(timing, row["dataflow"], sides[0]) == measured


def test_every_row_of_the_formula_table():
    """ResNet-18 and AlexNet in SCALE-Sim's own layer sizes, on two arrays, in three dataflows."""
    with (shared_folder() / "formula_cycles_all.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 156
    for row in rows:
        sides = [int(side) for side in row["array"].split("x")]
        timing = ours(
            row["dataflow"],
            *sides,
            *(int(row[size]) for size in ("M_ofmap_px", "N_filters", "K_window")),
        )
        assert comparable(timing, row["dataflow"], sides[0]) == int(row["compute_cycles"])
