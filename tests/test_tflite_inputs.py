"""Inputs and outputs of TFLite networks that are not pictures of 8 bits, and files that are not
sound.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparqsim import InputError, get_pe, load_trace
from sparqsim.networks.images import Pictures
from sparqsim.networks.tflite.interpreter import Interpreter
from sparqsim.trace.coverage import Coverage

schema = pytest.importorskip(
    "ai_edge_litert.schema_py_generated", reason="needs the extra 'tflite'"
)

from tflite_builder import Builder, small_network  # noqa: E402

from sparqsim.networks.modelfiles import dump  # noqa: E402
from sparqsim.networks.tflite.evaluate import TfliteNetwork  # noqa: E402
from sparqsim.networks.tflite.model import Model  # noqa: E402
from sparqsim.networks.tflite.network import TfliteSites, prepared  # noqa: E402

FLOAT32 = 0
RANDOM = np.random.default_rng(8)


def classifier(path: Path, *, real: bool, zero_channel: bool = False) -> Path:
    """Write 12 inputs to 5 scores, int8; with `real` the converter's float input and output around
    it.
    """
    build = Builder(signed=True)
    x = build.tensor("x", (1, 12), [0.02], [-10])
    w = build.weights("w", (5, 12), 1)
    quantization = build.tensors[w].quantization
    quantization.scale, quantization.zeroPoint = [0.0 if zero_channel else 0.01], [0]
    y = build.tensor("y", (1, 5), [0.02], [3])
    if not real:
        build.operator("FULLY_CONNECTED", [x, w], y)
        return build.save(path, [x], [y])
    real_x = build.tensor("real_x", (1, 12), [], [], kind=FLOAT32)
    real_y = build.tensor("real_y", (1, 5), [], [], kind=FLOAT32)
    build.operator("QUANTIZE", [real_x], x)
    build.operator("FULLY_CONNECTED", [x, w], y)
    build.operator("DEQUANTIZE", [y], real_y)
    return build.save(path, [real_x], [real_y])


def fed(path: Path, values: np.ndarray) -> Pictures:
    np.save(path, values)
    return Pictures.open(path)


@pytest.mark.parametrize("real", [False, True], ids=["int8", "float"])
def test_real_numbers_are_quantised_as_the_network_says(tmp_path: Path, real: bool) -> None:
    """Codes by float64 and halves away from zero; ties and values beyond the range among them."""
    values = np.append(RANDOM.normal(size=9), [0.5 * 0.02, 9.0, -9.0]).astype(np.float32)[None]
    file = classifier(tmp_path / "n.tflite", real=real)
    dump(file, fed(tmp_path / "x.npy", values), tmp_path / "t.safetensors")
    (layer,) = load_trace(tmp_path / "t.safetensors").layers
    steps = values[0] / np.float32(0.02)
    codes = [int(np.copysign(np.floor(abs(float(step)) + 0.5), step)) - 10 for step in steps]
    stored = np.clip(codes, -128, 127) + 128  # around a zero point, 128 higher as uint8
    assert layer.activations.ravel().tolist() == stored.tolist()


@pytest.mark.parametrize("real", [False, True], ids=["int8", "float"])
def test_exact_arithmetic_answers_as_the_interpreter(tmp_path: Path, real: bool) -> None:
    values = RANDOM.normal(size=(6, 12)).astype(np.float32)
    pictures = fed(tmp_path / "x.npy", values)
    network = TfliteNetwork(TfliteSites(classifier(tmp_path / "n.tflite", real=real)))
    under = np.concatenate(list(network.under(get_pe("mac-8b8b"), pictures)))
    assert np.array_equal(under, np.concatenate(list(network.reference(pictures))))
    assert len(np.unique(under)) > 5


def test_codes_are_fed_as_they_are(tmp_path: Path) -> None:
    codes = RANDOM.integers(-128, 128, (2, 12)).astype(np.int8)
    model = Model(classifier(tmp_path / "n.tflite", real=False))
    pictures = fed(tmp_path / "x.npy", codes)
    assert np.array_equal(np.stack(list(prepared(model, pictures))), codes)
    real = Model(classifier(tmp_path / "f.tflite", real=True))
    with pytest.raises(InputError, match="int8 codes and the network takes float32"):
        list(prepared(real, pictures))


def test_a_scale_of_zero_stands_for_zero_weights(tmp_path: Path) -> None:
    file = classifier(tmp_path / "n.tflite", real=False, zero_channel=True)
    pictures = fed(tmp_path / "x.npy", RANDOM.normal(size=(1, 12)).astype(np.float32))
    dump(file, pictures, tmp_path / "t.safetensors")
    (layer,) = load_trace(tmp_path / "t.safetensors").layers
    assert not layer.weights.any()
    assert set(layer.record.weight_scales) == {1.0}
    network = TfliteNetwork(TfliteSites(file))
    assert np.concatenate(list(network.reference(pictures))).ravel().tolist() == [3] * 5


def test_a_bias_in_units_of_scale_0_is_0(tmp_path: Path) -> None:
    """Biases count in input scale x weight scale; the oracle is the interpreter."""
    build = Builder(signed=True)
    x = build.tensor("x", (1, 4, 4, 3), [0.02], [-10])
    w = build.weights("w", (4, 3, 3, 3), 4)
    scales = [0.004, 0.0, 0.002, 0.006]
    build.tensors[w].quantization.scale = scales
    bias = build.bias(w, 4, 0.02)
    y = build.tensor("y", (1, 2, 2, 4), [0.1], [3])
    build.operator("CONV_2D", [x, w, bias], y, padding=1, strideH=1, strideW=1)
    file = build.save(tmp_path / "n.tflite", [x], [y])
    codes = RANDOM.integers(-128, 128, (3, 4, 4, 3)).astype(np.int8)
    pictures, network = fed(tmp_path / "x.npy", codes), TfliteNetwork(TfliteSites(file))
    expected = np.concatenate(list(network.reference(pictures)))
    under = np.concatenate(list(network.under(get_pe("mac-8b8b"), pictures, keep_8bit=False)))
    assert (expected[..., 1] == 3).all()
    assert np.array_equal(under, expected)
    (layer,) = network.trace(pictures).layers
    raw = np.asarray(build.buffers[build.tensors[bias].buffer].data).view(np.int32)
    assert raw[1] != 0
    assert np.allclose(layer.bias, raw * (np.array(scales) * 0.02), rtol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_a_trace_says_what_it_leaves_out(tmp_path: Path, signed: bool) -> None:
    """Multiply-accumulates of a transposed convolution: input pixels times weights, for every
    picture.
    """
    build = Builder(signed)
    x = build.tensor("x", (1, 5, 4, 3), [0.02], [3])
    w = build.weights("w", (2, 1, 1, 3), 2)
    c = build.tensor("c", (1, 5, 4, 2), [0.05], [9])
    build.operator("CONV_2D", [x, w, build.bias(w, 2, 0.02)], c, padding=1, strideH=1, strideW=1)
    up = build.weights("up", (7, 3, 2, 2), 1)
    shape = build.tensor("shape", (4,), [], [], np.array([1, 10, 8, 7], np.int32), kind=2)
    y = build.tensor("y", (1, 10, 8, 7), [0.05], [9])
    build.operator("TRANSPOSE_CONV", [shape, up, c], y, padding=0, strideH=2, strideW=2)
    file = build.save(tmp_path / "n.tflite", [x], [y])
    images = RANDOM.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    from sparqsim.networks.tflite.leftout import macs_of
    from sparqsim.networks.tflite.macs import skipped_operators

    model = Model(file)
    (operator,) = skipped_operators(model, ["TRANSPOSE_CONV"])
    assert macs_of(model, operator) == 5 * 4 * 2 * 3 * 2 * 7
    assert macs_of(model, model.operators[0]) == 5 * 4 * 2 * 3
    dump(file, fed(tmp_path / "x.npy", images), tmp_path / "t", skip=["TRANSPOSE_CONV"])
    coverage = Coverage.of(load_trace(tmp_path / "t").metadata.provenance)
    assert coverage.inputs == 3
    assert [(each.name, each.macs) for each in coverage.left_out] == [("y", 3 * 1680)]


#: Alters a model and its main graph.
Change = Any


def changed(path: Path, change: Change) -> Path:
    """Return a sound file with its objects changed."""
    flatbuffers = pytest.importorskip("flatbuffers")
    content = small_network(path, signed=True).read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    change(model, model.subgraphs[0])
    writer = flatbuffers.Builder(1024)
    writer.Finish(model.Pack(writer), b"TFL3")
    path.write_bytes(bytes(writer.Output()))
    return path


def _set(thing: object, name: str, value: object) -> None:
    setattr(thing, name, value)


FAULTS: dict[str, tuple[Change, str]] = {
    "index out of range": (
        lambda m, g: _set(g.operators[2], "inputs", [32516, 0, 0]),
        r"operator 2 \(CONV_2D\): an input is tensor 32516, expected one of",
    ),
    "read before it is computed": (
        lambda m, g: _set(g.operators[0], "inputs", [g.operators[2].outputs[0], 2, 3]),
        "which nothing before it computes",
    ),
    "computed twice": (
        lambda m, g: _set(g.operators[1], "outputs", list(g.operators[0].outputs)),
        "which is there already",
    ),
    "options missing": (
        lambda m, g: (
            _set(g.operators[2], "builtinOptions", None),
            _set(g.operators[2], "builtinOptionsType", 0),
        ),
        r"'point' \(CONV_2D\): its options are missing, expected Conv2DOptions",
    ),
    "stride 0": (
        lambda m, g: _set(g.operators[0].builtinOptions, "strideW", 0),
        r"'first' \(CONV_2D\): strideW=0, expected 1 to",
    ),
    "activation that is not computed": (
        lambda m, g: _set(g.operators[0].builtinOptions, "fusedActivationFunction", 4),
        "fusedActivationFunction=4",
    ),
    "NaN scale": (
        lambda m, g: _set(g.tensors[1].quantization, "scale", [float("nan")]),
        "has scale nan, expected finite numbers from 0",
    ),
    "negative scale": (
        lambda m, g: _set(g.tensors[0].quantization, "scale", [-0.1]),
        "expected finite numbers from 0",
    ),
    "activation scale 0": (
        lambda m, g: _set(g.tensors[0].quantization, "scale", [0.0]),
        "one scale above 0",
    ),
    "zero point out of range": (
        lambda m, g: _set(g.tensors[0].quantization, "zeroPoint", [300]),
        "a zero point in the type's range",
    ),
    "buffer that is not there": (
        lambda m, g: _set(g.tensors[2], "buffer", 99),
        "is in buffer 99, expected one of",
    ),
    "buffer beyond the file": (
        lambda m, g: (
            _set(m.buffers[1], "data", None),
            _set(m.buffers[1], "offset", 10**6),
            _set(m.buffers[1], "size", 9),
        ),
        "ends 1000009 bytes into the file",
    ),
    "shape that is not the constant's": (
        lambda m, g: _set(g.tensors[2], "shape", [4, 3, 3, 4]),
        "expected 144",
    ),
    "negative shape": (lambda m, g: _set(g.tensors[0], "shape", [1, -9, 8, 3]), "has shape"),
    "absurd shape": (
        lambda m, g: _set(g.tensors[0], "shape", [1, 2**20, 2**20, 3]),
        "output has shape",
    ),
    "sparse weights": (
        lambda m, g: _set(g.tensors[2], "sparsity", _sparsity()),
        "INT8 and stored sparse, expected constants of 8 or 4 bits, dense",
    ),
    "no operator code": (lambda m, g: _set(g.operators[0], "opcodeIndex", 77), "has code 77"),
}


def _sparsity() -> Any:
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder = [0, 1, 2, 3]
    return sparsity


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_one_line(tmp_path: Path, fault: str) -> None:
    change, words = FAULTS[fault]
    file = changed(tmp_path / "n.tflite", change)
    images = RANDOM.integers(0, 256, (1, 9, 8, 3), dtype=np.uint8)
    with pytest.raises(InputError, match=words) as caught:
        dump(file, fed(tmp_path / "x.npy", images), tmp_path / "t")
    assert "n.tflite" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_networks_of_two_inputs_are_refused_by_name(tmp_path: Path) -> None:
    build = Builder(signed=True)
    x, other = (build.tensor(name, (1, 12), [0.02], [0]) for name in ("x", "other"))
    w, y = build.weights("w", (5, 12), 1), build.tensor("y", (1, 5), [0.2], [3])
    build.operator("FULLY_CONNECTED", [x, w], y)
    file = build.save(tmp_path / "n.tflite", [x, other], [y])
    pictures = fed(tmp_path / "x.npy", np.zeros((1, 12), np.int8))
    with pytest.raises(InputError, match=r"takes 2 inputs \('x', 'other'\), expected one"):
        dump(file, pictures, tmp_path / "t")


def test_names_that_are_no_text_are_shown_escaped(tmp_path: Path) -> None:
    def change(_: Any, graph: Any) -> None:
        graph.tensors[int(graph.operators[0].outputs[0])].name = b"\xff\x1b[31m" + b"x" * 900

    file = changed(tmp_path / "n.tflite", change)
    dump(
        file,
        fed(tmp_path / "x.npy", RANDOM.integers(0, 256, (1, 9, 8, 3), dtype=np.uint8)),
        tmp_path / "t",
    )
    name = load_trace(tmp_path / "t").layers[0].name
    assert name.startswith(r"\xff\x1b[31mxxx")
    assert name.isprintable()
    assert len(name) <= 200


def test_overlapping_pieces_cannot_grow(tmp_path: Path) -> None:
    """A small file whose many entries are one long name is refused before it fills the memory."""
    file = changed(
        tmp_path / "n.tflite",
        lambda m, g: _set(g.operators[0], "inputs", list(g.operators[0].inputs)),
    )
    content = bytearray(file.read_bytes())
    long_name = len(content)
    content += (200_000).to_bytes(4, "little") + b"n" * 200_000
    model = schema.Model.GetRootAs(bytes(content), 0)
    graph = model.Subgraphs(0)
    for at in range(graph.TensorsLength()):
        table = graph.Tensors(at)._tab
        field = table.Pos + table.Offset(10)
        content[field : field + 4] = (long_name - field).to_bytes(4, "little")
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match="they overlap"):
        Model(file)


def test_an_interpreter_that_dies_is_one_line(tmp_path: Path) -> None:
    """The process of the interpreter is killed, as a crash would: this one goes on, and says so."""
    model = Model(classifier(tmp_path / "n.tflite", real=False))
    interpreter = Interpreter(model)
    os.kill(interpreter._process.pid, signal.SIGSEGV)
    with pytest.raises(InputError, match=r"n\.tflite: the TFLite interpreter crashed on it"):
        interpreter.run(np.zeros(12, np.int8), [model.outputs[0]])


def endless(path: Path) -> Path:
    """Write a layer with a loop behind it that never ends."""
    build = Builder(signed=True)
    x, y = build.tensor("x", (1, 4), [0.1], [0]), build.tensor("y", (1, 4), [0.5], [0])
    w = build.tensor("w", (4, 4), [0.1], [0], np.ones((4, 4), np.int8))
    looped = build.tensor("looped", (1, 4), [0.5], [0])
    build.operator("FULLY_CONNECTED", [x, w], y)
    build.endless_loop(y, looped)
    return build.save(path, [x], [looped])


def test_a_loop_without_end_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARQSIM_MAX_TFLITE_SECONDS", "30")
    model = Model(endless(tmp_path / "n.tflite"))
    interpreter = Interpreter(model)
    monkeypatch.setenv("SPARQSIM_MAX_TFLITE_SECONDS", "1")
    told = (
        r"n\.tflite: the TFLite interpreter took more than 1 seconds for one answer.*"
        "SPARQSIM_MAX_TFLITE_SECONDS allows more"
    )
    with pytest.raises(InputError, match=told):
        interpreter.run(np.zeros(4, np.int8), [model.outputs[0]])
    assert interpreter._process.wait(timeout=60) == -signal.SIGKILL


def looping(tmp_path: Path) -> subprocess.Popen[str]:
    """Return a command, leader of a group, whose interpreter is within a loop without end."""
    # A shell lets its background jobs ignore Ctrl-C, and they what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    endless(tmp_path / "n.tflite")
    np.save(tmp_path / "x.npy", np.zeros((1, 4), np.int8))
    words = ["trace", "dump", "n.tflite", "--images", "x.npy", "--skip", "WHILE", "-o", "t"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sparqsim", *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    signal.signal(signal.SIGINT, before)
    while not _is_looping(process.pid):
        assert process.poll() is None
        time.sleep(0.1)
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_ends_a_loop_without_end(tmp_path: Path) -> None:
    """Pressed on a terminal it reaches the whole group: one line, code 130, no process is left."""
    process = looping(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said.count("\n")) == (130, 1)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_an_interpreter_ends_with_the_command_that_was_killed(tmp_path: Path) -> None:
    with looping(tmp_path) as process:
        (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
    while _runs(worker):
        time.sleep(0.1)


def _runs(pid: str) -> bool:
    """Return whether a process runs; one that has ended, and nobody has waited for, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def _is_looping(pid: int) -> bool:
    """Return whether the interpreter of this process has worked for a second and a half: it has
    loaded.
    """
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        return False
    ticks = (
        sum(map(int, Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]))
        for child in children.read_text().split()
    )
    return sum(ticks) > 1.5 * os.sysconf("SC_CLK_TCK")


def test_an_interpreter_that_refuses_names_the_operator(tmp_path: Path) -> None:
    """A convolution without a bias, which the kernels do not take."""
    build = Builder(signed=True)
    x, y = build.tensor("x", (1, 3, 3, 2), [0.02], [0]), build.tensor("y", (1, 3, 3, 4), [0.2], [3])
    w = build.weights("w", (4, 1, 1, 2), 4)
    build.operator("CONV_2D", [x, w], y, padding=1, strideH=1, strideW=1)
    model = Model(build.save(tmp_path / "n.tflite", [x], [y]))
    with pytest.raises(InputError, match=r"operator 'y' \(CONV_2D\): the TFLite interpreter says"):
        Interpreter(model)
