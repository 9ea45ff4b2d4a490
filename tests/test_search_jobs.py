"""Searches whose points are measured by several processes, or by a Dask cluster: the same bytes."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")

from search_networks import ARRAY, three_products

from sparqsim import InputError, PEDesign
from sparqsim.networks.images import Pictures
from sparqsim.search.plan import Plan
from sparqsim.search.run import Found, Search, search
from sparqsim.search.work import READY, PointWork
from sparqsim.sweep.traces import TraceUnseenError

ASKED = Search(
    pe="stripes:lanes=2", keep_8bit=("last",), least_bits=6, budget="80%", exact_points=0
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return three_products(tmp_path_factory.mktemp("jobs"))


def found(folder: Path, trials: Path, asked: Search = ASKED, **how: Any) -> Found:
    pictures = Pictures.open(folder / "x.npz")
    return search(str(folder / "net.onnx"), pictures, None, asked, ARRAY, trials, **how)


@pytest.fixture(scope="module")
def serial(folder: Path) -> str:
    return found(folder, folder / "serial.jsonl").report.to_json()


def test_two_processes_go_on_to_the_same_record_and_trials(folder, serial, tmp_path) -> None:
    """What one process began; trials are on the disk in the order they ended."""
    begun = (folder / "serial.jsonl").read_bytes().splitlines(keepends=True)[:5]
    (tmp_path / "t").write_bytes(b"".join(begun))
    assert found(folder, tmp_path / "t", jobs=2).report.to_json() == serial
    lines, expected = (
        path.read_text().splitlines() for path in (tmp_path / "t", folder / "serial.jsonl")
    )
    assert lines[:5] == expected[:5]
    assert sorted(lines) == sorted(expected)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_record(folder, serial, tmp_path) -> None:
    """Its second worker is in another folder."""
    pytest.importorskip("distributed", reason="extra 'dask' is not installed")
    spec = importlib.util.spec_from_file_location(
        "stress_sweep", Path(__file__).with_name("stress_sweep.py")
    )
    assert spec is not None
    assert spec.loader is not None
    stress = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(spec.name, stress)  # dataclasses look their module up
    spec.loader.exec_module(stress)
    with stress.cluster(tmp_path, workers=2) as started:
        report = found(folder, tmp_path / "t", scheduler=started.address).report
    assert report.to_json() == serial


def work(folder: Path, tmp_path: Path, setting: str = "") -> PointWork:
    import hashlib
    import pickle

    plan = Plan(str(folder / "net.onnx"), Pictures.open(folder / "x.npz"), None, ASKED, ARRAY)
    held = pickle.dumps(plan)
    (tmp_path / "plan").write_bytes(held)
    digest = hashlib.sha256(held).hexdigest()
    return PointWork(str(tmp_path / "plan"), digest, setting or plan.ready().setting, (8,) * 4)


def test_a_worker_takes_the_plan_from_its_file_or_as_bytes(folder, tmp_path) -> None:
    READY.clear()
    task = work(folder, tmp_path)
    elsewhere = replace(task, file=str(tmp_path / "nowhere"))
    with pytest.raises(TraceUnseenError):
        elsewhere.done()
    with pytest.raises(TraceUnseenError):
        elsewhere.done(b"other bytes")
    by_bytes = elsewhere.done((tmp_path / "plan").read_bytes())
    assert by_bytes == task.done()
    READY.clear()
    assert by_bytes == task.done()


def test_a_worker_that_sees_something_else_says_so(folder, tmp_path) -> None:
    with pytest.raises(InputError, match="the worker sees another network, other pictures or"):
        work(folder, tmp_path, setting="0" * 64).done()


def test_what_no_other_process_can_have_is_refused(folder, tmp_path) -> None:
    @dataclass(frozen=True)
    class Local(PEDesign):
        name = "local"
        lanes = 1

        def step(self, xs: Any, ws: Any, signed: bool = False) -> Any:
            raise NotImplementedError

    with pytest.raises(InputError, match="jobs: the search cannot be sent to other processes"):
        found(folder, tmp_path / "t", replace(ASKED, pe=Local(), budget="", least_bits=7), jobs=2)
    with pytest.raises(InputError, match="jobs=0: expected at least 1"):
        found(folder, tmp_path / "t", jobs=0)
