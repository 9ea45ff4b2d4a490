"""Kinds of cases: simulations of a trace, and gathers from an embedding table.

Each says how it is run, how its golden report is read and compared, and how it is called.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, ClassVar, Final, TypeAlias

from pydantic import Field

from sparqsim.base.errors import InputError, printable, unreadable
from sparqsim.regress.differences import Finding, differences, trace_changed
from sparqsim.regress.moved_gathers import gather_differences
from sparqsim.results.gather_report import GATHER_SCHEMA, GatherReport
from sparqsim.results.report import REPORT_SCHEMA, REPORT_SCHEMAS, Report
from sparqsim.sweep.case import Case, refuse_files, run
from sparqsim.sweep.gathers import GatherCase
from sparqsim.trace import load_trace

CaseName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
NO_PATH: Final = "no such file or directory"


class GoldenCase(Case):
    """A case and its golden report's name; files are relative to the file that lists it."""

    #: Schemas that its golden report may have, and the one that is written.
    SCHEMAS: ClassVar[Collection[str]] = REPORT_SCHEMAS
    SCHEMA: ClassVar[str] = REPORT_SCHEMA

    name: CaseName

    def refuse_code(self, origin: str) -> None:
        """Raise InputError where the case names Python source, which would be run."""
        refuse_files(self, origin)

    def again(self) -> Report:
        """Run it. Raises InputError where it is refused."""
        return run(load_trace(self.trace), self)

    def golden(self, text: str, origin: str) -> Report:
        """Return a golden report. Raises InputError for what is none."""
        return Report.from_json(text, origin)

    def moved_before(self, golden: Report) -> Finding | None:
        """Return what became of the trace; None where it has the golden report's bytes, and
        whatever is refused is new.
        """
        try:
            with Path(self.trace).open("rb") as trace:
                sha256 = hashlib.file_digest(trace, "sha256").hexdigest()
        except OSError as error:
            return Finding(
                "trace missing",
                "",
                f"{unreadable(self.trace, error)}; put it back (sha256 "
                f"{golden.provenance.trace_sha256[:12]}...), or correct `trace` of case "
                f"{self.name}",
            )
        return trace_changed(golden, sha256, self.trace)

    def moved(self, golden: Report, new: Report) -> tuple[Finding, ...]:
        """Return what moved."""
        return differences(golden, new)

    @property
    def setup(self) -> str:
        """What runs, in a few words."""
        overlap = self.overlap and f"overlap {self.overlap}"
        engine = "" if self.engine == "fast" else f"engine {self.engine}"
        fields = [self.pe, self.array, self.dataflow, self.coupling, overlap, self.memory, engine]
        return printable(", ".join(field for field in fields if field))


class GoldenGather(GatherCase):
    """Gathers and their golden report's name; files are relative to the file that lists them."""

    SCHEMAS: ClassVar[Collection[str]] = (GATHER_SCHEMA,)
    SCHEMA: ClassVar[str] = GATHER_SCHEMA

    name: CaseName

    def refuse_code(self, origin: str) -> None:
        """Raise InputError where the case names Python source, which would be run."""
        self.refuse_files(origin)

    def again(self) -> GatherReport:
        """Run it. Raises InputError where it is refused."""
        return self.run()

    def golden(self, text: str, origin: str) -> GatherReport:
        """Return a golden report. Raises InputError for what is none."""
        return GatherReport.from_json(text, origin)

    def moved_before(self, golden: GatherReport) -> Finding | None:
        """Return which file is missing; others that changed are found by their content."""
        for path in self.read:
            if not Path(path).exists():
                told = f"{path}: {NO_PATH}; put it back, or correct case {self.name}"
                return Finding("file missing", "", told)
        return None

    def moved(self, golden: GatherReport, new: GatherReport) -> tuple[Finding, ...]:
        """Return what moved."""
        return gather_differences(golden, new)

    @property
    def setup(self) -> str:
        """What runs, in a few words."""
        engine = "" if self.engine == "fast" else f"engine {self.engine}"
        kind, colon, rest = self.indices.rpartition(":")
        fields = [
            f"gathers from {Path(self.table).name}",
            kind + colon + Path(rest).name,
            ", ".join(self.format),
            self.memory,
            engine,
        ]
        return printable(", ".join(field for field in fields if field))


Listed: TypeAlias = GoldenCase | GoldenGather


def refused(case: Listed, error: InputError) -> InputError:
    """Return an error that names the case."""
    return InputError(f"case {case.name}: {error}")
