"""Every trial of a search on disk, as soon as it is measured: what is stopped goes on from there.

A file of JSON lines: the first says of which search, by a digest of all that decides its results;
each further one is a trial. A line is on the disk before the next trial begins. A last line that
was cut off is dropped.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sparqsim.base.errors import InputError, unreadable
from sparqsim.base.files.place import unwritable
from sparqsim.search.space import Point

SCHEMA = "sparqsim.search_trials/1"


@dataclass(frozen=True)
class Trial:
    """What a point gave. agree, top1: pictures; top1 is None without labels. cycles, energy_pj: of
    the traced pictures; energy_pj, of the array, is None where no energy is asked for.
    """

    point: Point
    agree: int
    top1: int | None
    cycles: int
    energy_pj: float | None = None

    @classmethod
    def of_json(cls, text: str) -> Trial:
        """Return the trial of a line. Raises ValueError, TypeError or KeyError for another line."""
        found: dict[str, Any] = json.loads(text)
        top1 = found["top1"]
        return cls(
            point=tuple(_count("point", bits) for bits in found["point"]),
            agree=_count("agree", found["agree"]),
            top1=None if top1 is None else _count("top1", top1),
            cycles=_count("cycles", found["cycles"], least=1),
            energy_pj=_energy(found["energy_pj"]),
        )

    def checked(self, pictures: int) -> Self:
        """Return it. Raises ValueError where it has more answers than pictures were asked."""
        if max(self.agree, self.top1 or 0) > pictures:
            raise ValueError(f"more answers than {pictures} pictures")
        return self

    def to_json(self) -> str:
        """Return the trial as a line."""
        return json.dumps(asdict(self))


class TrialLog:
    """The trials of one search.

    Parameters
    ----------
    path : Path
        Made where it is not there.
    setting : str
        Digest of all that decides results.
    pictures : int
        That answer: no trial has more answers.

    Raises
    ------
    InputError
        For a file of another search, or of another kind, and for a place that cannot be written.
    """

    def __init__(self, path: Path, setting: str, pictures: int) -> None:
        self.path, self._pictures = path, pictures
        self._trials: dict[Point, Trial] = {}
        head = json.dumps({"schema": SCHEMA, "setting": setting})
        lines = self._whole_lines()
        if not lines:
            self._append(head)
            return
        if lines[0] != head:
            raise InputError(
                f"{path}: no trials of this search (another network, pictures, design or setting); "
                "expected the file of the same command, or another place (--trials FILE)"
            )
        for number, line in enumerate(lines[1:], start=2):
            trial = self._trial(line, number)
            self._trials[trial.point] = trial

    def __len__(self) -> int:
        return len(self._trials)

    def get(self, point: Point) -> Trial | None:
        """Return what a point gave, None where it was not measured."""
        return self._trials.get(point)

    def add(self, trial: Trial) -> None:
        """Put a trial on the disk."""
        self._append(trial.to_json())
        self._trials[trial.point] = trial

    def _whole_lines(self) -> list[str]:
        """Return the file's lines; a last one without its end is cut off the file."""
        if self.path.exists() and not self.path.is_file():
            # A device may have no end.
            raise InputError(
                f"{self.path}: no regular file; expected another place (--trials FILE)"
            )
        try:
            held = self.path.read_bytes()
            whole = held[: held.rfind(b"\n") + 1]
            text = whole.decode("utf-8")
            if len(whole) < len(held) and self._is_cut(held, whole):
                os.truncate(self.path, len(whole))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise InputError(f"{unreadable(self.path, error)}; expected a file of trials") from None
        return text.splitlines()

    def _is_cut(self, held: bytes, whole: bytes) -> bool:
        """Whether a file is one of trials that lacks its end; another kind is left as it is."""
        begins = b'{"schema": "' + SCHEMA.encode()
        if held.startswith(begins) or (not whole and begins.startswith(held)):
            return True
        raise InputError(f"{self.path}: no file of trials; expected another place (--trials FILE)")

    def _append(self, line: str) -> None:
        try:
            with self.path.open("ab") as file:
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from None

    def _trial(self, line: str, number: int) -> Trial:
        try:
            return Trial.of_json(line).checked(self._pictures)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(
                f"{self.path}: line {number}: no trial ({error}); expected lines that "
                "`sparqsim search` wrote"
            ) from None


def _count(name: str, value: Any, least: int = 0) -> int:
    """Return a count. Raises ValueError for what is none."""
    if type(value) is not int or value < least:
        raise ValueError(f"{name} is {value!r}, expected a whole number from {least}")
    return value


def _energy(value: Any) -> float | None:
    """Return an energy, pJ, None where there is none. Raises ValueError for what is none."""
    if value is None:
        return None
    if type(value) is not float or not 0 < value < math.inf:
        raise ValueError(f"energy_pj is {value!r}, expected a number above 0")
    return value
