"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from sparqsim.base.errors import InputError
from sparqsim.cli import completion

Trace = Annotated[str, typer.Argument(metavar="TRACE", help="Trace file (.safetensors).")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Network: .onnx or .tflite.")]
Design = Annotated[
    str,
    typer.Option(
        "--pe",
        metavar="NAME",
        help="PE design: see `sparqsim pe list`. @FILE.toml: a design for each layer.",
        autocompletion=completion.design,
    ),
]
Designs = Annotated[
    str | None,
    typer.Option(
        "--pe",
        metavar="A,B,C",
        help="PE designs, separated by commas outside a design's keys; without it the MACs, "
        "sparq-5opt, -3opt, -2opt and -exact.",
        show_default=False,
        autocompletion=completion.design,
    ),
]
Baseline = Annotated[
    str,
    typer.Option(
        "--baseline",
        metavar="NAME",
        help="The design of speedup 1.",
        autocompletion=completion.design,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="N", min=1, help="Pictures used. [default: all]", show_default=False
    ),
]
CalibrateOn = Annotated[
    int | None,
    typer.Option(
        "--calibrate-on",
        metavar="N",
        min=1,
        help="Pictures that scales are found on. [default: as --limit, else all]",
        show_default=False,
    ),
]


def array_option(default: str) -> Any:
    """Return the option `--array` of a command that runs this array where none is named."""
    return typer.Option("--array", metavar="RxC", show_default=default, help="PEs: rows x columns.")


def plot_option(what: str) -> Any:
    """Return the option `--plot` of a command whose figure shows `what`."""
    return typer.Option("--plot", metavar="FILE", help=f"Draw {what} (.svg, .pdf, .png).")


def check_figure(path: str | None) -> None:
    """Raise InputError for a suffix that is no figure's: before the work, not after it."""
    if path:
        from sparqsim.plot import figure_format

        figure_format(path)


Array = Annotated[str | None, array_option("16x16")]
Dataflow = Annotated[
    str | None,
    typer.Option(
        "--dataflow",
        metavar="NAME",
        show_default="os",
        autocompletion=completion.dataflow,
        help="What stays in a PE: os (sums), ws (weights), is (activations), or one of your own, "
        "FILE.py:CLASS.",
    ),
]
Coupling = Annotated[
    str | None,
    typer.Option(
        "--coupling",
        show_default="lockstep",
        metavar="lockstep|elastic:D|broadcast",
        autocompletion=completion.one_of("lockstep", "elastic:2", "broadcast"),
        help="How PEs wait for each other when steps take longer than a cycle; broadcast: operands "
        "reach all PEs at once, without skew.",
    ),
]
Overlap = Annotated[
    str | None,
    typer.Option(
        "--overlap",
        show_default="off",
        metavar="on|off",
        autocompletion=completion.one_of("on", "off"),
        help="Whether a tile streams while the one before it drains (os) or the next one loads "
        "(ws, is).",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="fast|event",
        autocompletion=completion.one_of("fast", "event"),
        help="event: for small layers, every step of every PE by simulated processes; the same "
        "report.",
    ),
]
Include = Annotated[
    bool,
    typer.Option(
        "--all-layers",
        help="Run layers marked keep_8bit (first convolution, classifier) as the others, not at "
        "8 bits.",
    ),
]
KeptAs = Annotated[
    str,
    typer.Option(
        "--kept",
        metavar="honest|ideal",
        autocompletion=completion.one_of("honest", "ideal"),
        help="Layers marked keep_8bit: on each design's own circuit, in the cycles that it needs; "
        "or as mac-8b8b under every design.",
    ),
]
SignedAs = Annotated[
    str,
    typer.Option(
        "--signed",
        metavar="HOW",
        autocompletion=completion.one_of("magnitude", "refuse"),
        help="Layers of int8 activations, under designs of unsigned ones that have the key "
        "`signed`: by magnitude and sign, an extension of ours; or refuse.",
    ),
]
AccBits = Annotated[
    str,
    typer.Option(
        "--acc-bits",
        metavar="N|least",
        autocompletion=completion.one_of("32", "least"),
        help="Accumulators of areas: N bits, or of each design the least that holds sums over "
        "K = 4608.",
    ),
]
Areas = Annotated[
    str | None,
    typer.Option(
        "--areas",
        metavar="FILE",
        help="Areas from this table, which `rtl area -o` wrote, instead of the one that ships.",
        show_default=False,
    ),
]
Output = Annotated[
    str | None, typer.Option("-o", "--output", metavar="FILE", help="Write the result as JSON.")
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="table|json|csv|markdown",
        autocompletion=completion.one_of(*completion.FORMATS),
        help="How the result is printed. json: all of it, as -o writes it. csv: a flat row for "
        "each thing measured.",
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run the Python files that a TOML file names (FILE.py:CLASS), as PE designs or in a "
        "recipe: for one that you have read.",
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        autocompletion=completion.preset,
        help="Accelerator with its memory: a .toml file, a SCALE-Sim .cfg file, or a preset: edge, "
        "tpu-v1-like, eyeriss-like. Its array holds unless --array and the like say otherwise.",
    ),
]
EnergyTable = Annotated[
    str | None,
    typer.Option(
        "--energy",
        metavar="TABLE",
        autocompletion=completion.energy_table,
        help="Also energy, by the fast model: osu018, the table that ships, or the FILE.json of "
        "`sparqsim rtl fit`. Of os, lockstep, overlap off.",
    ),
]
MemoryEnergy = Annotated[
    str | None,
    typer.Option(
        "--memory-energy",
        metavar="TABLE",
        autocompletion=completion.memory_energy,
        show_default="45nm",
        help="With --energy and --config: what a word of the memory costs; a table that ships "
        "(45nm, 45nm-wide, 28nm, 22nm), or FILE.json.",
    ),
]
ScaleTo = Annotated[
    float | None,
    typer.Option(
        "--scale-to",
        metavar="NM",
        show_default=False,
        help="With --energy: bring figures of the chip to this node by Stillmaker and Baas 2017; "
        "45, 32, 28, 20, 16, 14, 7 nm alone. Without it figures of different nodes are not added.",
    ),
]
Timeline = Annotated[
    str | None,
    typer.Option(
        "--timeline",
        metavar="FILE",
        help="Write tiles, DMA and scratchpads over time as a Chrome trace (opens in Perfetto); "
        "needs --config.",
    ),
]


def split_designs(text: str) -> list[str]:
    """Split 'a:k=v,l=w,b' into designs: a part 'key=value' after a design with keys belongs to that
    design.

    Raises InputError where no design is named.
    """
    designs = split_names(text)
    if not designs:
        raise InputError(f"--pe {text!r}: names no design; expected A,B,C (see `sparqsim pe list`)")
    return designs


def split_names(text: str) -> list[str]:
    """Split 'a:k=v,l=w,b' into names with their keys, as `split_designs` does; [] for none."""
    names: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, _ = part.partition("=")
        continues = bool(names) and ":" in names[-1] and bool(equals) and ":" not in key
        if continues:
            names[-1] += "," + part
        else:
            names.append(part)
    return names


def option_words(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words of a command for options by name: None is left out, True has no value, a list
    is said again and again.
    """
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                yield f"--{name}"
            if each is not None and each is not True:
                yield str(each)


def accumulator_option(text: str) -> int | str:
    """Return what `--acc-bits` names."""
    return int(text) if text.isdecimal() and len(text) < 4 else text
