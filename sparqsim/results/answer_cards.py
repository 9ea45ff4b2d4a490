"""Quantization cards of accuracy records, and what trials in one record differ in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sparqsim.base.errors import shown
from sparqsim.base.known import Fact, Known, read
from sparqsim.results.card import NO_MEMORY, NOT_KEPT, Card, Origin, design_facts, hardware_facts
from sparqsim.results.cardless import bits_of
from sparqsim.results.confounds import Difference
from sparqsim.results.setting import ArrayInfo
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.quantisation import (
    BY_A_LIST,
    Quantisation,
    bits_facts,
    kept_facts,
    left_out_names,
)

#: What is said of kept layers that are no integers when the network answers.
IN_FLOAT = "answers in float"
NUMBERS: dict[str, Known] = {"accuracy": "measured"}


class AnsweredLayer(Protocol):
    """A layer of a record."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def kept(self) -> bool:
        """Whether it is kept out of the designs."""

    @property
    def activation_bits(self) -> int:
        """Bits of its activations."""

    @property
    def weight_bits(self) -> int:
        """Bits of its weights."""


class Answered(Protocol):
    """A trial, as far as trials can differ beside their design."""

    @property
    def pe(self) -> str | None:
        """The design."""

    @property
    def calibrator(self) -> str:
        """How scales were found."""

    @property
    def recalibrated_bn(self) -> bool:
        """Whether batch norms were measured anew."""


class Answers(Protocol):
    """An accuracy record, as far as its card follows from it."""

    @property
    def version(self) -> str:
        """The version of sparqsim."""

    @property
    def network(self) -> str:
        """What was run."""

    @property
    def bits(self) -> str:
        """The list that took bits from weights."""

    @property
    def kept_as(self) -> str:
        """How kept layers compute."""

    @property
    def kept(self) -> str:
        """How long they take."""

    @property
    def array(self) -> ArrayInfo:
        """The array."""

    @property
    def coverage(self) -> Coverage:
        """What of the network the cycles are of."""

    @property
    def layers(self) -> Sequence[AnsweredLayer]:
        """The layers."""

    @property
    def rows(self) -> Sequence[Answered]:
        """The trials."""


def begun_card(timing: Card, *, network: str, kept_as: str, bits: str) -> Card:
    """Return the card of a record that is begun; `timing`: of the comparison with its cycles."""
    quantisation = timing.quantisation
    if bits:
        quantisation = quantisation.with_facts(training=read(f"{BY_A_LIST}{bits}"))
    hardware = timing.hardware
    if hardware is not None:
        hardware = hardware.with_facts(kept=read(_kept(hardware.kept or NOT_KEPT, kept_as)))
    origin = timing.origin.with_facts(network=read(network or None))
    return timing.model_copy(
        update={
            "of": "accuracy record",
            "quantisation": quantisation,
            "hardware": hardware,
            "origin": origin,
            "numbers": timing.numbers | NUMBERS,
        }
    )


def answers_card(record: Answers, stored: Card) -> Card:
    """Return the card of a record with the calibrators of its rows."""
    quantisation = stored.quantisation.with_facts(**_observer(record.rows, stored.quantisation))
    return stored.model_copy(update={"quantisation": quantisation})


def cardless_answers(record: Answers) -> Card:
    """Return the card of a record that was written without one."""
    kept = [layer.name for layer in record.layers if layer.kept and record.kept_as != "design"]
    names = [layer.name for layer in record.layers]
    quantisation = Quantisation.of(
        **(kept_facts(kept, names) if names else {}),
        # Of an older record with a list, bits of layers are not known.
        **({} if record.bits else bits_facts(bits_of(record.layers))),
        training=read(f"{BY_A_LIST}{record.bits}" if record.bits else None),
        traced_inputs=read(record.coverage.inputs),
        left_out=read(left_out_names(record.coverage)),
    )
    specs = dict.fromkeys(row.pe for row in record.rows if row.pe is not None)
    return Card(
        of="accuracy record",
        quantisation=quantisation.with_facts(**_observer(record.rows, quantisation)),
        designs=tuple(design_facts(spec) for spec in specs),
        hardware=hardware_facts(
            record.array,
            memory=NO_MEMORY,
            kept=_kept(record.kept, record.kept_as) if kept else NOT_KEPT,
        ),
        origin=Origin.of(network=read(record.network or None), revision=read(record.version)),
        numbers={"cycles": "measured", "error": "measured", **NUMBERS},
    )


def check_answers(record: Answers, card: Card) -> None:
    """Raise ValueError where a record's card contradicts the record."""
    array, hardware = record.array, card.hardware
    found = hardware and (hardware.array, hardware.dataflow, hardware.coupling)
    if card.of != "accuracy record" or found != (array.size, array.dataflow, array.coupling):
        raise ValueError(
            f"card: of={card.of!r}, array {found}, expected of='accuracy record', {array.words}"
        )
    strange = sorted({str(row.pe) for row in record.rows if row.pe} - set(card.specs))
    if strange:
        raise ValueError(f"card.designs: has no {shown(strange[0])}, expected every row's design")
    if card.origin.revision != record.version:
        raise ValueError(
            f"card.origin.revision: found {shown(card.origin.revision)}, but the record says "
            f"{shown(record.version)}"
        )


def own_confounds(rows: Iterable[Answered]) -> tuple[Difference, ...]:
    """Return what trials of designs differ in beside the design."""
    designs = [row for row in rows if row.pe is not None]
    told = {
        "activation_observer": [row.calibrator for row in designs],
        "recalibrated_bn": ["yes" if row.recalibrated_bn else "no" for row in designs],
    }
    return tuple(
        Difference(side="quantisation", fact=fact, values=tuple(dict.fromkeys(values)))
        for fact, values in told.items()
        if len(set(values)) > 1
    )


def trial_notes(rows: Iterable[Answered]) -> list[str]:
    """Return what must be said where trials stand together, a sentence each; [] for nothing."""
    told = "; ".join(each.words for each in own_confounds(rows))
    return [f"Confounds, beside the design these trials differ in: {told}."] if told else []


def _observer(rows: Iterable[Answered], quantisation: Quantisation) -> dict[str, Fact]:
    """Return the calibrators of the rows of designs, where they are known."""
    names = dict.fromkeys(row.calibrator for row in rows if row.pe is not None and row.calibrator)
    observer = quantisation.fact("activation_observer")
    told = read("; ".join(names)) if names else observer
    return {"activation_observer": observer if told.value == observer.value else told}


def _kept(kept: str, kept_as: str) -> str:
    """Return how kept layers run; in a report they compute exactly, at 8 bits."""
    if kept_as == "design":
        return NOT_KEPT
    return f"{kept}, {IN_FLOAT}" if kept_as == "float" else kept
