"""`card`: the quantization card of a trace or a result, in hand or in a file."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from sparqsim.results.accuracy_report import ACCURACY_SCHEMA, AccuracyReport
from sparqsim.results.card import CARD_SCHEMA, Card, trace_card
from sparqsim.results.comparison import Comparison
from sparqsim.results.filekinds import TRACE, kind_of_bytes, result_text
from sparqsim.results.gather_card import gather_card
from sparqsim.results.gather_report import GATHER_SCHEMA, GatherReport
from sparqsim.results.loading import KINDS, load_result
from sparqsim.results.report import Report
from sparqsim.trace.reader import load_trace
from sparqsim.trace.trace import Trace

EXPECTED = "a trace, the -o of `simulate`, `compare`, `accuracy` or `gather`, or a card"
TRACE_SUFFIX = ".safetensors"


Source = Trace | Report | Comparison | AccuracyReport | GatherReport | str | PathLike[str]


def card(source: Source) -> Card:
    """Return the quantization card of a trace or a result: what its numbers depend on.

    Parameters
    ----------
    source : Trace, Report, Comparison, AccuracyReport, GatherReport, or the path of a file of one
        Also the file of a card itself, as `sparqsim card show --format json` writes it.

    Raises
    ------
    InputError
        For a file that is none of these, or cannot be read.
    """
    if isinstance(source, Trace):
        return trace_card(source)
    if isinstance(source, Report | Comparison | AccuracyReport):
        return source.card
    if isinstance(source, GatherReport):
        return gather_card(source)
    return _card_of_file(source)


def _card_of_file(path: str | PathLike[str]) -> Card:
    place = Path(path)
    if kind_of_bytes(place) is TRACE or place.suffix == TRACE_SUFFIX:
        return trace_card(load_trace(place))
    text, schema = result_text(
        place, (*KINDS, ACCURACY_SCHEMA, GATHER_SCHEMA, CARD_SCHEMA), EXPECTED
    )
    if schema == CARD_SCHEMA:
        return Card.from_json(text, str(path))
    if schema == ACCURACY_SCHEMA:
        return AccuracyReport.from_json(text, str(path)).card
    if schema == GATHER_SCHEMA:
        return gather_card(GatherReport.from_json(text, str(path)))
    return load_result(place).card
