"""Compile and run the test benches of `sv/` with Icarus Verilog."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.errors import InputError

SOURCES = Path(__file__).parent / "sv"
LONGEST_WORK_S = 1800


def find_tool(name: str, package: str | None = None) -> str:
    """Return the path of a tool.

    Raises
    ------
    InputError
        When it is not installed, naming the Debian package that has it.
    """
    path = shutil.which(name)
    if path is None:
        raise InputError(
            f"{name} is not installed; expected it on PATH (Debian: apt install {package or name})"
        )
    return path


def simulate(
    testbench: str, parameters: Mapping[str, int], stimulus: str, columns: int, **options: object
) -> NDArray[np.int64]:
    """Run a test bench and return what it recorded.

    Parameters
    ----------
    testbench : str
        Name of a module in `sv/`.
    parameters : mapping of str to int
        Its parameters.
    stimulus : str
        Lines of hexadecimal it reads.
    columns : int
        32-bit words per record.
    options
        Further plusargs.

    Returns
    -------
    int64 (records, columns), the words as signed numbers.

    Raises
    ------
    InputError
        When a tool is missing or fails, or a recorded bit is neither 0 nor 1.
    """
    program = compiled(testbench, parameters)
    with tempfile.TemporaryDirectory(prefix="sparqsim-rtl-") as folder:
        stimulus_file, record_file = Path(folder, "stimulus"), Path(folder, "record")
        stimulus_file.write_text(stimulus)
        files = {"stimulus": stimulus_file, "record": record_file}
        plusargs = [f"+{key}={value}" for key, value in {**files, **options}.items()]
        _run([find_tool("vvp", "iverilog"), "-N", str(program), *plusargs])
        return known_words(record_file).reshape(-1, columns)


def known_words(file: Path) -> NDArray[np.int64]:
    """Return the words of a file of 4-state words (value, unknown bits), signed."""
    words = np.fromfile(file, np.int32).reshape(-1, 2)
    if words[:, 1].any():
        at = int((words[:, 1] != 0).argmax())
        raise InputError(
            f"the RTL's word {at} has bits that are neither 0 nor 1 (x or z); expected known values only"
        )
    return words[:, 0].astype(np.int64)


def compiled(testbench: str, parameters: Mapping[str, int]) -> Path:
    """Return the compiled test bench, kept from run to run under a digest of sources, tool and parameters."""
    settings = [f"-P{testbench}.{name}={value}" for name, value in sorted(parameters.items())]
    digest = hashlib.sha256(f"{_tool_and_sources()} {testbench} {settings}".encode()).hexdigest()[
        :24
    ]
    program = _cache_folder() / f"{testbench}-{digest}.vvp"
    if not program.exists():
        handle, name = tempfile.mkstemp(dir=program.parent, suffix=".part")
        os.close(handle)
        _run(
            [
                find_tool("iverilog"),
                "-g2012",
                f"-I{SOURCES}",
                f"-y{SOURCES}",
                "-Y.sv",
                "-s",
                testbench,
                *settings,
                "-o",
                name,
                str(SOURCES / f"{testbench}.sv"),
            ]
        )
        Path(name).replace(program)
    return program


def tool_version(*command: str) -> str:
    """Return the first line a tool prints about itself."""
    return _run([find_tool(command[0]), *command[1:]]).splitlines()[0].strip()


@cache
def _tool_and_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"{tool_version('iverilog', '-V')} {digest.hexdigest()}"


@cache
def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "sparqsim" / "rtl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="sparqsim-rtl-"))


def _run(command: list[str]) -> str:
    process: subprocess.CompletedProcess[Any] = subprocess.run(  # noqa: S603 - the tools found on PATH, our own arguments
        command, capture_output=True, text=True, check=False, timeout=LONGEST_WORK_S
    )
    if process.returncode:
        said = (process.stderr or process.stdout).strip().splitlines() or ["nothing said"]
        raise InputError(
            f"{Path(command[0]).name} failed with exit code {process.returncode}: {said[-1]}"
        )
    return str(process.stdout)
