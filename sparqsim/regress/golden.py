"""Golden reports: written by `update`, compared by `check`."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sparqsim.base.errors import InputError
from sparqsim.base.files import check_distinct, destination, write_text
from sparqsim.base.limits import RESULT_BYTES
from sparqsim.base.textfile import json_of, read_text
from sparqsim.regress.cases import GoldenCase, GoldenGather, Listed, refused
from sparqsim.regress.differences import Finding
from sparqsim.results.gather_report import GatherReport
from sparqsim.results.report import Report
from sparqsim.sweep.case import checked, read_toml


class CaseList(BaseModel):
    """A TOML file of cases: `golden` is the folder of golden reports, relative to the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    golden: str = "golden"
    case: list[GoldenCase] = Field(default=[])
    gather: list[GoldenGather] = Field(default=[])

    @property
    def listed(self) -> list[Listed]:
        """All cases."""
        return [*self.case, *self.gather]

    @model_validator(mode="after")
    def _lists_some(self) -> Self:
        if not self.listed:
            raise ValueError("lists no case; expected tables [[case]] or [[gather]]")
        return self


@dataclass(frozen=True)
class GoldenFile:
    """A case, its files found, and where its golden report stands."""

    case: Listed
    path: Path

    @property
    def read(self) -> tuple[str | Path, ...]:
        """Files that the comparison reads."""
        return (*self.case.read, self.path)


@dataclass(frozen=True)
class Outcome:
    """One case and what differs from its golden report; no findings means that nothing moved."""

    case: Listed
    findings: tuple[Finding, ...]


def load_cases(path: str | Path, *, trust: bool = False) -> list[GoldenFile]:
    """Read a TOML list of cases.

    Parameters
    ----------
    path : str or Path
    trust : bool
        Whether the file, and files of assignments, may name designs and dataflows FILE.py:CLASS,
        whose code runs with the cases.

    Raises
    ------
    InputError
        Naming the file, the field and the value; also for a golden report that would stand outside
        the file's folder.
    """
    listed = checked(CaseList, read_toml(path), str(path))
    home = Path(path).parent
    for case in listed.listed if not trust else ():
        case.refuse_code(f"{path}: case {case.name}")
    names = [case.name for case in listed.listed]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: case name {name!r} is used twice, expected unique names")
    return [
        GoldenFile(
            case.found_from(home).trusted(trust), _golden_path(path, listed.golden, case.name)
        )
        for case in listed.listed
    ]


def _golden_path(path: str | Path, folder: str, name: str) -> Path:
    """Return where a golden report stands.

    Raises InputError for a place outside the list's folder, by any link.
    """
    home = Path(path).parent
    try:
        place = home / folder / f"{name}.json"
        inside = destination(place).is_relative_to(destination(home))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: golden={folder!r}: {getattr(error, 'strerror', None) or error}; "
            "expected a folder"
        ) from None
    if not inside:
        raise InputError(
            f"{path}: golden={folder!r} leads out of the folder of this file ({place}); "
            "expected a folder in it"
        )
    return place


def update(path: str | Path, *, trust: bool = False) -> list[Path]:
    """Write the golden report of every case; return the files.

    All cases run before the first file is written: a case that is refused leaves every golden
    report as it was.
    """
    golden = load_cases(path, trust=trust)
    check_distinct(
        {f"golden report of case {file.case.name}": file.path for file in golden},
        [path, *(read for file in golden for read in file.case.read)],
    )
    reports = [_run(file.case) for file in golden]
    _make_folder(golden[0].path.parent)
    for file, report in zip(golden, reports, strict=True):
        write_text(file.path, report.to_json())
    return [file.path for file in golden]


def check(path: str | Path, *, trust: bool = False) -> Iterator[Outcome]:
    """Run every case again; yield what differs from its golden report. trust: `load_cases`."""
    for file in load_cases(path, trust=trust):
        yield Outcome(file.case, _findings(file))


def _run(case: Listed) -> Report | GatherReport:
    try:
        return case.again()
    except InputError as error:
        raise refused(case, error) from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"golden={str(folder)!r}: cannot be made ({error.strerror}); expected a folder"
        ) from None


def _findings(file: GoldenFile) -> tuple[Finding, ...]:
    case: Any = file.case  # its golden report is of its own kind
    golden = _golden_report(file)
    if isinstance(golden, Finding):
        return (golden,)
    moved = case.moved_before(golden)
    if moved is not None:
        return (moved,)
    try:
        new = _run(file.case)
    except InputError as error:
        return (Finding("refused", "", f"{error} (it ran when the golden report was written)"),)
    except Exception as error:  # noqa: BLE001 - a simulator under change may raise anything; other cases still run
        return (Finding("failed", "", f"{error!r} at {_place(error)}"),)
    found: tuple[Finding, ...] = case.moved(golden, new)
    return found


def _place(error: Exception) -> str:
    """Return where an error was raised, as 'file.py:line in function'."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def _golden_report(file: GoldenFile) -> Report | GatherReport | Finding:
    """Return the golden report, or why there is none to compare with."""
    path, case = file.path, file.case
    if not path.exists():
        return Finding(
            "missing",
            "",
            f"{path} does not exist; run `sparqsim regress update` and review what it writes",
        )
    if not path.is_file():
        # A list of cases names it, and a FIFO would be waited for without end.
        return Finding("golden", "", f"{path} is no regular file; expected a golden report")
    try:
        text = read_text(path, limit=RESULT_BYTES)
        schema = _schema(text, path)
    except InputError as error:
        return Finding(
            "golden", "", f"{error}; expected a file that `sparqsim regress update` wrote"
        )
    if schema is not None and schema not in case.SCHEMAS:
        return Finding(
            "schema",
            "",
            f"{path} has schema {schema!r}, this version writes {case.SCHEMA!r}: they "
            "cannot be compared; check with the version that wrote it, then update",
        )
    try:
        return case.golden(text, str(path))
    except InputError as error:
        return Finding(
            "golden", "", f"{error}; expected a file that `sparqsim regress update` wrote"
        )


def _schema(text: str, path: Path) -> object:
    document = json_of(text, path)
    return document.get("schema") if isinstance(document, dict) else None
