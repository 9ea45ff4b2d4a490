"""A file of another kind than `report` and `plot` take: told what it is, what was expected, which
command takes it.
"""

from __future__ import annotations

import shutil

import pytest

from sparqsim.cli import main

PLOTS = (
    "speedup",
    "layers",
    "utilization",
    "pareto",
    "roofline",
    "energy",
    "bandwidth",
    "array-size",
    "k",
    "zero-fraction",
)
CURVES = ("bandwidth", "array-size", "k", "zero-fraction")
#: What each file is called, and the command that is named for it.
TOLD = {
    "curves.json": ("the curves of `sparqsim bandwidth`", "`sparqsim plot --kind bandwidth`"),
    "store.sqlite": (
        "a store of `sparqsim sweep`",
        "`sparqsim plot` takes it with --kind array-size",
    ),
    "accuracy.json": ("an accuracy record", "`sparqsim report` takes it"),
    "gathers.json": ("the record of `sparqsim gather`", "`sparqsim report` takes it"),
    "trace.safetensors": ("a trace", "`sparqsim simulate`"),
    "area.json": ("an area table", "`sparqsim compare --iso area`"),
}
TAKES = {
    "accuracy.json": {"report", "pareto"},
    "curves.json": {"bandwidth"},
    "gathers.json": {"report"},
    "store.sqlite": CURVES,
}
EXPECTED = {
    "report": "`simulate`, `compare`, `accuracy` or `gather`",
    "pareto": "`simulate`, `compare` or `accuracy`",
    "bandwidth": "`simulate`, `compare`, `sweep` or `bandwidth`",
}
EXPECTED |= dict.fromkeys(CURVES[1:], "`simulate`, `compare` or `sweep`")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, digits_path, root):
    """A folder with a file of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    shutil.copy(root / "docs" / "accuracy" / "resnet20.json", folder / "accuracy.json")
    shutil.copy(root / "docs" / "gather" / "behind.json", folder / "gathers.json")
    shutil.copy(digits_path, folder / "trace.safetensors")
    few = ("--pe", "mac-8b8b,sparq-5opt")
    for command in (
        (
            "bandwidth",
            digits_path,
            *few,
            "--config",
            "edge",
            "--bandwidths",
            "1,2",
            "-o",
            folder / "curves.json",
        ),
        ("rtl", "area", "-o", folder / "area.json"),
        ("sweep", digits_path, *few, "-o", folder / "store.sqlite", "--jobs", "1"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in command])
        assert ended.value.code == 0
    return folder


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (command, name)
        for name in TOLD
        for command in ("report", *PLOTS)
        if command not in TAKES.get(name, ())
    ],
)
def test_a_file_of_another_kind(command, name, kinds, refused, tmp_path):
    words = (
        ["report", kinds / name]
        if command == "report"
        else ["plot", kinds / name, "--kind", command]
    )
    line = refused(*words, "-o", tmp_path / ("r.html" if command == "report" else "f.svg"))
    what, use = TOLD[name]
    expected = EXPECTED.get(command, "`simulate` or `compare`")
    assert line.startswith(f"sparqsim: {kinds / name}: {what}")
    assert f", expected the -o of {expected};" in line
    assert use in line.partition(";")[2]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (
            '"sparqsim.report/9"',
            "schema='sparqsim.report/9', of another version of sparqsim (this one reads ",
        ),
        ('"other/1"', "schema='other/1', no result of sparqsim, expected the -o of"),
        ("null", "schema=None, no result"),
        ("[]", "schema=[], no result"),
    ],
)
def test_json_of_no_known_kind(schema, told, refused, tmp_path):
    (tmp_path / "x.json").write_text(f'{{"schema": {schema}}}')
    assert told in refused("report", tmp_path / "x.json", "-o", tmp_path / "r.html")
    assert told in refused("plot", tmp_path / "x.json", "-o", tmp_path / "f.svg")


def test_what_looks_a_little_like_a_trace_or_a_store_is_none(refused, tmp_path):
    (tmp_path / "x").write_bytes((10**6).to_bytes(8, "little") + b"{}\xff")
    assert "cannot be read" in refused("plot", tmp_path / "x", "-o", tmp_path / "f.svg")
    (tmp_path / "x").write_bytes(b"SQLite\xff")
    assert "cannot be read" in refused("plot", tmp_path / "x", "-o", tmp_path / "f.svg")
