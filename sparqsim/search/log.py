"""Every trial of a search on disk, as soon as it is measured: what is stopped goes on from there.

A file of JSON lines: the first says of which search, by a digest of all that decides its results;
each further one is a trial. A line is on the disk before the next trial begins. A last line that
was cut off is dropped.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparqsim.base.errors import InputError, unreadable
from sparqsim.base.files.place import unwritable
from sparqsim.search.space import Point

SCHEMA = "sparqsim.search_trials/1"
COUNTS = ("agree", "top1", "cycles")


@dataclass(frozen=True)
class Trial:
    """What a point gave. agree, top1: pictures; top1 is None without labels. cycles: of the traced
    pictures.
    """

    point: Point
    agree: int
    top1: int | None
    cycles: int


class TrialLog:
    """The trials of one search.

    Parameters
    ----------
    path : Path
        Made where it is not there.
    setting : str
        Digest of all that decides results.

    Raises
    ------
    InputError
        For a file of another search, or of another kind, and for a place that cannot be written.
    """

    def __init__(self, path: Path, setting: str) -> None:
        self.path = path
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
        self._append(json.dumps(asdict(trial)))
        self._trials[trial.point] = trial

    def _whole_lines(self) -> list[str]:
        """Return the file's lines; a last one without its end is cut off the file."""
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
            found: dict[str, Any] = json.loads(line)
            counts = {name: _count(found[name]) for name in COUNTS}
            point = tuple(map(int, found["point"]))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{self.path}: line {number}: no trial ({error}); expected lines that "
                "`sparqsim search` wrote"
            ) from None
        return Trial(point, **counts)


def _count(value: Any) -> Any:
    """Return a count, or None where there is none. Raises ValueError or TypeError."""
    return None if value is None else int(value)
