"""Outcomes for people and for CI systems: text, JUnit XML, Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from sparqsim.base.errors import printable
from sparqsim.base.wording import counted
from sparqsim.regress.golden import Outcome

#: What XML 1.0 cannot hold, even escaped; a layer's name may have it.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_text(outcome: Outcome) -> str:
    """Return the outcome in lines: the case, then what moved."""
    verdict = "CHANGED" if outcome.findings else "unchanged"
    return "\n".join(
        [
            f"{verdict:9}  {outcome.case.name} ({outcome.case.setup})",
            *(f"  {printable(str(finding))}" for finding in outcome.findings),
        ]
    )


def as_junit(outcomes: Sequence[Outcome], suite: str) -> str:
    """Return JUnit XML: a test case per case, failed where something moved."""
    suite = _xml(suite)
    failed = sum(bool(outcome.findings) for outcome in outcomes)
    root = ET.Element("testsuites", tests=str(len(outcomes)), failures=str(failed))
    parent = ET.SubElement(
        root, "testsuite", name=suite, tests=str(len(outcomes)), failures=str(failed), errors="0"
    )
    for outcome in outcomes:
        case = ET.SubElement(parent, "testcase", classname=suite, name=outcome.case.name)
        if outcome.findings:
            first = outcome.findings[0]
            failure = ET.SubElement(case, "failure", type=first.kind, message=_xml(first))
            failure.text = "\n".join(map(_xml, outcome.findings))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _xml(value: object) -> str:
    return NOT_XML.sub("?", printable(str(value)))


def as_markdown(outcomes: Sequence[Outcome], suite: str) -> str:
    """Return a Markdown summary: a table of what moved, or one line."""
    changed = [outcome for outcome in outcomes if outcome.findings]
    unchanged = f"{len(outcomes) - len(changed)} of {counted(len(outcomes), 'case')} unchanged"
    head = f"### sparqsim regress: {_cell(suite)}\n\n{unchanged}.\n"
    if not changed:
        return head
    rows = [
        f"| {_cell(outcome.case.name)} | {finding.kind} | {_cell(finding.layer)} | "
        f"{_cell(finding.message)} |"
        for outcome in changed
        for finding in outcome.findings
    ]
    return (
        "\n".join([head, "| case | kind | layer | what moved |", "|---|---|---|---|", *rows]) + "\n"
    )


def _cell(text: str) -> str:
    return printable(" ".join(text.split())).replace("|", "\\|").replace("<", "&lt;")
