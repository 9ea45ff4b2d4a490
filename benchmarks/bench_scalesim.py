"""Side by side with SCALE-Sim v3 on its own topology files: equal compute cycles, time and memory
of both.

    python benchmarks/bench_scalesim.py [--layers Conv3_s,Conv5_s] [--dataflow ws] [--array 32x32]
    [-o result.json]

SCALE-Sim runs in its own virtual environment, made on first use (`scalesim==3.0.0`, `numpy<2.4`: it
dies with newer ones). The whole ResNet-18 takes it about 13 minutes; without `--layers` all of it
runs. Both programs get the same M, N and K: SCALE-Sim's output sizes are kept, pixels that a valid
convolution does not have included. Its mode is CALC, where it never stalls, so only compute cycles
are compared. Ours runs with the memory system on, in two processes: with random values (error,
utilization) as `simulate` does, and cycles and memory alone, which is what SCALE-Sim computes; each
five times, of which the median counts. SCALE-Sim reports the index of the last cycle, one less than
the count. Every layer that it finishes is noted in progress.jsonl in the folder, with its cycles,
time and peak memory so far.
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
from scalesim.single_layer_sim import single_layer_sim
config, topology, layout, out, progress = sys.argv[1:]
start, run_layer = time.perf_counter(), single_layer_sim.run

def spent():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"wall_s": time.perf_counter() - start, "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_mib": usage.ru_maxrss / 1024}

def run_and_note(layer):
    run_layer(layer)
    _, last_cycle, stall_cycles = layer.get_compute_report_items()[:3]
    with open(progress, "a") as lines:
        cycles = int(last_cycle) - int(stall_cycles) + 1
        lines.write(json.dumps({"layer": layer.get_layer_id(), "cycles": cycles, "so_far": spent()}) + "\\n")

single_layer_sim.run = run_and_note
scalesim(save_disk_space=True, verbose=False, config=config, topology=topology, layout=layout).run_scale(top_path=out)
print(json.dumps(spent()))
"""

OURS = """
import json, resource, sys, time
import numpy as np
import sparqsim
from sparqsim.analysis.network import outcomes
shapes, rows, cols, dataflow, with_values, repeats = json.loads(sys.argv[1])
values = np.random.default_rng(0)
layers = [sparqsim.Layer.from_gemm(name, values.integers(0, 256, (m, k), dtype=np.uint8),
                                   values.integers(-128, 128, (k, n), dtype=np.int8)) for name, m, k, n in shapes]
trace = sparqsim.Trace(layers, synthetic="uniform random")
array = sparqsim.ArrayConfig(rows=rows, cols=cols, dataflow=dataflow)
memory = sparqsim.load_accelerator("edge").memory
pe = sparqsim.get_pe("mac-8b8b")

def run():
    if with_values:
        cycles = [layer.cycles for layer in sparqsim.simulate(trace, pe, array, memory=memory).layers]
        return [each.total - each.memory_stall for each in cycles], [each.drain for each in cycles]
    runs = list(outcomes(trace, [pe] * len(layers), array, memory))
    return [run.times.total - run.memory_stall for _, _, run in runs], [timing.drain for _, timing, _ in runs]

wall, cpu = [], []
for _ in range(repeats):
    wall_start, cpu_start = time.perf_counter(), time.process_time()
    cycles, drain = run()
    wall.append(time.perf_counter() - wall_start)
    cpu.append(time.process_time() - cpu_start)
print(json.dumps({"wall_s": sorted(wall)[repeats // 2], "cpu_s": sorted(cpu)[repeats // 2], "first_wall_s": wall[0],
                  "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "cycles": cycles, "drain": drain}))
"""


def main() -> int:
    arguments = parsed()
    if not Path(arguments.topology).exists():
        print(
            f"{arguments.topology}: no such topology; set SPARQSIM_SHARED or give --topology",
            file=sys.stderr,
        )
        return 2
    rows, cols = (int(side) for side in arguments.array.split("x"))
    layers = chosen_layers(Path(arguments.topology), arguments.layers)
    work = Path(arguments.folder)
    work.mkdir(parents=True, exist_ok=True)
    shapes = [gemm_of(layer) for layer in layers]
    ours = {
        mode: run_ours(shapes, rows, cols, arguments.dataflow, with_values=mode == "with_values")
        for mode in ("with_values", "cycles_and_memory")
    }
    theirs = run_theirs(layers, rows, cols, arguments.dataflow, work)
    result = {
        "array": arguments.array,
        "dataflow": arguments.dataflow,
        "layers": [layer[0] for layer in layers],
        "scalesim": theirs,
        "sparqsim": ours,
        "equal_compute_cycles": all(
            same_cycles(mine, theirs, arguments.dataflow) for mine in ours.values()
        ),
        "scalesim_over_sparqsim": {
            mode: {key: theirs[key] / mine[key] for key in ("wall_s", "cpu_s", "peak_mib")}
            for mode, mine in ours.items()
        },
    }
    text = json.dumps(result, indent=1, sort_keys=True)
    if arguments.output:
        Path(arguments.output).write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0 if result["equal_compute_cycles"] else 1


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--topology", default=str(TOPOLOGY))
    parser.add_argument("--layers", help="names, separated by commas; default: all")
    parser.add_argument("--dataflow", default="ws", choices=("os", "ws", "is"))
    parser.add_argument("--array", default="32x32")
    parser.add_argument(
        "--folder", default=str(Path.home() / ".cache" / "sparqsim" / "bench_scalesim")
    )
    parser.add_argument("-o", "--output")
    return parser.parse_args()


def chosen_layers(topology: Path, names: str | None) -> list[list[str]]:
    rows = [
        [cell.strip() for cell in row]
        for row in csv.reader(topology.read_text().splitlines()[1:])
        if any(row)
    ]
    layers = [row[:8] for row in rows]
    wanted = names.split(",") if names else [layer[0] for layer in layers]
    return [next(layer for layer in layers if layer[0] == name) for name in wanted]


def gemm_of(layer: list[str]) -> tuple[str, int, int, int]:
    """Return (name, M, K, N) with SCALE-Sim's own output size, ceil((H - Fh + s) / s)."""
    height, width, kernel_h, kernel_w, channels, filters, stride = (
        int(cell) for cell in layer[1:8]
    )
    out_h, out_w = (
        -(-(size - kernel + stride) // stride)
        for size, kernel in ((height, kernel_h), (width, kernel_w))
    )
    return layer[0], out_h * out_w, kernel_h * kernel_w * channels, filters


def run_ours(
    shapes: list[tuple[str, int, int, int]],
    rows: int,
    cols: int,
    dataflow: str,
    *,
    with_values: bool,
    repeats: int = 5,
) -> dict:
    request = json.dumps([shapes, rows, cols, dataflow, with_values, repeats])
    done = subprocess.run(
        [sys.executable, "-c", OURS, request], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def run_theirs(layers: list[list[str]], rows: int, cols: int, dataflow: str, work: Path) -> dict:
    """Run SCALE-Sim; a line for each layer that is done goes to progress.jsonl in the folder."""
    files = {
        "bench.cfg": CONFIG.format(rows=rows, cols=cols, dataflow=dataflow),
        "bench.csv": "\n".join(["name, sizes,", *(", ".join(layer) + "," for layer in layers)])
        + "\n",
        "layout.csv": "\n".join(
            ["name, layout,", *(layer[0] + "," + "1," * 19 for layer in layers)]
        )
        + "\n",
        "progress.jsonl": "",
    }
    for name, text in files.items():
        (work / name).write_text(text)
    command = [
        environment(work),
        "-c",
        THEIRS,
        str(work / "bench.cfg"),
        str(work / "bench.csv"),
        str(work / "layout.csv"),
        str(work),
        str(work / "progress.jsonl"),
    ]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    finished = [json.loads(line) for line in (work / "progress.jsonl").read_text().splitlines()]
    return {
        **json.loads(done.stdout.strip().splitlines()[-1]),
        "cycles": [layer["cycles"] for layer in finished],
    }


def environment(work: Path) -> str:
    """Return the Python of a virtual environment with SCALE-Sim, made if it is not there."""
    python = work / "venv" / "bin" / "python"
    if not (work / "venv" / "ready").exists():
        venv.create(work / "venv", with_pip=True, clear=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "scalesim==3.0.0", "numpy<2.4"], check=True
        )
        (work / "venv" / "ready").touch()
    return str(python)


def same_cycles(ours: dict, theirs: dict, dataflow: str) -> bool:
    """Compare layer by layer.

    In `os` SCALE-Sim hides the drain of R rows in the computation: ours is left out.
    """
    drain = ours["drain"] if dataflow == "os" else [0] * len(ours["cycles"])
    return [total - out for total, out in zip(ours["cycles"], drain, strict=True)] == theirs[
        "cycles"
    ]


if __name__ == "__main__":
    sys.exit(main())
