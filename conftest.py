"""Prints how much the RTL suite compared, under whatever way the tests were run (alone, or on
several cores).
"""

from __future__ import annotations

import pytest

KINDS = {"rtl_sums": "PE sums x cycles", "rtl_pairs": "operand pairs"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up what the tests recorded."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    calls = [report for report in reports if getattr(report, "when", None) == "call"]
    made = [recorded for report in calls for recorded in report.user_properties]
    totals = {
        label: sum(count for name, count in made if name == kind) for kind, label in KINDS.items()
    }
    if any(totals.values()):
        terminalreporter.write_line(
            "RTL against simulator, compared: "
            + ", ".join(f"{total:,} {label}" for label, total in totals.items())
        )
