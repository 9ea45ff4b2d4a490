"""The quantization card: what the numbers of a result depend on.

*Source* of the axes: "Confounding tradeoffs", whose card's printed layout could not be read: this
one is a reconstruction, with a side for the hardware. What is not known is None, and `known` says
'unknown': nothing is guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

from pydantic import Field

from sparqsim.base.errors import shown
from sparqsim.base.known import UNKNOWN, Fact, Facts, Known, read
from sparqsim.base.plugins import refuse_code
from sparqsim.base.record import Name, Record, Text
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.results.clock import Clock
from sparqsim.results.energy import EnergyInfo
from sparqsim.results.iso_area import IsoArea
from sparqsim.results.layer_report import LayerReport
from sparqsim.results.setting import ArrayInfo, Kept, PEInfo, Provenance
from sparqsim.trace.quantisation import Quantisation, kept_facts, quantisation_of
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
#: Facts that are one of a few words.
CHOICES = frozenset({"first_last"})
#: What stands where nothing was asked for.
NOT_ASKED = "none"

OneOf = TypeVar("OneOf", bound=Facts)


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


def check_card(run: Ran, card: Card) -> None:
    """Raise ValueError where a report's card contradicts the report."""
    _check_designs(card, specs_of(run.pe))
    expected = run_card(run, card.quantisation, card.designs)
    if card.hardware is not None and expected.hardware is not None:
        expected = expected.model_copy(
            update={"hardware": _in_words_of(card.hardware, expected.hardware)}
        )
    for part in ("hardware", "origin", "numbers"):
        found, right = getattr(card, part), getattr(expected, part)
        if found != right:
            raise ValueError(f"card.{part}: {_first_difference(found, right)}")
    kept = [layer.name for layer in run.layers if layer.kept_8bit]
    strange = sorted(set(kept) - set(card.quantisation.kept_8bit or ()))
    if strange:
        raise ValueError(
            f"card.quantisation.kept_8bit: has no {shown(strange[0])}, which ran at 8 bits; "
            "expected every layer that did"
        )
    ends = kept_facts(card.quantisation.kept_8bit or (), [layer.name for layer in run.layers])
    if card.quantisation.first_last not in (None, ends["first_last"].value):
        raise ValueError(
            f"card.quantisation.first_last: found {shown(card.quantisation.first_last)}, but "
            f"kept_8bit gives {shown(ends['first_last'].value)}"
        )
    for layer in run.layers:
        narrow = (card.quantisation.layer_bits or {}).get(layer.name, (8, 8))
        if narrow != (layer.activation_bits, layer.weight_bits):
            raise ValueError(
                f"card.quantisation.layer_bits: found {narrow} for {shown(layer.name)}, expected "
                f"those of the layer, {(layer.activation_bits, layer.weight_bits)}"
            )


def _check_designs(card: Card, specs: Sequence[str]) -> None:
    """Raise ValueError where a card is not that of a report of these designs.

    A design in a file of Python comes first: whoever named it there has to hear that it is not run.
    """
    for spec in specs:
        if spec not in card.specs:
            refuse_code(spec, "PE design", "pe", "one that you name with --pe")
    if card.of != "report" or card.specs != specs:
        raise ValueError(
            f"card: of={card.of!r}, designs {', '.join(card.specs) or 'none'}, expected "
            f"of='report', designs {', '.join(specs)}"
        )


def _in_words_of(written: HardwareFacts, now: HardwareFacts) -> HardwareFacts:
    """Return facts of which those that are assumed have the words of the version that wrote them.

    What this version says of itself, another may have said in other words.
    """
    assumed = {
        name: written.fact(name)
        for name in written.names()
        if written.known[name] == now.known[name] == "assumed"
    }
    return now.with_facts(**assumed)


def comparison_card(
    cards: Sequence[Card], iso_area: IsoArea | None = None, clock: Clock | None = None
) -> Card:
    """Return the card of a comparison: what its reports share, and all designs.

    Parameters
    ----------
    cards : sequence of Card
        Of the reports, at least one.
    iso_area, clock : optional
        What the comparison says of equal area and of clocks.
    """
    surroundings = [card.hardware for card in cards if card.hardware is not None]
    hardware = _shared(HardwareFacts, surroundings)
    numbers = dict(_numbers_of(cards))
    if iso_area is not None:
        hardware = hardware.with_facts(**_area_facts(iso_area, hardware))
        numbers["equal_area"] = "read"
    if clock is not None:
        told = f"{clock.kind}; {clock.source}, {clock.library}"
        hardware = hardware.with_facts(clock=read(told))
        numbers["time"] = "read"
    designs = {each.design: each for card in cards for each in card.designs}
    return Card(
        of="comparison",
        quantisation=_shared(Quantisation, [card.quantisation for card in cards]),
        designs=tuple(designs.values()),
        hardware=hardware,
        origin=_shared(Origin, [card.origin for card in cards]),
        numbers=numbers,
    )


def _area_facts(iso_area: IsoArea, hardware: HardwareFacts) -> dict[str, Fact]:
    width = 32 if iso_area.areas_of is None else iso_area.areas_of.acc_bits
    bits = "of each design's least width" if width == "least" else f"of {width} bits"
    return {
        "area_source": read(f"{iso_area.source}: {iso_area.taken_from}"),
        "accumulators": Fact(f"{hardware.accumulators}; areas {bits}", "assumed"),
    }


def _shared(kind: type[OneOf], parts: Sequence[OneOf]) -> OneOf:
    """Return the facts that several records have in common.

    Texts in which they differ stand one after another; what else differs is not known of all.
    """
    shared = {}
    for name in kind.names():
        facts = _distinct(part.fact(name) for part in parts)
        if len(facts) == 1:
            shared[name] = facts[0]
        elif all(isinstance(fact.value, str) for fact in facts) and name not in CHOICES:
            shared[name] = Fact("; ".join(fact.value for fact in facts), facts[0].known)
    return kind.of(**shared)


def _distinct(facts: Iterable[Fact]) -> list[Fact]:
    """Return facts in their order, each once; their values need not be hashable."""
    found: list[Fact] = []
    for fact in facts:
        if fact not in found:
            found.append(fact)
    return found


def _numbers_of(cards: Sequence[Card]) -> Iterable[tuple[str, Known]]:
    """Yield how numbers are known, where several cards say it: the weakest."""
    order: Mapping[Known, int] = {"measured": 0, "read": 1, "assumed": 2, UNKNOWN: 3}
    for name in dict.fromkeys(name for card in cards for name in card.numbers):
        yield name, max((card.numbers.get(name, "measured") for card in cards), key=order.get)  # type: ignore[arg-type]


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


def _first_difference(found: Any, expected: Any) -> str:
    """Return the first field in which two records, or two mappings, differ, in words."""
    one = found.model_dump() if isinstance(found, Record) else found
    other = expected.model_dump() if isinstance(expected, Record) else expected
    if not isinstance(one, dict) or not isinstance(other, dict):
        return f"found {shown(one)}, but the report gives {shown(other)}"
    names = [*other, *(name for name in one if name not in other)]
    name = next(name for name in names if one.get(name) != other.get(name))
    return f"{name}: found {shown(one.get(name))}, but the report gives {shown(other.get(name))}"
