"""Make every figure of the documentation: `python docs/figures/make.py`.

Two runs give the same bytes.

`--into FOLDER` writes them elsewhere, to compare.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cost_figure import draw_costs
from processes import Recorded, recorded
from timing_figures import draw_coupling, draw_dataflows, draw_overlap, draw_tile, draw_wavefront

from sparqsim.cli import main as sparqsim

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
COMMAND = "python docs/figures/make.py"


def speedup(path: Path) -> None:
    """Draw the README's figure with the README's command."""
    with (
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.suppress(SystemExit),
    ):
        sparqsim(["compare", "workloads/digits_resnet.safetensors", "--plot", os.fspath(path)])


def growth(path: Path) -> None:
    """Draw what `benchmarks/bench_growth.py` has measured."""
    sys.path.insert(0, os.fspath(ROOT / "benchmarks"))
    from growth_page import draw

    draw(json.loads((ROOT / "docs" / "growth.json").read_text(encoding="utf-8")), path)


def _timing(draw: Callable[..., None], *runs: Recorded) -> Callable[[Path], None]:
    return lambda path: draw(*runs, path, command=COMMAND)


def figures() -> dict[str, Callable[[Path], None]]:
    """Return what draws each figure, by file name."""
    one_tile = recorded("mac-8b8b", "4x4", "os", rows=4, k=8, cols=4)
    slow = [
        recorded("sparq-exact", "4x4", "os", coupling, rows=4, k=24, cols=4)
        for coupling in ("lockstep", "elastic:2")
    ]
    three = [
        recorded("mac-8b8b", "4x4", "os", overlap=overlap, rows=12, k=8, cols=4)
        for overlap in (False, True)
    ]
    flows = [recorded("mac-8b8b", "4x4", flow, rows=6, k=4, cols=4) for flow in ("os", "ws", "is")]
    return {
        "speedup.svg": speedup,
        "costs.svg": lambda path: draw_costs(path, command=COMMAND),
        "wavefront.svg": _timing(draw_wavefront, one_tile),
        "tile.svg": _timing(draw_tile, one_tile),
        "overlap.svg": _timing(draw_overlap, *three),
        "coupling.svg": _timing(draw_coupling, *slow),
        "dataflows.svg": _timing(draw_dataflows, *flows),
        "growth.svg": growth,
    }


def main() -> None:
    """Draw them all."""
    parser = argparse.ArgumentParser(description="Make every figure of the documentation.")
    parser.add_argument(
        "--into", type=Path, default=FOLDER, help="folder of the figures (default: docs/figures)"
    )
    folder = parser.parse_args().into.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in figures().items():
        draw(folder / name)
        print(name)


if __name__ == "__main__":
    main()
