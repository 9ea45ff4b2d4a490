"""Accuracy of a whole network under designs' arithmetic, and cycles and error of its layers from the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import sparqsim
from sparqsim.accuracy_report import AccuracyReport, DesignAccuracy, Hits, LayerAccuracy
from sparqsim.config import ArrayConfig
from sparqsim.errors import InputError
from sparqsim.images import Pictures
from sparqsim.pe import PEDesign, get_pe
from sparqsim.report import Report
from sparqsim.simulation import BASELINE, compare
from sparqsim.trace import Trace

Array = NDArray[Any]
#: Wraps the batches of one design while they are answered.
Progress = Callable[[Iterable[Array], str], Iterable[Array]]


class Answering(Protocol):
    """A network that answers pictures, in its own arithmetic and in a design's."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def calibrator(self) -> str:
        """How its scales were found."""

    @property
    def reference_name(self) -> str:
        """What its own arithmetic is."""

    def reference(self, pictures: Pictures) -> Iterable[Array]:
        """Yield scores (pictures, classes) of the network as it is, batch by batch."""

    def under(self, pe: PEDesign, pictures: Pictures, *, keep_8bit: bool) -> Iterable[Array]:
        """Yield scores when every layer computes as `pe` does (layers that stay at 8 bits exactly)."""

    def route(self, pe: PEDesign, *, keep_8bit: bool) -> str:
        """Return how `under` computes: by name."""

    def trace(self, pictures: Pictures) -> Trace:
        """Return the trace of a few pictures."""


def accuracy(network: Answering, pictures: Pictures, labels: NDArray[np.int64] | None, pes: Sequence[str | PEDesign], *,
             array: ArrayConfig | None = None, baseline: str = BASELINE, traced_pictures: int = 1,
             calibration_pictures: int | None = None, keep_8bit: bool = True,
             progress: Progress = lambda batches, _: batches) -> AccuracyReport:
    """Return accuracy, agreement, SQNR, cycles and speedup of every design.

    Parameters
    ----------
    network : Answering
    pictures : Pictures
    labels : int64 (pictures,) or None
        Index of the right score.
    pes : sequence of str or PEDesign
    array : ArrayConfig
        Default 16x16, output-stationary.
    baseline : str
        The design of speedup 1.
    traced_pictures : int
        The first pictures, on which cycles and SQNR are measured.
    calibration_pictures : int
        For the record; default: all.
    keep_8bit : bool
        As in `simulate`.
    progress : callable, optional

    Raises
    ------
    InputError
        For a design that cannot take a layer's activations, or labels beyond the classes.
    """
    traced = pictures.first(traced_pictures)
    designs = [get_pe(pe) for pe in pes]
    # First what can be refused (signed layers, dataflows), then what takes long.
    comparison = compare(network.trace(traced), designs, array, baseline=baseline, keep_8bit=keep_8bit)
    first = best_five(progress(network.reference(pictures), network.reference_name), labels)
    results = []
    for pe in designs:
        answers = best_five(progress(network.under(pe, pictures, keep_8bit=keep_8bit), pe.spec), labels)
        results.append(_design(comparison.reports[pe.spec], comparison.speedup(pe.spec), hits(answers, first, labels),
                               network.route(pe, keep_8bit=keep_8bit)))
    return AccuracyReport(
        version=sparqsim.__version__, network=network.name, calibrator=network.calibrator,
        preprocess=pictures.preprocess.spec, pictures=len(pictures), traced_pictures=len(traced),
        calibration_pictures=len(pictures) if calibration_pictures is None else calibration_pictures,
        keep_8bit=keep_8bit, array=comparison.reports[comparison.baseline].array, baseline=comparison.baseline,
        reference=network.reference_name, reference_hits=hits(first, first, labels), designs=tuple(results))


def _design(report: Report, speedup: float, found: Hits, route: str) -> DesignAccuracy:
    layers = tuple(LayerAccuracy(name=layer.name, pe=layer.pe, kept_8bit=layer.kept_8bit, cycles=layer.cycles.total,
                                 sqnr_db=layer.error.sqnr_db) for layer in report.layers)
    return DesignAccuracy(pe=report.pe.spec, hits=found, route=route, cycles=report.cycles.total, speedup=speedup,
                          layers=layers)


def best_five(scores: Iterable[Array], labels: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the five best classes of every picture, best first (pictures, up to 5); the lower class wins ties.

    Raises
    ------
    InputError
        For scores that are not one row per picture, NaN scores, or a label beyond them.
    """
    best = []
    for batch in scores:
        if batch.ndim != 2 or batch.shape[1] < 2:
            raise InputError(f"the network's output has shape {batch.shape}, expected scores (pictures, classes)")
        if batch.dtype.kind == "f" and np.isnan(batch).any():
            raise InputError("the network's scores hold NaN, expected numbers")
        if labels is not None and labels.max() >= batch.shape[1]:
            raise InputError(
                f"label {labels.max()}: the network has {batch.shape[1]} classes, expected labels below it"
            )
        best.append(np.argsort(-batch.astype(np.float64), axis=1, kind="stable")[:, :5])
    return np.concatenate(best)


def hits(answers: NDArray[np.int64], reference: NDArray[np.int64], labels: NDArray[np.int64] | None) -> Hits:
    """Count right answers, and those that are the reference's."""
    agree = int((answers[:, 0] == reference[:, 0]).sum())
    if labels is None:
        return Hits(top1=None, top5=None, agree=agree)
    right = answers == labels[:, None]
    return Hits(top1=int(right[:, 0].sum()), top5=int(right.any(axis=1).sum()), agree=agree)
