"""Boolean functions of cells, as liberty writes them: parsed, evaluated, in Verilog."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sparqsim.base.errors import InputError

Operator = Literal["pin", "0", "1", "not", "and", "or", "xor"]
TOKEN = re.compile(r"\s*([A-Za-z_][\w\[\]]*|[01]|[!'&*|+^()])")
VERILOG = {"and": "&", "or": "|", "xor": "^"}


@dataclass(frozen=True)
class Function:
    """An expression: of a pin (`pin` names it), a constant, or of other expressions."""

    operator: Operator
    parts: tuple[Function, ...] = ()
    pin: str = ""

    @property
    def pins(self) -> frozenset[str]:
        """Names of the pins that it reads."""
        own = frozenset((self.pin,) if self.pin else ())
        return own.union(*(part.pins for part in self.parts))

    def value(self, pins: Mapping[str, int]) -> int:
        """Return its value, 0 or 1, where pins have the values given."""
        values = [part.value(pins) for part in self.parts]
        match self.operator:
            case "pin":
                return pins[self.pin]
            case "not":
                return 1 - values[0]
            case "and":
                return int(all(values))
            case "or":
                return int(any(values))
            case "xor":
                return sum(values) % 2
            case constant:
                return int(constant)

    def verilog(self) -> str:
        """Return it as a Verilog expression of names of pins."""
        match self.operator:
            case "pin":
                return self.pin
            case "not":
                return f"~{self.parts[0].verilog()}"
            case "0" | "1":
                return f"1'b{self.operator}"
            case operator:
                joined = f" {VERILOG[operator]} ".join(part.verilog() for part in self.parts)
                return f"({joined})"


def parse_function(text: str, where: str) -> Function:
    """Parse a liberty expression: `!` before and `'` behind invert; `*`, `&` or a space is and; `^`
    is xor; `+` and `|` are or. They bind in this order.

    Raises
    ------
    InputError
        For what is none; `where` says whose it is.
    """
    tokens, at = [], 0
    while text[at:].strip():
        token = TOKEN.match(text, at)
        if token is None:
            raise InputError(f"{where}: has the function {text!r}; expected a Boolean expression")
        tokens.append(token[1])
        at = token.end()
    reader = _Reader(tokens, f"{where}: has the function {text!r}; expected a Boolean expression")
    function = reader.disjunction()
    if reader.tokens:
        raise InputError(reader.message)
    return function


class _Reader:
    """Takes tokens from the front; one method per level of binding."""

    def __init__(self, tokens: list[str], message: str) -> None:
        self.tokens, self.message = tokens, message

    def next_is(self, *those: str) -> bool:
        return bool(self.tokens) and self.tokens[0] in those

    def disjunction(self) -> Function:
        parts = [self.exclusive()]
        while self.next_is("+", "|"):
            self.tokens.pop(0)
            parts.append(self.exclusive())
        return _joined("or", parts)

    def exclusive(self) -> Function:
        parts = [self.conjunction()]
        while self.next_is("^"):
            self.tokens.pop(0)
            parts.append(self.conjunction())
        return _joined("xor", parts)

    def conjunction(self) -> Function:
        """Take what is joined by `*`, `&` or by standing side by side."""
        parts = [self.literal()]
        while self.tokens and not self.next_is("+", "|", "^", ")"):
            if self.next_is("*", "&"):
                self.tokens.pop(0)
            parts.append(self.literal())
        return _joined("and", parts)

    def literal(self) -> Function:
        """Take a pin, a constant, a negation, or what stands in brackets."""
        item = self.tokens.pop(0) if self.tokens else ""
        if item == "!":
            function = Function("not", (self.literal(),))
        elif item == "(":
            function = self.disjunction()
            if not self.next_is(")"):
                raise InputError(self.message)
            self.tokens.pop(0)
        elif item in ("0", "1"):
            function = Function("1" if item == "1" else "0")
        elif item[:1].isalpha() or item[:1] == "_":
            function = Function("pin", pin=item)
        else:
            raise InputError(self.message)
        while self.next_is("'"):
            self.tokens.pop(0)
            function = Function("not", (function,))
        return function


def _joined(operator: Operator, parts: list[Function]) -> Function:
    return parts[0] if len(parts) == 1 else Function(operator, tuple(parts))
