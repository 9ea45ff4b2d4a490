"""Golden reports in a test suite of your own."""

from __future__ import annotations

from pathlib import Path

from sparqsim.regress.golden import check
from sparqsim.regress.summary import as_text


def assert_unchanged(path: str | Path, *, trust: bool = False) -> None:
    """Fail with a message that says what moved, if anything did: for a test suite of your own.

    trust: whether the file may name designs FILE.py:CLASS, which run.
    """
    moved = [outcome for outcome in check(path, trust=trust) if outcome.findings]
    if moved:
        raise AssertionError("\n".join(map(as_text, moved)))
