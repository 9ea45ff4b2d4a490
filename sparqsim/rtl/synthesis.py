"""Areas from Yosys: any module of the arrays, over libraries and flows.

No timing, placement or wires: gate areas of our own RTL, by open tools. Useful as ratios, in a
range over libraries and flows.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.rtl.circuits.base import BIT_SCALABLE, CODED_OPERANDS, TWO_STAGES
from sparqsim.rtl.liberty import ENCODING, merged
from sparqsim.rtl.runner import SOURCES, find_tool

#: A library that Debian packages. Its siblings osu035 and osu050 have the same cells: their rows
#: would be no others.
DEBIAN_LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
#: What makes up the dot unit and the edge unit of any design, with BIT_SCALABLE, and with
#: CODED_OPERANDS.
UNITS = (
    "dot.sv",
    "dot_exact.sv",
    "dot_mac.sv",
    "dot_sparq.sv",
    "dot_sysmt.sv",
    "edge_unit.sv",
    "exact_unit.sv",
    "step_control.sv",
    "trim_*.sv",
)
SCALABLE_UNITS = (
    "digits_unit.sv",
    "dot_fusion.sv",
    "dot_loom.sv",
    "dot_pragmatic.sv",
    "dot_scalable.sv",
    "dot_stripes.sv",
    "dot_swis.sv",
    "edge_scalable.sv",
    "edge_unit.sv",
    "precision_unit.sv",
    "step_sequence.sv",
)
CODED_UNITS = (
    "dot_coded.sv",
    "dot_olive.sv",
    "dot_sparq.sv",
    "dot_stc_sparq.sv",
    "edge_coded.sv",
    "edge_weight.sv",
    "pair_decoders.sv",
    "step_control.sv",
    "trim_*.sv",
)
#: The same with TWO_STAGES, and the PEs that then stand in for others.
STAGED_UNITS = (
    *(name for name in UNITS if not name.startswith("dot")),
    *("dot_staged.sv", "staged_*.sv"),
)
STAGED_PES = {
    "pe_os.sv": "pe_os_staged.sv",
    "pe_stationary.sv": "pe_stationary_staged.sv",
}
LOCKSTEP_OS = ("area_edge.sv", "area_pe.sv", "delay.sv", "edge_lane.sv", "link.sv", "pe_os.sv")
#: Units by what the preprocessor is told.
OTHER_UNITS = {
    BIT_SCALABLE: SCALABLE_UNITS,
    CODED_OPERANDS: CODED_UNITS,
    TWO_STAGES: STAGED_UNITS,
}
#: What each module is made of beside the units. Nothing else is read: Yosys numbers the names it
#: makes up, and an unused module would change the areas of others.
BESIDE_UNITS = {
    "area_pe": LOCKSTEP_OS,
    "area_edge": LOCKSTEP_OS,
    "area_os": ("area_os.sv", "link.sv", "pe_os.sv", "shadow.sv"),
    "area_stationary": ("area_stationary.sv", "link.sv", "pe_stationary.sv"),
    "area_lane": ("area_lane.sv", "delay.sv", "edge_lane.sv"),
}
#: Modules without units.
WITHOUT_UNITS = {
    "area_drain": ("area_drain.sv", "drain_control.sv", "gather.sv"),
    "area_load": ("area_load.sv", "load_control.sv"),
    "area_link": ("area_link.sv", "link.sv"),
    "area_promise": ("area_promise.sv", "link.sv"),
    "area_stall": ("area_stall.sv",),
    "delay": ("delay.sv",),
    "link": ("link.sv",),
}
#: The liberty file's name where Yosys runs: its commands take no path with a space in it.
LIBERTY = "library.lib"
#: What `abc` does by itself with a library, as commands of its own.
_MAPPED = "strash;&get,-n;&fraig,-x;&put;scorr;dc2;dretime;strash;&get,-n;&dch,-f;&nf;&put"
_CHOICES = "strash;ifraig;scorr;dc2;dc2;strash;dch,-f;map,-B,0.9;topo"
_SIZED = "buffer,-c;upsize;dnsize"
#: How each flow synthesises {top}, and what it tells `abc`, which maps to the library.
FLOWS = {
    "default": (["synth -flatten -top {top}"], ""),
    "ripple-carry adders": (
        [
            "synth -flatten -top {top} -run begin:fine",
            "opt -fast -full",
            "techmap -map +/techmap.v -map ripple_carry.v",
            "synth -top {top} -run fine:check",
        ],
        "",
    ),
    "no adder sharing": (["synth -flatten -noalumacc -top {top}"], ""),
    "fast mapping": (["synth -flatten -top {top}"], "-fast"),
    "mapping with choices": (
        ["synth -flatten -top {top}"],
        f"-script +{_CHOICES}",
    ),
}


#: Flows that look at delays, too: nets of many gates get buffers, and gates their sizes. The
#: transistor estimate has no delays.
FLOWS_FOR_SPEED = {
    "buffered and sized": (
        ["synth -flatten -top {top}"],
        f"-script +{_MAPPED};topo;{_SIZED}",
    ),
    "mapping with choices, buffered and sized": (
        ["synth -flatten -top {top}"],
        f"-script +{_CHOICES};{_SIZED}",
    ),
    "no adder sharing, mapping with choices, buffered and sized": (
        ["synth -flatten -noalumacc -top {top}"],
        f"-script +{_CHOICES};{_SIZED}",
    ),
}


@dataclass(frozen=True)
class Library:
    """Cells to map to: a liberty file, or (None) Yosys' estimate of CMOS transistors.

    `more`: further files of the same library, each with other cells.
    """

    liberty: Path | None = None
    more: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Name for the table, with a digest of the file, or of several merged."""
        if self.liberty is None:
            return "transistor estimate"
        digest = hashlib.sha256(self.text.encode(ENCODING)).hexdigest()[:12]
        return f"{'+'.join(path.name for path in (self.liberty, *self.more))} {digest}"

    @cached_property
    def text(self) -> str:
        """The library as one liberty file; the estimate has none."""
        return "" if self.liberty is None else merged((self.liberty, *self.more))

    def mapping(self, abc_options: str) -> list[str]:
        """Return the Yosys commands that map to the library."""
        if self.liberty is None:
            return ["dfflegalize -cell $_DFF_P_ x", f"abc -g cmos2 {abc_options}", "opt_clean"]
        return [
            f"dfflibmap -liberty {LIBERTY}",
            f"abc -liberty {LIBERTY} {abc_options}",
            "opt_clean",
        ]

    def statistics(self) -> str:
        """Return the Yosys command that writes the areas to a file of this name."""
        options = "-tech cmos" if self.liberty is None else f"-liberty {LIBERTY}"
        return f"tee -q -o statistics stat {options}"


def libraries(*liberty: str) -> list[Library]:
    """Return the user's library, which may come in several files, or those of the table that ships:
    the transistor estimate and Debian's.

    Raises
    ------
    InputError
        When a liberty file is none, or Debian's is not installed.
    """
    return [library_of(liberty)] if liberty else [Library(), debian_library()]


def library_of(liberty: Sequence[str]) -> Library:
    """Return the library that the files hold. Raises InputError where one is no file."""
    for name in liberty:
        if not Path(name).is_file() or '"' in name:
            raise InputError(f"--liberty {name!r} is not a file; expected a liberty (.lib) file")
    first, *more = (Path(name).resolve() for name in liberty)
    return Library(first, tuple(more))


def debian_library() -> Library:
    """Return Debian's library. Raises InputError where it is not installed."""
    if not DEBIAN_LIBERTY.is_file():
        raise InputError(
            f"{DEBIAN_LIBERTY} is missing; expected Debian's package qflow-tech-osu018"
        )
    return Library(DEBIAN_LIBERTY)


def table_text(table: Mapping[str, Any]) -> str:
    """Return a table as the text of its file."""
    return json.dumps(table, indent=1, sort_keys=True) + "\n"


def synthesised(
    library: Library,
    flow: str,
    top: str,
    parameters: dict[str, int],
    defines: Sequence[str] = (),
) -> float:
    """Return the area of the module `top` with these parameters; `defines` is what the preprocessor
    is told.
    """
    stat = library.statistics()
    with synthesised_folder(library, flow, top, parameters, defines, stat) as folder:
        return area_in((folder / "statistics").read_text(), library.name)


def sources_of(top: str, defines: Sequence[str]) -> list[str]:
    """Return the files of `sv/` that the module `top` is made of, sorted."""
    units = next((OTHER_UNITS[name] for name in defines if name in OTHER_UNITS), UNITS)
    files = WITHOUT_UNITS[top] if top in WITHOUT_UNITS else (*BESIDE_UNITS[top], *units)
    if TWO_STAGES in defines:
        files = tuple(STAGED_PES.get(name, name) for name in files)
    patterns = {*files, "parameters.svh", "ripple_carry.v"}
    return sorted(path.name for pattern in patterns for path in SOURCES.glob(pattern))


@contextmanager
def synthesised_folder(
    library: Library,
    flow: str,
    top: str,
    parameters: Mapping[str, int],
    defines: Sequence[str],
    then: str,
) -> Iterator[Path]:
    """Synthesise the module `top`, run the command `then` on it, and give the folder where Yosys
    ran while it is there.

    One run of Yosys each: names it makes up count on through a run, and `abc` gives other areas for
    other names.
    """
    with tempfile.TemporaryDirectory(prefix="sparqsim-yosys-") as name:
        folder = Path(name)
        sources = sources_of(top, defines)
        for source in sources:
            shutil.copy(SOURCES / source, folder)
        if library.liberty is not None:
            (folder / LIBERTY).write_bytes(library.text.encode(ENCODING))
        options = [*(f"-D{name}" for name in defines), "-sv", "-defer"]
        modules = [source for source in sources if source.endswith(".sv")]
        read = " ".join(["read_verilog", *options, *modules])
        (folder / "script").write_text(
            "\n".join([read, *_commands(library, flow, top, parameters), then])
        )
        _run_yosys(folder, library.name)
        yield folder


def _run_yosys(folder: Path, library: str) -> None:
    process = subprocess.run(  # noqa: S603 - found on PATH
        [find_tool("yosys"), "-q", "-l", "log", "-s", "script"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    if process.returncode:
        said = (process.stderr or process.stdout).strip().splitlines() or ["nothing said"]
        raise InputError(
            f"yosys failed with exit code {process.returncode} for {library}: {said[-1]}"
        )


def _commands(library: Library, flow: str, top: str, parameters: Mapping[str, int]) -> list[str]:
    set_parameters = " ".join(
        f"-chparam {name} {value}" for name, value in sorted(parameters.items())
    )
    synthesis, abc_options = {**FLOWS, **FLOWS_FOR_SPEED}[flow]
    return [
        f"hierarchy -top {top} {set_parameters}",
        *(command.format(top=top) for command in synthesis),
        *library.mapping(abc_options),
    ]


def area_in(statistics: str, library: str) -> float:
    """Return the area, or the number of transistors, that Yosys' statistics name.

    Raises
    ------
    InputError
        When they name none, or one that leaves cells out.
    """
    found = re.search(
        r"Chip area for (?:top )?module .*: *([0-9.]+)|number of transistors: *([0-9]+)(\+?)",
        statistics,
    )
    if found is None or found[3] or "unknown" in statistics:
        raise InputError(
            f"Yosys' statistics for {library} do not give the area of every cell; expected a "
            "liberty file whose cells have areas, with a flip-flop among them"
        )
    return float(found[1] or found[2])
