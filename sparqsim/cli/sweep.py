"""`sparqsim sweep`: design spaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparqsim.base.errors import InputError, printable
from sparqsim.base.wording import counted
from sparqsim.cli.completion import design, one_of
from sparqsim.cli.help import Commands, command_group
from sparqsim.cli.options import Format, Trust, split_designs

if TYPE_CHECKING:
    from sparqsim.sweep import Case, Summary
    from sparqsim.sweep.gathers import GatherCase


class SweepGroup(Commands):
    """`sparqsim sweep GRID ...` means `sparqsim sweep run GRID ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: D102
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = command_group(
    "Explore a design space: `sparqsim sweep GRID.toml -o STORE` (or TRACE... --pe A,B ...), then "
    "`export`. `sparqsim sweep run --help` shows the options.",
    SweepGroup,
)

Stored = Annotated[str, typer.Argument(metavar="STORE", help="A store that `sparqsim sweep` made.")]


def _axis(name: str, metavar: str, what: str) -> Any:
    return typer.Option(
        name,
        metavar=metavar,
        help=f"{what}, separated by commas.",
        show_default=False,
        autocompletion=design if name == "--pe" else None,
    )


Inputs = Annotated[
    list[str],
    typer.Argument(metavar="GRID.toml|TRACE...", help="A grid file, or traces, or both."),
]
StoreFile = Annotated[
    str,
    typer.Option("-o", "--output", metavar="STORE", help="Where results are kept (SQLite)."),
]
PEAxis = Annotated[str | None, _axis("--pe", "A,B", "PE designs (without them those of `compare`)")]
ArrayAxis = Annotated[str | None, _axis("--array", "RxC,RxC", "Arrays")]
DataflowAxis = Annotated[
    str | None, _axis("--dataflow", "A,B", "Dataflows, names or FILE.py:CLASS")
]
CouplingAxis = Annotated[str | None, _axis("--coupling", "lockstep,elastic:2", "Couplings")]
OverlapAxis = Annotated[str | None, _axis("--overlap", "off,on", "Overlaps")]
ConfigAxis = Annotated[str | None, _axis("--config", "FILE,FILE", "Accelerator files or presets")]
EveryLayer = Annotated[
    bool, typer.Option("--all-layers", help="Run layers marked keep_8bit as the others, too.")
]
KeptAxis = Annotated[
    str | None,
    _axis("--kept", "honest,ideal", "How else they run: on each design's circuit, as mac-8b8b"),
]
SignedAxis = Annotated[
    str | None,
    _axis("--signed", "magnitude,refuse", "What SPARQ designs do with int8 layers"),
]
EngineAxis = Annotated[
    str | None,
    _axis("--engine", "fast,event", "Engines (event: small layers only, the same reports)"),
]
EnergyAxis = Annotated[
    str | None, _axis("--energy", "TABLE,TABLE", "Energy tables, as `simulate` takes them")
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", metavar="N", help="Processes. [default: one per core]", show_default=False
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="Use the workers of this Dask cluster instead (tls://HOST:PORT where others are "
        "on the network).",
    ),
]


@app.command()
def run(
    inputs: Inputs,
    store: StoreFile,
    pe: PEAxis = None,
    array: ArrayAxis = None,
    dataflow: DataflowAxis = None,
    coupling: CouplingAxis = None,
    overlap: OverlapAxis = None,
    config: ConfigAxis = None,
    all_layers: EveryLayer = False,
    kept: KeptAxis = None,
    signed: SignedAxis = None,
    engine: EngineAxis = None,
    energy: EnergyAxis = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    trust: Trust = False,
) -> None:
    """Compute every point of a grid that STORE does not hold yet.

    Options replace what a grid file says.
    """
    from sparqsim.sweep.processes import quickest_start, start_server

    start = quickest_start()
    if start == "forkserver" and scheduler is None:
        start_server()  # first of all: it loads while this process reads its input
    from sparqsim.base.files import check_distinct
    from sparqsim.cli.signals import advise
    from sparqsim.sweep import sweep

    axes = _axes(
        array=array,
        dataflow=dataflow,
        coupling=coupling,
        overlap=overlap,
        memory=config,
        engine=engine,
        kept=kept,
        signed=signed,
        energy=energy,
    )
    if pe:
        axes["pe"] = split_designs(pe)
    if all_layers:
        axes["all_layers"] = [True]
    cases = _cases(inputs, axes, trust=trust)
    read = dict.fromkeys(file for case in cases for file in case.read)
    check_distinct({"-o": store}, [*inputs, *read])
    advise("what was recorded is safe, and the same command resumes")
    with _progress() as progress:
        summary = sweep(
            cases, store, jobs=jobs, scheduler=scheduler, progress=progress, start=start
        )
    _tell(summary)


def _axes(**texts: str | None) -> dict[str, list[Any]]:
    """Return the values that comma-separated options give an axis each."""
    return {
        axis: [part.strip() for part in text.split(",")] for axis, text in texts.items() if text
    }


def _cases(inputs: list[str], axes: dict[str, Any], *, trust: bool) -> Sequence[Case | GatherCase]:
    from sparqsim.sweep.grid import cases_of, load_grid

    grids = [path for path in inputs if path.endswith(".toml")]
    traces = [path for path in inputs if not path.endswith(".toml")]
    if len(grids) > 1:
        raise InputError(f"{', '.join(grids)}: expected one grid file")
    axes |= {"trace": traces} if traces else {}
    return load_grid(grids[0], axes, trust=trust) if grids else cases_of(axes, trust=trust)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    from sparqsim.cli.progress import progress_bar

    with progress_bar() as shown:
        task = shown.add_task("points", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _tell(summary: Summary) -> None:
    computed = summary.done + len(summary.refused)
    typer.echo(
        f"{counted(summary.points, 'point')}: {summary.known} known, {computed} computed"
        + (f", {len(summary.refused)} of them refused" if summary.refused else "")
        + (f", {len(summary.failed)} failed" if summary.failed else "")
    )
    for reason, count in Counter(reason for _, reason in summary.refused).items():
        typer.echo(printable(f"refused ({count}): {reason}"))
    if summary.failed:
        case, reason = summary.failed[0]
        raise InputError(
            f"{counted(len(summary.failed), 'point')} failed, not recorded; the first, "
            f"{case.words}: {reason}"
        )


@app.command()
def export(
    store: Stored,
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="FILE", help="A table: .csv, or .parquet (extra `parquet`)."
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="The design of speedup 1.",
            show_default="mac-8b8b",
            autocompletion=design,
        ),
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option(
            "--clock",
            metavar="own|equal",
            help="Also clock periods and times: every design at its own shortest period, or all at "
            "that of the store's slowest.",
            show_default=False,
            autocompletion=one_of("own", "equal"),
        ),
    ] = None,
) -> None:
    """Write a row per recorded point: its case, its totals, its speedup, where it comes from.

    Speedup: total cycles of the baseline / total cycles of the point, on the same trace, array and
    memory, by the same version; empty where the store has no such point of the baseline.
    """
    from sparqsim.base.files import check_outputs
    from sparqsim.sweep import Store
    from sparqsim.sweep.export import export as write_table

    check_outputs({"-o": output}, [store])
    with Store(store) as opened:
        rows = write_table(opened, output, baseline, clock)
    typer.echo(printable(f"{counted(rows, 'row')} written to {output}"))


@app.command()
def status(store: Stored, format_: Format = "table") -> None:
    """Say what a store holds, by version of sparqsim, after unpacking every result."""
    from sparqsim.cli.show_checks import status_shown
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.sweep import Store

    checked_format(format_)
    with Store(store) as opened:
        opened.check_results()
        counts, passes = opened.counts(), opened.passes_kept()
    show(status_shown(store, counts, passes), format_)
