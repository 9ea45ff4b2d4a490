"""One tile's wavefront, cycle by cycle, as a VCD waveform for a viewer such as GTKWave: one time
unit is one cycle.

The array of processes (`sparqsim.event`) runs the tile with the design's plain `step`, and the
waveform shows what it recorded: the definition at work, in every dataflow and coupling. Without
overlap the tile runs alone, from its load to its drain. With overlap it runs between the tiles that
share the array with it, the first of them into an empty array. In lockstep nothing else can change
its wavefront; with elastic links a slow step of a still earlier tile could delay it in a whole
layer. Signals of `pe_I_J`:

* `x0`.., `w0`..: the operands of the step, lane by lane; padded ones are zero. They stay when the
  PE has nothing more to do. `tile`, `item`: which tile of the layer and which of its streamed items
  they belong to.
* `valid`: a step is in the PE. `busy`: the PE works at it. In lockstep a PE that is done before its
  wave is over waits with `valid` alone.
* `psum`: written when the step ends, with `stages=2` a cycle later. In `os` it is the PE's
  accumulator, and stays until the first step of the next tile ends (a shadow register, not shown,
  drains the finished sum); in `ws` and `is` it moves down a column.
* `ctl_...`: the control codes of the step, as the design names them.

`load`, `stream` and `drain` say what the array does: `load` in its first R cycles (ws, is), `drain`
from the end of the last step (os), `stream` between. `wave` counts the waves of a lockstep array.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from vcd import VCDWriter

from sparqsim.analysis.wave.changes import changes, sums_of
from sparqsim.analysis.wave.window import Window, window_of
from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError, nearest, printable
from sparqsim.base.files import replaced
from sparqsim.engine.assignment import Assignment
from sparqsim.engine.models import EngineModel, get_model
from sparqsim.pe import PEDesign
from sparqsim.pe.signs import MAGNITUDE
from sparqsim.trace import Layer, Trace
from sparqsim.trace.reader import as_trace

#: Enough for 2^32 products of an 8-bit activation and an 8-bit weight.
PSUM_BITS = 48
#: Of operands, as a trace holds them.
BYTE_BITS = 8
COUNT_BITS = 32


def write_wave(
    path: str | Path,
    trace: Trace | str | PathLike[str],
    pe: str | PEDesign | EngineModel,
    array: ArrayConfig,
    layer: str | None = None,
    tile: int = 0,
    *,
    kept: str | None = None,
    signed: str = MAGNITUDE,
) -> None:
    """Write the waveform of one tile.

    Parameters
    ----------
    path : path of the .vcd file
    trace, pe, array
        As for `simulate`; the array at most 16x16. With overlap the tiles before and after the
        chosen one that share the array with it are shown, too.
    layer : str, optional
        A layer's name; by default the first one that `pe` runs.
    tile : int
        Counted from 0, as tiles run: group by group, then by columns, rows innermost.
    kept : {'honest', 'ideal'}, optional
        How layers marked keep_8bit stay at 8 bits, as `simulate` takes it; without it they run as
        the others. Of one that is gone over in passes, the first is shown.
    signed : {'magnitude', 'refuse'}
        As for `simulate`.

    Raises
    ------
    InputError
        For an array, design, layer or tile that cannot be drawn, or a path that cannot be written.
    """
    check_suffix(path)
    chosen = _layer(as_trace(trace), layer, skip_kept=kept is not None)
    run = Assignment.of(get_model(pe)).with_signed(signed)
    model = (run if kept is None else run.keeping_8bit(kept)).bound(chosen)
    window = window_of(chosen, model, array, tile)
    mode = f" ({model.kept_mode})" if model.kept_mode else ""
    about = f"{model.spec}{mode}, array {array}, layer {chosen.name}, tile {tile}"
    if len(window.tiles) > 1:
        about += (
            f" between tiles {window.first} to {window.first + len(window.tiles) - 1}, from an "
            "empty array"
        )
    with replaced(path) as temporary, temporary.open("w", encoding="ascii") as file:
        comment = _comment(about)
        with VCDWriter(
            file, timescale="1 ns", date="", version="sparqsim", comment=comment
        ) as writer:
            _write(writer, window, model.capacity(array).lanes)


def _comment(text: str) -> str:
    """Return text as a comment of a VCD file, which is ASCII and ends at `$end`."""
    return printable(text).encode("ascii", "backslashreplace").decode().replace("$", "\\x24")


def check_suffix(path: str | Path) -> None:
    """Refuse a file whose name would not tell a viewer what it is."""
    if Path(path).suffix.lower() != ".vcd":
        raise InputError(f"wave={str(path)!r}: expected a file name that ends in .vcd")


def _layer(trace: Trace, name: str | None, *, skip_kept: bool) -> Layer:
    names = [layer.name for layer in trace.layers]
    if name is not None and name not in names:
        raise InputError(
            f"wave layer={name!r}: the trace has no such layer{nearest(name, names)}; "
            f"expected one of {', '.join(names)}"
        )
    wanted = [
        layer
        for layer in trace.layers
        if (layer.name == name if name else not (skip_kept and layer.keep_8bit))
    ]
    return (wanted or list(trace.layers))[0]


def _write(writer: VCDWriter, window: Window, lanes: int) -> None:
    """Register every signal, then write its changes in time."""
    controls = sorted({name for done in window.run.steps for name in window.controls(done)})
    operands = (f"{side}{lane}" for side in "xw" for lane in range(lanes))
    unknown = dict.fromkeys(operands, _operand_bits(window))
    psum_bits = max(PSUM_BITS, *map(_signed_bits, sums_of(window)))
    unknown |= dict.fromkeys(("tile", "item", *controls), COUNT_BITS)
    counts = {"wave": COUNT_BITS} if window.array.link_depth is None else {}
    signals = _registered(writer, "array", {"load": 1, "stream": 1, "drain": 1} | counts, 0)
    for i, j in np.ndindex(window.array.rows, window.array.cols):
        signals |= _registered(writer, f"array.pe_{i}_{j}", unknown, "x")
        signals |= _registered(
            writer, f"array.pe_{i}_{j}", {"valid": 1, "busy": 1, "psum": psum_bits}, 0
        )
    for cycle, scope, name, value in changes(window):
        writer.change(signals[scope, name], cycle, value)


def _operand_bits(window: Window) -> int:
    """Return 8, which hold integers of a trace, or more where codes of a design's own need them."""
    widest = BYTE_BITS
    for done in window.run.steps:
        for value in chain(*window.operands(done)):
            if not -128 <= value <= 255:
                widest = max(widest, _signed_bits(value))
    return widest


def _signed_bits(value: int) -> int:
    """Return the bits of an integer in two's complement."""
    return (value if value >= 0 else ~value).bit_length() + 1


def _registered(
    writer: VCDWriter, scope: str, bits: Mapping[str, int], first: int | str
) -> dict[tuple[str, str], Any]:
    """Return new signals of a scope, given their widths and their first value ('x': unknown)."""
    return {
        (scope, name): writer.register_var(scope, name, "wire", size=size, init=first)
        for name, size in bits.items()
    }
