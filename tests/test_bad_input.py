"""Bad arguments, bad layers, places that cannot be written: exit code 2 and one line that names
what is wrong.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

import sparqsim
from sparqsim.base.files import write_text

BAD_OPTIONS = {
    "unknown PE": (["--pe", "sparq-5op"], ["'sparq-5op'", "did you mean sparq-5opt?"]),
    "unknown PE, nothing near": (["--pe", "zzz"], ["'zzz'", "mac-8b8b"]),
    "empty PE": (["--pe", ""], ["mac-8b8b"]),
    "unknown key": (["--pe", "sparq-5opt:round=trim"], ["'round=trim'", "did you mean rounding?"]),
    "key without value": (
        ["--pe", "sparq-5opt:rounding"],
        ["'rounding' has no value", "nearest-even | trim", "rounding, pairing"],
    ),
    "bad key value": (["--pe", "sparq-5opt:rounding=up"], ["rounding='up'", "nearest-even, trim"]),
    "key of a design without keys": (
        ["--pe", "bitfusion:rounding=trim"],
        ["'rounding=trim'", "accepts no keys"],
    ),
    "PE file missing": (["--pe", "no/such.py:Mine"], ["no/such.py", "FILE.py:CLASS"]),
    "array 0x16": (["--array", "0x16"], ["rows=0", "1 to 65536"]),
    "array 16x0": (["--array", "16x0"], ["cols=0"]),
    "array 16": (["--array", "16"], ["'16'", "ROWSxCOLS"]),
    "array -1x4": (["--array", "-1x4"], ["'-1x4'", "ROWSxCOLS"]),
    "array too large": (["--array", "65537x1"], ["rows=65537", "65536"]),
    "array far too large": (["--array", "99999999x9"], ["rows=99999999", "1 to 65536"]),
    "file without a class": (["--pe", "no_such.py"], ["'no_such.py'", "expected FILE.py:CLASS"]),
    "file with an empty class": (["--pe", "no_such.py:"], ["expected FILE.py:CLASS"]),
    "array of three sides": (["--array", "4x4x4"], ["'4x4x4'", "ROWSxCOLS"]),
    "dataflow": (["--dataflow", "oz"], ["'oz'", "os, ws, is"]),
    "coupling": (["--coupling", "loose"], ["'loose'", "lockstep"]),
    "coupling of depth 0": (["--coupling", "elastic:0"], ["'elastic:0'", "D from 1 to 999999"]),
    "coupling too deep": (
        ["--coupling", "elastic:1000000"],
        ["'elastic:1000000'", "D from 1 to 999999"],
    ),
    "overlap": (["--overlap", "maybe"], ["'maybe'", "on or off"]),
    "unknown option": (["--colour", "red"], ["--colour"]),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
@pytest.mark.parametrize("command", ["simulate", "compare"])
def test_bad_options(command, case, refused, small_path):
    options, named = BAD_OPTIONS[case]
    if case == "empty PE" and command == "compare":  # which takes a list
        named = ["--pe ''", "names no design", "expected A,B,C"]
    if "--pe" not in options and command == "simulate":
        options = ["--pe", "sparq-5opt", *options]
    line = refused(command, small_path, *options)
    assert all(part in line for part in named), line


@pytest.mark.parametrize(
    "arguments",
    [["simulate"], ["compare"], ["trace", "check"], ["nothing"], ["pe", "show"], ["--colour"]],
)
def test_incomplete_commands(arguments, refused):
    refused(*arguments)


def test_simulate_wants_a_design(refused, small_path):
    assert "--pe" in refused("simulate", small_path)


def test_a_baseline_must_be_a_design(refused, small_path):
    assert "did you mean mac-8b8b?" in refused("compare", small_path, "--baseline", "mac-8b8")


def test_pe_show_of_an_unknown_design(refused):
    assert "did you mean sparq-exact?" in refused("pe", "show", "sparq-exakt")


@pytest.mark.parametrize(
    "source",
    [
        "not python (",
        "import no_such_module",
        "Mine = 3",
        "raise KeyError('x')",
        "",
        "from sparqsim import PEDesign\nclass Mine(PEDesign): pass",
    ],
)
def test_a_broken_design_file(source, refused, small_path, tmp_path):
    (tmp_path / "mine.py").write_text(source)
    assert "mine.py" in refused("simulate", small_path, "--pe", f"{tmp_path / 'mine.py'}:Mine")


def signed_trace(path):
    layer = sparqsim.Layer.from_gemm(
        "attention", np.full((3, 4), -5, np.int8), np.ones((4, 2), np.int8)
    )
    sparqsim.Trace([layer]).save(path)
    return path


@pytest.mark.parametrize("name", ["sparq-5opt", "sparq-7opt", "sparq-exact"])
def test_signed_activations_given_to_a_sparq_design(name, refused, tmp_path):
    path = signed_trace(tmp_path / "signed.safetensors")
    line = refused("simulate", path, "--pe", name, "--signed", "refuse")
    assert all(part in line for part in ("'attention'", name, "int8", "uint8")), line


def test_signed_activations_run_on_macs(run, tmp_path):
    path = signed_trace(tmp_path / "signed.safetensors")
    assert run("compare", path, "--pe", "mac-8b8b,mac-4b8b,mac-4b4b").code == 0


X, W = np.zeros((2, 3), np.uint8), np.zeros((3, 4), np.int8)
PIXELS, KERNELS = np.zeros((1, 4, 4, 2), np.uint8), np.zeros((3, 9, 2), np.int8)


def gemm(x=X, w=W, name="a", **fields):
    return lambda: sparqsim.Layer.from_gemm(name, x, w, **fields)


def conv(pixels=PIXELS, kernels=KERNELS, kernel=(3, 3), **fields):
    return lambda: sparqsim.Layer.conv2d("a", pixels, kernels, kernel=kernel, **fields)


BAD_VALUES = {
    "float activations": (gemm(X.astype(float)), ["'a'", "float64", "uint8"]),
    "unsigned weights": (gemm(w=W.astype(np.uint8)), ["'a'", "weights are uint8", "int8"]),
    "K disagrees": (gemm(w=W[:2]), ["'a'", "K=3", "K=2"]),
    "vector": (gemm(X[0]), ["'a'", "(3,)", "matrix"]),
    "list": (gemm([[1]]), ["'a'", "list", "matrix"]),
    "zero rows": (gemm(X[:0]), ["'a'", "(1, 0, 3)", "at least 1"]),
    "zero K": (gemm(X[:, :0], W[:0]), ["'a'", "at least 1"]),
    "zero outputs": (gemm(w=W[:, :0]), ["'a'", "weights", "at least 1"]),
    "kernel positions": (conv(kernel=(3, 2)), ["9 kernel positions", "3x2"]),
    "channels": (conv(PIXELS[..., :1]), ["1 channels", "2 per group"]),
    "groups": (conv(kernels=KERNELS[..., :1], groups=2), ["3 output", "groups=2"]),
    "kernel does not fit": (conv(dilation=(2, 2)), ["not fit"]),
    "stride 0": (conv(stride=(0, 1)), ["stride[0]", "found 0"]),
    "negative padding": (conv(padding=(0, 0, 0, -1)), ["padding[3]", "found -1"]),
    "two paddings": (conv(padding=(1, 1)), ["padding"]),
    "zero point": (gemm(activation_zero_point=7), ["activation_zero_point=7"]),
    "scales": (gemm(weight_scales=(1.0,)), ["weight_scales has 1", "4"]),
    "negative scale": (gemm(activation_scale=-1.0), ["activation_scale", "-1.0"]),
    "scale not a number": (gemm(activation_scale=float("nan")), ["activation_scale"]),
    "empty name": (gemm(name=""), ["name"]),
    "unknown field": (gemm(colour="red"), ["colour"]),
    "no layers": (lambda: sparqsim.Trace([]), ["layers is empty"]),
    "name twice": (lambda: sparqsim.Trace([gemm()()] * 2), ["'a'", "2 times"]),
    "document field": (lambda: sparqsim.Trace([gemm()()], colour="red"), ["colour"]),
    "array rows": (lambda: sparqsim.ArrayConfig(rows=0), ["rows=0"]),
    "array rows not an integer": (lambda: sparqsim.ArrayConfig(rows=2.0), ["rows=2.0"]),
    "array overlap": (lambda: sparqsim.ArrayConfig(overlap="on"), ["overlap='on'"]),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_bad_values_in_python(case):
    make, named = BAD_VALUES[case]
    with pytest.raises(sparqsim.InputError) as refused:
        make()
    message = str(refused.value)
    assert "\n" not in message
    assert all(part in message for part in named), message


@contextmanager
def full_disk():
    """No file may grow beyond 100 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writes_no_bytecode = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # Python would leave it cut
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = writes_no_bytecode


def test_a_disk_that_fills_up_leaves_the_earlier_report(tmp_path):
    path = tmp_path / "report.json"
    path.write_bytes(b"earlier\r\n")
    with full_disk(), pytest.raises(sparqsim.InputError, match=r"report\.json: cannot be written"):
        write_text(path, "x" * 1000)
    assert path.read_bytes() == b"earlier\r\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"], (
        "nothing half-written stays"
    )


def test_a_disk_that_fills_up_leaves_the_earlier_trace(small_trace, small_path, tmp_path):
    before = small_path.read_bytes()
    with full_disk(), pytest.raises(sparqsim.InputError, match="cannot be written"):
        small_trace.save(small_path)
    assert small_path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [small_path.name]


def test_an_interrupted_write_leaves_the_earlier_file(small_path, tmp_path, monkeypatch):
    """Whatever ends the writing, e.g. Ctrl-C."""
    path = tmp_path / "report.json"
    path.write_text("earlier")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "earlier"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["report.json", small_path.name]


@pytest.mark.parametrize(
    "command", [["simulate", "--pe", "sparq-5opt"], ["compare", "--pe", "sparq-5opt"]]
)
@pytest.mark.parametrize("place", ["missing/report.json", "folder", "file/report.json", "n" * 300])
def test_places_that_cannot_be_written(command, place, refused, small_path, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("a file")
    line = refused(command[0], small_path, *command[1:], "-o", tmp_path / place)
    assert "cannot be written" in line
    assert place in line
    assert (tmp_path / "file").read_text() == "a file"


def test_a_refused_run_leaves_the_earlier_report(refused, small_path, tmp_path):
    (tmp_path / "report.json").write_text("earlier")
    refused("simulate", small_path, "--pe", "sparq-5op", "-o", tmp_path / "report.json")
    refused(
        "simulate",
        tmp_path / "none.safetensors",
        "--pe",
        "sparq-5opt",
        "-o",
        tmp_path / "report.json",
    )
    assert (tmp_path / "report.json").read_text() == "earlier"


def test_the_mode_of_the_earlier_file_is_kept(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("earlier")
    path.chmod(0o640)
    write_text(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "no/such/file.safetensors"],
        ["simulate", "TRACE", "--pe", "sparq-9opt"],
        ["simulate", "TRACE", "--pe", "sparq-5opt", "--array", "0x16"],
        ["compare", "TRACE", "-o", "no/such/folder/c.json"],
    ],
)
def test_in_a_process_of_its_own(arguments, small_path, root):
    """As a user meets it: exit code 2, one line on stderr."""
    arguments = [str(small_path) if each == "TRACE" else each for each in arguments]
    command = [sys.executable, "-m", "sparqsim", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("sparqsim: ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["simulate", "no.safetensors", "--pe", "mac-8b8b"],
            "no.safetensors: no such file; expected a trace",
        ),
        (
            ["trace", "check", "no.safetensors"],
            "sparqsim: no.safetensors: no such file; expected a trace",
        ),
        (["trace", "info", "tests"], "tests: is a directory; expected a trace"),
        (["regress", "check", "no.toml"], "no.toml: no such file; expected a .toml file"),
        (["regress", "update", "no.toml"], "no.toml: no such file; expected a .toml file"),
        (["sweep", "no.toml", "-o", "no.sqlite"], "no.toml: no such file; expected a .toml file"),
        (
            ["trace", "import", "no.csv", "-o", "no.safetensors"],
            "no.csv: no such file; expected a topology file",
        ),
        (
            ["plot", "no.json", "-o", "no.svg"],
            "no.json: no such file; expected the -o of `simulate` or `compare`",
        ),
    ],
)
def test_files_that_are_missing(arguments, told, refused, root, monkeypatch):
    monkeypatch.chdir(root)
    assert told in refused(*arguments)


def test_a_file_named_without_its_class_tells_the_classes(refused, small_path, tmp_path):
    (tmp_path / "mine.py").write_text("class One:\n    pass\n\n\nclass Two:\n    pass\n")
    assert "(it has One, Two)" in refused("simulate", small_path, "--pe", tmp_path / "mine.py")


def test_simulate_takes_one_design(refused, small_path):
    line = refused("simulate", small_path, "--pe", "mac-8b8b,sparq-5opt:rounding=trim,pairing=off")
    assert "names several designs" in line
    assert "sparqsim compare" in line


def test_the_file_is_named_once(refused, craft):
    path = craft(b"{}", length=10**9, name="trunc.safetensors")
    assert refused("trace", "check", path).count("trunc.safetensors") == 1


def test_trace_check_tells_faults_of_the_tensors_beside_those_of_the_document(run, craft):
    """A document that is not sound hides nothing of the layers that it does describe."""
    sound = {"name": "a", "op": "gemm"}
    document = {
        "format": "sparqsim.trace/1",
        "colour": "red",
        "layers": [sound, {"name": "b", "op": "gemm", "groups": 0}, sound | {"name": "c"}],
    }
    tensors = {
        "c/activations": ("U8", [1, 2, 2], 4),
        "c/weights": ("F32", [2, 1, 2], 16),
        "stray": ("U8", [1], 1),
    }
    header, at = {"__metadata__": {"sparqsim": json.dumps(document)}}, 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    path = craft(header, bytes(at))
    ended = run("trace", "check", path)
    assert ended.code == 2
    faults = ended.out.splitlines()
    for told in (
        "colour",
        "layers[1].groups",
        "tensor 'a/activations' is missing",
        "tensor 'a/weights' is missing",
        "layer 'c': weights are float32",
        "tensor 'stray' belongs to no layer",
    ):
        assert sum(told in fault for fault in faults) == 1, (told, faults)
    assert len(faults) == 6
    assert "6 faults" in ended.err
