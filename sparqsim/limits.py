"""Bounds on what a file may ask for, each with the variable of the environment that raises it.

A small file can ask for more than a machine has: a few lines of a grid make billions of cases, and
a line of a topology makes terabytes. Whoever means it sets the variable that the message names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sparqsim.errors import InputError, shown
from sparqsim.parse import MOST_DIGITS, whole_number


@dataclass(frozen=True)
class Limit:
    """The most of something. variable: of the environment; its value replaces `default`."""

    variable: str
    default: int
    unit: str

    @property
    def most(self) -> int:
        """The bound in force. Raises InputError for a variable that is no whole number."""
        text = os.environ.get(self.variable, "")
        if not text:
            return self.default
        most = whole_number(text.strip(), 1, 10**MOST_DIGITS)
        if most is None:
            raise InputError(
                f"{self.variable}={shown(text)}: expected a whole number of {self.unit}"
            )
        return most

    def check(self, amount: int, what: str) -> None:
        """Raise InputError where `amount` is beyond the bound; `what` says of what it is."""
        if amount > self.most:
            raise InputError(
                f"{what}: {amount:,} {self.unit}, expected at most {self.most:,}; to allow them "
                f"set {self.variable}={amount}"
            )


TEXT_BYTES = Limit("SPARQSIM_MAX_TEXT_BYTES", 16 << 20, "bytes")
RESULT_BYTES = Limit("SPARQSIM_MAX_RESULT_BYTES", 512 << 20, "bytes")
GRID_CASES = Limit("SPARQSIM_MAX_GRID_CASES", 250_000, "cases")
LAYERS = Limit("SPARQSIM_MAX_LAYERS", 50_000, "layers")
NESTING = Limit("SPARQSIM_MAX_NESTING", 64, "levels")
SYNTHETIC_BYTES = Limit("SPARQSIM_MAX_SYNTHETIC_BYTES", 2 << 30, "bytes")
