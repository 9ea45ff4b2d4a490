"""Accuracy of a network under designs' arithmetic; cycles and error from the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.engine.assignment import Runnable
from sparqsim.engine.simulation import BASELINE, compare
from sparqsim.networks.computing import Computing, computing
from sparqsim.networks.evaluate import AnsweringNetwork, best, hits
from sparqsim.networks.images import Pictures
from sparqsim.networks.trials import begun, row_of, rows_of
from sparqsim.pe.signs import MAGNITUDE
from sparqsim.results.accuracy_report import (
    AccuracyReport,
    AccuracyRow,
    Hits,
    Trial,
)
from sparqsim.results.setting import HONEST

Array = NDArray[Any]
#: Wraps the batches of one design while they are answered.
Progress = Callable[[Iterable[Array], str], Iterable[Array]]


def accuracy(
    network: AnsweringNetwork,
    pictures: Pictures,
    labels: NDArray[np.int64] | None,
    pes: Sequence[Runnable],
    *,
    array: ArrayConfig | None = None,
    baseline: str = BASELINE,
    traced_pictures: int | None = None,
    keep_8bit: bool = True,
    kept: str = HONEST,
    signed: str = MAGNITUDE,
    progress: Progress = lambda batches, _: batches,
    data: str = "",
    calibration: str = "",
    known: Sequence[AccuracyRow] = (),
    each: Callable[[AccuracyReport], None] = lambda _: None,
) -> AccuracyReport:
    """Return accuracy, agreement, SQNR, cycles and speedup of the network as it is, and of every
    design.

    Parameters
    ----------
    network : AnsweringNetwork
    pictures : Pictures
    labels : int64 (pictures,) or None
        Index of the right score.
    pes, array, baseline
        As in `compare`.
    traced_pictures : int, optional
        The first pictures, on which cycles and SQNR are measured. By default as few as the network
        takes at a time.
    keep_8bit, kept, signed
        As in `simulate`; `kept` decides cycles, answers are the same.
    data, calibration : str
        For the record: which pictures answered, and which set the scales, in words.
    known : sequence of AccuracyRow
        Rows of an earlier run; they are not measured again.
    each : callable
        Called with the report so far after every design.

    Raises
    ------
    InputError
        For a design that cannot take a layer's activations, or labels beyond the classes.
    """
    traced = pictures.first(
        network.pictures_per_run if traced_pictures is None else traced_pictures
    )
    designs = [computing(pe, signed) for pe in pes]
    trace = network.trace(traced)
    # First what can be refused (signed layers, dataflows), then what takes long.
    timing = compare(
        trace,
        designs,
        array,
        baseline=baseline,
        keep_8bit=keep_8bit,
        kept=kept,
        signed=signed,
    )
    report = begun(
        trace,
        timing,
        len(traced),
        network.skipped,
        network=network.name,
        data=data,
        calibration=calibration,
        preprocess=pictures.preprocess.spec,
        pictures=len(pictures),
        error_pictures=len(traced),
        kept_as="8bit" if keep_8bit else "design",
        reference=network.reference_name,
        outputs=network.outputs,
        bits=network.bits,
        recipe=network.recipe,
    )
    by_spec = {pe.spec: pe for pe in designs}
    trials = [Trial(spec, network.calibrator) for spec in (None, *(pe.spec for pe in designs))]
    asked = _Asked(network, pictures, labels, keep_8bit, progress)

    def measured(trial: Trial) -> AccuracyRow:
        right, route = asked.answered(None if trial.pe is None else by_spec[trial.pe])
        return row_of(trial, right, route, timing)

    for rows in rows_of(trials, known, measured):
        dense = asked.output_shape if is_dense(asked.output_shape) else report.dense_output
        report = report.model_copy(update={"rows": rows, "dense_output": dense})
        each(report)
    return report


@dataclass
class _Asked:
    """A network, and the pictures that it is asked for.

    output_shape: per picture, of the last output seen; () before the first.
    """

    network: AnsweringNetwork
    pictures: Pictures
    labels: NDArray[np.int64] | None
    keep_8bit: bool
    progress: Progress
    output_shape: tuple[int, ...] = ()

    def answered(self, pe: Computing | None) -> tuple[Hits, str]:
        """Return what a design answers, None for the network as it is, and what computed it."""
        network = self.network
        if pe is None:
            return hits(self._own, self._own, self.labels), network.reference_name
        scores = network.under(pe, self.pictures, keep_8bit=self.keep_8bit)
        answers = self._answers(scores, pe.spec)
        route = network.route(pe, keep_8bit=self.keep_8bit)
        return hits(answers, self._own, self.labels), route

    @cached_property
    def _own(self) -> NDArray[np.int64]:
        """Answers of the network as it is."""
        return self._answers(self.network.reference(self.pictures), self.network.reference_name)

    def _answers(self, scores: Iterable[Array], what: str) -> NDArray[np.int64]:
        rows = map(self._row_of_scores, self.progress(scores, what))
        answers = best_five(rows, self.labels)
        if len(answers) != len(self.pictures):
            raise InputError(
                f"{self.network.name}: its output has {len(answers)} rows for {len(self.pictures)} "
                "pictures, expected scores (pictures, classes)"
            )
        return answers

    def _row_of_scores(self, output: Array) -> Array:
        """Return a batch of outputs, one row per picture."""
        self.output_shape = output.shape[1:]
        if self.labels is not None and is_dense(self.output_shape):
            raise InputError(
                f"{self.network.name}: its output has shape {output.shape}, expected scores "
                "(pictures, classes) where pictures have labels"
            )
        return output.reshape(len(output), -1) if output.ndim > 1 else output


def is_dense(output_shape: Sequence[int]) -> bool:
    """Return whether an output of this shape per picture is no row of classes."""
    return sum(size > 1 for size in output_shape) > 1


def best_five(scores: Iterable[Array], labels: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the five best classes of every picture, best first (pictures, up to 5); the lower
    class wins ties.

    Raises
    ------
    InputError
        For scores that are not one row per picture, NaN scores, or a label beyond them.
    """
    answers = []
    for batch in scores:
        if batch.ndim != 2 or batch.shape[1] < 2:
            raise InputError(
                f"the network's output has shape {batch.shape}, expected scores (pictures, classes)"
            )
        if batch.dtype.kind == "f" and np.isnan(batch).any():
            raise InputError("the network's scores hold NaN, expected numbers")
        if labels is not None and labels.max() >= batch.shape[1]:
            raise InputError(
                f"label {labels.max()}: the network has {batch.shape[1]} classes, expected "
                "labels below it"
            )
        answers.append(best(batch))
    return np.concatenate(answers)
