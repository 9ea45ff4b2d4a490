"""What a design does to a whole network's answers, beside its cycles on the same network. JSON in and out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sparqsim.record import Record
from sparqsim.report import ArrayInfo


class Hits(Record):
    """Pictures whose class is the first answer (`top1`), or among the first five (`top5`); None without labels.

    `agree`: pictures whose first answer is the reference network's.
    """

    top1: int | None
    top5: int | None
    agree: int


class LayerAccuracy(Record):
    """One layer on the traced pictures: cycles, and its outputs' SQNR against exact 8-bit arithmetic (None: exact)."""

    name: str
    pe: str
    kept_8bit: bool
    cycles: int
    sqnr_db: float | None


class DesignAccuracy(Record):
    """One design. `speedup`: the baseline's cycles / its own, on the traced pictures. `route`: how it was computed."""

    pe: str
    hits: Hits
    route: str
    cycles: int
    speedup: float
    layers: tuple[LayerAccuracy, ...]


class AccuracyReport(Record):
    """Several designs on one network, the same pictures and one array.

    `reference`: what answers are compared with ('float network', or a quantised network as it is), and its hits.
    `pictures`: answered by every design; `traced_pictures`: the first of them, on which cycles and SQNR were measured.
    """

    schema_: Literal["sparqsim.accuracy/1"] = Field(default="sparqsim.accuracy/1", alias="schema")
    version: str
    network: str
    calibrator: str
    preprocess: str
    pictures: int
    calibration_pictures: int
    traced_pictures: int
    keep_8bit: bool
    array: ArrayInfo
    baseline: str
    reference: str
    reference_hits: Hits
    designs: tuple[DesignAccuracy, ...]
