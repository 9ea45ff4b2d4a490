"""The commands that the stress tests run, what these read, and what they write."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import sparqsim  # noqa: E402 - from this checkout, also where another one is installed
from sparqsim.cli import main  # noqa: E402

TRACE, RESULT, STORE, MODEL = "net.safetensors", "result.json", "points.sqlite", "net.onnx"
TOPOLOGY = "Layer, h, w, fh, fw, c, n, stride\n" + "".join(
    f"conv{number}, 40, 40, 3, 3, 16, 32, 1,\n" for number in range(4)
)
CASES = "".join(
    f'[[case]]\nname = "{name}"\ntrace = "{TRACE}"\narray = "{array}"\n'
    for name, array in (("a", "8x8"), ("b", "16x16"))
)


class WrongError(Exception):
    """Something that must not happen did."""


@dataclass(frozen=True)
class Command:
    """Words of a command line, and the files that the command writes."""

    words: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, line: str, *outputs: str) -> Command:
        """Make a command of a line without quotes."""
        return cls(tuple(line.split()), outputs)

    @property
    def name(self) -> str:
        """The words that say which command it is."""
        grouped = self.words[0] in {"trace", "regress", "sweep", "rtl"}
        return " ".join(self.words[: 1 + grouped])


#: Those that are killed.
KILLED = [
    Command.of(f"simulate {TRACE} --pe sparq-exact -o out.json", "out.json"),
    Command.of(f"compare {TRACE} --plot out.svg -o out.json", "out.svg", "out.json"),
    Command.of(
        f"trace dump {MODEL} --images x.npy -o out.safetensors",
        "out.safetensors",
    ),
    Command.of("trace import net.csv -o out.safetensors", "out.safetensors"),
    Command.of(f"report {RESULT} -o out.html", "out.html"),
    Command.of(f"plot {RESULT} --kind layers -o out.svg", "out.svg"),
    Command.of("regress update cases.toml", "golden/a.json", "golden/b.json"),
]
#: The others that write files.
OTHERS = [
    Command.of(
        f"bandwidth {TRACE} --config edge --pe sparq-5opt -o out.json --plot out.pdf",
        "out.json",
        "out.pdf",
    ),
    Command.of(f"predict {TRACE} --config edge --pe sparq-5opt -o out.json", "out.json"),
    Command.of(
        f"accuracy {MODEL} --images x.npy --pe sparq-5opt --array 16x16 -o out.json", "out.json"
    ),
    Command.of(
        f"trace transform {TRACE} --with requantise:weights=4 --with prune-2of4 -o out.safetensors",
        "out.safetensors",
    ),
    Command.of(f"sweep export {STORE} -o out.csv", "out.csv"),
    Command.of(f"sweep export {STORE} -o out.parquet", "out.parquet"),
    Command.of(
        "regress check kept.toml --junit out.xml --markdown out.md",
        "out.xml",
        "out.md",
    ),
    Command.of("rtl area -o out.json", "out.json"),
    Command.of(
        f"rtl simulate {TRACE} --layer layer0 --pe mac-8b8b --array 4x4 -o out.vcd", "out.vcd"
    ),
]
#: Output that says how long the command took, so no two are alike.
TIMED = frozenset({"out.xml"})
#: What libraries leave in the temporary folder: the session number of ONNX Runtime's telemetry.
OF_OTHERS = frozenset({".ses", ".onnxruntime"})


def make_inputs(folder: Path) -> None:
    """Write what the commands read."""
    rng = np.random.default_rng(7)
    layers = [
        sparqsim.Layer.from_gemm(
            f"layer{at}",
            rng.integers(0, 256, (400, 96), np.uint8),
            rng.integers(-128, 128, (96, 32), np.int8),
        )
        for at in range(3)
    ]
    sparqsim.Trace(layers, synthetic="uniform").save(folder / TRACE)
    trace = sparqsim.load_trace(folder / TRACE)
    text = sparqsim.compare(trace, ["mac-8b8b", "sparq-5opt"]).to_json()
    (folder / RESULT).write_text(text)
    (folder / "net.csv").write_text(TOPOLOGY)
    (folder / "cases.toml").write_text(CASES)
    (folder / "kept.toml").write_text('golden = "kept"\n' + CASES)
    make_network(folder, rng)
    for line in (
        "regress update kept.toml",
        f"sweep {TRACE} --pe mac-8b8b,sparq-5opt --jobs 1 -o {STORE}",
    ):
        code, err = ended(started(line.split(), folder))
        if code:
            raise WrongError(f"{line}: exit code {code}: {err}")


def make_network(folder: Path, rng: np.random.Generator) -> None:
    """Write a small ONNX network and pictures for it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8, 62, 62])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / MODEL)
    np.save(folder / "x.npy", rng.random((4, 3, 64, 64), np.float32))


def environment(folder: Path) -> dict[str, str]:
    """Return an environment whose temporary folder and caches can be looked into."""
    places = {"TMPDIR": folder / "temporary", "XDG_CACHE_HOME": folder / "caches"}
    return os.environ | {"PYTHONPATH": str(ROOT)} | {key: str(at) for key, at in places.items()}


def started(
    words: Sequence[str], folder: Path, *, prefix: Sequence[str] = (), **settings: Any
) -> subprocess.Popen[bytes]:
    """Start a command in a folder; `prefix`: words that go before it."""
    defaults = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "env": dict(os.environ)}
    given = defaults | settings
    given["env"] = given["env"] | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "sparqsim", *words], cwd=folder, **given
    )


class Forked:
    """A command in a fork of this process, which has loaded the modules and kernels already.

    A command on a busy machine spends most of its life on imports, in which nothing can be lost.
    """

    def __init__(self, words: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process has ended
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._run(words, folder, env)

    def _run(self, words: Sequence[str], folder: Path, env: Mapping[str, str]) -> NoReturn:
        """Be the command, as `python -m sparqsim` is."""
        os.chdir(folder)
        os.environ.update(env)
        tempfile.tempdir = None
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(self._said.fileno(), 2)
        sys.argv = ["sparqsim", *words]
        code: Any = 70
        try:
            main()
        except SystemExit as error:
            code = error.code
        finally:
            os._exit(code or 0)

    def poll(self) -> int | None:
        """Return the exit code if the process has ended, else None."""
        return self._waited(os.WNOHANG)

    def send_signal(self, number: int) -> None:
        """Send a signal to the process if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self) -> tuple[None, bytes]:
        """Wait for the end; return nothing, and what was said on stderr."""
        self._waited(0)
        with self._said:
            self._said.seek(0)
            return None, self._said.read()

    def _waited(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def ended(process: subprocess.Popen[bytes] | Forked) -> tuple[int | None, str]:
    """Wait for a command; return its exit code and what it said on stderr."""
    _, err = process.communicate()
    return process.returncode, (err or b"").decode(errors="replace")


Start = Callable[[Sequence[str], Path], subprocess.Popen[bytes] | Forked]


def undisturbed(
    command: Command, folder: Path, start: Start = started
) -> tuple[dict[str, bytes], float]:
    """Return what a command writes, by file, and how long it takes in seconds."""
    begun = time.monotonic()
    code, err = ended(start(command.words, folder))
    if code:
        raise WrongError(f"{command.name}: exit code {code}: {err}")
    seconds = time.monotonic() - begun
    return {name: (folder / name).read_bytes() for name in command.outputs}, seconds


def contents(command: Command, folder: Path) -> Mapping[str, bytes | None]:
    """Return what is in the files that a command writes; None for one that is not there."""
    paths = {name: folder / name for name in command.outputs}
    return {name: path.read_bytes() if path.exists() else None for name, path in paths.items()}


def is_whole(name: str, content: bytes | None, whole: bytes) -> bool:
    """Return whether a file is the whole one that an undisturbed command writes."""
    if content is None or name not in TIMED:
        return content == whole
    return content[:100] == whole[:100] and content.endswith(whole[-20:])


def temporary_files(*folders: Path) -> list[str]:
    """Return hidden files in folders, which is what is being written, or was left behind."""
    paths = (path for folder in folders for path in folder.rglob(".*"))
    return sorted(str(path) for path in paths if path.name not in OF_OTHERS)
