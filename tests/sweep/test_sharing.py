"""Points that share a measuring pass: the reports are those of points run alone, and a pass is used
only for what it was made of.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sweep_cases import USER_DESIGN, Here, command, edited, save_trace

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.engine.measure import Measurement
from sparqsim.sweep import Store, Summary, sweep
from sparqsim.sweep.case import Case, run
from sparqsim.sweep.grid import cases_of
from sparqsim.sweep.passes import DECISIVE, packed_pass, pass_key, unpacked_pass
from sparqsim.sweep.point import Planner
from sparqsim.sweep.sharing import OF_AN_ARRAY, Plan, batches_of
from sparqsim.sweep.worker import PassTask, Result, Task, done

#: Step cycles by the activations, by both operands, by weights and not at all; queues of their own;
#: layers kept at 8 bits in passes.
DESIGNS = ["sparq-exact", "laconic", "stripes", "sparq-2opt", "smt-sa-2t", "pragmatic", "mac-4b4b"]
AXES = {
    "pe": ["mac-8b8b", "sparq-exact"],
    "array": ["4x4", "3x5", "5x3"],
    "dataflow": ["os", "ws", "is"],
}


@pytest.fixture
def net(tmp_path: Path) -> str:
    """Three layers, two of one shape with other values, one of them marked keep_8bit."""
    rng = np.random.default_rng(7)

    def layer(name: str, m: int, *, keep_8bit: bool = False) -> sparqsim.Layer:
        x = rng.integers(0, 256, (m, 11)) * (rng.random((m, 11)) < 0.5)
        w = rng.integers(-128, 128, (11, 6), np.int8)
        return sparqsim.Layer.from_gemm(name, x.astype(np.uint8), w, keep_8bit=keep_8bit)

    layers = [layer("first", 9, keep_8bit=True), layer("twin a", 14), layer("twin b", 14)]
    sparqsim.Trace(layers, network="made", synthetic="uniform").save(tmp_path / "net.safetensors")
    return str(tmp_path / "net.safetensors")


def swept(cases: list[Case], path: Path) -> dict[str, str]:
    """Return the report, or the reason, of every point, by key."""
    sweep(cases, path)
    with Store(path) as opened:
        return {point.key: point.text for point in opened.recorded()}


def alone(cases: list[Case]) -> dict[str, str]:
    """Return the same of cases that are simulated one by one: the definition."""
    trace, planner, texts = sparqsim.load_trace(cases[0].trace), Planner(), {}
    for case in cases:
        try:
            texts[planner.point(case).key] = run(trace, case).to_json()
        except InputError as error:
            texts[planner.point(case).key] = str(error)
    return texts


@pytest.mark.parametrize("pe", DESIGNS)
def test_every_point_is_as_it_is_alone(pe: str, net: str, tmp_path: Path, here: None) -> None:
    """Shapes, dataflows, couplings, overlap and memory; a dataflow that a design refuses, too."""
    axes = {"trace": net, "pe": pe, "array": ["4x4", "1x9", "6x2"], "dataflow": ["os", "ws", "is"]}
    cases = cases_of(axes)
    cases += cases_of(axes | {"array": "4x4", "coupling": ["elastic:1", "broadcast"]})
    cases += cases_of(axes | {"array": "5x3", "overlap": "on", "memory": "edge"})
    cases += cases_of(axes | {"array": "4x4", "all_layers": True, "dataflow": ["os", "is"]})
    cases += cases_of(axes | {"array": ["4x4", "9x2"], "kept": "ideal", "dataflow": "os"})
    assert swept(cases, tmp_path / "s.sqlite") == alone(cases)


def counting(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the list that every task will be put on."""
    from sparqsim.sweep import run as running

    seen: list[object] = []

    class Counting(Here):
        def submit(self, task: Task | PassTask) -> None:
            seen.append(task)
            super().submit(task)

    monkeypatch.setattr(running, "workers_for", lambda *args: Counting())
    return seen


def passes_in(seen: list[object]) -> int:
    return sum(len(task.keys) for task in seen if isinstance(task, PassTask))


def test_a_pass_is_made_once_and_kept(
    net: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two designs and three layers: six passes for 18 points, none for 12 more of a later sweep."""
    seen, store = counting(monkeypatch), tmp_path / "s.sqlite"
    sweep(cases_of({"trace": net, **AXES}), store)
    assert passes_in(seen) == 6
    assert all(task.passes for task in seen if isinstance(task, Task))
    with Store(store) as opened:
        count, size = opened.passes_kept()
    assert (count, size > 6) == (6, True)
    del seen[:]
    capsys.readouterr()
    assert command("sweep", "status", str(store), "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passes"] == {"count": count, "bytes": size}
    more = cases_of({"trace": net, **AXES, "array": ["7x7", "2x8"]})
    assert swept(more, store).items() >= alone(more).items()
    assert passes_in(seen) == 0


def test_a_sweep_that_was_killed_among_its_passes_goes_on(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept is not made again."""
    from sparqsim.sweep import run as running

    class Killed(Here):
        left = 2

        def finished(self) -> list[Result]:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().finished()

    cases, store = cases_of({"trace": net, **AXES}), tmp_path / "s.sqlite"
    monkeypatch.setattr(running, "workers_for", lambda *args: Killed())
    with pytest.raises(KeyboardInterrupt):
        sweep(cases, store)
    seen = counting(monkeypatch)
    assert swept(cases, store) == alone(cases)
    assert passes_in(seen) == 2  # one layer's, of two designs


def test_lone_points_energy_and_definition_are_not_shared(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counting(monkeypatch)
    cases = cases_of({"trace": net, "pe": ["mac-8b8b", "sparq-exact"]})
    cases += cases_of({"trace": net, "array": ["2x2", "2x3"], "pe": "mac-4b4b", "engine": "event"})
    assert swept(cases, tmp_path / "s.sqlite") == alone(cases)
    assert passes_in(seen) == 0


def test_a_design_that_raises_does_not_take_down_those_that_share_its_layer(
    net: str, tmp_path: Path, here: None
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        USER_DESIGN.format(lanes=1) + "    def used_activations(self, x):\n        return 1 // 0\n"
    )
    cases = cases_of({"trace": net, **AXES, "pe": ["sparq-exact", f"{file}:Mine"]})
    summary: Summary = sweep(cases, tmp_path / "s.sqlite")
    assert (summary.done, len(summary.failed)) == (9, 9)
    assert "ZeroDivisionError" in summary.failed[0][1]


def points_of(net: str) -> list[dict[str, object]]:
    return [dict(point.facts) for point in Planner().points(cases_of({"trace": net, **AXES}))]


def test_a_key_follows_whatever_decides_a_pass(net: str) -> None:
    """And no part of an array: that is what is shared."""
    facts = points_of(net)[0]
    key = pass_key(facts, 1, "twin a")
    for fact in DECISIVE:
        assert pass_key(facts | {fact: "another"}, 1, "twin a") != key, fact
    assert pass_key(facts, 2, "twin a") != key
    assert pass_key(facts, 1, "twin b") != key
    for fact in OF_AN_ARRAY:
        assert pass_key(facts | {fact: "another"}, 1, "twin a") == key, fact
    # Every fact is one or the other, or a name, or the form of a report.
    assert set(facts) - OF_AN_ARRAY - set(DECISIVE) == {"trace", "schema"}


def test_a_pass_of_other_code_is_not_used(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparqsim.sweep import point

    seen, cases = counting(monkeypatch), cases_of({"trace": net, **AXES})
    sweep(cases, tmp_path / "s.sqlite")
    del seen[:]
    monkeypatch.setattr(point, "package_digest", lambda: "f" * 64)
    sweep(cases, tmp_path / "s.sqlite")
    assert passes_in(seen) == 6


def test_a_pass_of_another_trace_is_not_used(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same layer names and shapes, other values."""
    save_trace(tmp_path / "a.safetensors", seed=1)
    save_trace(tmp_path / "b.safetensors", seed=2)
    seen = counting(monkeypatch)
    for name in ("a", "b"):
        cases = cases_of({"trace": str(tmp_path / f"{name}.safetensors"), **AXES})
        assert swept(cases, tmp_path / "s.sqlite").items() >= alone(cases).items()
    assert passes_in(seen) == 4


@pytest.mark.parametrize("content", [b"junk", b"", None])
def test_a_damaged_pass_is_named_and_does_not_count(
    content: bytes | None, net: str, tmp_path: Path, here: None
) -> None:
    """Status names it; a sweep computes its points all the same."""
    store, cases = tmp_path / "s.sqlite", cases_of({"trace": net, **AXES})
    expected = swept(cases, store)
    value = "5" if content is None else f"x'{content.hex()}'"
    edited(store, f"UPDATE passes SET content = {value}")  # noqa: S608 - a value of ours
    edited(store, "DELETE FROM points")
    with Store(store) as opened, pytest.raises(InputError, match=r"s\.sqlite: pass '"):
        opened.check_results()
    assert swept(cases, store) == expected == alone(cases)


def test_step_cycles_of_another_layer_are_refused(net: str, tmp_path: Path, here: None) -> None:
    """Their shape tells; the points are computed without them."""
    store, cases = tmp_path / "s.sqlite", cases_of({"trace": net, **AXES, "pe": "sparq-exact"})
    expected = swept(cases, store)
    facts = points_of(net)[0] | {"pe": "sparq-exact"}
    keys = [pass_key(facts, at, name) for at, name in enumerate(("first", "twin a"))]
    edited(
        store,
        f"UPDATE passes SET content = (SELECT content FROM passes WHERE key = '{keys[1]}') "  # noqa: S608
        f"WHERE key = '{keys[0]}'",
    )
    edited(store, "DELETE FROM points")
    assert swept(cases, store) == expected


def test_passes_come_back_as_they_were_kept(net: str) -> None:
    trace = sparqsim.load_trace(net)
    from sparqsim.sweep.case import measured_layer

    for pe in DESIGNS:
        (found,) = measured_layer(trace.layers[1], [Case(trace=net, pe=pe)])
        again = unpacked_pass(packed_pass(found))
        for field in ("error", "pairs", "windows", "activity", "macs_nonzero"):
            assert getattr(again, field) == getattr(found, field), field
        if found.step_cycles is None:
            assert again.step_cycles is None
        else:
            assert again.step_cycles.tolist() == found.step_cycles.tolist()


def test_a_measurement_of_another_class_is_not_kept(net: str) -> None:
    """It may hold what is not kept."""

    class More(Measurement):
        pass

    (found,) = [
        unpacked_pass(result.packed)
        for result in done(PassTask(Task.of(Planner().points([Case(trace=net)])), 0, ("k",)))
    ]
    with pytest.raises(InputError, match="More: expected a Measurement"):
        packed_pass(More(**vars(found)))


def test_a_store_of_the_earlier_format_is_read_and_gets_passes(
    net: str, tmp_path: Path, here: None
) -> None:
    store, cases = tmp_path / "s.sqlite", cases_of({"trace": net, **AXES})
    expected = swept(cases, store)
    edited(store, "DROP TABLE passes")
    edited(store, "PRAGMA user_version = 1")
    with Store(store) as opened:
        opened.check_results()
        assert opened.passes_kept() == (0, 0)
        assert {point.key: point.text for point in opened.recorded()} == expected
    edited(store, "DELETE FROM points")
    assert swept(cases, store) == expected
    with Store(store) as opened:
        assert opened.passes_kept()[0] == 6


def test_points_wait_for_all_passes_of_their_batch(net: str) -> None:
    """And start when the last one is there; passes that are known are not made."""
    points = Planner().points(cases_of({"trace": net, **AXES}))
    (batch,), rest = batches_of(points, lambda _: ("first", "twin a", "twin b"))
    assert rest == []
    keys = {key for group in batch.groups for key in group.keys}
    assert len(keys) == 6
    known = {batch.groups[0].keys[0]}
    plan = Plan(points, 1, lambda _: ("first", "twin a", "twin b"), lambda _: set(known))
    tasks = [plan.next() for _ in range(3)]
    assert all(isinstance(task, PassTask) for task in tasks)
    assert plan.next() is None
    made = [key for task in tasks if isinstance(task, PassTask) for key in task.keys]
    assert set(made) == keys - known
    for key in made[:-1]:
        plan.made([Result(key, "done", b"")])
        assert plan.next() is None
    plan.made([Result(made[-1], "done", b"")])
    released = [step for step in iter(plan.next, None) if not isinstance(step, PassTask)]
    assert sum(len(of_task) for of_task, _ in released) == len(points)
    assert all(with_keys for _, with_keys in released)
