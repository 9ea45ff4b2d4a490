"""Kill commands at random moments, fill their disk, close their streams: no file is lost or torn, none is left behind.

    python tests/stress_commands.py kills --times 40       # kill -9 of seven commands, 40 times each
    python tests/stress_commands.py writers --times 20     # two commands at once that write one file
    python tests/stress_commands.py full                   # on a small tmpfs (root), with less or more room
    python tests/stress_commands.py readonly               # a folder that may not be written
    python tests/stress_commands.py descriptors            # standard streams closed, full, without a reader

Sweeps have `tests/stress_sweep.py`. Ends with exit code 1 and a line that says what was wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import sparqsim  # noqa: E402 - from this checkout, also where another one is installed

TRACE, RESULT = "net.safetensors", "result.json"
TOPOLOGY = "Layer, h, w, fh, fw, c, n, stride\n" + "".join(
    f"conv{number}, 40, 40, 3, 3, 16, 32, 1,\n" for number in range(4)
)
#: The commands, and the file that each of them writes.
COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "simulate": (("simulate", TRACE, "--pe", "sparq-exact", "-o", "out.json"), "out.json"),
    "compare": (("compare", TRACE, "--plot", "out.svg"), "out.svg"),
    "bandwidth": (
        ("bandwidth", TRACE, "--config", "edge", "--pe", "sparq-5opt", "-o", "out.json"),
        "out.json",
    ),
    "report": (("report", RESULT, "-o", "out.html"), "out.html"),
    "plot": (("plot", RESULT, "--kind", "layers", "-o", "out.svg"), "out.svg"),
    "trace import": (("trace", "import", "net.csv", "-o", "out.safetensors"), "out.safetensors"),
    "regress update": (("regress", "update", "cases.toml"), "golden/a.json"),
}


class WrongError(Exception):
    """Something that must not happen did."""


def sparqsim_process(
    words: Sequence[str], folder: Path, **settings: object
) -> subprocess.Popen[bytes]:
    """Start a command in a folder."""
    defaults = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-m", "sparqsim", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **(defaults | settings),  # type: ignore[call-overload]
    )


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Wait for a command; return its exit code and what it said on stderr."""
    _, err = process.communicate()
    return process.returncode, (err or b"").decode(errors="replace")


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
    (folder / "cases.toml").write_text(f'[[case]]\nname = "a"\ntrace = "{TRACE}"\n')


def undisturbed(name: str, folder: Path) -> tuple[bytes, float]:
    """Return what a command writes, and how long it takes in seconds."""
    words, output = COMMANDS[name]
    begun = time.monotonic()
    code, err = ended(sparqsim_process(words, folder))
    if code:
        raise WrongError(f"{name}: exit code {code}: {err}")
    return (folder / output).read_bytes(), time.monotonic() - begun


def hidden_files(folder: Path) -> list[str]:
    """Return the temporary files in a folder."""
    return sorted(path.name for path in folder.rglob(".*"))


def stress_kills(folder: Path, times: int, chance: random.Random) -> str:
    """Kill each command at random moments, over an earlier file of its own."""
    made, killed, left = 0, 0, 0
    for name, (words, output) in COMMANDS.items():
        whole, length = undisturbed(name, folder)
        target = folder / output
        for _ in range(times):
            target.write_bytes(b"earlier")
            process = sparqsim_process(words, folder)
            time.sleep(chance.uniform(0, length))
            process.send_signal(signal.SIGKILL)
            code, err = ended(process)
            killed += code == -signal.SIGKILL
            if err:
                raise WrongError(f"{name}: a killed command said {err!r}")
            content = target.read_bytes() if target.exists() else None
            if content not in {b"earlier", whole}:
                raise WrongError(f"{name}: {output} is lost or torn")
            made += content == whole
            left += bool(hidden_files(folder))
        undisturbed(name, folder)
        if hidden_files(folder):
            raise WrongError(f"{name}: {hidden_files(folder)} are left behind")
    return (
        f"{killed} of {times * len(COMMANDS)} commands were killed while they ran, {made} had put their file in place, "
        f"{left} left a temporary one, which the next run removed"
    )


def stress_writers(folder: Path, times: int, _: random.Random) -> str:
    """Let two commands write one file at once."""
    for name, (words, output) in COMMANDS.items():
        whole, _length = undisturbed(name, folder)
        for _ in range(times):
            pair = [sparqsim_process(words, folder) for _ in range(2)]
            for code, err in map(ended, pair):
                if code:
                    raise WrongError(f"{name}: exit code {code}: {err}")
            if (folder / output).read_bytes() != whole or hidden_files(folder):
                raise WrongError(f"{name}: {output} is torn, or {hidden_files(folder)} are left")
    return f"{times} pairs of each of {len(COMMANDS)} commands wrote one file"


def stress_full(folder: Path, times: int, chance: random.Random) -> str:
    """Run each command with its output on a disk that has less and less room."""
    disk, told = folder / "disk", 0
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        for name, (words, output) in COMMANDS.items():
            clear(disk)
            make_inputs(disk)
            whole, _ = undisturbed(name, disk)
            for _ in range(times):
                (disk / output).write_bytes(b"earlier")
                free = shutil.disk_usage(disk).free
                (disk / "ballast").write_bytes(
                    bytes(free - chance.randrange(0, 3 * len(whole) // 2))
                )
                code, err = ended(sparqsim_process(words, disk))
                (disk / "ballast").unlink()
                content = (disk / output).read_bytes()
                right = (code == 0 and content == whole) or (code == 2 and content == b"earlier")
                if not right or err.count("\n") != (code != 0) or hidden_files(disk):
                    raise WrongError(f"{name}: exit code {code}, {err!r}, {hidden_files(disk)}")
                told += code == 2
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    return f"{told} of {times * len(COMMANDS)} runs found the disk full, the earlier file whole"


def clear(folder: Path) -> None:
    """Remove all that is in a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def stress_readonly(folder: Path, _times: int, _: random.Random) -> str:
    """Let each command write where it may not: for root, who may everywhere else, on a disk mounted read-only."""
    place = folder / "place"
    place.mkdir()
    root = os.geteuid() == 0
    if root:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=True)
    try:
        make_inputs(place)
        (place / "golden").mkdir()
        if root:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        for path in () if root else (place / "golden", place):
            path.chmod(0o555)
        for name, (words, output) in COMMANDS.items():
            code, err = ended(sparqsim_process(words, place))
            if code != 2 or "cannot be" not in err or err.count("\n") != 1:
                raise WrongError(f"{name}: exit code {code}: {err!r}")
            if (place / output).exists() or hidden_files(place):
                raise WrongError(f"{name}: something was written")
    finally:
        if root:
            subprocess.run(["umount", "-l", str(place)], check=True)
        for path in () if root else (place, place / "golden"):
            path.chmod(0o755)
    return f"{len(COMMANDS)} commands were refused in one line each"


#: What is done to the standard streams, and the exit code of a command that prints.
ENDS = {
    ">&-": 2,
    ">/dev/full": 2,
    "| true": 0,
    "2>&-": 0,
    "2>/dev/full": 0,
    "<&- >&- 2>&-": 2,
}


def stress_descriptors(folder: Path, _times: int, _: random.Random) -> str:
    """Run each command with its streams closed, full or unread: its file is as it is always."""
    for name, (words, output) in COMMANDS.items():
        whole, _length = undisturbed(name, folder)
        silent = words[0] == "plot"
        for end, code in ENDS.items():
            (folder / output).unlink()
            command = f"{sys.executable} -m sparqsim {' '.join(words)} {end}"
            told = subprocess.run(
                ["bash", "-o", "pipefail", "-c", command],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                capture_output=True,
                check=False,
            )
            expected = 0 if silent else code
            if told.returncode != expected or (folder / output).read_bytes() != whole:
                raise WrongError(f"{name} {end}: exit code {told.returncode}: {told.stderr!r}")
    return f"{len(ENDS)} states of the streams of {len(COMMANDS)} commands"


MODES = {
    "kills": stress_kills,
    "writers": stress_writers,
    "full": stress_full,
    "readonly": stress_readonly,
    "descriptors": stress_descriptors,
}


def main() -> int:
    """Run one mode."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("mode", choices=MODES)
    options.add_argument("--times", type=int, default=40)
    options.add_argument("--seed", type=int, default=int(time.time()))
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="sparqsim-stress-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        make_inputs(folder)
        try:
            chance = random.Random(given.seed)  # noqa: S311 - moments, not secrets
            told = MODES[given.mode](folder, given.times, chance)
        except WrongError as error:
            print(f"{given.mode}, seed {given.seed}: {error}", file=sys.stderr)
            return 1
    print(f"{given.mode}, seed {given.seed}: {told}: nothing lost, nothing torn, nothing left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
