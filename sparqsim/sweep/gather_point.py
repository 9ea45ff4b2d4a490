"""Gathers as points of a store, and the work of computing one.

What decides their record: contents of table, look-ups, tokenizer and network, formats with their
sources, layout and widths, accelerator, energies, engine, the record's schema, and the package. As
for simulations, paths are not part of the key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sparqsim.base.errors import InputError, printable, unreadable
from sparqsim.base.version import VERSION
from sparqsim.gather.table import PACKAGED, PACKAGED_TABLE, packaged
from sparqsim.quantise.rows import get_row_format
from sparqsim.results.gather_report import GATHER_SCHEMA
from sparqsim.sweep.gathers import TEXT, GatherCase
from sparqsim.sweep.point import (
    GATHER,
    Point,
    assignment_digest,
    class_source_digest,
    dataflow_facts,
    package_digest,
    shown_memory,
)
from sparqsim.sweep.worker import Result, packed

#: Fields of a case that are what they are, whatever files hold.
AS_THEY_ARE = ("tensor", "lookups", "bag", "seed", "layout", "engine")


def gather_point(case: GatherCase) -> Point:
    """Return the point of gathers. Raises InputError for a name or file that is not there."""
    from sparqsim.memory import load_accelerator

    formats = [get_row_format(each) for each in case.format]
    sources = [class_source_digest(type(each), f"row format {each.spec!r}") for each in formats]
    accelerator = load_accelerator(case.memory)
    decisive = {
        "kind": GATHER,
        "table_sha256": digest_of(table_file(case)),
        "indices_sha256": _of_lookups(case),
        "formats": ", ".join(each.spec for each in formats),
        "formats_source_sha256": "+".join(sources).strip("+"),
        "widths": ", ".join(map(str, case.width)),
        "memory_config": repr(sorted(asdict(accelerator.memory).items()))
        + repr(sorted(asdict(accelerator.gather).items())),
        "schema": GATHER_SCHEMA,
        "version": VERSION,
        "sources_sha256": package_digest(),
        **{name: getattr(case, name) for name in AS_THEY_ARE},
        **_energy(case),
        **_network(case),
    }
    key = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    kind, colon, rest = case.indices.rpartition(":")
    names = {
        "table": printable(Path(case.table).name),
        "indices": printable(kind + colon + Path(rest).name),
        "memory": shown_memory(case.memory),
    }
    return Point(case, key, decisive | names)


def table_file(case: GatherCase) -> Path:
    """Return the file that the table stands in."""
    return packaged(PACKAGED_TABLE) if case.table == PACKAGED else Path(case.table)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, read again when it has changed. Raises InputError for none."""
    try:
        status = path.stat()
        return _digest(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except (OSError, ValueError) as error:
        raise InputError(f"{unreadable(path, error)}; expected a file") from None


@lru_cache(maxsize=64)
def _digest(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of_lookups(case: GatherCase) -> str:
    """Return what tells look-ups apart: the law they are drawn by, or digests of files."""
    if case.indices.startswith("zipf:"):
        return case.indices
    digest = digest_of(Path(case.indices.removeprefix(TEXT)))
    if not case.indices.startswith(TEXT):
        return digest
    return f"{TEXT}{digest} {digest_of(Path(case.tokenizer)) if case.tokenizer else ''}".strip()


def _energy(case: GatherCase) -> dict[str, Any]:
    if not case.energy:
        return {}
    from sparqsim.cost.memory import load_memory

    text = load_memory(case.energy).to_json()
    return {"energy_sha256": hashlib.sha256(text.encode()).hexdigest()}


def _network(case: GatherCase) -> dict[str, Any]:
    """Return the network behind and what runs it; nothing without one."""
    if not case.trace:
        return {}
    behind = case.behind_case()
    array, _ = behind.accelerator()
    run = behind.assignment()
    return {
        "network_sha256": digest_of(Path(case.trace)),
        "network_pe": run.spec,
        "network_pe_source_sha256": assignment_digest(run),
        "network_array": asdict(array) | dataflow_facts(array),
    }


@dataclass(frozen=True)
class GatherTask:
    """One point of gathers, for a worker that finds its files by their paths."""

    case: GatherCase
    key: str

    @classmethod
    def of(cls, points: Sequence[Point]) -> GatherTask:
        """Return the task of the only point there is."""
        (point,) = points
        return cls(point.case, point.key)

    @property
    def file(self) -> str:
        """The table's path."""
        return str(table_file(self.case))

    @property
    def file_sha256(self) -> str:
        """The table's SHA-256."""
        return digest_of(table_file(self.case))

    @property
    def words(self) -> str:
        """The case."""
        return str(self.case)

    def done(self, _: bytes | None = None) -> list[Result]:
        """Look rows up.

        Raises InputError where this worker's package or files are not those of the key, also if
        they changed meanwhile.
        """
        self._check_same_setup()
        try:
            text, state = self.case.run().to_json(), "done"
        except InputError as error:
            text, state = str(error), "refused"
        except Exception as error:  # noqa: BLE001 - a user's own format may raise anything
            text, state = " ".join(repr(error).split()), "failed"
        self._check_same_setup()
        return [Result(self.key, state, packed(text))]

    def _check_same_setup(self) -> None:
        if gather_point(self.case).key != self.key:
            raise InputError(
                f"gathers from {self.case.table}: the worker has another version of sparqsim or "
                "of a file than the sweep was started with; expected the same on every worker"
            )
