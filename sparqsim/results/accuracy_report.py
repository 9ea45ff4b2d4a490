"""What designs do to a whole network's answers, beside their cycles on the same network.

JSON in and out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.errors import InputError
from sparqsim.base.record import Name, Record, Text
from sparqsim.base.tabular import Row, Tabular, short_name
from sparqsim.base.wording import counted
from sparqsim.results.answer_cards import (
    answers_card,
    cardless_answers,
    check_answers,
    own_confounds,
)
from sparqsim.results.card import Card
from sparqsim.results.confounds import Difference
from sparqsim.results.setting import HONEST, ArrayInfo, Kept
from sparqsim.results.signed import BY_MAGNITUDE
from sparqsim.trace.codebits import ALL_BITS
from sparqsim.trace.coverage import Coverage

ACCURACY_SCHEMA: Final = "sparqsim.accuracy/1"
#: How layers that are kept out of the designs compute.
KeptAs = Literal["8bit", "float", "design"]


@dataclass(frozen=True)
class Trial:
    """One row to measure: a design (None: the network as it is), a calibrator, whether batch norms
    are recalibrated.
    """

    pe: str | None
    calibrate: str = "mean-max"
    recalibrate_bn: bool = False


class Hits(Record):
    """How many pictures were answered well.

    top1: pictures whose class is the first answer; None without labels. top5: pictures whose class
    is among the first five answers; None without labels. agree: pictures whose first answer is the
    reference network's.
    """

    top1: int | None
    top5: int | None
    agree: int


def _bits() -> Any:
    """Return a field of bits, 1 to 8, that is written only below 8."""
    return Field(default=ALL_BITS, ge=1, le=ALL_BITS, exclude_if=lambda bits: bits == ALL_BITS)


class NetworkLayer(Record):
    """One layer of the network, whatever the design.

    `signed`: int8 activations, else uint8. `zero_point`: the integer that stands for 0; other than
    0 it is corrected outside of the array, and a real zero is not a zero to it. `activation_bits`,
    `weight_bits`: of its codes, absent where 8. `pairs`: pairs (k, k + 1), k even, of X on the
    traced pictures; `zero_pairs`: those with at least one integer zero.
    """

    name: Name
    op: Text
    kept: bool
    signed: bool
    zero_point: int
    activation_bits: int = _bits()
    weight_bits: int = _bits()
    pairs: int
    zero_pairs: int


class RowLayer(Record):
    """One layer under one design.

    cycles: on the traced pictures. sqnr_db: its sums' SQNR against exact 8-bit arithmetic on the
    same operands, dB; None where nothing was lost.
    """

    cycles: int
    sqnr_db: float | None


class AccuracyRow(Record):
    """What one trial gave.

    pe: the design; None for the network as it is. calibrator: how scales were found; a float
    network has none. recalibrated_bn: whether batch norms were measured anew under the design.
    route: what computed the answers. cycles: of the traced pictures, whole network. speedup: the
    baseline's cycles over these. layers: in the network's order.
    """

    pe: Name | None
    calibrator: Text
    recalibrated_bn: bool
    route: Text
    hits: Hits
    cycles: int | None
    speedup: float | None
    layers: tuple[RowLayer, ...]

    @property
    def trial(self) -> Trial:
        """What was asked for."""
        return Trial(self.pe, self.calibrator, self.recalibrated_bn)


class AccuracyReport(Tabular, Record):
    """Several designs on one network, the same pictures and one array.

    data: which pictures answered, in words. calibration: which pictures set the scales, in words.
    preprocess: what was done to the pictures. pictures: answered by every design (predictions,
    where an input asks for several). traced_pictures: the first of them, on which cycles and pairs
    were measured. error_pictures: the first of them, on which SQNR was. kept_as: how layers marked
    `kept` compute. kept: how long they take: 'honest', what the design's own circuit needs, or
    'ideal', as mac-8b8b; absent in older files, which are ideal. skipped: what holds products and
    is in no design. baseline: the design of speedup 1. reference: what answers are compared with
    ('float network', or a quantised network as it is); a row without `pe` holds its hits. coverage:
    for how many inputs cycles are, and which operations with multiply-accumulates are not in them;
    empty in older files. macs: multiply-accumulates of the layers on the traced pictures; None in
    older files. macs_left_out_share: of the network's multiply-accumulates, the share that is not
    in the cycles, 0 to 1; unknown where it was not counted. timing_notes: what must be known to
    compare the cycles of some designs, by design. dense_output: the shape of the output of one
    picture where it is no row of classes (boxes, a picture): it is flattened, and an answer is the
    place of its largest number. outputs: names of the network's outputs where it has several: the
    first one named is what answers; the others are not looked at. bits: the list that took bits
    from the layers' weights; absent where none did. SQNR is then of designs on those weights.
    recipe: how the network became integers, in words; absent where no recipe was given. card: what
    the numbers depend on; absent in older files. confounds: what the rows of designs differ in
    beside the design.
    by_magnitude: designs that ran layers of int8 activations by sign and magnitude though their
    names do not say it; absent where none did.
    """

    schema_: Literal["sparqsim.accuracy/1"] = Field(default=ACCURACY_SCHEMA, alias="schema")
    version: Text
    network: Text
    data: Text
    calibration: Text
    preprocess: Text
    pictures: int = Field(ge=1)
    traced_pictures: int
    error_pictures: int
    kept_as: KeptAs
    kept: Kept = Field(default="ideal", exclude_if=lambda kept: kept != HONEST)
    skipped: tuple[Text, ...]
    array: ArrayInfo
    baseline: str
    reference: str
    dense_output: tuple[int, ...] = ()
    outputs: tuple[Text, ...] = ()
    bits: Text = Field(default="", exclude_if=lambda bits: not bits)
    recipe: Text = Field(default="", exclude_if=lambda recipe: not recipe)
    by_magnitude: tuple[Name, ...] = Field(default=(), exclude_if=lambda names: not names)
    layers: tuple[NetworkLayer, ...]
    rows: tuple[AccuracyRow, ...]
    coverage: Coverage = Coverage()
    macs: int | None = Field(default=None, ge=1)
    timing_notes: dict[str, str] = Field(default_factory=dict)
    stored_card: Card | None = Field(default=None, alias="card", exclude_if=lambda card: not card)

    @property
    def card(self) -> Card:
        """What the numbers depend on; of an older file, what its other fields say of it."""
        if self.stored_card is None:
            return cardless_answers(self)
        return answers_card(self, self.stored_card)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def confounds(self) -> tuple[Difference, ...]:
        """What the rows of designs differ in beside the design."""
        return own_confounds(self.rows)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def macs_left_out_share(self) -> float | None:
        """Share of the network's multiply-accumulates that is not in the cycles, 0 to 1; None where
        not known.
        """
        return None if self.macs is None else self.coverage.share_left_out(self.macs)

    @property
    def signed_note(self) -> str:
        """What was done with layers of int8 activations, '' where nothing has to be known."""
        if not self.by_magnitude:
            return ""
        return f"Layers of int8 activations ran under {', '.join(self.by_magnitude)} {BY_MAGNITUDE}"

    @model_validator(mode="after")
    def _checked(self) -> Self:
        for row in self.rows:
            if len(row.layers) != (0 if row.pe is None else len(self.layers)):
                raise ValueError(
                    f"row of {row.pe}: {len(row.layers)} layers, expected the network's "
                    f"{len(self.layers)}, or none without a design"
                )
            if not all(
                0 <= (hit or 0) <= self.pictures
                for hit in (row.hits.top1, row.hits.top5, row.hits.agree)
            ):
                raise ValueError(
                    f"row of {row.pe}: {row.hits}, expected at most pictures={self.pictures}"
                )
        if self.stored_card is not None:
            check_answers(self, self.stored_card)
        return self

    @property
    def answer_note(self) -> str:
        """What an answer is where it is no class, or of one output of several; '' where neither is
        so.
        """
        return " ".join(filter(None, (self._output_note(), self._dense_note())))

    def _output_note(self) -> str:
        if len(self.outputs) < 2:
            return ""
        used, *others = self.outputs
        return (
            f"The network has {len(self.outputs)} outputs: answers are those of {used!r}, and "
            f"nothing here is said of {', '.join(map(repr, others))}."
        )

    def _dense_note(self) -> str:
        if not self.dense_output:
            return ""
        return (
            f"The network's output has shape {self.dense_output} per picture, no row of classes: "
            "it is flattened, an answer is the place of its largest number, and 'agree' says only "
            "whether that place is the same."
        )

    HTML_COLUMNS: ClassVar = {
        "pe": "design",
        "calibrator": "scales",
        "top1_pictures": "top-1 (pictures)",
        "top5_pictures": "top-5 (pictures)",
        "agree_pictures": "agree (pictures)",
        "network_cycles": "cycles",
        "speedup": "speedup (x)",
    }

    def flat_rows(self) -> list[Row]:
        """Return a row per trial and layer, with the trial's hits; those of the reference have no
        layer.
        """
        counts = {
            "pictures": self.pictures,
            "traced_pictures": self.traced_pictures,
            "baseline": self.baseline,
            **self.coverage.flat_fields(self.macs),
        }
        return [row for trial in self.rows for row in self._flat(trial, counts)]

    def _flat(self, row: AccuracyRow, counts: Row) -> list[Row]:
        trial = {
            "pe": row.pe or self.reference,
            "calibrator": row.calibrator,
            **{f"{name}_pictures": count for name, count in row.hits},
            **counts,
            "timing_note": self.timing_notes.get(row.pe or "", ""),
        }
        if row.pe is None:
            return [{**trial, "layer": None}]
        return [
            {
                **trial,
                "layer": layer.name,
                "network_cycles": row.cycles,
                "cycles_per_input": self.coverage.per_input(row.cycles or 0),
                "speedup": row.speedup,
                "kept": layer.kept,
                "cycles_total": result.cycles,
                "error_sqnr_db": result.sqnr_db,
            }
            for layer, result in zip(self.layers, row.layers, strict=False)
        ]

    def summary(self) -> str:
        """Return the network, how many designs and pictures, and the array."""
        designs = len({row.pe for row in self.rows} - {None})
        array = self.array
        return (
            f"{counted(designs, 'design')} on {short_name(self.network)}, "
            f"{counted(self.pictures, 'picture')}, array {array.size} {array.dataflow}"
        )

    def html_caption(self) -> str:
        """Return what was answered, and of how many pictures cycles are."""
        return (
            f"{self.summary()}; answers against: {self.reference}; cycles of "
            f"{counted(self.traced_pictures, 'picture')}; speedup over {self.baseline}, equal PEs"
        )

    def html_rows(self) -> list[Row]:
        """Return one row per trial."""
        rows = []
        for trial in self.rows:
            rows += self._flat(trial, {})[:1]
        return rows

    def row(self, trial: Trial) -> AccuracyRow:
        """Return the row of a trial. Raises InputError where there is none."""
        found = next((row for row in self.rows if row.trial == trial), None)
        if found is None:
            raise InputError(
                f"{self.network}: no row of {trial}, expected one of "
                f"{[row.trial for row in self.rows]}"
            )
        return found

    def sqnr_db(self, row: AccuracyRow) -> dict[str, float]:
        """Return the SQNR of each layer in which a design lost something, by name, in dB."""
        return {
            layer.name: result.sqnr_db
            for layer, result in zip(self.layers, row.layers, strict=False)
            if result.sqnr_db is not None
        }
