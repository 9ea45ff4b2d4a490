"""Sweeps on a Dask cluster: the same bytes, and what happens when parts of it go away."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sparqsim.sweep import Store

pytest.importorskip("distributed")


def stress_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "stress_sweep", Path(__file__).with_name("stress_sweep.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


stress = stress_script()
GRID = (
    'trace = "net.safetensors"\npe = ["mac-8b8b", "sparq-exact"]\narray = ["4x4", '
    '"8x8"]\ndataflow = ["os", "ws"]\n'
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trace, a small grid, and a store of it that local processes made."""
    folder = tmp_path_factory.mktemp("cluster")
    stress.make_inputs(folder, rows=100)
    (folder / "grid.toml").write_text(GRID)
    stress.ended_well(stress.start_sweep(folder, "local.sqlite"))
    return folder


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[str]:
    """A scheduler and two workers; the second is in another folder, where the trace's relative path
    means nothing.
    """
    with stress.cluster(folder, workers=2) as started:
        yield started.address


def sweep(folder: Path, store: str, address: str) -> tuple[int, str, str]:
    process = stress.start_sweep(folder, store, "--scheduler", address)
    stdout, stderr = process.communicate(timeout=200)
    return process.returncode, stdout, stderr


def test_the_same_bytes_as_local_processes(folder: Path, cluster: str) -> None:
    assert sweep(folder, "cluster.sqlite", cluster) == (0, "8 points: 0 known, 8 computed\n", "")
    assert stress.reports_of(folder / "cluster.sqlite") == stress.reports_of(
        folder / "local.sqlite"
    )
    assert stress.table_of(folder / "cluster.sqlite") == stress.table_of(folder / "local.sqlite")


def test_workers_that_cannot_see_the_trace_receive_it_once(folder: Path, cluster: str) -> None:
    from distributed import Client

    stress.ended_well(stress.start_sweep(folder, "again.sqlite", "--scheduler", cluster))
    with Client(cluster, set_as_default=False) as client:
        received = client.run(
            lambda: sum(
                held.received for held in sys.modules["sparqsim.sweep.traces"].HELD.values()
            )
        )
        looking = client.run(lambda: Path("net.safetensors").exists())
    assert sorted(looking.values()) == [False, True]
    # Tasks may all have gone to the worker that sees the trace; that one must never have been sent
    # it.
    assert all(traces == 0 for address, traces in received.items() if looking[address])
    assert all(traces <= 1 for traces in received.values())


@pytest.mark.slow
def test_only_a_worker_that_cannot_see_the_trace(folder: Path) -> None:
    (folder / "alone").mkdir()
    with stress.cluster(folder / "alone", workers=1) as cluster:
        assert sweep(folder, "alone.sqlite", cluster.address) == (
            0,
            "8 points: 0 known, 8 computed\n",
            "",
        )
    assert stress.reports_of(folder / "alone.sqlite") == stress.reports_of(folder / "local.sqlite")


#: The command line, which waits a second for a scheduler.
IMPATIENT = """
from sparqsim.sweep import cluster
cluster.CONNECT_SECONDS = 1
from sparqsim.cli import main
main()
"""


def test_a_scheduler_that_is_not_there(folder: Path) -> None:
    words = ["sweep", "grid.toml", "-o", "absent.sqlite", "--scheduler", "tcp://127.0.0.1:1"]
    ended = subprocess.run(
        [sys.executable, "-c", IMPATIENT, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert ended.returncode == 2
    assert "no answer" in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr


@pytest.mark.parametrize("address", ["nonsense://x", ""])
def test_what_is_no_address(
    address: str, folder: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    told = refused("sweep", "grid.toml", "-o", "absent.sqlite", "--scheduler", address)
    assert "an address" in told


@pytest.mark.slow
def test_a_scheduler_that_goes_away(tmp_path: Path) -> None:
    stress.make_inputs(tmp_path, rows=2000)
    with stress.cluster(tmp_path, workers=1) as cluster:
        process = stress.start_sweep(tmp_path, "s.sqlite", "--scheduler", cluster.address)
        wait_for_rows(tmp_path / "s.sqlite", process)
        cluster.scheduler.kill()
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "went away; what was recorded is safe, and the same command resumes" in stderr
    assert stderr.count("\n") == 1, stderr
    kept = set(stress.keys_in(tmp_path / "s.sqlite"))
    assert 0 < len(kept) < stress.POINTS
    stress.ended_well(stress.start_sweep(tmp_path, "s.sqlite"))  # without the cluster
    stress.check_sound(tmp_path / "s.sqlite", kept)
    stress.check_same_end(tmp_path / "s.sqlite", stress.undisturbed(tmp_path))


def wait_for_rows(store: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 100
    while not stress.keys_in(store):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def test_workers_with_another_version_are_refused(
    folder: Path, cluster: str, tmp_path: Path
) -> None:
    code = (
        "from sparqsim.base import version; version.VERSION = '99'\n"
        "import sys; from sparqsim.cli import main\n"
        "if __name__ == '__main__': main(sys.argv[1:])"
    )
    (tmp_path / "other.py").write_text(code)
    words = ("sweep", folder / "net.safetensors", "--pe", "mac-8b8b", "-o", "s.sqlite")
    ended = subprocess.run(
        [sys.executable, "other.py", *words, "--scheduler", cluster],
        check=False,
        cwd=tmp_path,
        env=stress.environment(),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "another version of sparqsim" in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    with Store(tmp_path / "s.sqlite") as opened:
        assert opened.rows() == []


def test_without_dask(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sparqsim.cli import main

    monkeypatch.chdir(folder)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "grid.toml", "-o", "none.sqlite", "--scheduler", "tcp://127.0.0.1:1"])
    assert ended.value.code == 2
    assert "pip install -e '.[dask]'" in capsys.readouterr().err


@pytest.mark.slow
def test_kill_9_of_workers() -> None:
    ended = subprocess.run(
        [sys.executable, str(stress.__file__), "dask", "--kills", "2"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "nothing lost, nothing twice, the same end" in ended.stdout


@pytest.fixture
def encrypted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings under which all parts of a cluster share a certificate that was made for it, and
    accept no other.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sweep",
         "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    begin = "DASK_DISTRIBUTED__COMM__"
    settings = {f"{begin}REQUIRE_ENCRYPTION": "true", f"{begin}TLS__CA_FILE": str(certificate)}
    for part in ("SCHEDULER", "WORKER", "CLIENT"):
        settings |= {
            f"{begin}TLS__{part}__CERT": str(certificate),
            f"{begin}TLS__{part}__KEY": str(key),
        }
    return settings


@pytest.mark.slow
def test_a_cluster_with_tls_takes_those_who_have_the_key(
    folder: Path, encrypted: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stress, "SETTINGS", encrypted)
    with stress.cluster(folder, workers=1, protocol="tls") as started:
        assert started.address.startswith("tls://127.0.0.1:")
        assert sweep(folder, "tls.sqlite", started.address) == (
            0,
            "8 points: 0 known, 8 computed\n",
            "",
        )
        monkeypatch.setattr(stress, "SETTINGS", {})
        code, out, err = sweep(folder, "stranger.sqlite", started.address)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        plain = started.address.replace("tls://", "tcp://")
        assert sweep(folder, "plain.sqlite", plain)[0] == 2
    assert stress.reports_of(folder / "tls.sqlite") == stress.reports_of(folder / "local.sqlite")


def test_a_cluster_of_the_tests_listens_on_this_machine_alone(cluster: str) -> None:
    assert cluster.startswith("tcp://127.0.0.1:")
