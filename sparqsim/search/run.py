"""A search from a network's file to a record: what is checked first, what is measured, what is
chosen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.base.parse import whole_number
from sparqsim.base.version import VERSION
from sparqsim.base.wording import counted
from sparqsim.engine.assignment import Assignment, Runnable, assigned
from sparqsim.networks.computing import computing
from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.restoring import digest_of
from sparqsim.pe.base import PEDesign
from sparqsim.quantise.recipe import ACCUMULATOR_BITS, Recipe
from sparqsim.results.search_report import Method, SearchedEdge, SearchReport, SearchTrial
from sparqsim.results.setting import ArrayInfo
from sparqsim.search.hardware import HardwareSpec
from sparqsim.search.log import Trial, TrialLog
from sparqsim.search.measuring import Measuring, Rules
from sparqsim.search.space import LayerBits, Point, Space
from sparqsim.search.strategies import greedy, within_budget

Objective = Literal["agree", "top1"]
#: HAGO's least bits of an edge.
LEAST_BITS = 4
MOST_BITS = 8
#: Points of spaces that are searched whole.
EXACT_POINTS = 256
#: Of the pictures, this part finds scales where it is not said, and no more than MOST_CALIBRATION.
CALIBRATION_PART = 4
MOST_CALIBRATION = 64
MOST_CYCLES = 10**18


@dataclass(frozen=True)
class Search:
    """What to search, and how.

    pe: one PE design. budget: 'N' cycles or 'P%' of the cycles at every edge's limit; '': none, the
    search is HAGO's. objective: 'agree' or 'top1'. calibrator, weights: names that BITS are added
    to. keep_8bit: as a recipe says it. calibrate_on: the first pictures, so many, find scales and
    do not answer. traced: the first pictures that answer, so many, have their cycles simulated.
    """

    pe: Runnable
    budget: str = ""
    objective: Objective = "agree"
    accumulator_bits: int = ACCUMULATOR_BITS
    most_bits: int = MOST_BITS
    least_bits: int = LEAST_BITS
    calibrator: str = "mse"
    weights: str = "nearest"
    keep_8bit: str | tuple[str, ...] = "first-last"
    calibrate_on: int | None = None
    traced: int = 1
    exact_points: int = EXACT_POINTS
    signed: str = "magnitude"
    batch: int | None = None


@dataclass(frozen=True)
class Found:
    """A search's record, and its point as a recipe."""

    report: SearchReport
    recipe: Recipe


def search(
    model: str,
    pictures: Pictures,
    labels: NDArray[np.int64] | None,
    asked: Search,
    array: ArrayConfig,
    trials: Path,
    each: Callable[[int], None] = lambda _: None,
) -> Found:
    """Return the bits found for a network's layers.

    Parameters
    ----------
    model : str
        .onnx, of real weights.
    pictures : Pictures
        The first find scales, the others answer.
    labels : int64 (pictures,) or None
    asked : Search
    array : ArrayConfig
    trials : Path
        Every trial goes there as soon as it is measured; those that are there are not measured
        again.
    each : callable
        Told how many trials there are, after each of them.

    Raises
    ------
    InputError
        For what cannot be searched, naming it.
    """
    design = _design(asked)
    _check(model, asked, labels)
    shown, calibration = _split(pictures, asked)
    rules = Rules(
        calibrator=asked.calibrator,
        weights=asked.weights,
        kept=asked.keep_8bit,
        accumulator_bits=asked.accumulator_bits,
        pictures=len(calibration),
    )
    measuring = Measuring(
        model=model,
        rules=rules,
        calibration=calibration,
        pictures=shown,
        labels=None if labels is None else labels[len(calibration) :],
        traced=shown.first(asked.traced),
        pe=design,
        array=array,
        batch=asked.batch,
    )
    hardware = HardwareSpec.of(design, asked.accumulator_bits)
    measuring.check_signed()
    space = measuring.space(min(asked.most_bits, hardware.limit()), asked.least_bits)
    bits = space.layer_bits(space.default)
    hardware.check((site.name, bits.get(site.name, LayerBits())) for site in measuring.sites)
    budget_cycles = _budget_cycles(asked.budget, measuring, space)
    log = TrialLog(trials, _setting(model, measuring, asked, space))
    run = _Run(measuring, space, log, each)
    chosen, method = _chosen(run, asked, budget_cycles)
    recipe = measuring.recipe(space, chosen.point)
    report = SearchReport(
        version=VERSION,
        network=measuring.base.name,
        method=method,
        objective=asked.objective,
        budget_cycles=budget_cycles,
        design=design.spec,
        hardware=hardware.words,
        accumulator_bits=asked.accumulator_bits,
        array=ArrayInfo.of(array),
        reference=measuring.reference_name,
        calibrator=asked.calibrator,
        weights=asked.weights,
        preprocess=pictures.preprocess.spec,
        pictures=len(shown),
        traced_pictures=len(measuring.traced),
        calibration_pictures=len(calibration),
        edges=tuple(
            SearchedEdge(kind=edge.kind, layers=edge.layers, choices=edge.choices)
            for edge in space.edges
        ),
        trials=tuple(map(_recorded, run.asked.values())),
        chosen=list(run.asked).index(chosen.point),
        recipe=recipe.model_dump(mode="json"),
        card=measuring.report(space, chosen.point).card,
    )
    return Found(report, recipe)


class _Run:
    """The trials of one search, in the order they were asked for; each is measured once."""

    def __init__(
        self, measuring: Measuring, space: Space, log: TrialLog, each: Callable[[int], None]
    ) -> None:
        self.measuring, self.space = measuring, space
        self.asked: dict[Point, Trial] = {}
        self._log, self._each = log, each

    def measure(self, point: Point) -> Trial:
        """Return what a point gives."""
        trial = self._log.get(point)
        if trial is None:
            trial = self.measuring.trial(self.space, point)
            self._log.add(trial)
        self.asked.setdefault(point, trial)
        self._each(len(self.asked))
        return trial

    def cycles_of(self, point: Point) -> int:
        """Return a point's cycles alone."""
        return self.measuring.cycles(self.space, point)


def _chosen(run: _Run, asked: Search, budget_cycles: int | None) -> tuple[Trial, Method]:
    """Return the trial that is chosen, and by what; points of uniform bits are tried anyway."""

    def quality(trial: Trial) -> int:
        return trial.agree if asked.objective == "agree" else int(trial.top1 or 0)

    for point in run.space.uniform():
        run.measure(point)
    if budget_cycles is None:
        return greedy(run.space, run.measure, quality), "hago-greedy"
    exact = run.space.size <= asked.exact_points
    found = within_budget(
        run.space,
        run.measure,
        quality,
        run.cycles_of,
        budget_cycles,
        exact_points=asked.exact_points,
    )
    return found, "exact" if exact else "by-sensitivity"


def _recorded(trial: Trial) -> SearchTrial:
    """Return a trial as a record has it."""
    return SearchTrial(bits=trial.point, agree=trial.agree, top1=trial.top1, cycles=trial.cycles)


def _design(asked: Search) -> PEDesign:
    """Return the one design that is searched for."""
    design = computing(assigned(asked.pe), asked.signed)
    if isinstance(design, Assignment):
        raise InputError(
            f"--pe {asked.pe}: several designs, expected one whose layers' bits are to be found"
        )
    return design


def _check(model: str, asked: Search, labels: NDArray[np.int64] | None) -> None:
    """Raise InputError for what needs no network to be refused."""
    if Path(model).suffix.lower() != ".onnx":
        raise InputError(
            f"{model}: bits are searched for networks of real weights in .onnx, expected one"
        )
    if asked.objective == "top1" and labels is None:
        raise InputError(
            "--objective top1: the pictures have no labels, expected --labels FILE or "
            "--objective agree"
        )
    if not 2 <= asked.least_bits <= asked.most_bits <= MOST_BITS:
        raise InputError(
            f"--least-bits {asked.least_bits} --most-bits {asked.most_bits}: expected 2 to "
            f"{MOST_BITS}, and no more least bits than most"
        )
    if asked.weights != "nearest" and not asked.weights.startswith("lp:"):
        raise InputError(
            f"--weights {asked.weights}: expected nearest or lp:P, which quantise each layer by "
            "itself"
        )
    if asked.calibrator.count(":") > asked.calibrator.startswith(("lp:", "percentile:")):
        raise InputError(
            f"--calibrate {asked.calibrator}: names bits, which the search adds; expected "
            f"{asked.calibrator.rpartition(':')[0]}"
        )


def _split(pictures: Pictures, asked: Search) -> tuple[Pictures, Pictures]:
    """Return the pictures that answer and those that scales are found on, no two the same.

    Raises InputError where there are too few, or one is in both.
    """
    count = asked.calibrate_on
    if count is None:
        count = max(1, min(MOST_CALIBRATION, len(pictures) // CALIBRATION_PART))
    if count >= len(pictures):
        raise InputError(
            f"{counted(len(pictures), 'picture')}, of which {count} find scales: none is left to "
            "answer; expected more pictures, or a smaller --calibrate-on"
        )
    calibration, shown = pictures.first(count), pictures.at(range(count, len(pictures)))
    seen = dict(zip(calibration.digests(), calibration.names, strict=True))
    for name, digest in zip(shown.names, shown.digests(), strict=True):
        if digest in seen:
            raise InputError(
                f"picture {name}: the same as {seen[digest]}, which scales are found on; expected "
                "pictures that answer to be others"
            )
    return shown, calibration


def _budget_cycles(budget: str, measuring: Measuring, space: Space) -> int | None:
    """Return the budget in cycles, None where none is asked for.

    Raises InputError for one that is none, and for a design that bits do not make faster.
    """
    if not budget:
        return None
    percent = budget.endswith("%")
    number = whole_number(budget.removesuffix("%"), 1, 100 if percent else MOST_CYCLES)
    if number is None:
        raise InputError(
            f"--budget {budget}: expected cycles (a whole number from 1), or 1% to 100% of the "
            "cycles at most bits"
        )
    most = measuring.cycles(space, space.default)
    least = measuring.cycles(space, space.least)
    if least >= most:
        raise InputError(
            f"--budget {budget}: {measuring.pe.spec} takes {most} cycles at most bits and {least} "
            "at fewest: fewer bits save none; expected a design whose cycles follow bits "
            "(bitfusion, stripes, serial-w, loom), or no budget"
        )
    cycles = most * number // 100 if percent else number
    if cycles < least:
        raise InputError(
            f"--budget {budget}: {cycles} cycles, and the network takes {most} at most bits and "
            f"{least} at fewest; expected {least} or more"
        )
    return cycles


def _setting(model: str, measuring: Measuring, asked: Search, space: Space) -> str:
    """Return the digest of all that decides what a point gives."""
    labels = measuring.labels
    told: dict[str, Any] = {
        "version": VERSION,
        "model": digest_of(model),
        "design": measuring.pe.spec,
        "signed": asked.signed,
        "array": ArrayInfo.of(measuring.array).model_dump(mode="json"),
        "rules": repr(measuring.rules),
        "batch": asked.batch,
        "preprocess": measuring.pictures.preprocess.spec,
        "calibration": measuring.calibration.digests(),
        "pictures": measuring.pictures.digests(),
        "labels": None if labels is None else labels.tolist(),
        "traced": len(measuring.traced),
        "edges": repr(space.edges),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
