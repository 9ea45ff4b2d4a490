"""Fixtures of the tests of sweeps."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sweep_cases import AXES, Here, save_trace

from sparqsim.sweep import run, sweep
from sparqsim.sweep.grid import cases_of
from sparqsim.sweep.traces import HELD


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "workers_for", lambda *args: Here())


@pytest.fixture(autouse=True)
def nothing_held() -> None:
    HELD.clear()


@pytest.fixture
def trace(tmp_path: Path) -> str:
    save_trace(tmp_path / "net.safetensors")
    return str(tmp_path / "net.safetensors")


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every point of AXES, made once and changed by nobody."""
    folder = tmp_path_factory.mktemp("store")
    trace, store = folder / "net.safetensors", folder / "store.sqlite"
    save_trace(trace)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "workers_for", lambda *args: Here())
        sweep(cases_of({"trace": str(trace), **AXES}), store)
    return store


@pytest.fixture
def store(tmp_path: Path, trace: str, here: None, made_store: Path) -> Path:
    """A store with every point of AXES, of this test's own."""
    shutil.copy(made_store, tmp_path / "store.sqlite")
    return tmp_path / "store.sqlite"
