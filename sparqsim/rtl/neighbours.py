"""A PE among its neighbours, and an edge unit behind its skew registers, as Verilog to be timed.

A path of an array begins in a register of one PE and ends in one of the next. So the PE that is
timed stands between four more of the same netlist: they send its operands, and they load its
registers. Nothing is assumed about when operands arrive or what outputs drive. What the controller
sends (`CONTROL`) comes with the clock edge, driven as strongly as it must be: its tree belongs to
the array. What PEs tell the controller (`done`, `stall`) is not timed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sparqsim.rtl.netlist import Netlist

#: Name of the module that is timed; of the PE or the edge unit in its middle.
TOP, HERE = "timed", "here"
#: What the controller sends.
CONTROL = ("rst", "phase", "advance", "shift")
#: A register of one bit, from the library's flip-flop: `delay` with these parameters.
LAUNCHING = {"WIDTH": 1, "STAGES": 1}


def pe_among_neighbours(pe: Netlist) -> str:
    """Return Verilog with the PE `here`, and `left`, `upper`, `right` and `lower` of it."""
    bits = pe.port_bits
    widths = {name: bits[name] for name in ("right_valid", "right", "down", "below")}
    lines = [_instance(pe.top, HERE, {**_sent_to_here(bits), **_sends("here", widths)})]
    lines += [
        _instance(pe.top, "left", {"clk": "clk", **_sends("left", widths)}),
        _instance(pe.top, "upper", {"clk": "clk", **_sends("upper", widths)}),
        _instance(pe.top, "right", {"clk": "clk", **_operands("here", bits["a"])}),
        _instance(pe.top, "lower", {"clk": "clk", "w": "here_down", "above": "here_below"}),
    ]
    wires = [
        _wire(f"{place}_{name}", width)
        for place in ("left", "upper", "here")
        for name, width in widths.items()
    ]
    return _module([*wires, *lines])


def edge_behind_skew(edge: Netlist) -> str:
    """Return Verilog with the edge unit `here`, its activations sent by registers."""
    inputs = {name: edge.port_bits[name] for name in ("in_valid", "in_flags", "in_data")}
    sent = {name: f"sent_{name}" for name in inputs}
    control = {name: name for name in CONTROL if name in edge.port_bits}
    here = _instance(edge.top, HERE, {"clk": "clk", **control, **sent})
    return _module([*_launched(inputs), here])


def _sent_to_here(bits: Mapping[str, int]) -> dict[str, str]:
    control = {name: name for name in CONTROL}
    from_above = {"w": "upper_down", "above": "upper_below"}
    return {"clk": "clk", **control, **_operands("left", bits["a"]), **from_above}


def _operands(place: str, width: int) -> dict[str, str]:
    """Return what enters from the PE to the left: its `right` is {first, last, activation}."""
    link = f"{place}_right"
    return {
        "valid": f"{place}_right_valid",
        "first": f"{link}[{width + 1}]",
        "last": f"{link}[{width}]",
        "a": f"{link}[{width - 1}:0]",
    }


def _sends(place: str, outputs: Iterable[str]) -> dict[str, str]:
    return {name: f"{place}_{name}" for name in outputs}


def _launched(inputs: Mapping[str, int]) -> list[str]:
    """Return a register for each bit of the inputs, and the wires that they send."""
    wires = [_wire(f"sent_{name}", width) for name, width in inputs.items()]
    registers = [
        _instance(
            "delay",
            f"from_{name}_{bit}",
            {
                "clk": "clk",
                "rst": "1'b0",
                "advance": "1'b1",
                "out": f"sent_{name}" if width == 1 else f"sent_{name}[{bit}]",
            },
        )
        for name, width in inputs.items()
        for bit in range(width)
    ]
    return wires + registers


def _wire(name: str, width: int) -> str:
    return f"  wire {name};" if width == 1 else f"  wire [{width - 1}:0] {name};"


def _instance(module: str, name: str, ports: Mapping[str, str]) -> str:
    connected = ", ".join(f".{port}({net})" for port, net in ports.items())
    return f"  {module} {name} ({connected});"


def _module(lines: Iterable[str]) -> str:
    ports = ", ".join(["clk", *CONTROL])
    return "\n".join([f"module {TOP}({ports});", f"  input {ports};", *lines, "endmodule", ""])
