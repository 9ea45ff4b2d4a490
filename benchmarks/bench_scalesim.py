"""Side by side with SCALE-Sim v3 on its own topology files: equal compute cycles, time and memory of both.

    python benchmarks/bench_scalesim.py [--layers Conv3_s,Conv5_s] [--dataflow ws] [--array 32x32] [-o result.json]

SCALE-Sim runs in its own virtual environment, made on first use (`scalesim==3.0.0`, `numpy<2.4`: it dies with newer
ones). The whole ResNet-18 takes it about 13 minutes; without `--layers` all of it runs. Both programs get the same M, N
and K: SCALE-Sim's output sizes are kept, pixels that a valid convolution does not have included. Its mode is CALC,
where it never stalls, so only compute cycles are compared. Ours runs with the memory system on, twice: with random
values (error, utilization) as `simulate` does, and cycles and memory alone, which is what SCALE-Sim computes. SCALE-Sim
reports the index of the last cycle, one less than the count.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

SHARED = Path(os.environ.get("SPARQSIM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
TOPOLOGY = SHARED / "scalesim" / "topologies" / "Resnet18.csv"

CONFIG = """[general]
run_name = bench
[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {cols}
IfmapSramSzkB: 64
FilterSramSzkB: 64
OfmapSramSzkB: 64
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Bandwidth: 10
Dataflow: {dataflow}
ReadRequestBuffer: 64
WriteRequestBuffer: 64
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport: false
SparseRep: ellpack_block
OptimizedMapping: false
BlockSize: 8
RandomNumberGeneratorSeed: 40
[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""

THEIRS = """
import json, resource, sys, time
from scalesim.scale_sim import scalesim
config, topology, layout, out = sys.argv[1:]
start = time.perf_counter()
scalesim(save_disk_space=True, verbose=False, config=config, topology=topology, layout=layout).run_scale(top_path=out)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"wall_s": time.perf_counter() - start, "cpu_s": usage.ru_utime + usage.ru_stime,
                  "peak_mib": usage.ru_maxrss / 1024}))
"""

OURS = """
import json, resource, sys, time
import numpy as np
import sparqsim
from sparqsim.memory.network import outcomes
shapes, rows, cols, dataflow, repeats = json.loads(sys.argv[1])
values = np.random.default_rng(0)
layers = [sparqsim.Layer.from_gemm(name, values.integers(0, 256, (m, k), dtype=np.uint8),
                                   values.integers(-128, 128, (k, n), dtype=np.int8)) for name, m, k, n in shapes]
trace = sparqsim.Trace(layers, synthetic="uniform random")
array = sparqsim.ArrayConfig(rows=rows, cols=cols, dataflow=dataflow)
memory = sparqsim.load_accelerator("edge").memory
pe = sparqsim.get_pe("mac-8b8b")

def measured(run):
    seconds, cpu = [], []
    for _ in range(repeats):
        start, cpu_start = time.perf_counter(), time.process_time()
        result = run()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    return result, {"wall_s": sorted(seconds)[repeats // 2], "cpu_s": sorted(cpu)[repeats // 2], "first_wall_s":
    seconds[0]}

report, whole = measured(lambda: sparqsim.simulate(trace, pe, array, memory=memory))
runs, timing = measured(lambda: list(outcomes(trace, [pe] * len(layers), array, memory)))
assert [outcome.times.total for _, _, outcome in runs] == [layer.cycles.total for layer in report.layers]
print(json.dumps({"with_values": whole, "cycles_and_memory": timing,
                  "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "cycles": [layer.cycles.total - layer.cycles.memory_stall for layer in report.layers],
                  "drain": [layer.cycles.drain for layer in report.layers]}))
"""


def main() -> int:
    arguments = parsed()
    if not Path(arguments.topology).exists():
        print(f"{arguments.topology}: no such topology; set SPARQSIM_SHARED or give --topology", file=sys.stderr)
        return 2
    rows, cols = (int(side) for side in arguments.array.split("x"))
    layers = chosen_layers(Path(arguments.topology), arguments.layers)
    work = Path(arguments.folder)
    work.mkdir(parents=True, exist_ok=True)
    ours = run_ours([gemm_of(layer) for layer in layers], rows, cols, arguments.dataflow)
    theirs = run_theirs(layers, rows, cols, arguments.dataflow, work)
    result = {"array": arguments.array, "dataflow": arguments.dataflow, "layers": [layer[0] for layer in layers],
              "scalesim": theirs, "sparqsim": ours,
              "equal_compute_cycles": same_cycles(ours, theirs, arguments.dataflow),
              "times_faster": {kind: {clock: theirs[clock] / ours[kind][clock] for clock in ("wall_s", "cpu_s")}
                               for kind in ("with_values", "cycles_and_memory")}}
    text = json.dumps(result, indent=1, sort_keys=True)
    if arguments.output:
        Path(arguments.output).write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0 if result["equal_compute_cycles"] else 1


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topology", default=str(TOPOLOGY))
    parser.add_argument("--layers", help="names, separated by commas; default: all")
    parser.add_argument("--dataflow", default="ws", choices=("os", "ws", "is"))
    parser.add_argument("--array", default="32x32")
    parser.add_argument("--folder", default=str(Path.home() / ".cache" / "sparqsim" / "bench_scalesim"))
    parser.add_argument("-o", "--output")
    return parser.parse_args()


def chosen_layers(topology: Path, names: str | None) -> list[list[str]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(topology.read_text().splitlines()[1:]) if any(row)]
    layers = [row[:8] for row in rows]
    wanted = names.split(",") if names else [layer[0] for layer in layers]
    return [next(layer for layer in layers if layer[0] == name) for name in wanted]


def gemm_of(layer: list[str]) -> tuple[str, int, int, int]:
    """Return (name, M, K, N) with SCALE-Sim's own output size, ceil((H - Fh + s) / s)."""
    height, width, kernel_h, kernel_w, channels, filters, stride = (int(cell) for cell in layer[1:8])
    out_h, out_w = (-(-(size - kernel + stride) // stride) for size, kernel in ((height, kernel_h), (width, kernel_w)))
    return layer[0], out_h * out_w, kernel_h * kernel_w * channels, filters


def run_ours(shapes: list[tuple[str, int, int, int]], rows: int, cols: int, dataflow: str, repeats: int = 5) -> dict:
    request = json.dumps([shapes, rows, cols, dataflow, repeats])
    done = subprocess.run([sys.executable, "-c", OURS, request], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def run_theirs(layers: list[list[str]], rows: int, cols: int, dataflow: str, work: Path) -> dict:
    files = {"bench.cfg": CONFIG.format(rows=rows, cols=cols, dataflow=dataflow),
             "bench.csv": "\n".join(["name, sizes,", *(", ".join(layer) + "," for layer in layers)]) + "\n",
             "layout.csv": "\n".join(["name, layout,", *(layer[0] + "," + "1," * 19 for layer in layers)]) + "\n"}
    for name, text in files.items():
        (work / name).write_text(text)
    command = [environment(work), "-c", THEIRS, *(str(work / name) for name in files), str(work)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    result = json.loads(done.stdout.strip().splitlines()[-1])
    report = next(work.glob("bench/COMPUTE_REPORT.csv"))
    with report.open() as lines:
        header, *rows_found = list(csv.reader(lines))
    at = [name.strip() for name in header].index("Total Cycles")
    stall = [name.strip() for name in header].index("Stall Cycles")
    return {**result, "cycles": [int(float(row[at])) - int(float(row[stall])) + 1 for row in rows_found]}


def environment(work: Path) -> str:
    """Return the Python of a virtual environment with SCALE-Sim, made if it is not there."""
    python = work / "venv" / "bin" / "python"
    if not (work / "venv" / "ready").exists():
        venv.create(work / "venv", with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "scalesim==3.0.0", "numpy<2.4"], check=True)
        (work / "venv" / "ready").touch()
    return str(python)


def same_cycles(ours: dict, theirs: dict, dataflow: str) -> bool:
    """Compare layer by layer. In `os` SCALE-Sim hides the drain of R rows in the computation: ours is left out."""
    drain = ours["drain"] if dataflow == "os" else [0] * len(ours["cycles"])
    return [total - out for total, out in zip(ours["cycles"], drain, strict=True)] == theirs["cycles"]


if __name__ == "__main__":
    sys.exit(main())
