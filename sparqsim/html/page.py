"""The page: what stands on it, in which order; `page.html.j2` says how."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from sparqsim.base.errors import InputError
from sparqsim.base.files import write_text
from sparqsim.base.version import VERSION
from sparqsim.base.wording import counted, install_hint
from sparqsim.html.accuracy import (
    accuracy_drawings,
    accuracy_settings,
    accuracy_sqnr_table,
    accuracy_summary,
    trials_table,
)
from sparqsim.html.actions import actions_table
from sparqsim.html.card import card_table, differences_table
from sparqsim.html.cells import Table
from sparqsim.html.clock import clock_tables
from sparqsim.html.definitions import meaning
from sparqsim.html.energy import energy_tables
from sparqsim.html.equal_area import equal_area_tables
from sparqsim.html.figures import Drawing, drawings
from sparqsim.html.gather import Gathered
from sparqsim.html.gather_runs import (
    gather_actions_table,
    gather_drawings,
    gather_provenance,
    gather_settings,
    gather_summary,
    gather_tables,
)
from sparqsim.html.headline import Fact, headline
from sparqsim.html.settings import pes_table, provenance_rows, settings_table
from sparqsim.html.summary import Piece, summary
from sparqsim.html.tables import (
    design_table,
    designs_table,
    reports_of,
    shapes_table,
    speedup_table,
    sqnr_table,
    traffic_table,
    values_table,
)
from sparqsim.results.accuracy_report import AccuracyReport
from sparqsim.results.answer_cards import trial_notes
from sparqsim.results.card import Card
from sparqsim.results.comparison import Comparison
from sparqsim.results.confounds import confound_notes
from sparqsim.results.gather_card import gather_card
from sparqsim.results.gather_report import GatherReport
from sparqsim.results.report import Report

if TYPE_CHECKING:
    import jinja2

#: Wraps the runs while their figures are drawn, which takes longest.
Progress = Callable[[Iterable[Comparison]], Iterable[Comparison]]
#: A unit at the end of a column's head.
UNIT = re.compile(r" \([^)]*\)$")
SUFFIXES = (".html", ".htm")
#: A table of more rows scrolls under its head.
LONG = 20


@dataclass(frozen=True)
class Run:
    """Results of one trace, array and setting, or one accuracy record. details: tables closed until
    asked for. card: what the numbers depend on; confounds: what the results in it differ in beside
    the design.
    """

    title: str
    subtitle: str
    summary: list[Piece]
    headline: list[Fact]
    tables: list[Table]
    figures: list[Drawing]
    by_layer: list[Table]
    details: list[Table]
    settings: list[Table]
    provenance: list[tuple[str, str]]
    card: Card
    confounds: list[str]
    provenance_title: str = "Provenance"


@dataclass
class Glossary:
    """Terms used so far: what they mean, and how they are labelled where they head a column."""

    meanings: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def mean(self, term: str, said: str = "", label: str = "") -> str:
        """Return what `term` means (`said`, if that is known), and remember it for the list of
        definitions.
        """
        if label:
            self.labels.setdefault(term, UNIT.sub("", label))
        if term not in self.meanings:
            self.meanings[term] = said or meaning(term)
        return self.meanings[term]

    def label(self, term: str) -> str:
        """Return a term as it is read: the head of its column, else 'pe stall' of
        'cycles.pe_stall'.
        """
        return self.labels.get(term, term.partition(".")[2].replace("_", " ") or term)

    def sorted(self) -> list[tuple[str, str]]:
        """Return every term used, in alphabetical order, with its meaning."""
        return sorted(self.meanings.items())


def write_page(
    gathered: Gathered, path: str | Path, *, progress: Progress = lambda runs: runs
) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    gathered : Gathered
    path : str or Path
        .html or .htm.
    progress : callable, optional
        Wraps the runs while they are drawn.

    Raises
    ------
    InputError
        For another suffix, a place that cannot be written, or where Jinja2 (the extra `report`) is
        missing.
    """
    check_page_path(path)
    write_text(path, page_text(gathered, progress=progress))


def save_page(
    results: Sequence[Comparison | Report | AccuracyReport | GatherReport], path: str | Path
) -> None:
    """Write the page of results in hand; of files, `write_page(gather(paths), path)` does.

    Parameters
    ----------
    results : sequence of Comparison, Report, AccuracyReport or GatherReport
        What ran on the same trace and array is put side by side.
    path : str or Path
        .html or .htm.

    Raises
    ------
    InputError
        As `write_page`; and for two different reports of one design in one run.
    """
    records = [result for result in results if isinstance(result, AccuracyReport)]
    lookups = [result for result in results if isinstance(result, GatherReport)]
    simulated = [result for result in results if isinstance(result, Comparison | Report)]
    write_page(Gathered.of(simulated, records, lookups), path)


def check_page_path(path: str | Path) -> None:
    """Raise InputError where a page cannot be made: its suffix, or Jinja2 is missing."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: suffix {Path(path).suffix!r}; a report page is written as "
            f"{' or '.join(SUFFIXES)}"
        )
    _environment()


def page_text(gathered: Gathered, *, progress: Progress = lambda runs: runs) -> str:
    """Return the page's HTML. Raises InputError where Jinja2 (the extra `report`) is missing."""
    labels = {
        "speedup": "speedup",
        "error.sqnr_db": "SQNR",
        "trial_layer.sqnr_db": "SQNR of a layer",
    }
    environment, glossary = _environment(), Glossary(labels=labels)
    runs = [_run(comparison, f"r{at}") for at, comparison in enumerate(progress(gathered.runs))]
    runs += [_accuracy(report, f"a{at}") for at, report in enumerate(gathered.accuracy)]
    runs += [_lookups(report, f"g{at}") for at, report in enumerate(gathered.lookups)]
    script = _source("sort.js") + _source("beyond.js")
    return environment.get_template("page.html.j2").render(
        runs=runs,
        differences=differences_table([run.title for run in runs], [run.card for run in runs]),
        glossary=glossary,
        long=LONG,
        anchor=anchor,
        version=VERSION,
        style=_source("style.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _run(comparison: Comparison, prefix: str) -> Run:
    reports = reports_of(comparison)
    first, several = reports[0], len(reports) > 1
    traffic = traffic_table(comparison)
    by_layer = [speedup_table(comparison), sqnr_table(comparison)] if several else []
    return Run(
        title=first.provenance.network or f"trace {first.provenance.trace_sha256[:12]}",
        subtitle=f"{first.array.words_of(report.pe for report in reports)}, "
        f"{'memory not modelled' if first.memory is None else f'memory {first.memory.name}'}",
        summary=summary(comparison),
        headline=headline(comparison),
        tables=[
            designs_table(comparison),
            *equal_area_tables(comparison),
            *clock_tables(comparison),
            *energy_tables(comparison),
        ],
        figures=list(drawings(comparison, prefix)),
        by_layer=by_layer,
        details=[
            values_table(comparison),
            *([traffic] if traffic else []),
            shapes_table(first),
            *(design_table(report) for report in reports),
            *filter(None, map(actions_table, reports)),
            card_table(comparison.card),
        ],
        settings=[settings_table(first), pes_table(comparison)],
        provenance=provenance_rows(comparison),
        card=comparison.card,
        confounds=confound_notes(comparison.cards),
    )


def _accuracy(report: AccuracyReport, prefix: str) -> Run:
    return Run(
        title=f"Accuracy of {report.network or 'a network'}",
        subtitle=report.array.words,
        summary=accuracy_summary(report),
        headline=[],
        tables=[trials_table(report)],
        figures=list(accuracy_drawings(report, prefix)),
        by_layer=[],
        details=[accuracy_sqnr_table(report), card_table(report.card)],
        settings=[],
        provenance=accuracy_settings(report),
        card=report.card,
        confounds=trial_notes(report.rows),
        provenance_title="How it was measured",
    )


def _lookups(report: GatherReport, prefix: str) -> Run:
    card = gather_card(report)
    return Run(
        title=f"Gathers from {report.table.name}",
        subtitle=f"{report.hardware.name}, {counted(report.lookups.lookups, 'look-up')}",
        summary=gather_summary(report),
        headline=[],
        tables=[*gather_tables(report)],
        figures=list(gather_drawings(report, prefix)),
        by_layer=[],
        details=[gather_actions_table(report), card_table(card)],
        settings=[gather_settings(report)],
        provenance=gather_provenance(report),
        card=card,
        confounds=[],
    )


def anchor(term: str) -> str:
    """Return the id of a term's definition: letters, digits, hyphens and underscores."""
    return "def-" + re.sub(r"[^A-Za-z0-9_]", "-", term)


def _source(name: str) -> str:
    return resources.files("sparqsim.html").joinpath(name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    try:
        import jinja2
    except ModuleNotFoundError:
        raise InputError(
            "a report page needs Jinja2, which is not installed; expected " + install_hint("report")
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.tests["number"] = lambda piece: not isinstance(piece, str)
    return environment
