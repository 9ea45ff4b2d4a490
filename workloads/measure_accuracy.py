"""Measure accuracy, agreement, SQNR and cycles of the designs on real networks, and write the tables.

    SPARQSIM_SHARED=../shared python workloads/measure_accuracy.py resnet20 squeezenet resnet18
    python workloads/measure_accuracy.py resnet18 --resume
    python workloads/measure_accuracy.py --tables-only

Results go to docs/accuracy/NETWORK.json, row by row as they are measured; docs/accuracy.md is made from those files.
Weights and pictures are the shared data's (see its SOURCES.md); nothing of them is copied. Needs the extra `torch`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sparqsim.accuracy_table import AccuracyTable, Trial, markdown_table
from sparqsim.files import write_text
from sparqsim.torch.accuracy import Study

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
COMMAND = "python workloads/measure_accuracy.py resnet20 squeezenet resnet18"

sys.path.insert(0, str(ROOT / "tests"))  # the networks are defined beside the tests that use them

SPARQ = ("sparq-5opt", "sparq-3opt", "sparq-2opt", "sparq-6opt", "sparq-7opt")
KEYS = (":pairing=off", ":rounding=trim", ":rounding=trim,pairing=off")
STATIC = ("mac-4b8b", "mac-4b4b")

#: First what everyone asks for: a run that is cut short leaves a table that says the most.
TRIALS = (
    Trial(None),
    Trial("mac-8b8b"),
    *(Trial(name) for name in (*SPARQ[:3], *STATIC)),
    *(Trial(name, "mse:4") for name in STATIC),
    *(Trial(name + keys) for name in SPARQ[:3] for keys in KEYS),
    *(Trial(name + keys) for name in SPARQ[3:] for keys in ("", *KEYS)),
    *(Trial(f"{name}:rounding=trim") for name in STATIC),
)
#: Batch norms measured anew under the design, where the network has norms with statistics of its own.
RECALIBRATED = tuple(Trial(name, recalibrate_bn=True) for name in (None, "mac-8b8b", *SPARQ, *STATIC))

INTRODUCTION = f"""# Accuracy beside cycles

Made by `{COMMAND}`; do not edit. Every
convolution and fully connected layer computes on integers exactly as the design does; all else is float. Top-1 and
top-5 count right pictures; "same as float" counts pictures whose top-1 class is the float network's; SQNR compares each
layer's integer sums with the exact 8-bit sums of the same operands. Cycles come from the same weights and scales, for
one picture; speedup is over `mac-8b8b` at an equal number of PEs, not of area.

The picture sets are small: one picture is 0.2 % of the CIFAR-10 set and 0.5 % of the ImageNet samples, which are
probably training pictures. **Differences of a few pictures mean nothing**; the SQNR columns do not depend on luck. The
pictures that set the scales are the first of the same set, for lack of training pictures.

## What the method predicts, and what is seen

Theorems, value by value (asserted in `tests/test_accuracy_orders.py` for all 65,536 pairs): the error of a value with
rounding is never above that without; with the pair rule never above that without; without rounding `sparq-5opt` <=
`sparq-3opt` <= `sparq-2opt` <= the static nibble of `mac-4b8b`; and with rounding still `sparq-2opt` <= `mac-4b8b`.

**Not** theorems: 5opt against 3opt against 2opt with rounding (127 is used as 120 by 5opt, 128 by the others), any
of these orders for the sums of a layer (errors can cancel, and without rounding they all have one sign), and accuracy.
The tables show what holds all the same.

Batch norms recalibrated: the authors' code measures the norms' statistics anew with the design at work, on 2,176
augmented training pictures. Here there are only test pictures as they are; measured on those, **the float network
alone** loses several pictures (its row says how many), so these rows compare with that row, not with the first.
"""


@dataclass(frozen=True)
class Subject:
    """A network to measure: how to make it and its batches, and how to speak of them."""

    title: str
    data: str
    calibration: str
    make: Callable[[], tuple[Any, Iterable[Any], Iterable[Any]]]
    trials: tuple[Trial, ...] = TRIALS
    error_images: int | None = None


def resnet20() -> tuple[Any, Iterable[Any], Iterable[Any]]:
    """Return ResNet-20, its pictures and its calibration pictures."""
    from networks import convolutional, shared

    images, labels = shared.cifar10()
    batches = list(zip(images.split(50), labels.split(50), strict=True))
    return convolutional.resnet20(), batches, batches[:4]


def imagenet(make: str, style: str) -> tuple[Any, Iterable[Any], Iterable[Any]]:
    """Return the network that `make` names, its pictures and its calibration pictures."""
    from networks import convolutional, shared

    model = getattr(convolutional, make)()
    return model, shared.ImagenetSamples(style, 20), list(shared.ImagenetSamples(style, 20, stop=60))


CIFAR = "500 CIFAR-10 test pictures (the first)"
SAMPLES = "200 ImageNet samples, every fifth class"
SUBJECTS = {
    "resnet20": Subject("ResNet-20", CIFAR, "the first 200 of them", resnet20, TRIALS + RECALIBRATED),
    "squeezenet": Subject("SqueezeNet 1.1", SAMPLES, "the first 60 of them", lambda: imagenet("squeezenet", "caffe"),
                          error_images=40),
    # Its norms come without statistics (mean 0, variance 1 are folded into weights), so none are recalibrated.
    "resnet18": Subject("ResNet-18", SAMPLES, "the first 60 of them", lambda: imagenet("resnet18", "torch"),
                        error_images=40),
}


def measure(name: str, resume: bool) -> None:
    """Measure one network; its JSON file grows row by row. With `resume`, rows it has already are kept."""
    subject = SUBJECTS[name]
    target = DOCS / "accuracy" / f"{name}.json"
    known = AccuracyTable.load(target).rows if resume and target.exists() else ()
    target.parent.mkdir(parents=True, exist_ok=True)

    def each(table: AccuracyTable) -> None:
        write_text(target, table.to_json())
        row = table.rows[-1]
        print(f"{name} {len(table.rows)}/{len(subject.trials)}: {row.pe} {row.calibrator} "
              f"{'BN ' if row.recalibrated_bn else ''}top-1 {row.top1}/{row.rows}", file=sys.stderr, flush=True)

    torch.set_num_threads(1)  # one order of additions in float: equal runs give equal figures
    study = Study(*subject.make(), network=subject.title, data=subject.data, calibration=subject.calibration,
                  error_images=subject.error_images)
    study.table(subject.trials, known, each)


def predicted_orders() -> list[tuple[str, str, str]]:
    """Return (what is predicted, the design said to be better, the other)."""
    five, three, two = SPARQ[:3]
    found = [(f"`{finer}` >= `{coarser}`{words}", finer + keys, coarser + keys)
             for finer, coarser in ((five, three), (three, two), (two, "mac-4b8b"))
             for keys, words in (("", ""), (":rounding=trim", ", without rounding"))]
    found += [(f"rounding helps `{name}`", name, f"{name}:rounding=trim") for name in (*SPARQ, *STATIC)]
    return found + [(f"the pair rule helps `{name}`", name, f"{name}:pairing=off") for name in SPARQ]


def orders_seen(table: AccuracyTable) -> list[str]:
    """Return a Markdown table: in how many layers each predicted order of SQNR is seen."""
    rows = {row.pe: row for row in table.rows if not row.recalibrated_bn and row.calibrator == "mean-max"}
    lines = []
    for words, better, worse in predicted_orders():
        if better in rows and worse in rows:
            levels = [[math.inf if value is None else value for value in rows[name].sqnr_db.values()]
                      for name in (better, worse)]
            holds = sum(one >= other for one, other in zip(*levels, strict=True))
            lines.append([words, f"{holds} of {len(levels[0])}"])
    return [] if not lines else ["Orders of SQNR that the method predicts, and the layers in which they are seen:", "",
            *markdown_table(["predicted", "layers"], lines), ""]


def write_tables() -> None:
    """Write docs/accuracy.md from every JSON file there is."""
    tables = [AccuracyTable.load(path) for path in sorted((DOCS / "accuracy").glob("*.json"))]
    tables.sort(key=lambda table: (-table.rows[0].rows, table.network))
    parts = [part for table in tables for part in (table.to_markdown(), *orders_seen(table))]
    write_text(DOCS / "accuracy.md", "\n".join([INTRODUCTION, *parts]))


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", choices=[*SUBJECTS, []], help=", ".join(SUBJECTS))
    parser.add_argument("--tables-only", action="store_true", help="only make docs/accuracy.md from the JSON files")
    parser.add_argument("--resume", action="store_true", help="keep the rows that an earlier, unfinished run measured")
    options = parser.parse_args()
    if not options.tables_only:
        for name in options.networks or SUBJECTS:
            measure(name, options.resume)
    write_tables()


if __name__ == "__main__":
    main()
