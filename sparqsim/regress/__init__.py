"""Cycle counts under test: golden reports of a list of cases, and what moved since they were
written.

    cases.toml -> cases -> run again -> differences from the golden reports -> text, JUnit, Markdown

In a test suite of your own:

    from sparqsim.regress import assert_unchanged

    def test_cycles():
        assert_unchanged("cases.toml")
"""

from __future__ import annotations

from sparqsim.regress.differences import Finding, differences
from sparqsim.regress.golden import Outcome, check, load_cases, update
from sparqsim.regress.summary import as_junit, as_markdown, as_text
from sparqsim.regress.unchanged import assert_unchanged

__all__ = [
    "Finding",
    "Outcome",
    "as_junit",
    "as_markdown",
    "as_text",
    "assert_unchanged",
    "check",
    "differences",
    "load_cases",
    "update",
]
