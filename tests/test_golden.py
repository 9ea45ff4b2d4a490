"""Golden reports of the shipped traces: a change of any figure is a change of results, and is made
on purpose.

pytest tests/test_golden.py --update-golden     # writes them anew
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sparqsim

FOLDER = Path(__file__).parent / "golden"
RUNS = {
    "compare-16x16-os": {},
    "compare-32x32-os-overlap": {"array": sparqsim.ArrayConfig(32, 32, overlap=True)},
    "compare-vit-16x16-os": {"pes": ["mac-8b8b", "mac-4b4b", "sparq-5opt"]},
}


def flat(value, path=""):
    """Every figure of a JSON document, by its path."""
    if not isinstance(value, (dict, list)):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {at: leaf for key, part in items for at, leaf in flat(part, f"{path}/{key}").items()}


def results(text):
    """A comparison's JSON without the package's version: a release alone changes no results."""
    doc = json.loads(text)
    for report in doc["reports"].values():
        del report["provenance"]["version"]
        del report["card"]["origin"]["revision"]
    del doc["card"]["origin"]["revision"]
    return doc


@pytest.mark.parametrize("name", RUNS)
def test_results_are_those_of_the_golden_report(name, digits, vit, request):
    trace = vit if "-vit-" in name else digits
    found = results(sparqsim.compare(trace, **RUNS[name]).to_json())
    path = FOLDER / f"{name}.json"
    if request.config.getoption("--update-golden"):
        path.write_text(json.dumps(found, sort_keys=True, separators=(",", ":")) + "\n")
    golden, now = flat(json.loads(path.read_text())), flat(found)
    changed = {
        at: (golden.get(at), now.get(at))
        for at in golden.keys() | now.keys()
        if golden.get(at) != now.get(at)
    }
    assert not changed, (
        f"{len(changed)} figures changed (golden, now): {dict(sorted(changed.items())[:5])}"
    )


def test_every_golden_report_is_compared():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(RUNS)


def test_golden_comparison_tells_the_known_story(digits):
    """Not the golden file's word: what must hold of any correct run on this trace."""
    both = sparqsim.compare(digits)
    sqnr = {name: report.totals.error.sqnr_db for name, report in both.reports.items()}
    assert sqnr["mac-8b8b"] is sqnr["sparq-exact"] is None
    assert (
        sqnr["sparq-5opt"]
        > sqnr["sparq-3opt"]
        > sqnr["sparq-2opt"]
        > sqnr["mac-4b8b"]
        > sqnr["mac-4b4b"]
    )
    assert 1 < both.speedup("sparq-5opt") < 2
    assert both.speedup("sparq-5opt") == both.speedup("sparq-3opt") == both.speedup("sparq-2opt")
    assert both.reports["sparq-exact"].cycles.pe_stall > 0
