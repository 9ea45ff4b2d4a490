"""What the commands found that check something, or tell of one thing, ready for every format."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sparqsim.array.timing import supported_dataflows
from sparqsim.base.contract import Outcome as Checked
from sparqsim.base.errors import printable
from sparqsim.base.keys import key_choices
from sparqsim.base.version import VERSION
from sparqsim.base.wording import counted
from sparqsim.cli import records
from sparqsim.cli.cells import json_text, new_table
from sparqsim.cli.show_designs import design_table
from sparqsim.cli.tables import Shown, Table
from sparqsim.engine.models import EngineModel
from sparqsim.pe import PEDesign
from sparqsim.regress import Outcome, as_markdown, as_text


def faults_shown(path: str, faults: Sequence[str], remarks: Sequence[str] = ()) -> Shown:
    """Return every fault of a trace file, a record each; `remarks`: what is odd, and no fault."""
    told = [printable(fault) for fault in faults]
    verdict = f"{path}: a sound trace" if not faults else f"{path}: {counted(len(faults), 'fault')}"
    table = Table(verdict, ["", "fault"], text=True)
    for number, fault in enumerate(told, 1):
        table.add_row(str(number), fault)
    found = [{"trace": path, "fault": fault} for fault in told]
    odd = [printable(remark) for remark in remarks]
    sound = "\n".join([verdict, *(f"remark: {remark}" for remark in odd)])
    return Shown(
        "",
        [table] if faults else [],
        "" if faults else sound,
        lambda: found,
        lambda: json_text({"trace": path, "sound": not faults, "faults": told, "remarks": odd}),
        names=("trace", "fault"),
        lines="\n".join(f"{printable(path)}: {fault}" for fault in told) or sound,
    )


def design_shown(design: type[PEDesign]) -> Shown:
    """Return one PE design: what its circuit does, its source, its keys."""
    (found,) = records.of_designs({design.name: design})
    choices = key_choices(design)
    circuit, family = (
        inspect.getdoc(design) or "",
        inspect.getdoc(sys.modules[design.__module__]) or "",
    )
    keys = new_table("key", "accepts", "default", title="Keys")
    for key, (default, accepted) in choices.items():
        keys.add_row(key, accepted, default)
    tables = [design_table([found]), *([keys] if choices else [])]
    lines = [
        f"{design.name}: {circuit}",
        family,
        *(f"{key}={accepted} (default {default})" for key, (default, accepted) in choices.items()),
    ]
    document = found | {
        "circuit": circuit,
        "family": family,
        "dataflows": supported_dataflows(design),
        "keys": {
            key: {"accepts": accepted, "default": default}
            for key, (default, accepted) in choices.items()
        },
    }
    return Shown(
        "",
        tables,
        "",
        lambda: [found],
        lambda: json_text(document),
        lines="\n\n".join(lines),
        # Docstrings are Markdown already: the documentation's pages are made of them.
        markdown="\n\n".join(
            [f"**{design.name}**: {circuit}", family, *(table.to_markdown() for table in tables)]
        )
        + "\n",
    )


def engine_shown(engine: type[EngineModel]) -> Shown:
    """Return one engine that is no array of PEs: what it does, and its keys."""
    choices = key_choices(engine)
    about = inspect.getdoc(engine) or ""
    table = Table("Engine", ["engine", "key", "accepts", "default"], text=True)
    rows = [(key, accepted, default) for key, (default, accepted) in choices.items()]
    found = [
        {"engine": engine.name, "key": key, "accepts": accepted, "default": default}
        for key, accepted, default in rows or [("", "", "")]
    ]
    for row in found:
        table.add_row(*row.values())
    document = {"engine": engine.name, "kind": engine.kind, "about": about, "keys": found}
    lines = [f"{engine.name} {engine.kind}.", about]
    lines += [f"{key}={accepted} (default {default})" for key, accepted, default in rows]
    return Shown(
        "",
        [table],
        "",
        lambda: found,
        lambda: json_text(document),
        lines="\n\n".join(lines),
        markdown="\n\n".join([f"**{engine.name}** {engine.kind}.", about, table.to_markdown()])
        + "\n",
    )


def contract_shown(found: Sequence[tuple[str, Checked]]) -> Shown:
    """Return the checks of a design's contract, with each variant of its keys."""
    failed = sum(outcome.failure != "" for _, outcome in found)
    table = Table(
        f"{failed} of {counted(len(found), 'check')} failed",
        ["design", "check", "outcome", "failure"],
        text=True,
    )
    for spec, outcome in found:
        table.add_row(spec, outcome.check, "FAILED" if outcome.failure else "ok", outcome.failure)
    rows = [
        {
            "pe": spec,
            "check": outcome.check,
            "passed": not outcome.failure,
            "failure": outcome.failure,
        }
        for spec, outcome in found
    ]
    return Shown(
        "", [table], "", lambda: rows, lambda: json_text({"failed": failed, "checks": rows})
    )


def regress_shown(outcomes: Sequence[Outcome], suite: str) -> Shown:
    """Return the cases of a list and what differs from their golden reports; in CSV a row each."""
    unchanged = sum(not outcome.findings for outcome in outcomes)
    lines = [*map(as_text, outcomes), f"{unchanged} of {counted(len(outcomes), 'case')} unchanged"]
    return Shown(
        "",
        [],
        "",
        lambda: [row for outcome in outcomes for row in _differences(outcome)],
        lambda: json_text(
            {
                "list": suite,
                "unchanged": unchanged,
                "changed": len(outcomes) - unchanged,
                "cases": [_case(outcome) for outcome in outcomes],
            }
        ),
        lines="\n".join(lines),
        markdown=as_markdown(outcomes, suite),
    )


def _case(outcome: Outcome) -> dict[str, Any]:
    findings = [
        {"kind": each.kind, "layer": each.layer, "message": each.message}
        for each in outcome.findings
    ]
    return {
        "case": outcome.case.name,
        **outcome.case.model_dump(exclude={"name"}),
        "changed": bool(findings),
        "findings": findings,
    }


def _differences(outcome: Outcome) -> list[Mapping[str, Any]]:
    case = _case(outcome)
    nothing = {"kind": None, "layer": None, "message": None}
    return [case | finding for finding in case.pop("findings") or [nothing]]


def status_shown(
    store: str, counts: Sequence[tuple[str, str, int]], passes: tuple[int, int]
) -> Shown:
    """Return how many points a store holds, by version of sparqsim and state; `passes`: how many
    passes over layers are kept for further arrays, and their bytes.
    """
    points = sum(count for *_, count in counts)
    title = f"{counted(points, 'point')} (this is sparqsim {VERSION})"
    if passes[0]:
        kept = counted(passes[0], "pass", "passes")
        title += f"; {kept} over layers kept for further arrays, {passes[1]:,} bytes"
    found = [
        {"version": version, "state": state, "points": count} for version, state, count in counts
    ]
    table = new_table("sparqsim", "state", "points", title=title)
    for version, state, count in counts:
        table.add_row(version, state, str(count))
    lines = [title, *(f"sparqsim {version}: {count} {state}" for version, state, count in counts)]
    return Shown(
        "",
        [table],
        "",
        lambda: found,
        lambda: json_text(
            {
                "store": store,
                "points": points,
                "this_version": VERSION,
                "recorded": found,
                "passes": {"count": passes[0], "bytes": passes[1]},
            }
        ),
        names=("version", "state", "points"),
        lines="\n".join(lines),
    )
