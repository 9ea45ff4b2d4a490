"""A flat Verilog netlist of cells, as Yosys writes it, as nets and what hangs on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sparqsim.base.errors import InputError

#: Nets of the constants.
ZERO_NET, ONE_NET = 0, 1
#: Bits of a name, lowest first, of a declared vector; the width alone would not say its lowest.
Vector = tuple[int, ...]

IDENTIFIER = r"(?:\\\S+\s|[A-Za-z_][\w$]*)"
STATEMENT = re.compile(r"\s*(?:/\*.*?\*/\s*)*([^;]*?);", re.DOTALL)
DECLARATION = re.compile(rf"(input|output|wire|reg)\s+(?:\[(\d+):(\d+)\]\s*)?({IDENTIFIER})\s*$")
HEADER = re.compile(rf"module\s+({IDENTIFIER})\s*\(")
INSTANCE = re.compile(rf"({IDENTIFIER})\s*({IDENTIFIER})\s*\((.*)\)\s*$", re.DOTALL)
CONNECTION = re.compile(rf"\.({IDENTIFIER})\s*\(\s*((?:[^()])*)\)")
CONSTANT = re.compile(r"(\d+)'([hbd])([0-9a-fA-FxzXZ_]+)")
PART = re.compile(rf"({IDENTIFIER})\s*(?:\[(\d+)(?::(\d+))?\])?\s*$")


@dataclass(frozen=True)
class Instance:
    """A cell in the netlist: its name, which cell it is, and the net on each of its pins."""

    name: str
    cell: str
    pins: Mapping[str, int]


@dataclass(frozen=True)
class Wiring:
    """A module of cells.

    `names`: of each net, as Verilog refers to it within the module; the constants have none.
    `inputs`, `outputs`: nets of each port, lowest bit first.
    """

    module: str
    names: tuple[str, ...]
    inputs: Mapping[str, Vector]
    outputs: Mapping[str, Vector]
    instances: tuple[Instance, ...]

    @property
    def nets(self) -> int:
        """How many nets there are, the two constants included."""
        return len(self.names)


def read_wiring(verilog: str) -> Wiring:
    """Read a module of cells, wires and assignments.

    Raises
    ------
    InputError
        For Verilog that is more than that.
    """
    return _Reader().read(verilog)


class _Reader:
    """Bits get numbers as they are declared; assigned bits become one net."""

    def __init__(self) -> None:
        self.bits: dict[str, tuple[int, Vector]] = {}  # a name's lowest index, and its bits
        self.references = ["", ""]
        self.directions: dict[str, list[str]] = {"input": [], "output": []}
        self.assigned: list[tuple[Vector, Vector]] = []
        self.instances: list[tuple[str, str, dict[str, Vector]]] = []

    def read(self, verilog: str) -> Wiring:
        """Return the wiring of a netlist. Raises InputError where it has no module."""
        module = HEADER.search(verilog)
        body = verilog[verilog.index(";") + 1 : verilog.rindex("endmodule")]
        if module is None:
            raise InputError("the netlist has no module; expected Verilog as Yosys writes it")
        for statement in STATEMENT.findall(body):
            # An escaped name ends with a space.
            self._statement(f"{statement.strip()} ")
        net = self._joined()
        nets = sorted(set(net))
        number = {bit: at for at, bit in enumerate(nets)}
        of_bit = [number[root] for root in net]
        instances = tuple(
            Instance(name, cell, {pin: of_bit[bits[0]] for pin, bits in pins.items() if bits})
            for cell, name, pins in self.instances
        )
        inputs, outputs = (self._ports(of_bit, names) for names in self.directions.values())
        names = tuple(self.references[bit] for bit in nets)
        return Wiring(module[1].strip(), names, inputs, outputs, instances)

    def _ports(self, of_bit: list[int], names: list[str]) -> dict[str, tuple[int, ...]]:
        """Return the nets of ports, lowest bit first."""
        return {name: tuple(of_bit[bit] for bit in self.bits[name][1]) for name in names}

    def _statement(self, text: str) -> None:
        if declared := DECLARATION.match(text):
            self._declare(*declared.groups())
        elif text.startswith("assign "):
            left, right = text.removeprefix("assign ").split("=", 1)
            self.assigned.append((self._vector(left), self._vector(right)))
        elif instance := INSTANCE.match(text):
            pins = {
                pin.strip().lstrip("\\"): self._vector(at)
                for pin, at in CONNECTION.findall(instance[3])
            }
            cell, name = (text.strip().lstrip("\\") for text in instance.groups()[:2])
            self.instances.append((cell, name, pins))
        elif text.strip():
            raise InputError(f"the netlist has {text[:60]!r}; expected cells and wires only")

    def _declare(self, kind: str, high: str | None, low: str | None, name: str) -> None:
        name = name.strip()
        if kind in self.directions:
            self.directions[kind].append(name)
        if name in self.bits:
            return
        lowest, highest = int(low or 0), int(high or 0)
        first = len(self.references)
        # An escaped name ends with a space, which an index follows.
        reference = f"{name} " if name.startswith("\\") else name
        for index in range(lowest, highest + 1):
            self.references.append(reference if high is None else f"{reference}[{index}]")
        self.bits[name] = lowest, tuple(range(first, len(self.references)))

    def _vector(self, text: str) -> Vector:
        """Return the bits of an expression, lowest first."""
        text = text.strip()
        if text.startswith("{"):
            parts = [self._vector(part) for part in text.strip("{} ").split(",")]
            return tuple(bit for part in reversed(parts) for bit in part)
        if constant := CONSTANT.fullmatch(text):
            return _constant(*constant.groups())
        if not text:
            return ()
        part = PART.fullmatch(f"{text} ")
        if part is None or part[1].strip() not in self.bits:
            raise InputError(f"the netlist has {text[:60]!r}; expected the name of a wire")
        lowest, bits = self.bits[part[1].strip()]
        if part[2] is None:
            return bits
        high = int(part[2]) - lowest
        low = high if part[3] is None else int(part[3]) - lowest
        return bits[low : high + 1]

    def _joined(self) -> list[int]:
        """Return for each bit the one that stands for its net: the lowest number, so constants."""
        roots = list(range(len(self.references)))

        def root(bit: int) -> int:
            while roots[bit] != bit:
                roots[bit] = roots[roots[bit]]
                bit = roots[bit]
            return bit

        for left, right in self.assigned:
            for pair in zip(left, right, strict=True):
                low, high = sorted(map(root, pair))
                roots[high] = low
        return [root(bit) for bit in range(len(roots))]


def _constant(width: str, base: str, digits: str) -> Vector:
    """Return a constant's bits; those that are unknown are zero, and drive no cell."""
    known = re.sub("[xXzZ]", "0", digits.replace("_", ""))
    value = int(known, {"h": 16, "b": 2, "d": 10}[base])
    return tuple(ONE_NET if value >> at & 1 else ZERO_NET for at in range(int(width)))
