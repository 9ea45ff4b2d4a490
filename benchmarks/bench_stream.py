"""The most memory that a large trace takes: ResNet-50's shapes, 50 pictures of 224x224.

    python benchmarks/bench_stream.py [--pictures 50] [--pe sparq-exact] [--array 32x32] [--trace FILE]
                                      [-o stream.json]

The trace is synthetic (`networks_drawn.py`): 54 layers, values drawn by the histograms of the trace
that ships. It is written first, where it is not there, a picture at a time. Then the command
`simulate` runs in a process of its own, on a terminal of its own, so that it shows progress; its
peak memory is VmHWM, looked at ten times a second, and the progress is what it wrote. Goal: under
2 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from networks_drawn import ROOT, resnet50, write

GOAL_BYTES = 2_000_000_000
LOOK_SECONDS = 0.1


def peak_bytes(process: int) -> int:
    """Return the most memory a process has had, 0 where it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    found = [line for line in lines if line.startswith("VmHWM:")]
    return int(found[0].split()[1]) * 1024 if found else 0


def simulated(trace: Path, pe: str, array: str) -> dict[str, Any]:
    """Run the command on a terminal; return seconds, peak memory, and shares of progress shown."""
    command = [sys.executable, "-m", "sparqsim", "simulate", str(trace), "--pe", pe]
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                shown.append(os.read(ours, 1 << 16))
            except OSError:
                return

    begun, peak = time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        running = subprocess.Popen(
            [*command, "--array", array, "-o", f"{folder}/report.json"],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"},
        )
        os.close(theirs)
        threading.Thread(target=listen, daemon=True).start()
        while running.poll() is None:
            peak = max(peak, peak_bytes(running.pid))
            time.sleep(LOOK_SECONDS)
    if running.returncode:
        raise SystemExit(b"".join(shown).decode(errors="replace"))
    told = re.findall(rb"(\d+)/(\d+)", b"".join(shown))
    return {
        "seconds": round(time.perf_counter() - begun, 1),
        "peak_bytes": peak,
        "progress_steps_shown": len(set(told)),
    }


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--pe", default="sparq-exact")
    parser.add_argument("--array", default="32x32")
    parser.add_argument("--trace", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trace = given.trace or Path(folder) / "resnet50.safetensors"
        if not trace.exists():
            write(trace, list(resnet50()), given.pictures)
        figures: dict[str, Any] = {
            "pe": given.pe,
            "array": given.array,
            "pictures": given.pictures,
            "trace_bytes": trace.stat().st_size,
            "load_before": round(os.getloadavg()[0], 1),
        }
        figures |= simulated(trace, given.pe, given.array)
    text = json.dumps(figures, indent=1) + "\n"
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    print(text, end="")
    raise SystemExit(int(figures["peak_bytes"] >= GOAL_BYTES))


if __name__ == "__main__":
    main()
