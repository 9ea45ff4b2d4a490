"""Bounds on what a file may ask for, each with the variable of the environment that raises it.

A small file can ask for more than a machine has: a few lines of a grid make billions of cases, and
a line of a topology makes terabytes. Whoever means it sets the variable that the message names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sparqsim.base.errors import InputError, shown
from sparqsim.base.parse import whole_number

#: What a bound can be raised to: more than a file can ask for.
LARGEST_BOUND = 10**30


@dataclass(frozen=True)
class Limit:
    """The most of something.

    variable: of the environment; its value replaces `default`. bounds: of what it is the most, as
    the table of limits says.
    """

    variable: str
    default: int
    unit: str
    bounds: str

    @property
    def most(self) -> int:
        """The bound in force. Raises InputError for a variable that is no whole number."""
        text = os.environ.get(self.variable, "")
        if not text:
            return self.default
        most = whole_number(text.strip(), 1, LARGEST_BOUND)
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


TEXT_BYTES = Limit(
    "SPARQSIM_MAX_TEXT_BYTES", 16 << 20, "bytes", "bytes of a TOML, CSV or `.cfg` file"
)
LABEL_BYTES = Limit(
    "SPARQSIM_MAX_LABEL_BYTES",
    256 << 20,
    "bytes",
    "bytes of a CSV file of labels: ten million pictures by name",
)
INDEX_BYTES = Limit(
    "SPARQSIM_MAX_INDEX_BYTES",
    1 << 30,
    "bytes",
    "bytes of a text of row numbers, or of words, that `sparqsim gather` looks up",
)
LOOKUPS = Limit(
    "SPARQSIM_MAX_LOOKUPS",
    100_000_000,
    "look-ups",
    "look-ups of `sparqsim gather`, which takes 32 bytes of memory for each",
)
RESULT_BYTES = Limit(
    "SPARQSIM_MAX_RESULT_BYTES",
    512 << 20,
    "bytes",
    "bytes of a JSON result, alone or unpacked from a store, or of a golden report",
)
UNPACKED_BYTES = Limit(
    "SPARQSIM_MAX_UNPACKED_BYTES",
    1 << 30,
    "bytes",
    "bytes of one array that a compressed `.npz` archive unpacks to",
)
PICTURE_PIXELS = Limit(
    "SPARQSIM_MAX_PICTURE_PIXELS",
    100_000_000,
    "pixels",
    "pixels of one picture, where `--max-pixels` does not say it",
)
GRID_CASES = Limit(
    "SPARQSIM_MAX_GRID_CASES",
    250_000,
    "cases",
    "cases of a sweep's grid, counted before any is made",
)
LAYERS = Limit("SPARQSIM_MAX_LAYERS", 50_000, "layers", "layers of a trace or topology")
NESTING = Limit("SPARQSIM_MAX_NESTING", 64, "levels", "tables within tables of a TOML file")
JSON_NESTING = Limit(
    "SPARQSIM_MAX_JSON_NESTING",
    64,
    "levels",
    "objects and lists within each other in a JSON file, or in the header of a trace",
)
SYNTHETIC_BYTES = Limit(
    "SPARQSIM_MAX_SYNTHETIC_BYTES",
    2 << 30,
    "bytes",
    "bytes of a trace of drawn values that stores them (`--values stored`)",
)
DRAWN_ELEMENTS = Limit(
    "SPARQSIM_MAX_DRAWN_ELEMENTS",
    1 << 36,
    "elements",
    "elements of all layers of a trace whose values are drawn when read",
)
DRAWN_ELEMENTS_AT_ONCE = Limit(
    "SPARQSIM_MAX_DRAWN_ELEMENTS_AT_ONCE",
    1 << 29,
    "elements",
    "drawn elements that a simulation holds at once: a layer's weights, or one of its pictures",
)
DRAWN_MACS = Limit(
    "SPARQSIM_MAX_DRAWN_MACS",
    1 << 42,
    "multiply-accumulates",
    "multiply-accumulates of all layers of a trace whose values are drawn, where they are computed",
)
MEMORY_TILES = Limit(
    "SPARQSIM_MAX_MEMORY_TILES",
    1 << 22,
    "tiles",
    "tiles of a group of a layer behind a memory system, which times them one by one",
)
ONNX_ELEMENTS = Limit(
    "SPARQSIM_MAX_ONNX_ELEMENTS",
    1 << 30,
    "elements",
    "elements of one tensor of an ONNX file, given or computed",
)
ONNX_TRIPS = Limit(
    "SPARQSIM_MAX_ONNX_TRIPS",
    1_000_000,
    "trips",
    "trips of an ONNX loop whose number the file fixes",
)
ONNX_NODES = Limit(
    "SPARQSIM_MAX_ONNX_NODES",
    1_000_000,
    "nodes",
    "nodes of an ONNX file once local functions are written out",
)
ONNX_SECONDS = Limit(
    "SPARQSIM_MAX_ONNX_SECONDS",
    600,
    "seconds",
    "seconds of one run of onnxruntime: a batch, or constants computed when a file is read",
)
TFLITE_SECONDS = Limit(
    "SPARQSIM_MAX_TFLITE_SECONDS",
    600,
    "seconds",
    "seconds of one answer of the TFLite interpreter: to a model, or to one input of the network",
)
