"""What every number means, in the words of the records that hold it."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

from sparqsim.array.config import ArrayConfig
from sparqsim.memory.config import DramConfig, GatherConfig, MemoryConfig, ScratchpadConfig
from sparqsim.memory.traffic import LayerTraffic, Traffic
from sparqsim.results.accuracy_report import AccuracyReport, AccuracyRow, Hits, RowLayer
from sparqsim.results.bounds import Bounds
from sparqsim.results.card import DesignFacts, HardwareFacts, Origin
from sparqsim.results.clock import DesignClock, TimeAtEqualArea
from sparqsim.results.comparison import Comparison
from sparqsim.results.energy import CellEnergy, Energy
from sparqsim.results.gather_energy import GatherEnergy
from sparqsim.results.gather_parts import GatherLookups, RowErrors
from sparqsim.results.gather_report import GatherEntry, MlpRun
from sparqsim.results.iso_area import IsoDesign, ScaledArray
from sparqsim.results.layer_report import (
    Cycles,
    Error,
    Gemm,
    LayerReport,
    Measured,
    Pairs,
    Utilization,
)
from sparqsim.results.setting import PEInfo
from sparqsim.trace.quantisation import Quantisation

#: Where the part of a term before the first dot is defined.
RECORDS: dict[str, type] = {
    "accuracy": AccuracyReport,
    "array": ArrayConfig,
    "bounds": Bounds,
    "cells": CellEnergy,
    "clock": DesignClock,
    "clock_area": TimeAtEqualArea,
    "cycles": Cycles,
    "design_facts": DesignFacts,
    "dram": DramConfig,
    "energy": Energy,
    "error": Error,
    "gather": GatherEntry,
    "gather_energy": GatherEnergy,
    "gather_lookups": GatherLookups,
    "gather_unit": GatherConfig,
    "gemm": Gemm,
    "hardware": HardwareFacts,
    "hits": Hits,
    "iso": IsoDesign,
    "iso_array": ScaledArray,
    "layer": LayerReport,
    "measured": Measured,
    "memory": MemoryConfig,
    "origin": Origin,
    "pairs": Pairs,
    "pe": PEInfo,
    "quantisation": Quantisation,
    "scratchpad": ScratchpadConfig,
    "traffic": LayerTraffic,
    "network_behind": MlpRun,
    "row_errors": RowErrors,
    "trial": AccuracyRow,
    "trial_layer": RowLayer,
    "utilization": Utilization,
}

#: What belongs to the page alone.
OWN = {
    "design": "A processing element and its keys, NAME:key=value. ~ marks a design whose cycles "
    "depend on values; the cycles of the others are set by shapes alone.",
    "inputs": "Pictures, or other inputs of the network, that the cycles are of: one after "
    "another, as the trace holds them.",
    "card.known": "How a fact is known. 'measured': counted or simulated here. 'read': stated by a "
    "file, an option, or a table that names its source. 'assumed': true of whatever sparqsim does, "
    "or of values that were drawn. 'unknown': nothing says it.",
    "cycles.per_input": "Total cycles / inputs of the network in the trace.",
    "macs.left_out": "Share of the network's multiply-accumulates in operations that are not in "
    "the trace, and so in none of these numbers.",
    "iso.arrays": "The array of the design that comes nearest to the area of the baseline's, for "
    "the median of its PE areas.",
    "layer.name": "A layer of the trace, in the order of the network. * marks a layer kept at 8 "
    "bits: it runs as mac-8b8b under every design.",
    "layers": "Layers of the trace, in the order of the network.",
    "designs": (
        "Designs on this page that ran on the same trace and array, the baseline among them."
    ),
    "gather.format": "How a row is stored: its format, and its keys, NAME:key=value.",
    "gather.layout": "padded: every row starts with a burst. packed: nothing between rows.",
    "gather.share_of_fp32": "Bytes of the table in this format and layout, over those of fp32 "
    "without padding.",
    "gather.pages_open": "Stretches of bursts within one DRAM page that found the page open, of "
    "all; no value where row buffers are not modelled.",
    "gather.bound": "The least of the bounds of channel, lanes, requests and row buffers, "
    "look-ups per 1000 cycles.",
    "gather.bound_by": "Which bound is the least. channel: bytes of whole bursts over the "
    "bandwidth. lanes: elements over lanes, whole cycles a row. issue: one request a cycle. "
    "outstanding: row buffers, each taken at least for a row's transfer, the latency and its "
    "dequantising.",
    "gather.input_cycles": "Cycles of the gathers / inputs of the network behind.",
    "gather.share": "Cycles of the gathers over those of gathers and network, of one input, one "
    "after the other.",
    "gather.gain": "Look-ups per cycle over those of the first format and layout of the record.",
    "gather_energy.per_lookup": "Energy of all look-ups / look-ups, pJ.",
    "network_layer.name": (
        "A layer of the network, in its order. * marks a layer that is kept out of the designs."
    ),
    "trial.pe": "A processing element and its keys, NAME:key=value; or the network as it is, "
    "without one, under the name of what answers are compared with.",
    "trial.worst_sqnr_db": "Lowest SQNR of a layer, dB: its sums against exact 8-bit arithmetic on "
    "the same operands; 'exact' where no layer lost anything.",
    "scratchpad.size_kib": "Both halves of the scratchpad together, KiB.",
    "scratchpad.port_bytes_per_cycle": "What each port of the scratchpad moves, bytes per cycle.",
    "traffic.activations": "Kilobytes (1000 bytes) of activations read over the DRAM channel.",
    "traffic.weights": "Kilobytes (1000 bytes) of weights read over the DRAM channel.",
    "traffic.outputs": "Kilobytes (1000 bytes) of finished outputs written over the DRAM channel.",
    "traffic.partial_sums": (
        "Kilobytes (1000 bytes) of partial sums, spilled and reloaded over the DRAM channel."
    ),
}

#: Python's words in docstrings, and what the page says instead.
FIELD_WORDS = {"None": "no value", "True": "yes", "False": "no"}
PYTHON_WORD = re.compile(rf"\b({'|'.join(FIELD_WORDS)})\b")
#: A field's name in the middle of a sentence.
FIELD_NAME = re.compile(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b")

#: A name that a docstring explains: 'name:', '`name`:' or '`name` = '.
LABEL = re.compile(
    r"(?:^|(?<=\s))"
    r"(?:`(?P<ticked>[a-z][\w.]*)`(?::| =)|(?P<names>[a-z][\w.*]*(?:, [a-z][\w.*]*)*):)\s"
)
#: The head of a parameter in numpy's style, at the left margin.
PARAMETER = re.compile(r"^(?P<names>\w+(?:, \w+)*) : .*$", re.MULTILINE)


def meaning(term: str) -> str:
    """Return what `term` means, e.g. 'cycles.compute', as one line.

    Raises
    ------
    LookupError
        For a term that no docstring explains.
    """
    if term == "speedup":
        return in_words(_one_line(_paragraphs(Comparison)[1]))
    if term in OWN:
        return OWN[term]
    record, _, name = term.partition(".")
    return meaning_in(RECORDS[record], name)


def meaning_in(record: type, name: str) -> str:
    """Return what the field `name` of a record means: its own description, or its part of the
    class's docstring.
    """
    found = (
        _described(record, name)
        or _explained(record).get(name)
        or (issubclass(record, Traffic) and _explained(Traffic).get(name))
    )
    if not found:
        raise LookupError(f"{record.__name__}.{name} is explained nowhere")
    said = in_words(found)
    return said[0].upper() + said[1:] + ("" if said.endswith(".") else ".")


def in_words(text: str) -> str:
    """Return a docstring's text in words of the field: no constants of Python's, no names joined by
    underscores.
    """
    text = PYTHON_WORD.sub(lambda word: FIELD_WORDS[word[0]], text)
    return FIELD_NAME.sub(lambda name: name[0].replace("_", " "), text)


def _described(record: type, name: str) -> str:
    known = _fields(record)
    return _one_line(known[name].description or "") if name in known else ""


def _fields(record: type) -> dict[str, Any]:
    return (
        {**record.model_fields, **record.model_computed_fields}
        if issubclass(record, BaseModel)
        else {}
    )


def _names(record: type) -> set[str]:
    """Return the names of the fields of a record or a dataclass."""
    if is_dataclass(record):
        return {field.name for field in fields(record)}
    return set(_fields(record))


@cache
def _explained(record: type) -> dict[str, str]:
    """Return name -> explanation for every name that the class's docstring explains."""
    text = inspect.getdoc(record) or ""
    return _parameters(text) if "\nParameters\n" in text else _labelled(text, _names(record))


def _labelled(text: str, names: set[str]) -> dict[str, str]:
    """Return the explanations of `names`, and of parts of them ('gap.waiting'), that stand behind a
    label.
    """
    found: dict[str, str] = {}
    for paragraph in text.split("\n\n"):
        labels = [
            label
            for label in LABEL.finditer(paragraph)
            if {name.partition(".")[0] for name in _labels(label)} <= names
        ]
        ends = [*(label.start() for label in labels[1:]), len(paragraph)][: len(labels)]
        for label, end in zip(labels, ends, strict=True):
            words = _one_line(paragraph[label.end() : end]).rstrip(" ,;.")
            found |= dict.fromkeys(_labels(label), words)
    return found


def _labels(label: re.Match[str]) -> list[str]:
    return (label["ticked"] or label["names"]).split(", ")


def _parameters(text: str) -> dict[str, str]:
    body = re.split(r"\n\w+\n-+\n", text.partition("\nParameters\n")[2].partition("\n")[2])[0]
    heads = [*PARAMETER.finditer(body)]
    ends = [head.start() for head in heads[1:]] + [len(body)]
    return {
        name: _one_line(body[head.end() : end])
        for head, end in zip(heads, ends, strict=True)
        for name in head["names"].split(", ")
    }


def _paragraphs(record: type) -> list[str]:
    return (inspect.getdoc(record) or "").split("\n\n")


def _one_line(text: str) -> str:
    return " ".join(text.replace("`", "").split())
