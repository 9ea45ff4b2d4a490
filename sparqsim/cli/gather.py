"""`sparqsim gather`: look-ups in an embedding table, under row formats of few bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sparqsim.base.errors import InputError
from sparqsim.base.parse import whole_number
from sparqsim.cli import completion
from sparqsim.cli.accelerator import accelerator_config
from sparqsim.cli.options import Array, Dataflow, Output, split_names

if TYPE_CHECKING:
    from sparqsim.engine.behind import Behind
    from sparqsim.gather.program import Layout

#: What stands where no accelerator is named: a rate needs a memory.
DEFAULT_CONFIG = "edge"
#: Most elements of a row that can be asked for.
WIDEST = 1 << 24

TableFile = Annotated[
    str,
    typer.Argument(
        metavar="TABLE",
        help="Embedding table: .safetensors or .npy, or wordllama: that of the installed package.",
    ),
]
Indices = Annotated[
    str,
    typer.Option(
        "--indices",
        metavar="FILE|zipf:S|text:FILE",
        help="Rows that are looked up. FILE: a line of row numbers for each bag, or .npy. zipf:S: "
        "drawn by Zipf's law with exponent S, synthetic. text:FILE: the words of a text, a bag for "
        "each line.",
    ),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="NAME",
        autocompletion=completion.gather_format,
        help="Row formats, separated by commas: fp32, fp16, int8, int4 (int4:search=none: without "
        "the search), codebook4, or FILE.py:CLASS; all that ship without it. Or how the result is "
        "printed: table, json, csv, markdown. May be given for each.",
        show_default=False,
    ),
]
Config = Annotated[
    str,
    typer.Option(
        "--config",
        metavar="FILE",
        autocompletion=completion.preset,
        help="Accelerator: a .toml file, a SCALE-Sim .cfg file, or a preset: edge, tpu-v1-like, "
        "eyeriss-like. Its DRAM and its [gather], and its array for --with-trace.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="fast|event",
        autocompletion=completion.one_of("fast", "event"),
        help="event: for few look-ups, the processes that define the timing; the same report.",
    ),
]
Layouts = Annotated[
    str,
    typer.Option(
        "--layout",
        metavar="padded|packed|both",
        autocompletion=completion.one_of("padded", "packed", "both"),
        help="padded: every row starts with a burst. packed: nothing between rows.",
    ),
]
Widths = Annotated[
    str | None,
    typer.Option(
        "--width",
        metavar="W[,W...]",
        help="Only the first W elements of each row. [default: all]",
        show_default=False,
    ),
]
Tensor = Annotated[
    str | None,
    typer.Option(
        "--tensor", metavar="NAME", help="Of a file with several matrices.", show_default=False
    ),
]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        "--tokenizer",
        metavar="FILE",
        help="For text:FILE: a tokenizer of the library tokenizers. [default: wordllama's]",
        show_default=False,
    ),
]
LookupCount = Annotated[
    int | None,
    typer.Option(
        "--lookups",
        metavar="N",
        min=1,
        max=10**9,
        help="Drawn look-ups (zipf:S). [default: 1000000]",
        show_default=False,
    ),
]
Bag = Annotated[
    int | None,
    typer.Option(
        "--bag",
        metavar="N",
        min=1,
        max=10**9,
        help="Look-ups that are pooled to one vector (zipf:S, .npy of one axis). [default: 32]",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        max=2**63 - 1,
        help="Of the draw (zipf:S). [default: 0]",
        show_default=False,
    ),
]
WithTrace = Annotated[
    str | None,
    typer.Option(
        "--with-trace",
        metavar="TRACE",
        help="Also a network behind: pooled vectors are the activations of its first layer, a "
        "matrix product; shares of cycles.",
        show_default=False,
    ),
]
Energy = Annotated[
    str | None,
    typer.Option(
        "--memory-energy",
        metavar="TABLE",
        autocompletion=completion.memory_energy,
        help="Also energy of what moved: what a word of DRAM and row buffers costs; a table that "
        "ships (45nm, 45nm-wide, 28nm, 22nm), or FILE.json.",
        show_default=False,
    ),
]
Actions = Annotated[
    bool,
    typer.Option(
        "--actions",
        help="Also a table of actions that cost energy: bytes, pages opened, elements. JSON and "
        "CSV always have them.",
    ),
]
NetworkDesign = Annotated[
    str | None,
    typer.Option(
        "--pe",
        metavar="NAME",
        help="With --with-trace: the design that runs it. [default: mac-8b8b]",
        autocompletion=completion.design,
        show_default=False,
    ),
]


def gather(
    table: TableFile,
    indices: Indices,
    formats: Formats = None,
    layout: Layouts = "both",
    width: Widths = None,
    config: Config = DEFAULT_CONFIG,
    tensor: Tensor = None,
    tokenizer: Tokenizer = None,
    lookups: LookupCount = None,
    bag: Bag = None,
    seed: Seed = None,
    with_trace: WithTrace = None,
    pe: NetworkDesign = None,
    array: Array = None,
    dataflow: Dataflow = None,
    engine: Engine = "fast",
    memory_energy: Energy = None,
    actions: Actions = False,
    output: Output = None,
) -> None:
    """Look rows of an embedding table up: bytes, bursts, rates, errors, under each row format."""
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.show_gather import gather_shown
    from sparqsim.cli.tables import deliver, saving
    from sparqsim.cost.memory import load_memory
    from sparqsim.engine.gather import DEFAULT_FORMATS, Asked
    from sparqsim.engine.gather import gather as gathered
    from sparqsim.gather.lookups import draw_of, lookups_of
    from sparqsim.gather.table import load_table
    from sparqsim.memory import load_accelerator

    printed, row_formats = _formats(formats or [])
    read_files = [table, indices.removeprefix("text:"), tokenizer, with_trace, config]
    read_files.append(memory_energy)
    check_outputs({"-o": output}, read_files)
    asked_widths, layouts = _widths(width), _layouts(layout)
    draw = draw_of(indices, lookups, bag, seed, tokenizer, sign="--")
    words = None if memory_energy is None else load_memory(memory_energy)
    behind = _behind(with_trace, pe, config, array, dataflow)
    loaded = load_table(table, tensor)
    rows = lookups_of(indices, loaded.height, draw, tokenizer)
    asked = Asked(
        loaded,
        rows,
        load_accelerator(config),
        row_formats or DEFAULT_FORMATS,
        layouts,
        asked_widths,
        engine,
        words,
    )
    report = gathered(asked, behind)
    deliver(gather_shown(report, actions=actions), printed, saving(output, report.to_json))


def _formats(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return how the result is printed, and the row formats: `--format` may name either."""
    from sparqsim.quantise.rows import get_row_format

    printed, formats = "table", []
    for word in words:
        if word in completion.FORMATS:
            printed = word
            continue
        named = split_names(word) or [word]
        for each in named:
            if each in completion.FORMATS:
                raise InputError(
                    f"--format {word!r}: {each} says how the result is printed; expected it in a "
                    f"--format of its own"
                )
        formats += named
    for each in formats:
        try:
            get_row_format(each)
        except InputError as error:
            others = ", ".join(completion.FORMATS)
            raise InputError(f"--format {each!r}: expected one of {others}; {error}") from None
    return printed, formats


def _widths(text: str | None) -> list[int]:
    widths = []
    for part in [] if text is None else text.split(","):
        width = whole_number(part.strip(), 1, WIDEST)
        if width is None:
            raise InputError(f"--width {text}: {part!r}, expected whole numbers above 0, as 64,128")
        widths.append(width)
    return widths


def _layouts(text: str) -> Sequence[Layout]:
    from sparqsim.gather.program import LAYOUTS

    if text == "both":
        return LAYOUTS
    found = [layout for layout in LAYOUTS if layout == text]
    if not found:
        raise InputError(f"--layout {text!r}: expected one of {', '.join(LAYOUTS)}, both")
    return found


def _behind(
    trace: str | None, pe: str | None, config: str, array: str | None, dataflow: str | None
) -> Behind | None:
    """Return the network behind the gathers, if there is to be one."""
    if trace is None:
        for option, value in {"--array": array, "--dataflow": dataflow, "--pe": pe}.items():
            if value is not None:
                raise InputError(f"{option} {value}: nothing runs on an array; add --with-trace")
        return None
    import sparqsim
    from sparqsim.engine.behind import DEFAULT_PE, Behind

    shape, memory = accelerator_config(config, array, dataflow, None, None)
    return Behind(sparqsim.load_trace(trace), shape, memory, pe or DEFAULT_PE)
