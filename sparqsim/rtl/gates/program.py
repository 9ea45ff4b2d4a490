"""A netlist as a list of operations on words, each bit of a word being a sample of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.rtl.gates.cells import Cell, CellLibrary, Power
from sparqsim.rtl.gates.functions import Function
from sparqsim.rtl.gates.wiring import ONE_NET, ZERO_NET, Instance, Wiring


class Operation(IntEnum):
    """What an operation does with its one or two operands."""

    AND = 0
    OR = 1
    XOR = 2
    NOT = 3
    COPY = 4


BY_NAME = {"and": Operation.AND, "or": Operation.OR, "xor": Operation.XOR}


@dataclass(frozen=True)
class Watched:
    """A state of a register's cell in which its clock pin costs what `power` says, and the word
    that tells it.
    """

    power: Power
    word: int


@dataclass(frozen=True)
class Program:
    """What a netlist does in a cycle.

    Words 0 to `wiring.nets` - 1 are the nets, those after them are states of registers and values
    between gates. `operations`: int32 (operations, 4): what, operands, result, in an order in which
    operands are there; `order`: so for instances, registers first. `registers`: int32 (registers,
    2): the word that is taken at the edge, the word that takes it. `watched`: states in which clock
    pins have energies of their own.
    """

    wiring: Wiring
    words: int
    operations: NDArray[np.int32]
    registers: NDArray[np.int32]
    watched: tuple[Watched, ...]
    order: tuple[int, ...]


def program_of(wiring: Wiring, library: CellLibrary) -> Program:
    """Compile a netlist.

    Raises
    ------
    InputError
        For cells that are not in the library or cannot be simulated, several clocks, or a loop of
        gates.
    """
    return _Compiler(wiring, library).program()


class _Compiler:
    def __init__(self, wiring: Wiring, library: CellLibrary) -> None:
        self.wiring, self.words = wiring, wiring.nets
        self.cells = [library.cell(instance.cell) for instance in wiring.instances]
        self.operations: list[tuple[int, int, int, int]] = []
        self.order = [at for at, cell in enumerate(self.cells) if cell.register is not None]

    def program(self) -> Program:
        """Return the netlist as operations, registers before what they feed."""
        registers, before, after, states = [], [], [], []
        for instance, cell in zip(self.wiring.instances, self.cells, strict=True):
            register = cell.register
            if register is None:
                continue
            state, inverse = self.word(), self.word()
            words = {**instance.pins, register.state: state, register.inverse: inverse}
            before.append((instance, cell, words))
            taken = self.word()
            after.append((register.next_state, words, taken))
            registers.append((taken, state))
            states += [(power, words) for power in clock_powers(cell) if power.when is not None]
        for _, cell, words in before:
            self.invert(words, cell)
        self.gates({net for instance, cell, _ in before for net in _driven(instance, cell)})
        for function, words, taken in after:
            self.compute(function, words, taken)
        watched = tuple(
            Watched(power, self.compute(power.when, words, self.word()))
            for power, words in states
            if power.when is not None
        )
        return Program(
            self.wiring,
            self.words,
            np.array(self.operations, np.int32).reshape(-1, 4),
            np.array(registers, np.int32).reshape(-1, 2),
            watched,
            tuple(self.order),
        )

    def word(self) -> int:
        """Return a new word."""
        self.words += 1
        return self.words - 1

    def invert(self, words: dict[str, int], cell: Cell) -> None:
        """Compute a register's inverse state, then its outputs."""
        if cell.register is None:
            return
        state, inverse = words[cell.register.state], words[cell.register.inverse]
        self.operations.append((Operation.NOT, state, state, inverse))
        self.outputs(words, cell)

    def gates(self, known: set[int]) -> None:
        """Compute the gates, each after those that drive its inputs."""
        known |= {ZERO_NET, ONE_NET, *(net for nets in self.wiring.inputs.values() for net in nets)}
        waiting = [at for at, cell in enumerate(self.cells) if cell.register is None]
        while waiting:
            later = []
            for at in waiting:
                instance, cell = self.wiring.instances[at], self.cells[at]
                if all(net in known for net in _read(instance, cell)):
                    self.outputs(dict(instance.pins), cell)
                    known.update(_driven(instance, cell))
                    self.order.append(at)
                else:
                    later.append(at)
            if len(later) == len(waiting):
                name = self.wiring.instances[later[0]].name
                raise InputError(
                    f"module {self.wiring.module!r}: {name!r} waits for its own "
                    "output, or for a net that nothing drives; expected gates between registers"
                )
            waiting = later

    def outputs(self, words: dict[str, int], cell: Cell) -> None:
        """Compute what a cell drives."""
        for pin in cell.pins.values():
            if pin.output and pin.function is not None and pin.name in words:
                self.compute(pin.function, words, words[pin.name])

    def compute(self, function: Function, words: dict[str, int], result: int) -> int:
        """Add the operations that put a function's value into a word, and return the word."""
        if function.operator in ("pin", "0", "1"):
            constant = ONE_NET if function.operator == "1" else ZERO_NET
            operand = words[function.pin] if function.pin else constant
            self.operations.append((Operation.COPY, operand, operand, result))
            return result
        operands = [self.operand(part, words) for part in function.parts]
        if function.operator == "not":
            self.operations.append((Operation.NOT, operands[0], operands[0], result))
            return result
        operation, so_far = BY_NAME[function.operator], operands[0]
        for operand in operands[1:-1]:
            between = self.word()
            self.operations.append((operation, so_far, operand, between))
            so_far = between
        self.operations.append((operation, so_far, operands[-1], result))
        return result

    def operand(self, function: Function, words: dict[str, int]) -> int:
        """Return the word that holds a function's value."""
        if function.operator == "pin":
            return words[function.pin]
        return self.compute(function, words, self.word())


def clock_powers(cell: Cell) -> Iterable[Power]:
    """Return what edges of a register's clock cost inside the cell; nothing for gates."""
    return () if cell.register is None else cell.pins[cell.register.clock].powers


def _read(instance: Instance, cell: Cell) -> list[int]:
    return [net for pin, net in instance.pins.items() if not cell.pins[pin].output]


def _driven(instance: Instance, cell: Cell) -> list[int]:
    return [net for pin, net in instance.pins.items() if cell.pins[pin].output]
