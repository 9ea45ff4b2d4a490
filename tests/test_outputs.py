"""Where results go: links and devices stay what they are, no output destroys an input, nothing is
left behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.base.files import check_outputs, replaced, write_text

ROOT = Path(sparqsim.__file__).parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
TOPOLOGY = "Layer, h, w, fh, fw, c, n, stride\nconv, 8, 8, 3, 3, 2, 4, 1,\n"
needs_devices = pytest.mark.skipif(os.name != "posix", reason="devices and FIFOs of POSIX")


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@needs_devices
def test_a_link_stays_and_what_it_points_at_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    target = tmp_path / "kept" / "report.json"
    target.write_text("earlier")
    link = tmp_path / "link.json"
    link.symlink_to("kept/report.json")
    write_text(link, "new")
    assert link.is_symlink()
    assert str(link.readlink()) == "kept/report.json"
    assert target.read_text() == "new"
    assert names_in(target.parent) == ["report.json"]


@needs_devices
def test_a_link_to_nothing_makes_what_it_points_at(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "made.json")
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "made.json").read_text() == "new"


@needs_devices
def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "one", "new")
    assert names_in(tmp_path) == ["one", "two"]


@needs_devices
def test_a_fifo_is_written_into_and_stays(tmp_path: Path) -> None:
    fifo, read = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    write_text(fifo, "through")
    reader.join(timeout=60)
    assert read == [b"through"]
    assert fifo.is_fifo()
    assert names_in(tmp_path) == ["fifo"]


@needs_devices
def test_the_null_device_stays_a_device(run, small_path: Path) -> None:
    before = Path(os.devnull).stat()
    for output in ("-o", "--timeline"):
        ended = run(
            "simulate", small_path, "--pe", "sparq-5opt", "--config", "edge", output, os.devnull
        )
        assert ended.code == 0, ended.err
    after = Path(os.devnull).stat()
    assert Path(os.devnull).is_char_device()
    assert (before.st_ino, before.st_rdev) == (after.st_ino, after.st_rdev)
    assert not list(Path("/dev").glob(".null*"))


@needs_devices
def test_a_full_device_is_told_after_the_result_was_shown(run, small_path: Path) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full")
    ended = run("simulate", small_path, "--pe", "sparq-5opt", "-o", "/dev/full")
    assert ended.code == 2
    assert ended.err.startswith("sparqsim: /dev/full: cannot be written (No space left on device)")
    assert "Cycles and where they went" in ended.out


@needs_devices
def test_standard_output_under_another_name_gets_table_and_report(
    small_path: Path, tmp_path: Path
) -> None:
    """A file that the shell opened is written on, not replaced under the shell's hands."""
    with (tmp_path / "both").open("w") as both:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "sparqsim",
                "simulate",
                small_path,
                "--pe",
                "mac-8b8b",
                "-o",
                "/dev/stdout",
            ],
            stdout=both,
            env=ENVIRONMENT,
            check=True,
        )
    text = (tmp_path / "both").read_text()
    table, _, report = text.partition("\n{\n")
    assert "Cycles and where they went" in table
    assert sparqsim.Report.from_json("{\n" + report).pe.name == "mac-8b8b"
    assert names_in(tmp_path) == ["both", small_path.name]


@pytest.mark.parametrize("other", ["same", "dotted", "link", "hard link"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "IN", "--pe", "mac-8b8b", "-o", "OUT"),
        ("simulate", "IN", "--pe", "mac-8b8b", "--config", "edge", "--timeline", "OUT"),
        ("compare", "IN", "--pe", "mac-8b8b", "-o", "OUT"),
        ("bandwidth", "IN", "--config", "edge", "--pe", "mac-8b8b", "-o", "OUT"),
        ("predict", "IN", "--pe", "mac-8b8b", "-o", "OUT"),
        ("sweep", "IN", "--pe", "mac-8b8b", "-o", "OUT", "--jobs", "1"),
        ("accuracy", "net.onnx", "--images", "IN", "-o", "OUT"),
        ("trace", "dump", "net.onnx", "--images", "IN", "-o", "OUT"),
        ("trace", "import", "IN", "-o", "OUT"),
        ("report", "IN", "-o", "OUT"),
        ("plot", "IN", "-o", "OUT"),
        ("rtl", "area", "--liberty", "IN", "-o", "OUT"),
        ("rtl", "energy", "IN", "--pe", "mac-8b8b", "-o", "OUT"),
        ("rtl", "simulate", "IN", "--layer", "gemm", "--pe", "mac-8b8b", "-o", "OUT"),
        ("sweep", "export", "IN", "-o", "OUT"),
        ("regress", "check", "CASES", "--junit", "OUT"),
        ("regress", "check", "CASES", "--markdown", "OUT"),
    ],
    ids=" ".join,
)
def test_an_output_over_its_input_is_refused_before_any_work(
    arguments, other, refused, small_path: Path, tmp_path: Path, monkeypatch
) -> None:
    """Under whatever name: the suffix that a command asks for is given to the input, too."""
    monkeypatch.chdir(tmp_path)
    suffix = {"report": ".html", "plot": ".svg"}.get(
        arguments[0], ".csv" if "export" in arguments else ""
    )
    given = tmp_path / f"given{suffix}"
    given.write_bytes(small_path.read_bytes())
    (tmp_path / "cases.toml").write_text(f'[[case]]\nname = "a"\ntrace = "{given.name}"\n')
    output = tmp_path / f"other{suffix}"
    if other == "link":
        output.symlink_to(given)
    elif other == "hard link":
        output.hardlink_to(given)
    else:
        output = given if other == "same" else tmp_path / ".." / tmp_path.name / given.name
    words = {"IN": given, "OUT": output, "CASES": "cases.toml"}
    before = given.read_bytes()
    line = refused(*(words.get(word, word) for word in arguments))
    assert "which is read and would be lost" in line
    assert given.read_bytes() == before


def test_the_suite_itself_is_not_written_over(refused, small_path: Path, tmp_path: Path) -> None:
    cases = tmp_path / "cases.toml"
    cases.write_text(f'[[case]]\nname = "a"\ntrace = "{small_path.name}"\n')
    before = cases.read_text()
    assert "would be lost" in refused("regress", "check", cases, "--junit", cases)
    assert cases.read_text() == before


def test_a_golden_report_is_not_written_over_a_trace(
    refused, small_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "golden").mkdir()
    trace = tmp_path / "golden" / "a.json"
    trace.write_bytes(small_path.read_bytes())
    cases = tmp_path / "cases.toml"
    cases.write_text('[[case]]\nname = "a"\ntrace = "golden/a.json"\n')
    assert "would be lost" in refused("regress", "update", cases)
    assert trace.read_bytes() == small_path.read_bytes()


def test_two_outputs_in_one_file_are_refused(refused, small_path: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    line = refused(
        "simulate", small_path, "--pe", "mac-8b8b", "--config", "edge", "-o", one, "--timeline", one
    )
    assert "is also what -o writes; expected two files" in line
    assert not one.exists()


def test_two_outputs_may_both_be_thrown_away(run, small_path: Path) -> None:
    null = os.devnull
    ended = run(
        "simulate",
        small_path,
        "--pe",
        "mac-8b8b",
        "--config",
        "edge",
        "-o",
        null,
        "--timeline",
        null,
    )
    assert ended.code == 0, ended.err


def test_an_output_in_the_folder_of_arrays_that_is_read(refused, run, tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.save(folder / "act-fc.npy", np.ones((2, 3), np.uint8))
    np.save(folder / "wgt-fc.npy", np.ones((4, 3), np.int8))
    before = (folder / "wgt-fc.npy").read_bytes()
    assert "in the folder that is read" in refused(
        "trace", "import", folder, "-o", folder / "wgt-fc.npy"
    )
    assert (folder / "wgt-fc.npy").read_bytes() == before
    for _ in range(2):  # a trace is none of the files that are read
        assert run("trace", "import", folder, "-o", folder / "net.safetensors").code == 0


def test_a_design_file_is_not_written_over(refused, small_path: Path, tmp_path: Path) -> None:
    design = tmp_path / "mine.py"
    design.write_text("raise SystemExit('run')")
    line = refused("simulate", small_path, "--pe", f"{design}:Mine", "-o", design)
    assert "would be lost" in line
    assert design.read_text() == "raise SystemExit('run')"


@pytest.mark.parametrize("command", ["dump", "import", "plot"])
@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk_is_one_line(command: str, tmp_path: Path, small_path: Path) -> None:
    """The limit on the size of files stands for the full disk."""
    (tmp_path / "t.csv").write_text(TOPOLOGY.replace("8, 8, 3", "80, 80, 3"))
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "sys.dont_write_bytecode = True  # Python would leave it cut\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "from sparqsim.cli import main\n"
        "import sparqsim.trace.writer as w\n"
        "main(sys.argv[1:])"
    )
    output = "out.safetensors"
    arguments = ["trace", "import", "t.csv", "--values", "stored", "-o", output]
    if command == "plot":
        output = "out.pdf"
        arguments = ["compare", str(small_path), "--pe", "sparq-5opt", "--plot", output]
    if command == "dump":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
        make_network(tmp_path)
        arguments = ["trace", "dump", "net.onnx", "--images", "x.npy", "-o", output]
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert f"{output}: cannot be written (File too large)" in ended.stderr
    assert not [name for name in names_in(tmp_path) if "out" in name]


def make_network(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(1).normal(size=(8, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8, 30, 30])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    np.save(folder / "x.npy", np.random.default_rng(2).random((2, 3, 32, 32), np.float32))


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_killed_runs_left_is_removed_and_what_runs_is_not(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sparqsim.base.files.temporary._SWEPT", set())
    with replaced(tmp_path / "other.json") as temporary:
        host = temporary.name.split(".")[-3].split("-")[0]
    dead = dead_process()
    left = tmp_path / f".a.json.{host}-{dead}-0123abcd.part.json"
    spool = tmp_path / f".a.json.{host}-{dead}-0123abcd.spool"
    alive = tmp_path / f".a.json.{host}-{os.getpid()}-0123abcd.part.json"
    elsewhere = tmp_path / f".a.json.ffffffff-{dead}-0123abcd.part.json"
    own = tmp_path / ".a.json.part"
    for path in (left, alive, elsewhere, own):
        path.write_text("begun")
    spool.mkdir()
    (spool / "0").write_text("begun")
    (tmp_path / "other.json").unlink()
    monkeypatch.setattr("sparqsim.base.files.temporary._SWEPT", set())
    write_text(tmp_path / "b.json", "new")
    assert names_in(tmp_path) == sorted([alive.name, elsewhere.name, own.name, "b.json"])


def test_names_as_long_as_a_name_may_be(tmp_path: Path) -> None:
    for name in ("n" * 250 + ".json", "n." + "s" * 250, "\u00e9" * 120 + ".json"):
        write_text(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "new"
    assert len(names_in(tmp_path)) == 3


def test_an_unwritable_output_is_told_before_the_work(
    refused, small_path, tmp_path, monkeypatch
) -> None:
    def worked(*_, **__):
        raise AssertionError("work was done for nothing")

    monkeypatch.setattr("sparqsim.simulate", worked)
    monkeypatch.setattr("sparqsim.compare", worked)
    place = tmp_path / "missing" / "out.json"
    for command in (("simulate", "--pe", "mac-8b8b"), ("compare",)):
        assert "cannot be written" in refused(command[0], small_path, *command[1:], "-o", place)


def test_a_lost_output_does_not_cost_the_others(run, small_path, tmp_path, monkeypatch) -> None:
    """The disk fills up between the check and the writing."""
    monkeypatch.setattr("sparqsim.base.files.checks.check_writable", lambda path: None)
    ended = run(
        "simulate", small_path, "--pe", "mac-8b8b", "--config", "edge",
        "-o", tmp_path / "missing" / "r.json", "--timeline", tmp_path / "t.json",
    )  # fmt: skip
    assert ended.code == 2
    assert "r.json: cannot be written" in ended.err
    assert "Cycles and where they went" in ended.out
    assert (tmp_path / "t.json").stat().st_size


def test_read_only_files_are_not_replaced(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "kept.json"
    path.write_text("earlier")
    monkeypatch.setattr(
        "sparqsim.base.files.place.os.access", lambda *_: False
    )  # root may write everything
    with pytest.raises(InputError, match="Permission denied"):
        check_outputs({"-o": path})
    with pytest.raises(InputError, match="Permission denied"):
        write_text(path, "new")
    assert path.read_text() == "earlier"
