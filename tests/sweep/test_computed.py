"""What a sweep computes and what it does not, refuses or reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_cases import AXES, USER_DESIGN, command, edited, save_trace

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.sweep import Store, sweep
from sparqsim.sweep.case import Case
from sparqsim.sweep.grid import cases_of
from sparqsim.sweep.point import Planner
from sparqsim.sweep.traces import HELD, TraceUnseenError
from sparqsim.sweep.worker import Task, run_task


def test_reports_are_those_of_simulate(store: Path, trace: str) -> None:
    loaded = sparqsim.load_trace(trace)
    with Store(store) as opened:
        points = list(opened.recorded())
    assert len(points) == 12
    for point in points:
        array = sparqsim.ArrayConfig(
            point.facts["rows"], point.facts["cols"], point.facts["dataflow"]
        )
        assert point.text == sparqsim.simulate(loaded, point.facts["pe"], array).to_json()


def test_a_second_run_computes_only_what_is_missing(store: Path, trace: str) -> None:
    more = cases_of({"trace": trace, **AXES, "dataflow": ["os", "ws", "is"]})
    summary = sweep(more, store)
    assert (summary.points, summary.known, summary.done) == (18, 12, 6)
    again = sweep(more, store)
    assert (again.points, again.known, again.done) == (18, 18, 0)


def test_equal_cases_are_computed_once(tmp_path: Path, trace: str, here: None) -> None:
    summary = sweep(
        [Case(trace=trace), Case(trace=trace, pe="sparq-5opt:pairing=on")],
        tmp_path / "store.sqlite",
    )
    assert (summary.points, summary.done) == (1, 1)


def test_both_engines_give_the_same_cycles(tmp_path: Path, trace: str, here: None) -> None:
    arguments = [
        "sweep",
        trace,
        "--pe",
        "mac-8b8b,sparq-exact",
        "--array",
        "3x5,200x200",
        "--engine",
        "fast,event",
        "-o",
        str(tmp_path / "s.sqlite"),
    ]
    assert command(*arguments) == 0
    with Store(tmp_path / "s.sqlite") as opened:
        rows = opened.rows()
    of_engine = {
        engine: {(row["pe"], row["rows"]): row for row in rows if row["engine"] == engine}
        for engine in ("fast", "event")
    }
    assert len(of_engine["fast"]) == len(of_engine["event"]) == 4
    for point, row in of_engine["event"].items():
        if point[1] == 3:
            told = {"engine", "key"}
            fast = of_engine["fast"][point]
            assert {k: v for k, v in row.items() if k not in told} == {
                k: v for k, v in fast.items() if k not in told
            }
        else:
            assert (row["state"], "engine 'event' takes at most" in row["reason"]) == (
                "refused",
                True,
            )


def test_rows_from_before_the_engine_could_be_chosen_are_the_fast_ones(store: Path) -> None:
    with Store(store) as opened:
        before = opened.rows()
    edited(store, "UPDATE points SET facts = json_remove(facts, '$.engine')")
    with Store(store) as opened:
        assert opened.rows() == before


def test_progress_counts_every_point(tmp_path: Path, trace: str, here: None) -> None:
    calls: list[tuple[int, int]] = []
    sweep(
        cases_of({"trace": trace, **AXES}),
        tmp_path / "s.sqlite",
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls[0] == (0, 12)
    assert calls[-1] == (12, 12)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_refused_points_are_recorded_with_the_reason(
    tmp_path: Path, here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trace(tmp_path / "signed.safetensors", signed=True)
    arguments = [
        "sweep",
        str(tmp_path / "signed.safetensors"),
        "--pe",
        "mac-8b8b,sparq-5opt",
        "--signed",
        "refuse",
        "-o",
        str(tmp_path / "s.sqlite"),
    ]
    assert command(*arguments) == 0
    assert "refused (1): layer 'only'" in capsys.readouterr().out
    with Store(tmp_path / "s.sqlite") as opened:
        reasons = {row["pe"]: (row["state"], row["reason"]) for row in opened.rows()}
    assert reasons["mac-8b8b"] == ("done", None)
    assert reasons["sparq-5opt"][0] == "refused"
    assert "layer 'only'" in str(reasons["sparq-5opt"][1])
    assert command(*arguments) == 0
    assert "2 points: 2 known, 0 computed" in capsys.readouterr().out


def test_a_design_that_raises_is_told_and_not_recorded(
    tmp_path: Path, trace: str, here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        USER_DESIGN.format(lanes=1) + "    def steps(self, k):\n        return k // 0\n"
    )
    assert (
        command("sweep", trace, "--pe", f"mac-8b8b,{file}:Mine", "-o", str(tmp_path / "s.sqlite"))
        == 2
    )
    told = capsys.readouterr().err
    assert "1 point failed, not recorded" in told
    assert "ZeroDivisionError" in told
    with Store(tmp_path / "s.sqlite") as opened:
        assert [row["pe"] for row in opened.rows()] == ["mac-8b8b"]


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ({"pe": ["sparq-9opt"]}, "did you mean"),
        ({"array": ["16"]}, "ROWSxCOLS"),
        ({"dataflow": ["xs"]}, "expected one of os, ws, is"),
        ({"coupling": ["loose"]}, "coupling='loose'"),
        ({"trace": ["none.safetensors"]}, "none.safetensors"),
    ],
)
def test_names_that_are_not_there_stop_before_anything_is_computed(
    tmp_path: Path, trace: str, axes: dict[str, list[str]], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        sweep(cases_of({"trace": [trace], "pe": ["mac-8b8b"]} | axes), tmp_path / "s.sqlite")
    assert not (tmp_path / "s.sqlite").exists()


def test_a_worker_refuses_another_setup_than_the_keys_were_made_with(trace: str) -> None:
    point = Planner().point(Case(trace=trace))
    task = Task.of([point])
    assert run_task(task)[0].key == point.key
    with pytest.raises(InputError, match="another version of sparqsim"):
        run_task(Task(task.trace, task.trace_sha256, task.cases, ("0" * 64,)))


def test_a_worker_takes_a_trace_it_cannot_see_as_bytes(tmp_path: Path, trace: str) -> None:
    seen = Task.of([Planner().point(Case(trace=trace))])
    elsewhere = str(tmp_path / "nowhere.safetensors")
    cases = tuple(case.model_copy(update={"trace": elsewhere}) for case in seen.cases)
    unseen = Task(elsewhere, seen.trace_sha256, cases, seen.keys)
    with pytest.raises(TraceUnseenError):
        run_task(unseen)
    save_trace(
        tmp_path / "nowhere.safetensors", seed=5
    )  # another trace under the same name is none
    with pytest.raises(TraceUnseenError):
        run_task(unseen)
    expected = run_task(seen)
    HELD.clear()
    with pytest.raises(InputError, match="was sent"):
        run_task(unseen, (tmp_path / "nowhere.safetensors").read_bytes())
    assert run_task(unseen, Path(trace).read_bytes()) == expected
    assert run_task(unseen) == expected  # the bytes stay with the process


@pytest.mark.parametrize("replaced", [False, True])
def test_a_trace_that_changes_during_the_simulation_gives_no_result(
    trace: str, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    task = Task.of([Planner().point(Case(trace=trace))])

    def overtaken(*args: object) -> list[InputError]:
        if replaced:
            save_trace(Path(trace), seed=9)
        else:
            Path(trace).unlink()
        return [InputError("the trace cannot be read")]

    monkeypatch.setattr("sparqsim.sweep.worker.run_together", overtaken)
    with pytest.raises(TraceUnseenError):
        run_task(task)
