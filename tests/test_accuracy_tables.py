"""docs/accuracy.md holds the tables that its script makes of docs/accuracy/*.json."""

from __future__ import annotations

import subprocess
import sys

import pytest
from page_tables import TABLE

from sparqsim.results.accuracy_report import AccuracyReport


@pytest.fixture(scope="module")
def tables():
    import accuracy_tables

    return accuracy_tables


def test_the_document_shows_every_record(tables):
    shown = {match[2] for match in TABLE.finditer(tables.DOCUMENT.read_text(encoding="utf-8"))}
    assert shown == {path.stem for path in tables.FILES.glob("*.json")}


def test_the_script_says_whether_tables_are_current(root):
    done = subprocess.run(
        [sys.executable, root / "workloads" / "accuracy_tables.py", "--check"],
        check=False,
        capture_output=True,
        text=True,
        cwd=root,
        env={"PYTHONPATH": str(root)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_records_hold_what_sources_say_of_the_networks(tables):
    """Right answers of the networks as they are: top-1 and top-5, of how many pictures.

    MobileNet-v2: with the reference kernels; the sources say 170, with the default ones.
    """
    known = {
        "resnet20": (455, 500, 500),
        "squeezenet": (129, 172, 200),
        "resnet18": (143, 188, 200),
        "mobilenet_v2": (172, 198, 200),
        "resnet20_onnx": (455, 500, 500),
    }
    for path in tables.FILES.glob("*.json"):
        report = AccuracyReport.load(path)
        first = report.rows[0]
        assert (first.pe, first.hits.top1, first.hits.top5, report.pictures) == (
            None,
            *known[path.stem],
        )
        assert first.hits.agree == report.pictures
        assert report.rows[1].pe == "mac-8b8b"
        assert not report.sqnr_db(report.rows[1])
