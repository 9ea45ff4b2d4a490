"""`Study.report`: designs on one PyTorch network, accuracy and cycles from the same scales."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from torch import nn

from sparqsim.array.config import ArrayConfig
from sparqsim.engine.simulation import compare
from sparqsim.networks.torch.answers import Answers, answers
from sparqsim.networks.torch.dump import trace_of
from sparqsim.networks.torch.evaluate import Evaluation, evaluate
from sparqsim.networks.torch.quantised import Keep, QuantisedNetwork
from sparqsim.networks.trials import begun, row_of, rows_of
from sparqsim.pe import get_pe
from sparqsim.pe.signs import REFUSE
from sparqsim.quantise.recipe import Recipe
from sparqsim.results.accuracy_report import (
    AccuracyReport,
    AccuracyRow,
    Hits,
    KeptAs,
    Trial,
)
from sparqsim.results.comparison import Comparison
from sparqsim.results.setting import HONEST, Kept
from sparqsim.trace import Trace
from sparqsim.trace.bitlist import BitList


@dataclass(frozen=True)
class Study:
    """A network and what it is measured on.

    `network`, `data`, `calibration`: what the report says of the network, the pictures and the
    calibration pictures. `array`: the array of the cycles; `kept_cycles`: how long layers that are
    kept take, as `kept` of `compare`. `recipe`: says `keep_8bit`; each trial's calibrator stands in
    the place of its `activations`. All else as in `evaluate`.
    """

    model: nn.Module
    loader: Iterable[Any]
    calibration_loader: Iterable[Any]
    network: str = ""
    data: str = ""
    calibration: str = ""
    keep_8bit: Keep = "first-last"
    kept: KeptAs = "8bit"
    kept_cycles: Kept = HONEST
    matmuls: Sequence[str] | None = None
    bits: BitList | None = None
    recipe: Recipe | None = None
    error_images: int | None = None
    array: ArrayConfig = field(default_factory=ArrayConfig)

    def report(
        self,
        trials: Sequence[Trial],
        known: Sequence[AccuracyRow] = (),
        each: Callable[[AccuracyReport], None] = lambda _: None,
    ) -> AccuracyReport:
        """Return a report with one row per trial.

        Parameters
        ----------
        trials : sequence of Trial
            At least one.
        known : sequence of AccuracyRow
            Rows of an earlier run of the same study; what they hold is not measured again.
        each : callable
            Called with the report so far after every trial: long runs can be looked at, and cut
            short.
        """
        trials = [
            trial if trial.pe is None else replace(trial, pe=get_pe(trial.pe).spec)
            for trial in trials
        ]
        quantised = cache(self._quantised)  # a calibrator whose rows are all known is never run
        first = quantised(trials[0].calibrate)
        trace, timing = self._timing(first, trials)
        in_float = answers(first, self.loader)  # scales do not change it
        report = self._begun(first, trace, timing, in_float)

        def measured(trial: Trial) -> AccuracyRow:
            found = self._evaluated(trial, quantised(trial.calibrate), in_float)
            right = Hits(top1=found.top1, top5=found.top5, agree=found.agreement)
            return row_of(trial, right, "PyTorch", timing, found.sqnr_db)

        for rows in rows_of(trials, known, measured):
            report = report.model_copy(update={"rows": rows})
            each(report)
        return report

    def _quantised(self, calibrate: str) -> QuantisedNetwork:
        return QuantisedNetwork(
            self.model,
            self.calibration_loader,
            matmuls=self.matmuls,
            bits=self.bits,
            **self._scales(calibrate),
        )

    def _scales(self, calibrate: str) -> dict[str, Any]:
        """Return what says how a trial's network becomes integers."""
        if self.recipe is None:
            return {"calibrate": calibrate, "keep_8bit": self.keep_8bit}
        return {"recipe": self.recipe.model_copy(update={"activations": calibrate})}

    def _evaluated(
        self, trial: Trial, quantised: QuantisedNetwork, in_float: Answers
    ) -> Evaluation:
        return evaluate(
            self.model if trial.recalibrate_bn else quantised,
            self.loader,
            trial.pe,
            calibration_loader=self.calibration_loader,
            kept=self.kept,
            recalibrate_bn=trial.recalibrate_bn,
            matmuls=self.matmuls,
            bits=self.bits,
            error_images=self.error_images,
            in_float=None if trial.recalibrate_bn else in_float,
            **(self._scales(trial.calibrate) if trial.recalibrate_bn else {}),
        )

    def _timing(
        self, quantised: QuantisedNetwork, trials: Sequence[Trial]
    ) -> tuple[Trace, Comparison]:
        """Return the trace of the first input, and every trial's design on it."""
        designs = list(dict.fromkeys(get_pe(trial.pe) for trial in trials if trial.pe is not None))
        trace = trace_of(quantised, self.loader, images=1)
        keep = self.kept != "design"
        return trace, compare(
            trace, designs, self.array, keep_8bit=keep, kept=self.kept_cycles, signed=REFUSE
        )

    def _begun(
        self, quantised: QuantisedNetwork, trace: Trace, timing: Comparison, in_float: Answers
    ) -> AccuracyReport:
        pictures = len(in_float.logits)
        return begun(
            trace,
            timing,
            1,
            [skipped.name for skipped in quantised.network.skipped],
            network=self.network,
            data=self.data,
            calibration=self.calibration,
            preprocess="",
            pictures=pictures,
            error_pictures=pictures if self.error_images is None else self.error_images,
            kept_as=self.kept,
            reference="float network",
            outputs=in_float.outputs,
            bits="" if self.bits is None else self.bits.title,
            recipe=quantised.recipe_title,
        )
