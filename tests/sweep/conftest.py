"""Fixtures of the tests of sweeps."""

from __future__ import annotations

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


@pytest.fixture
def store(tmp_path: Path, trace: str, here: None) -> Path:
    """A store with every point of AXES."""
    sweep(cases_of({"trace": trace, **AXES}), tmp_path / "store.sqlite")
    return tmp_path / "store.sqlite"
