"""Compile and run the test benches of `sv/` with Icarus Verilog."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.files import cache_folder, replaced

SOURCES = Path(__file__).parent / "sv"
LONGEST_WORK_S = 1800
#: What begins the last part of a compiled test bench: how many names of source files follow, a line
#: each.
FILE_NAMES = re.compile(rb":file_names (\d{1,6});")


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
    testbench: str,
    parameters: Mapping[str, int],
    stimulus: str,
    columns: int,
    *,
    defines: Sequence[str] = (),
    **options: object,
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
    defines : sequence of str
        What the preprocessor is told.
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
    program = compiled(testbench, parameters, defines)
    try:
        return _recorded(program, stimulus, columns, options)
    except InputError:
        # Whatever is wrong with the program shall not be wrong for good.
        program.unlink(missing_ok=True)
        raise


def _recorded(
    program: Path, stimulus: str, columns: int, options: Mapping[str, object]
) -> NDArray[np.int64]:
    with tempfile.TemporaryDirectory(prefix="sparqsim-rtl-") as folder:
        stimulus_file, record_file = Path(folder, "stimulus"), Path(folder, "record")
        stimulus_file.write_text(stimulus)
        files = {"stimulus": stimulus_file, "record": record_file}
        plusargs = [f"+{key}={value}" for key, value in {**files, **options}.items()]
        run_tool([find_tool("vvp", "iverilog"), "-N", str(program), *plusargs])
        return known_words(record_file).reshape(-1, columns)


def known_words(file: Path) -> NDArray[np.int64]:
    """Return the words of a file of 4-state words (value, unknown bits), signed."""
    words = np.fromfile(file, np.int32)
    if words.size % 2:
        raise InputError(
            "the RTL's record ends in the middle of a word; expected free space in the "
            "folder for temporary files"
        )
    words = words.reshape(-1, 2)
    if words[:, 1].any():
        at = int((words[:, 1] != 0).argmax())
        raise InputError(
            f"the RTL's word {at} has bits that are neither 0 nor 1 (x or z); expected known "
            "values only"
        )
    return words[:, 0].astype(np.int64)


def compiled(testbench: str, parameters: Mapping[str, int], defines: Sequence[str] = ()) -> Path:
    """Return the compiled test bench, kept from run to run under a digest of sources, tool and
    parameters; `defines` is what the preprocessor is told.
    """
    settings = [f"-P{testbench}.{name}={value}" for name, value in sorted(parameters.items())]
    settings += [f"-D{name}" for name in defines]
    digest = hashlib.sha256(f"{_tool_and_sources()} {testbench} {settings}".encode()).hexdigest()[
        :24
    ]
    program = _cache_folder() / f"{testbench}-{digest}.vvp"
    if not is_whole(program):
        _compile(testbench, settings, program)
    return program


def _compile(testbench: str, settings: list[str], program: Path) -> None:
    """Put a compiled test bench in place, if it is whole. Raises InputError where it is not."""
    with replaced(program) as temporary:
        run_tool(
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
                str(temporary),
                str(SOURCES / f"{testbench}.sv"),
            ]
        )
        if not is_whole(temporary):
            raise InputError(
                f"{program}: iverilog wrote a part of it only; expected free space in its folder"
            )


def tool_version(*command: str) -> str:
    """Return the first line a tool prints about itself."""
    return run_tool([find_tool(command[0]), *command[1:]]).splitlines()[0].strip()


@cache
def _tool_and_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"{tool_version('iverilog', '-V')} {digest.hexdigest()}"


@cache
def _cache_folder() -> Path:
    return cache_folder("rtl") or Path(_folder_of_this_process().name)


@cache
def _folder_of_this_process() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for programs that cannot be kept: it is removed when this process ends."""
    return tempfile.TemporaryDirectory(prefix="sparqsim-rtl-")


def is_whole(program: Path) -> bool:
    """Return whether a compiled test bench has its end: the table of source files, as long as it
    says.

    Icarus Verilog does not notice a full disk.
    """
    try:
        lines = program.read_bytes().splitlines()
    except OSError:
        return False
    starts = [at for at, line in enumerate(lines) if line.startswith(b":file_names ")]
    if not starts:
        return False
    announced = FILE_NAMES.fullmatch(lines[starts[-1]])
    names = lines[starts[-1] + 1 :]
    quoted = all(line.strip().startswith(b'"') and line.endswith(b'";') for line in names)
    return announced is not None and quoted and len(names) == int(announced[1])


def whole_wave(file: Path) -> bytes:
    """Return a waveform without its date: equal runs give equal files.

    Raises
    ------
    OSError
        Where its end is missing, the change of `whole` in the test bench: Icarus Verilog does not
        notice a full disk.
    """
    content = file.read_bytes()
    name = re.search(rb"\$var reg 1 (\S+) whole \$end\n", content)
    if name is None or b"\n1" + name[1] + b"\n" not in content[-100:]:
        raise OSError(errno.ENOSPC, "vvp wrote a part of it only")
    return content[content.index(b"$version") :]


def run_tool(command: list[str]) -> str:
    """Return what a tool prints. Raises InputError where it fails."""
    process: subprocess.CompletedProcess[Any] = subprocess.run(  # noqa: S603 - the tools found on PATH, our own arguments
        command, capture_output=True, text=True, check=False, timeout=LONGEST_WORK_S
    )
    if process.returncode:
        said = (process.stderr or process.stdout).strip().splitlines() or ["nothing said"]
        raise InputError(
            f"{Path(command[0]).name} failed with exit code {process.returncode}: {said[-1]}"
        )
    return str(process.stdout)
