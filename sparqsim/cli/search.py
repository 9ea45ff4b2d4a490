"""`sparqsim search`: bits of a network's layers, found on pictures for a PE design."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sparqsim.base.plugins import named_file
from sparqsim.cli.accelerator import array_config, energy_plan
from sparqsim.cli.accuracy import LabelOffset, Labels
from sparqsim.cli.network_options import Batch, Images, Keep, MaxPixels, Steps, known_classes, names
from sparqsim.cli.options import (
    Array,
    CalibrateOn,
    Coupling,
    Dataflow,
    Design,
    EnergyTable,
    Format,
    Limit,
    Overlap,
    SignedAs,
)
from sparqsim.cli.sweep import Scheduler

Network = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Network of real weights: .onnx, or FILE.py:FUNCTION, run here, that returns a "
        "PyTorch module.",
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "-o", "--output", metavar="FILE", help="Write the record as JSON: every trial, the chosen."
    ),
]
Budget = Annotated[
    str,
    typer.Option(
        "--budget",
        metavar="N|P%",
        help="Best answers with at most so many cycles (nJ, us: --cost), or so much of those at "
        "most bits. Without it: HAGO's greedy, fewest bits that lose no answer.",
    ),
]
Cost = Annotated[
    str,
    typer.Option(
        "--cost",
        metavar="NAME",
        help="What the budget and the front are of: cycles; energy, nJ of the array (with "
        "--energy); or time, us at the design's own clock.",
    ),
]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="NAME",
        help="Way to search, with its keys: docs/how-to/search.md has them. [default: hago-greedy; "
        "with a budget exact for small spaces, else by-sensitivity]",
        show_default=False,
    ),
]
Objective = Annotated[
    str,
    typer.Option(
        "--objective",
        metavar="agree|top1",
        help="Pictures that are answered well: as the reference network, or by their labels.",
    ),
]
SaveRecipe = Annotated[
    str | None,
    typer.Option("--save-recipe", metavar="FILE", help="Write the bits found as a recipe (.toml)."),
]
Trials = Annotated[
    str | None,
    typer.Option(
        "--trials",
        metavar="FILE",
        help="Where each trial goes as soon as it is measured; a search that was stopped goes on "
        "from there. [default: -o with .trials.jsonl behind it]",
        show_default=False,
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs", metavar="N", min=1, help="Points measured at once, each in a process of its own."
    ),
]
AccumulatorBits = Annotated[
    int,
    typer.Option(
        "--accumulator-bits", metavar="N", min=8, max=64, help="Sums wrap around at so many bits."
    ),
]
MostBits = Annotated[
    int, typer.Option("--most-bits", metavar="B", min=2, max=8, help="Of an edge, to begin with.")
]
LeastBits = Annotated[
    int, typer.Option("--least-bits", metavar="B", min=2, max=8, help="Of an edge.")
]
Weights = Annotated[
    str,
    typer.Option(
        "--weights", metavar="NAME", help="Weight quantiser without its bits: nearest or lp:P."
    ),
]
Calibrate = Annotated[
    str,
    typer.Option(
        "--calibrate",
        metavar="NAME",
        help="Calibrator; mse and lp:P choose the clip by an edge's bits.",
    ),
]
ExactPoints = Annotated[
    int,
    typer.Option(
        "--exact-points",
        metavar="N",
        min=0,
        max=10**6,
        help="With a budget: spaces of at most so many points are searched whole.",
    ),
]
TracePictures = Annotated[
    int,
    typer.Option(
        "--trace-pictures",
        metavar="N",
        min=1,
        help="The first pictures that answer, on which cycles are simulated.",
    ),
]


def search(
    model: Network,
    images: Images,
    output: Target,
    pe: Design,
    budget: Budget = "",
    cost: Cost = "cycles",
    energy: EnergyTable = None,
    method: Method = "",
    objective: Objective = "agree",
    labels: Labels = None,
    label_offset: LabelOffset = 0,
    preprocess: Steps = "",
    max_pixels: MaxPixels = None,
    limit: Limit = None,
    calibrate_on: CalibrateOn = None,
    calibrate: Calibrate = "mse",
    weights: Weights = "nearest",
    keep_8bit: Keep = None,
    accumulator_bits: AccumulatorBits = 32,
    most_bits: MostBits = 8,
    least_bits: LeastBits = 4,
    exact_points: ExactPoints = 256,
    trace_pictures: TracePictures = 1,
    signed: SignedAs = "magnitude",
    array: Array = "16x16",
    dataflow: Dataflow = "os",
    coupling: Coupling = "lockstep",
    overlap: Overlap = "off",
    batch: Batch = None,
    trials: Trials = None,
    jobs: Jobs = 1,
    scheduler: Scheduler = None,
    save_recipe: SaveRecipe = None,
    format_: Format = "table",
) -> None:
    """Find bits of a network's layers for a PE design: every trial's bits, answers and cycles.

    The first pictures (--calibrate-on) find scales, the others answer.
    """
    from sparqsim.base.errors import InputError
    from sparqsim.base.files import check_outputs, write_text
    from sparqsim.cli.show_search import search_shown
    from sparqsim.cli.signals import advise
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.engine.assignment import file_of
    from sparqsim.networks.images import Pictures
    from sparqsim.pe.signs import checked_signed
    from sparqsim.results.search_cost import checked_cost
    from sparqsim.search.asked import Search
    from sparqsim.search.run import search as searched
    from sparqsim.search.toml import toml_of_recipe
    from sparqsim.sweep.processes import quickest_start

    checked_format(format_)
    checked_signed(signed)
    if objective not in ("agree", "top1"):
        raise InputError(f"--objective {objective}: expected agree or top1")
    log = trials or f"{output}.trials.jsonl"
    outputs = {"-o": output, "--save-recipe": save_recipe, "--trials": log}
    check_outputs(outputs, [model, images, labels, file_of(pe), *map(named_file, (model, method))])
    config = array_config(array, dataflow, coupling, overlap)
    pictures = Pictures.open(images, preprocess, max_pixels).first(limit)
    classes = known_classes(pictures, labels, label_offset)
    asked = Search(
        pe=pe,
        budget=budget,
        cost=checked_cost(cost),
        energy=energy_plan(energy, None, None, with_memory=False),
        method=method,
        objective="top1" if objective == "top1" else "agree",
        accumulator_bits=accumulator_bits,
        most_bits=most_bits,
        least_bits=least_bits,
        calibrator=calibrate,
        weights=weights,
        keep_8bit=_kept(keep_8bit),
        calibrate_on=calibrate_on,
        traced=trace_pictures,
        exact_points=exact_points,
        signed=signed,
        batch=batch,
    )
    advise("what was measured is safe, and the same command goes on")
    with _progress() as each:
        found = searched(
            model,
            pictures,
            classes,
            asked,
            config,
            Path(log),
            each,
            jobs=jobs,
            scheduler=scheduler,
            start=quickest_start(),
        )
    text = toml_of_recipe(found.recipe, f"sparqsim search of {found.report.network}, {pe}")
    writes = [saving(output, found.report.to_json)]
    if save_recipe is not None:
        writes.append(lambda: write_text(save_recipe, text))
    deliver(search_shown(found.report), format_, *writes)


def _kept(option: str | None) -> str | tuple[str, ...]:
    if option is None:
        return "first-last"
    return names(option)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Give what shows the number of trials on a terminal, nothing in a pipe."""
    from rich.progress import TimeElapsedColumn

    from sparqsim.cli.progress import progress_bar

    with progress_bar("{task.description} {task.completed}", TimeElapsedColumn()) as bar:
        task = bar.add_task("trials", total=None)
        yield lambda count: bar.update(task, completed=count)
