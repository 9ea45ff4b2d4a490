"""The definition of what toggles: a netlist, or its RTL, in Icarus Verilog, a sample at a time.

Cells are models made from the functions of the liberty file. A cycle: the clock's edge, then the
inputs change, then everything settles without delay, and what has settled is written.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparqsim.rtl.circuits.base import Circuit
from sparqsim.rtl.gates.cells import Cell, CellLibrary
from sparqsim.rtl.gates.wiring import Wiring
from sparqsim.rtl.runner import SOURCES, find_tool, known_words, run_tool

BENCH = "testbench_gates"


def cell_model(cell: Cell) -> str:
    """Return a cell as a Verilog module without delays."""
    outputs = [pin for pin in cell.pins.values() if pin.output]
    inputs = [pin.name for pin in cell.pins.values() if not pin.output]
    ports = ", ".join(
        [f"input {name}" for name in inputs] + [f"output {pin.name}" for pin in outputs]
    )
    lines = [f"module {cell.name} ({ports});"]
    if register := cell.register:
        taken = f"{register.state} <= {register.next_state.verilog()};"
        lines += [
            f"    reg {register.state};",
            f"    wire {register.inverse} = ~{register.state};",
            f"    always @(posedge {register.clock}) {taken}",
        ]
    lines += [
        f"    assign {pin.name} = {pin.function.verilog()};" for pin in outputs if pin.function
    ]
    return "\n".join([*lines, "endmodule", ""])


def models(wiring: Wiring, library: CellLibrary) -> str:
    """Return the cells that a netlist uses."""
    used = sorted({instance.cell for instance in wiring.instances})
    return "".join(cell_model(library.cell(name)) for name in used)


def bench(wiring: Wiring, observed: Sequence[str], parameters: str = "") -> str:
    """Return the test bench of a module with the ports of `wiring`, which writes `observed`."""
    inputs = {name: len(nets) for name, nets in wiring.inputs.items() if name != "clk"}
    width, at, ports = sum(inputs.values()), 0, []
    for name, bits in inputs.items():
        ports.append(f".{name}(inputs[{at}+:{bits}])")
        at += bits
    wires = []
    for name, nets in wiring.outputs.items():
        wires.append(f"    wire [{len(nets) - 1}:0] {name};")
        ports.append(f".{name}({name})")
    padding = -len(observed) % 32
    seen = ", ".join([*([f"{padding}'b0"] if padding else []), *reversed(observed)])
    clock = ".clk(clk), " if "clk" in wiring.inputs else ""
    return f"""module {BENCH};
    reg clk = 0;
    reg [{width - 1}:0] inputs = 0;
    reg [8*1024-1:0] stimulus_file, record_file;
    integer stimulus, record, found;
{chr(10).join(wires)}
    {wiring.module} {parameters} dut({clock}{", ".join(ports)});
    initial begin
        found = $value$plusargs("stimulus=%s", stimulus_file);
        found = $value$plusargs("record=%s", record_file);
        stimulus = $fopen(stimulus_file, "r");
        record = $fopen(record_file, "wb");
        while ($fscanf(stimulus, "%h", inputs) == 1) begin
            #1 $fwrite(record, "%z", {{{seen}}});
            clk = 1;
            #1 clk = 0;
        end
        $fclose(record);
        $finish(0);
    end
endmodule
"""


class Bench:
    """A compiled test bench, in a folder of its own that goes with it."""

    def __init__(self, sources: dict[str, str], observed: int, options: Iterable[str] = ()) -> None:
        self.folder = path = Path(tempfile.mkdtemp(prefix="sparqsim-gates-"))
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        self.observed = observed
        for name, text in sources.items():
            (path / name).write_text(text, encoding="utf-8")
        command = [find_tool("iverilog"), "-g2012", "-s", BENCH, *options]
        files = [str(path / name) for name in sources]
        run_tool([*command, "-o", str(path / "program"), *files])

    def run(self, stimulus: NDArray[np.bool_], from_cycle: int) -> NDArray[np.bool_]:
        """Run cycles of inputs, bool (cycles, input bits); return what was observed from a cycle
        on, bool (cycles, observed).

        Raises InputError where a bit is neither 0 nor 1.
        """
        path = self.folder
        weights = [line[::-1] for line in np.where(stimulus, "1", "0").tolist()]
        lines = "".join(f"{int(''.join(line), 2):x}\n" for line in weights)
        (path / "stimulus").write_text(lines)
        run_tool(
            [
                find_tool("vvp", "iverilog"),
                "-N",
                str(path / "program"),
                f"+stimulus={path / 'stimulus'}",
                f"+record={path / 'record'}",
            ]
        )
        words = -(-self.observed // 32)
        record = path / "record"
        # Eight bytes a word; what was written before `from_cycle` may be unknown.
        record.write_bytes(record.read_bytes()[from_cycle * words * 8 :])
        values = known_words(record).astype("<u4").reshape(-1, words)
        bits: NDArray[np.bool_] = (
            np.unpackbits(values.view(np.uint8), axis=1, bitorder="little") != 0
        )
        return bits[:, : self.observed]


def driven_nets(wiring: Wiring, library: CellLibrary) -> list[int]:
    """Return the nets that a cell or an input drives, in their order; not the constants."""
    driven = {net for nets in wiring.inputs.values() for net in nets}
    for instance in wiring.instances:
        pins = library.cell(instance.cell).pins
        driven |= {net for pin, net in instance.pins.items() if pins[pin].output}
    return sorted(driven)


def gate_bench(verilog: str, wiring: Wiring, library: CellLibrary) -> Bench:
    """Return the bench of a netlist, which writes the nets that something drives."""
    observed = [f"dut.{wiring.names[net]}" for net in driven_nets(wiring, library)]
    sources = {
        "models.v": models(wiring, library),
        "netlist.v": verilog,
        "bench.sv": bench(wiring, observed),
    }
    return Bench(sources, len(observed))


def rtl_bench(wiring: Wiring, circuit: Circuit) -> Bench:
    """Return the bench of the module that a netlist was made of, which writes its outputs."""
    values = ", ".join(f".{name}({value})" for name, value in circuit.parameters.items())
    observed = [
        f"{name}[{at}]" if len(nets) > 1 else name
        for name, nets in wiring.outputs.items()
        for at in range(len(nets))
    ]
    options = [f"-I{SOURCES}", f"-y{SOURCES}", "-Y.sv", *(f"-D{name}" for name in circuit.defines)]
    # Files of a library see the macros of the file that needs them.
    text = '`include "parameters.svh"\n' + bench(wiring, observed, f"#({values})")
    return Bench({"bench.sv": text}, len(observed), options)
