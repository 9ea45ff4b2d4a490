"""A cycle formula off by one: `sparqsim regress check` fails, and tells case, layer and class, and
by how much.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from regress_cases import PACKAGE, trace_of

from sparqsim.regress import update

#: What the message says of a formula that is off by one on every tile, on every layer, and of one
#: that decides when steps start: then it depends on the data by how much.
EACH_TILE, EACH_LAYER, BY_DATA = (
    r"\+(\d+) \(\+1 on each of \1 tiles\)$",
    r"\+1$",
    r"[+-]\d+( \(.* tiles\))?$",
)

SETUPS = {
    "window-os": 'pe = "sparq-5opt"\narray = "4x4"',
    "exact-ws": 'pe = "sparq-exact"\narray = "4x3"\ndataflow = "ws"',
    # Taller than items are streamed: tiles wait for operands to load.
    "overlap-ws": 'pe = "sparq-5opt"\narray = "16x3"\ndataflow = "ws"\noverlap = "on"',
    "overlap-exact-os": 'pe = "sparq-exact"\narray = "4x3"\noverlap = "on"',
    "elastic1-os": 'pe = "mac-8b8b"\narray = "4x3"\ncoupling = "elastic:1"',
    "elastic1-overlap-ws": 'pe = "mac-8b8b"\narray = "4x3"\ndataflow = "ws"\ncoupling = "elastic:1"\noverlap = "on"',
    "elastic2-ws": 'pe = "sparq-exact"\narray = "4x3"\ndataflow = "ws"\ncoupling = "elastic:2"',
}

BASE, ELASTIC, LATENESS = "array/dataflow.py", "array/elastic.py", "array/lateness.py"
FIXED = "array/fixed.py"
SKEW, LONGER_SKEW = "skew = array.skew_cycles ", "skew = array.skew_cycles + 1 "
FORMULAS = [
    (BASE, SKEW, LONGER_SKEW, "window-os", "fill", EACH_TILE),
    (
        BASE,
        "compute=grid.tiles * grid.stream",
        "compute=grid.tiles * (grid.stream + 1)",
        "window-os",
        "compute",
        EACH_TILE,
    ),
    (
        BASE,
        "grid.tiles * array.rows, 0",
        "grid.tiles * (array.rows + 1), 0",
        "window-os",
        "drain",
        EACH_TILE,
    ),
    (
        BASE,
        "(around if self.loads",
        "(around + grid.tiles if self.loads",
        "exact-ws",
        "fill",
        EACH_TILE,
    ),
    (
        BASE,
        "dtype=np.int64) - waves.shape[-1]",
        "dtype=np.int64) - waves.shape[-1] + 1",
        "exact-ws",
        "pe_stall",
        EACH_TILE,
    ),
    (
        "pe/sparq.py",
        "edge_cycles: ClassVar[int] = 1",
        "edge_cycles: ClassVar[int] = 2",
        "window-os",
        "fill",
        EACH_TILE,
    ),
    # With overlap, the first tile's fill and the last one's drain are paid once per layer.
    (BASE, SKEW, LONGER_SKEW, "overlap-ws", "fill", EACH_LAYER),
    (
        BASE,
        "skew, array.rows, (grid.tiles - 1)",
        "skew, array.rows + 1, (grid.tiles - 1)",
        "overlap-exact-os",
        "drain",
        EACH_LAYER,
    ),
    (
        BASE,
        "(grid.tiles - 1) * (period - grid.stream)",
        "(grid.tiles - 1) * (period + 1 - grid.stream)",
        "overlap-ws",
        "fill",
        BY_DATA,
    ),
    (
        BASE,
        "- merged.shape[-1]).reshape",
        "- merged.shape[-1] + 1).reshape",
        "overlap-exact-os",
        "pe_stall",
        EACH_TILE,
    ),
    (
        FIXED,
        "alone = (items - 1) * (pace - 1)",
        "alone = items * (pace - 1)",
        "elastic1-os",
        "pe_stall",
        BY_DATA,
    ),
    (
        FIXED,
        "apart = max(pace * items, links.period)",
        "apart = max(pace * items + 1, links.period)",
        "elastic1-overlap-ws",
        "pe_stall",
        BY_DATA,
    ),
    (ELASTIC, "else 2 - links.depth", "else 3 - links.depth", "elastic2-ws", "pe_stall", BY_DATA),
    (
        LATENESS,
        "free[i, j] = room[j] + costs[item, i, j] - 1",
        "free[i, j] = room[j] + costs[item, i, j]",
        "elastic2-ws",
        "pe_stall",
        BY_DATA,
    ),
]


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("file", "formula", "off_by_one", "case", "moved", "by"), FORMULAS)
def test_formula_off_by_one_fails(
    tmp_path: Path, file: str, formula: str, off_by_one: str, case: str, moved: str, by: str
) -> None:
    copy = tmp_path / "changed" / "sparqsim"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    source = (copy / file).read_text()
    assert source.count(formula) == 1, "the formula has been rewritten: give this test its new text"
    (copy / file).write_text(source.replace(formula, off_by_one))
    trace_of(1).save(tmp_path / "net.safetensors")
    (tmp_path / "cases.toml").write_text(
        f'[[case]]\nname = "{case}"\ntrace = "net.safetensors"\n{SETUPS[case]}\n'
    )
    update(tmp_path / "cases.toml")

    ended = subprocess.run(
        [sys.executable, "-m", "sparqsim", "regress", "check", "cases.toml"],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(copy.parent), "NUMBA_DISABLE_JIT": "1"},
        cwd=tmp_path,
    )

    assert ended.returncode == 1, ended.stderr
    assert not ended.stderr
    # Which case, which layer, from how many cycles to how many, in which class, and how it looks
    # per tile.
    head, whole, *layers, count, advice = ended.stdout.splitlines()
    assert head.startswith(f"CHANGED    {case} (")
    assert whole.startswith(
        "  cycles: all layers of the trace, number of inputs not stated: total "
    )
    assert (count, advice[:24]) == ("0 of 1 case unchanged", "If the change is meant: ")
    assert layers
    for line in layers:
        assert re.match(
            rf"  cycles: layer layer\d: total [\d,]+ -> [\d,]+ \([+-]\d+\.\d\d%\): {moved} {by}",
            line,
        )
