"""The quantization card of gathers: what their numbers depend on, the network behind included."""

from __future__ import annotations

import hashlib

from sparqsim.base.known import Fact, Known, read
from sparqsim.results.card import (
    NOT_ASKED,
    ONE_CLOCK,
    Card,
    DesignFacts,
    HardwareFacts,
    Origin,
)
from sparqsim.results.gather_report import GatherReport
from sparqsim.trace.quantisation import SYNTHETIC, Quantisation

#: What decides together what becomes of an element, in every row format.
RULE = "row of the table"
GRAIN = "weight_granularity"


def gather_card(report: GatherReport) -> Card:
    """Return the card of gathers: formats in the place of designs, look-ups in that of values.

    With a network behind, its quantisation and its array are those of its own card; what it answers
    is not in these numbers.
    """
    formats = dict.fromkeys(each.format for each in report.entries)
    drawn = bool(report.lookups.synthetic)
    counted: Known = "assumed" if drawn else "measured"
    numbers: dict[str, Known] = {"bursts": counted, "cycles": counted, "error": "measured"}
    if report.energy is not None:
        numbers["energy"] = "read"
    return Card(
        of="gathers",
        quantisation=_quantisation(report),
        designs=tuple(DesignFacts.of(design=read(name), rule=read(RULE)) for name in formats),
        hardware=_hardware(report),
        origin=_origin(report),
        numbers=numbers,
    )


def _quantisation(report: GatherReport) -> Quantisation:
    lookups = report.lookups
    drawn = f"{SYNTHETIC}{lookups.synthetic}" if lookups.synthetic else ""
    told = drawn or f"look-ups of {lookups.source}, digest {lookups.sha256[:12]}"
    of_network = Quantisation.of() if report.card is None else report.card.quantisation
    scales = read(f"per {RULE}") if report.card is None else of_network.fact(GRAIN)
    seed = None if lookups.seed is None else str(lookups.seed)
    return of_network.with_facts(values=read(told), seeds=read(seed), **{GRAIN: scales})


def _hardware(report: GatherReport) -> HardwareFacts:
    """Return the channel and the unit; with a network behind, what surrounds that, too."""
    hardware, energy = report.hardware, report.energy
    digest = hashlib.sha256(hardware.to_json().encode()).hexdigest()
    known = None if report.card is None else report.card.hardware
    around = HardwareFacts.of() if known is None else known
    told = {
        "memory": read(f"{hardware.name}, settings {digest[:12]}"),
        "energy_source": read(NOT_ASKED if energy is None else energy.words),
        "clock": Fact(ONE_CLOCK, "assumed")
        if hardware.clock_mhz is None
        else read(f"{hardware.clock_mhz:g} MHz"),
    }
    return around.with_facts(**told)


def _origin(report: GatherReport) -> Origin:
    name, digest = report.table.name, report.table.sha256
    if report.mlp is not None:
        name, digest = f"{name}, then {report.mlp.trace}", f"{digest}; {report.mlp.trace_sha256}"
    return Origin.of(
        network=read(f"{name}, {report.table.rows:,} rows of {report.table.width}"),
        trace_sha256=read(digest),
        revision=read(report.version),
    )
