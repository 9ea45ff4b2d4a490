"""`Study.table`: designs on one PyTorch network, accuracy and cycles from the same weights and scales."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

import sparqsim
from sparqsim.accuracy_table import AccuracyRow, AccuracyTable, Trial
from sparqsim.config import ArrayConfig
from sparqsim.pe import get_pe
from sparqsim.report import Comparison
from sparqsim.simulation import BASELINE, compare
from sparqsim.torch.dump import dump
from sparqsim.torch.evaluate import Evaluation, Kept, evaluate
from sparqsim.torch.quantised import Keep, QuantisedNetwork
from sparqsim.trace import load_trace


@dataclass(frozen=True)
class Study:
    """A network and what it is measured on.

    `network`, `data`, `calibration`: what the table says of the network, the pictures and the calibration pictures.
    `array`: the array of the cycles. All else as in `evaluate`.
    """

    model: nn.Module
    loader: Iterable[Any]
    calibration_loader: Iterable[Any]
    network: str = ""
    data: str = ""
    calibration: str = ""
    keep_8bit: Keep = "first-last"
    kept: Kept = "8bit"
    matmuls: Sequence[str] = ()
    error_images: int | None = None
    array: ArrayConfig = field(default_factory=ArrayConfig)

    def table(self, trials: Sequence[Trial], known: Sequence[AccuracyRow] = (),
              each: Callable[[AccuracyTable], None] = lambda _: None) -> AccuracyTable:
        """Return a table with one row per trial.

        Parameters
        ----------
        trials : sequence of Trial
            At least one.
        known : sequence of AccuracyRow
            Rows of an earlier run of the same study; what they hold is not measured again.
        each : callable
            Called with the table so far after every trial: long runs can be looked at, and cut short.
        """
        quantised = {name: self._quantised(name) for name in dict.fromkeys(trial.calibrate for trial in trials)}
        first = quantised[trials[0].calibrate]
        timing = self._timing(first, trials)
        rows: list[AccuracyRow] = []
        for trial in trials:
            row = next((row for row in known if row.is_of(trial)), None)
            rows.append(row or _row(self._evaluated(trial, quantised[trial.calibrate]), timing))
            # What is known is never lost from the table so far, even where its turn comes later.
            later = [row for row in known if row not in rows and any(row.is_of(trial) for trial in trials)]
            table = self._table(first, [*rows, *later])
            each(table)
        return table

    def _quantised(self, calibrate: str) -> QuantisedNetwork:
        return QuantisedNetwork(self.model, self.calibration_loader, calibrate=calibrate, keep_8bit=self.keep_8bit,
                                matmuls=self.matmuls)

    def _evaluated(self, trial: Trial, quantised: QuantisedNetwork) -> Evaluation:
        return evaluate(self.model if trial.recalibrate_bn else quantised, self.loader, trial.pe,
                        calibrate=trial.calibrate, calibration_loader=self.calibration_loader,
                        keep_8bit=self.keep_8bit, kept=self.kept, recalibrate_bn=trial.recalibrate_bn,
                        matmuls=self.matmuls, error_images=self.error_images)

    def _timing(self, quantised: QuantisedNetwork, trials: Sequence[Trial]) -> Comparison:
        """Return every trial's design on the first picture."""
        designs = list(dict.fromkeys(get_pe(trial.pe) for trial in trials if trial.pe is not None))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.safetensors"
            dump(quantised, self.loader, path, images=1)
            return compare(load_trace(path), designs, self.array, keep_8bit=self.kept != "design")

    def _table(self, quantised: QuantisedNetwork, rows: Sequence[AccuracyRow]) -> AccuracyTable:
        array = self.array
        return AccuracyTable(
            version=sparqsim.__version__, network=self.network, data=self.data, calibration=self.calibration,
            kept=tuple(name for name, layer in quantised.layers.items() if layer.keep_8bit), kept_as=self.kept,
            skipped=tuple(skipped.name for skipped in quantised.network.skipped), baseline=BASELINE,
            array=f"{array.rows}x{array.cols} PEs, {array.dataflow}, overlap {'on' if array.overlap else 'off'}, "
                  f"{array.coupling}",
            error_images=self.error_images, rows=tuple(rows))


def _row(found: Evaluation, timing: Comparison) -> AccuracyRow:
    report = None if found.pe is None else timing.reports[found.pe]
    return AccuracyRow(
        pe=found.pe or "float", calibrator=found.calibrator, recalibrated_bn=found.recalibrated_bn, rows=found.rows,
        top1=found.top1, top5=found.top5, agreement=found.agreement, sqnr_db=found.sqnr_db,
        cycles=None if report is None else report.cycles.total,
        speedup=None if found.pe is None else timing.speedup(found.pe))
