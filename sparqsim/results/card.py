"""The quantization card: what the numbers of a result depend on.

*Source* of the axes: "Confounding tradeoffs", whose card's printed layout could not be read: this
one is a reconstruction, with a side for the hardware. What is not known is None, and `known` says
'unknown': nothing is guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, Protocol

from pydantic import Field

from sparqsim.base.known import UNKNOWN, Fact, Facts, Known, read
from sparqsim.base.record import Name, Record, Text
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.results.energy import EnergyInfo
from sparqsim.results.layer_report import LayerReport
from sparqsim.results.setting import ArrayInfo, Kept, PEInfo, Provenance
from sparqsim.trace.quantisation import Quantisation, quantisation_of
from sparqsim.trace.trace import Trace

if TYPE_CHECKING:
    from sparqsim.pe.trimming import Trimming

CARD_SCHEMA: Final = "sparqsim.card/1"
#: How layers marked keep_8bit ran where none was kept.
NOT_KEPT = "as the others"
NO_MEMORY = "not modelled"
SWITCH = {True: "on", False: "off"}
EXACT_SUMS = "sums of the array are exact, no width is simulated"
OUTSIDE_ARRAY = "bias, scales, corrections for zero points; not timed"
ONE_CLOCK = "cycles alone, at one clock of unknown period"
#: What follows a network's name where its trace was transformed.
TRANSFORMED = "[transformed: "
#: What stands where nothing was asked for.
NOT_ASKED = "none"


class DesignFacts(Facts):
    """What a design makes of operands.

    design: its name with its keys. rounding: how dropped bits are rounded. rule: which values
    decide together what becomes of them: pairs, groups, threads.
    activation_metadata_bits, weight_metadata_bits: what a value needs beside its kept bits (shift
    codes, mux bits), bits per value.
    """

    design: Name | None = None
    rounding: Text | None = None
    rule: Text | None = None
    activation_metadata_bits: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    weight_metadata_bits: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class HardwareFacts(Facts):
    """What surrounds the design; the same for every design of a comparison.

    array: rows x columns of PEs. dataflow, coupling, overlap: settings of the array. memory: the
    memory system, by its name and a digest of its settings. kept: how layers that stay at 8 bits
    ran: 'honest', on the design's own circuit, 'ideal', as mac-8b8b, or as the others.
    accumulators: how wide sums can be. outside_array: what is computed in real numbers, outside of
    the array. area_source: where areas come from. energy_source: where energies come from. clock:
    what clocks times are at.
    """

    array: Text | None = None
    dataflow: Text | None = None
    coupling: Text | None = None
    overlap: Text | None = None
    memory: Text | None = None
    kept: Text | None = None
    accumulators: Text | None = None
    outside_array: Text | None = None
    area_source: Text | None = None
    energy_source: Text | None = None
    clock: Text | None = None


class Origin(Facts):
    """Where the numbers come from.

    network: what the trace calls its network. trace_sha256: digest of the trace file's content.
    revision: the version of sparqsim; of a trace, the program that wrote it.
    """

    network: Text | None = None
    trace_sha256: Text | None = None
    revision: Text | None = None


class Card(Record):
    """What the numbers of a trace or a result depend on.

    of: what it is the card of. quantisation: how the network became integers. designs: what was
    compared; none for a trace. hardware: what surrounded it; absent for a trace. origin: where the
    numbers come from. numbers: how each kind of number in the result is known: 'measured' (counted
    or simulated on the trace's operands), 'read' (from a table that names its source), 'assumed'
    (of operands that were drawn, or of settings that no file states).
    """

    schema_: Literal["sparqsim.card/1"] = Field(default=CARD_SCHEMA, alias="schema")
    of: Literal["trace", "report", "comparison", "accuracy record", "gathers"]
    quantisation: Quantisation
    designs: tuple[DesignFacts, ...] = ()
    hardware: HardwareFacts | None = None
    origin: Origin
    numbers: dict[str, Known] = Field(default_factory=dict)

    @property
    def specs(self) -> tuple[str, ...]:
        """The designs, by name."""
        return tuple(str(each.design) for each in self.designs)


class Ran(Protocol):
    """A report, as far as its card follows from it."""

    @property
    def provenance(self) -> Provenance:
        """The trace and the version."""

    @property
    def pe(self) -> PEInfo:
        """The design."""

    @property
    def array(self) -> ArrayInfo:
        """The array."""

    @property
    def memory(self) -> MemoryInfo | None:
        """The memory system."""

    @property
    def keep_8bit(self) -> bool:
        """Whether marked layers stayed at 8 bits."""

    @property
    def kept(self) -> Kept:
        """How they stayed."""

    @property
    def energy(self) -> EnergyInfo | None:
        """What energies are of."""

    @property
    def layers(self) -> tuple[LayerReport, ...]:
        """What was measured."""


def design_facts(spec: str, trims: Trimming | None = None) -> DesignFacts:
    """Return what a design makes of operands; where it does not say (None), only its name is
    known.
    """
    if trims is None:
        return DesignFacts.of(design=read(spec))
    return DesignFacts.of(
        design=read(spec),
        rounding=read(trims.rounding),
        rule=read(trims.rule),
        activation_metadata_bits=_assumed(trims.activation_metadata_bits),
        weight_metadata_bits=_assumed(trims.weight_metadata_bits),
    )


def specs_of(pe: PEInfo) -> tuple[str, ...]:
    """Return the design of a report, or those of its assignment, the default first."""
    if pe.assignment is None:
        return (pe.spec,)
    rules = (rule.pe for rule in pe.assignment.layers)
    return tuple(dict.fromkeys([pe.assignment.default, *rules]))


def trace_card(trace: Trace) -> Card:
    """Return the card of a trace; no operand is read but for the digest of the file."""
    about, quantisation = trace.metadata, quantisation_of(trace)
    origin = Origin.of(
        network=read(network_of(about.network, quantisation)),
        trace_sha256=read(trace.sha256),
        revision=read(about.origin or None),
    )
    operands: Known = "assumed" if about.synthetic else "measured"
    numbers: dict[str, Known] = {"operands": operands}
    return Card(of="trace", quantisation=quantisation, origin=origin, numbers=numbers)


def run_card(
    run: Ran, quantisation: Quantisation, designs: Sequence[DesignFacts] | None = None
) -> Card:
    """Return the card of a report.

    Parameters
    ----------
    run : Report
    quantisation : Quantisation
        What its trace says.
    designs : sequence of DesignFacts, optional
        In the order of `specs_of`; of older files no more is known than their names.
    """
    if designs is None:
        designs = [design_facts(spec) for spec in specs_of(run.pe)]
    return Card(
        of="report",
        quantisation=quantisation,
        designs=tuple(designs),
        hardware=hardware_facts(
            run.array,
            memory=_memory(run.memory),
            kept=run.kept if run.keep_8bit and quantisation.kept_8bit else NOT_KEPT,
            energy=run.energy,
            accumulator_bits=quantisation.accumulator_bits,
        ),
        origin=origin_facts(run.provenance, quantisation),
        numbers=_numbers(run),
    )


def card_again(run: Ran, card: Card) -> Card:
    """Return the card of a report that was made from another one, whose card is `card`."""
    told = {str(each.design): each for each in card.designs}
    designs = [told.get(spec) or design_facts(spec) for spec in specs_of(run.pe)]
    return run_card(run, card.quantisation, designs)


def hardware_facts(
    array: ArrayInfo,
    *,
    memory: str,
    kept: str,
    energy: EnergyInfo | None = None,
    accumulator_bits: int | None = None,
) -> HardwareFacts:
    """Return what surrounds a design."""
    reckoned = (
        f"{accumulator_bits} bits in the network, by its recipe; " if accumulator_bits else ""
    )
    return HardwareFacts.of(
        array=read(array.size),
        dataflow=read(array.dataflow),
        coupling=read(array.coupling),
        overlap=read(SWITCH[array.overlap]),
        memory=read(memory),
        kept=read(kept),
        accumulators=Fact(reckoned + EXACT_SUMS, "assumed"),
        outside_array=Fact(OUTSIDE_ARRAY, "assumed"),
        area_source=read(NOT_ASKED),
        energy_source=read(NOT_ASKED if energy is None else energy.basis),
        clock=Fact(ONE_CLOCK, "assumed"),
    )


def origin_facts(provenance: Provenance, quantisation: Quantisation) -> Origin:
    """Return where a report comes from."""
    return Origin.of(
        network=read(network_of(provenance.network, quantisation)),
        trace_sha256=read(provenance.trace_sha256),
        revision=read(provenance.version),
    )


def network_of(name: str, quantisation: Quantisation) -> str | None:
    """Return a network's name without its transforms, where the card has them; None for none."""
    return (name.partition(TRANSFORMED)[0] if quantisation.transforms else name).strip() or None


def _numbers(run: Ran) -> dict[str, Known]:
    """Return how each kind of number of a report is known."""
    drawn = bool(run.provenance.synthetic)
    of_values: Known = "assumed" if drawn else "measured"
    numbers: dict[str, Known] = {
        "cycles": of_values if run.pe.cycles_depend_on_values else "measured",
        "activity": of_values,
        "error": of_values,
    }
    if run.memory is not None:
        numbers["traffic"] = "measured"
    if run.energy is not None:
        numbers["energy"] = "read"
    return numbers


def _memory(memory: MemoryInfo | None) -> str:
    if memory is None:
        return NO_MEMORY
    digest = hashlib.sha256(memory.to_json().encode()).hexdigest()
    return f"{memory.name}, settings {digest[:12]}"


def _assumed(value: float | None) -> Fact:
    return Fact(value, UNKNOWN if value is None else "assumed")
