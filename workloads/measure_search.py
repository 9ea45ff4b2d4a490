"""Search bits of ResNet-20's layers for half the cycles of `loom`, and write the tables of
docs/how-to/search-resnet20.md.

    SPARQSIM_SHARED=../shared python workloads/measure_search.py [--folder DIR] [--one]

Of 500 CIFAR-10 test pictures the first 64 find scales, the next 100 answer in the searches, and the
last 200 are seen by none: on those each point of a front is answered once, when its search is done.
Every trial is in DIR (default: the folder for temporary files), so a run that is stopped goes on;
the record, docs/search/resnet20.json, is written after every search (--one: and no further one is
begun). `search_tables.py` makes the tables from it, by itself too. Weights and pictures are the
shared data's; nothing of them is copied. Needs the extras `torch`, `onnx` and `search`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_tables import ROOT
from search_tables import RECORD, write_tables

from sparqsim.array.config import ArrayConfig
from sparqsim.base.files import write_text
from sparqsim.cost.plan import EnergyPlan
from sparqsim.networks.images import Pictures
from sparqsim.results.search_report import SearchReport, SearchTrial
from sparqsim.search.asked import Search
from sparqsim.search.plan import Plan
from sparqsim.search.run import search

sys.path.insert(0, str(ROOT / "tests"))  # the network is defined beside the tests that use it
from networks import convolutional, shared

CALIBRATION, SEEN, UNSEEN, PICTURES = 64, 164, 300, 500
ARRAY = ArrayConfig(16, 16)


ASKED = Search(pe="loom", budget="50%", calibrate_on=CALIBRATION)
#: First what says the most: a run that is cut short leaves tables of what there is.
METHODS = ("separable", "by-sensitivity", "hago-greedy", "tpe:trials=100")
#: Exact as `loom` is, so it answers the same at the same bits, and its energies are known.
OF_ENERGY = Search(pe="mac-8b8b", energy=EnergyPlan.of("osu018"), calibrate_on=CALIBRATION)


def exported(folder: Path) -> tuple[str, Pictures]:
    """Write ResNet-20 and its pictures; return the network's file, and the pictures."""
    images, labels = shared.cifar10()
    model, arrays = folder / "resnet20.onnx", folder / "resnet20_pictures.npz"
    if not model.exists():
        convolutional.export_resnet20(model, images[:1])
    np.savez(arrays, images=images.numpy(), labels=labels.numpy())
    return str(model), Pictures.open(arrays)


def measured(method: str, model: str, pictures: Pictures, log: Path) -> Any:
    """Return what one way to search found, and what unseen pictures say of it."""
    # HAGO's greedy has no budget.
    asked = replace(ASKED, method=method)
    asked = replace(asked, budget="") if method == "hago-greedy" else asked
    seen = pictures.first(SEEN)
    began, known = time.process_time(), _lines(log)
    report = search(model, seen, seen.labels, asked, ARRAY, log).report
    seconds = time.process_time() - began
    plan = Plan(model, seen, seen.labels, asked, ARRAY).ready()
    unseen = pictures.at(range(UNSEEN, PICTURES))
    judge = replace(plan.measuring, pictures=unseen, labels=unseen.labels)

    def row(trial: SearchTrial) -> dict[str, Any]:
        found = judge.trial(plan.space, trial.bits)
        return trial.model_dump(mode="json") | {
            "cost": report.cost_of(trial),
            "unseen_agree": found.agree,
            "unseen_top1": found.top1,
        }

    return {
        "method": report.method,
        "method_words": report.method_words,
        "seed": report.seed,
        "budget": report.budget,
        "trials": len(report.trials),
        "measured_here": _lines(log) - known,
        "cpu_seconds": round(seconds),
        "chosen": row(report.best),
        "front": [row(trial) for trial in report.front],
        "uniform": [row(trial) for trial in report.uniform],
    } | {"about": _about(report)}


def add_energies(found: dict[str, Any], model: str, pictures: Pictures) -> None:
    """Put beside each point what the array of `OF_ENERGY` takes at its bits."""
    seen = pictures.first(SEEN)
    ready = Plan(model, seen, seen.labels, OF_ENERGY, ARRAY).ready()
    for row in (found["chosen"], *found["front"], *found["uniform"]):
        costs = ready.measuring.costs(ready.space, tuple(row["bits"]))
        row["mac_energy_pj"] = costs.energy_pj


def _about(report: SearchReport) -> dict[str, Any]:
    """Return what all searches of a subject have alike."""
    names = ("version", "cost", "period_ns", "design", "hardware", "reference")
    more = ("calibrator", "weights", "pictures", "traced_pictures", "calibration_pictures")
    stored = report.model_dump(mode="json")
    found = {name: stored[name] for name in (*names, *more, "edges")}
    return found | {"array": report.array.words}


def _lines(log: Path) -> int:
    """Return how many trials are on the disk."""
    return len(log.read_bytes().splitlines()) - 1 if log.exists() else 0


def main() -> None:
    """Measure what the record does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--one", action="store_true")
    asked = parser.parse_args()
    folder = asked.folder
    model, pictures = exported(folder)
    record: dict[str, Any] = {"unseen_pictures": PICTURES - UNSEEN, "searches": {}}
    if RECORD.exists():
        record = json.loads(RECORD.read_text(encoding="utf-8"))
    log = folder / "resnet20_loom.trials.jsonl"
    for method in METHODS:
        if method in record["searches"]:
            continue
        found = measured(method, model, pictures, log)
        record["about"] = found.pop("about")
        record["searches"][method] = found
        add_energies(found, model, pictures)
        write_text(RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
        print(method, found["measured_here"], "trials", found["cpu_seconds"], "CPU s")
        if asked.one:
            break
    write_tables()


if __name__ == "__main__":
    main()
