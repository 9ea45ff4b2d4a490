"""Accuracy beside cycles: one table per network, one row per trial, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from pydantic import Field

from sparqsim.record import Record


@dataclass(frozen=True)
class Trial:
    """One row to measure: a design (None: the float network), a calibrator, whether batch norms are recalibrated."""

    pe: str | None
    calibrate: str = "mean-max"
    recalibrate_bn: bool = False


class AccuracyRow(Record):
    """What one trial gave.

    `pe`: 'float' for the float network. `rows`: predictions made; `top1`, `top5`: right ones, None without labels;
    `agreement`: those whose top-1 is the float network's. `sqnr_db`: of the integer sums of each layer that the design
    computed, against the exact 8-bit sums of the same operands; None where nothing was lost. `cycles`: of one picture
    on the table's array; `speedup`: over the table's baseline.
    """

    pe: str
    calibrator: str
    recalibrated_bn: bool
    rows: int
    top1: int | None
    top5: int | None
    agreement: int
    sqnr_db: dict[str, float | None]
    cycles: int | None
    speedup: float | None

    def is_of(self, trial: Trial) -> bool:
        """Whether this row is what `trial` asks for."""
        return (self.pe, self.recalibrated_bn) == (trial.pe or "float", trial.recalibrate_bn) and (
            trial.pe is None or self.calibrator == trial.calibrate)


class AccuracyTable(Record):
    """A network's rows, and what they were measured on.

    `data`, `calibration`: which pictures. `kept`: the layers marked keep_8bit, and `kept_as` how they computed.
    `array`: the array of the cycles, in words. `error_images`: the SQNR is of that many pictures, None: of all.
    """

    schema_: Literal["sparqsim.accuracy-table/1"] = Field(default="sparqsim.accuracy-table/1", alias="schema")
    version: str
    network: str
    data: str
    calibration: str
    kept: tuple[str, ...]
    kept_as: Literal["8bit", "float", "design"]
    skipped: tuple[str, ...]
    array: str
    baseline: str
    error_images: int | None = None
    rows: tuple[AccuracyRow, ...]

    def to_markdown(self) -> str:
        """Return the table in Markdown, with a heading and what it was measured on."""
        kept = ", ".join(f"`{name}`" for name in self.kept) or "none"
        about = (f"{self.data}. Scales from {self.calibration}. Layers kept out of the design "
                 f"({KEPT_WORDS[self.kept_as]}): {kept}. Cycles of one picture on {self.array}."
                 + ("" if self.error_images is None else f" SQNR of {self.error_images} pictures."))
        lines = [[show(row) for _, show in COLUMNS] for row in self.rows]
        table = markdown_table([name for name, _ in COLUMNS], lines)
        return "\n".join([f"## {self.network}", "", about, "", *table]) + "\n"


KEPT_WORDS = {"8bit": "computed as `mac-8b8b`", "float": "computed in float",
              "design": "computed by the design all the same"}


def _share(count: int | None, of: int) -> str:
    return "" if count is None else f"{count}/{of} ({count / of:.1%})"


def _sqnr(row: AccuracyRow) -> str:
    found = [value for value in row.sqnr_db.values() if value is not None]
    if not found:
        return "exact" if row.sqnr_db else ""
    return f"{median(found):.1f} / {min(found):.1f}"


def _calibrator(row: AccuracyRow) -> str:
    parts = [""] if row.pe == "float" else [row.calibrator]
    return ", ".join(filter(None, [*parts, "BN recalibrated" if row.recalibrated_bn else ""]))


COLUMNS: Sequence[tuple[str, Callable[[AccuracyRow], str]]] = (
    ("design", lambda row: row.pe if row.pe == "float" else f"`{row.pe}`"),
    ("calibrator", _calibrator),
    ("top-1", lambda row: _share(row.top1, row.rows)),
    ("top-5", lambda row: _share(row.top5, row.rows)),
    ("same as float", lambda row: _share(row.agreement, row.rows)),
    ("SQNR of layers, dB: median / lowest", _sqnr),
    ("cycles", lambda row: "" if row.cycles is None else f"{row.cycles:,}"),
    ("speedup", lambda row: "" if row.speedup is None else f"{row.speedup:.3f}"),
)


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in (names, ["---"] * len(names), *rows)]
