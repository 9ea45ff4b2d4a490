"""The grid of cases, and the key that a point is stored under."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from sweep_cases import USER_DESIGN, save_trace

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.engine.simulation import DEFAULT_PES
from sparqsim.sweep import load_grid
from sparqsim.sweep.case import Case
from sparqsim.sweep.grid import cases_of
from sparqsim.sweep.point import Planner


def test_grid_is_the_product_of_its_axes(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(
        'trace = ["a", "b"]\npe = ["p", "q", "r"]\narray = "8x8"\noverlap = ["on", '
        '"off"]\nall_layers = [true, false]'
    )
    cases = load_grid(tmp_path / "grid.toml")
    assert len(cases) == len(set(cases)) == 2 * 3 * 2 * 2
    assert {case.trace for case in cases} == {str(tmp_path / "a"), str(tmp_path / "b")}
    assert [case.pe for case in cases[:3]] == ["p", "q", "r"]
    assert {case.array for case in cases} == {"8x8"}
    assert {case.dataflow for case in cases} == {None}


def test_tables_make_grids_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(
        'trace = "t"\npe = ["p", "q"]\n'
        '[[grid]]\narray = ["8x8", "4x4"]\n'
        '[[grid]]\npe = "e"\ncoupling = ["elastic:1", "lockstep"]'
    )
    cases = load_grid(tmp_path / "grid.toml")
    assert [(case.pe, case.array, case.coupling) for case in cases] == [
        ("p", "8x8", None),
        ("q", "8x8", None),
        ("p", "4x4", None),
        ("q", "4x4", None),
        ("e", None, "elastic:1"),
        ("e", None, "lockstep"),
    ]


def test_the_command_line_replaces_axes_and_its_files_are_found_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "grids").mkdir()
    (tmp_path / "grids" / "grid.toml").write_text(
        'trace = "t"\npe = ["p", "q"]\narray = ["8x8", "4x4"]\nmemory = ["edge", "my.toml"]'
    )
    monkeypatch.chdir(tmp_path)
    cases = load_grid("grids/grid.toml", {"trace": ["u"], "pe": ["mine.py:Mine", "r"]})
    assert {case.trace for case in cases} == {str(tmp_path / "u")}
    assert {case.pe for case in cases} == {str(tmp_path / "mine.py:Mine"), "r"}
    assert {case.memory for case in cases} == {"edge", str(Path("grids/my.toml"))}
    assert len(cases) == 8


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('pe = "p"', "trace: Field required"),
        ('trace = "t"\npe = []', "pe: .* at least 1"),
        ('trace = "t"\npe = "p"\nxyzzy = 3', "xyzzy=3: unknown axis; expected one of trace, pe"),
        (
            'trace = "t"\npe = "p"\ndataflw = "os"',
            r"dataflw='os': unknown axis .did you mean dataflow",
        ),
        (
            'trace = "t"\npe = "p"\n[[grid]]\narrays = "2x2"',
            "arrays='2x2': unknown axis .did you mean array",
        ),
        ('trace = "t"\npe = 3', r"pe\[0\]"),
        ('trace = "t"\npe = "p"\noverlap = "maybe"', r"overlap\[0\].*'on' or 'off'"),
        ('trace = "t"\npe = "p"\ngrid = 3', r"grid=3: expected tables"),
        ("trace =", "expected TOML"),
        ("trace = " + "[" * 10_000, "expected TOML"),
    ],
)
def test_bad_grids_name_the_axis(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "grid.toml").write_text(text)
    with pytest.raises(InputError, match=rf"grid\.toml.*{told}"):
        load_grid(tmp_path / "grid.toml")


def test_without_designs_a_grid_takes_those_of_compare(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text('trace = "t"\narray = ["8x8", "4x4"]')
    cases = load_grid(tmp_path / "grid.toml")
    assert [case.pe for case in cases] == [*DEFAULT_PES] * 2
    assert [case.pe for case in cases_of({"trace": ["t"]})] == [*DEFAULT_PES]


# The key


def key(case: Case) -> str:
    return Planner().point(case).key


def test_key_is_of_content_not_of_names(tmp_path: Path, trace: str) -> None:
    save_trace(tmp_path / "copy.safetensors")
    case = Case(trace=trace)
    assert key(case) == key(Case(trace=str(tmp_path / "copy.safetensors")))
    for same in (
        {"pe": "sparq-5opt:rounding=nearest-even"},
        {"array": "16x16"},
        {"coupling": "lockstep"},
        {"overlap": "off"},
    ):
        assert key(case) == key(case.model_copy(update=same))
    assert key(Case(trace=trace, coupling="elastic")) == key(
        Case(trace=trace, coupling="elastic:2")
    )


def test_key_changes_with_whatever_decides_a_result(
    tmp_path: Path, trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_trace(tmp_path / "other.safetensors", seed=2)
    case = Case(trace=trace)
    changes = [
        {"trace": str(tmp_path / "other.safetensors")},
        {"pe": "sparq-3opt"},
        {"pe": "sparq-5opt:rounding=trim"},
        {"array": "16x17"},
        {"dataflow": "ws"},
        {"coupling": "elastic:3"},
        {"overlap": "on"},
        {"all_layers": True},
    ]
    keys = {key(case), *(key(case.model_copy(update=change)) for change in changes)}
    monkeypatch.setattr("sparqsim.sweep.point.VERSION", "99")
    keys.add(key(case))
    monkeypatch.undo()
    monkeypatch.setattr("sparqsim.sweep.point.package_digest", lambda: "edited")
    keys.add(key(case))
    assert len(keys) == len(changes) + 3


def test_key_follows_the_source_of_a_users_design(tmp_path: Path, trace: str) -> None:
    keys = set()
    for folder, lanes in (("a", 1), ("b", 2), ("c", 1)):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "mine.py"
        file.write_text(USER_DESIGN.format(lanes=lanes))
        keys.add(key(Case(trace=trace, pe=f"{file}:Mine")))
    assert len(keys) == 2


def test_key_follows_the_sources_of_files_of_one_name(tmp_path: Path, trace: str) -> None:
    """Either of two designs of an assignment, each in a folder of its own."""
    (tmp_path / "pes.toml").write_text(
        'name = "two"\ndefault = "a/mine.py:Mine"\n'
        '[[layers]]\nmatch = "only"\npe = "b/mine.py:Mine"\n'
    )
    keys = set()
    for lanes in ((1, 1), (1, 2), (2, 1)):
        for folder, number, name in zip("ab", lanes, ("mine", "other"), strict=True):
            (tmp_path / folder).mkdir(exist_ok=True)
            source = USER_DESIGN.format(lanes=number).replace('"mine"', f'"{name}"')
            (tmp_path / folder / "mine.py").write_text(source)
        keys.add(key(Case(trace=trace, pe=f"@{tmp_path}/pes.toml").trusted(True)))
    assert len(keys) == 3


def test_the_fast_engine_is_not_in_the_key(trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store from before the engine could be chosen keeps its points."""
    monkeypatch.setattr("sparqsim.sweep.point.VERSION", "0.1.0")
    monkeypatch.setattr("sparqsim.sweep.point.package_digest", lambda: "sources")
    decisive = {
        "trace_sha256": sparqsim.load_trace(trace).sha256,
        "pe": "sparq-5opt",
        "pe_source_sha256": "",
        "rows": 16,
        "cols": 16,
        "dataflow": "os",
        "coupling": "lockstep",
        "overlap": False,
        "memory_config": "",
        "all_layers": False,
        "schema": "sparqsim.report/2",
        "version": "0.1.0",
        "sources_sha256": "sources",
    }
    before = Case(trace=trace, kept="ideal", signed="refuse")
    assert key(before) == key(before.model_copy(update={"engine": "fast"})) == sha256_of(decisive)
    chosen = {"kept": "honest", "signed": "magnitude"}
    assert key(Case(trace=trace)) == sha256_of(decisive | chosen)
    by_events = before.model_copy(update={"engine": "event"})
    assert key(by_events) == sha256_of(decisive | {"engine": "event"})


def sha256_of(facts: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
