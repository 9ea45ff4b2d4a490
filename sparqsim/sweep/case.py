"""One point of a design space: a trace, a PE design and an accelerator.

What sweeps and regressions are made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, PrivateAttr, ValidationError

import sparqsim
from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.base.plugins import named_file, names_a_file, refuse_code
from sparqsim.base.record import faults_of
from sparqsim.base.textfile import read_text, toml_of
from sparqsim.engine.arrays import measured, simulate_on
from sparqsim.engine.assignment import SIGN, Assignment, assigned, assignment_file, file_of
from sparqsim.engine.measure import Measurement
from sparqsim.pe.signs import MAGNITUDE, Signed
from sparqsim.results.report import Report
from sparqsim.results.setting import HONEST, Kept
from sparqsim.trace import Layer, Trace


def _path(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a NUL character, expected text that a path can be")
    return value


#: What names a file, or something shipped.
Named = Annotated[str, AfterValidator(_path)]
Model = TypeVar("Model", bound=BaseModel)

#: Names of accelerator files, as opposed to presets.
ACCELERATOR_FILE = re.compile(r".+\.(toml|cfg)")
#: Names of files of energy tables, as opposed to those that ship.
ENERGY_FILE = re.compile(r".+\.json")


#: Fields of a case that may name Python source, and what of it.
CODE_FIELDS = {"pe": "PE design", "dataflow": "dataflow"}
REMEDY = "--trust, for a file that you have read"


class Case(BaseModel):
    """One simulation, as a file or a command line names it.

    trace: path of the trace file. pe: as `--pe`. memory: as `--config`, '' where memory is not
    modelled. array, dataflow, coupling, overlap: as the options; None: what the accelerator file
    says, else 16x16, os, lockstep, off. all_layers: whether layers marked keep_8bit run as the
    others. kept: as `--kept`, without effect where all layers do. signed: as `--signed`. engine:
    'event' for small layers; same report. energy: as `--energy`, '' where it is not asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trace: Named
    pe: Named = "sparq-5opt"
    array: str | None = None
    dataflow: str | None = None
    coupling: str | None = None
    overlap: Literal["on", "off"] | None = None
    memory: Named = ""
    all_layers: bool = False
    kept: Kept = HONEST
    signed: Signed = MAGNITUDE
    engine: Literal["fast", "event"] = "fast"
    energy: Named = ""
    #: Whether an assignment's file may name Python source: said by the user, never by a file.
    _trusts: bool = PrivateAttr(default=False)

    def trusted(self, trust: bool) -> Self:
        """Return the case as one whose assignment may, or may not, name Python source."""
        copy = self.model_copy()
        copy._trusts = trust  # noqa: SLF001 - its own
        return copy

    def assignment(self) -> Assignment:
        """Return which design runs which layer.

        Raises
        ------
        InputError
            For an unknown name, or a file of an assignment that cannot be read or trusted.
        """
        return assigned(self.pe, trust=self._trusts)

    def running(self) -> Assignment:
        """Return the same with what designs do with int8 layers."""
        return self.assignment().with_signed(self.signed)

    def accelerator(self) -> tuple[ArrayConfig, Any]:
        """Return the array and the memory around it, None where memory is not modelled.

        Raises
        ------
        InputError
            Naming the field, or the accelerator file and the field.
        """
        base, memory = _accelerator(self.memory) if self.memory else (None, None)
        base = base or ArrayConfig()
        shape = ArrayConfig.parse(self.array) if self.array else base
        overlap = base.overlap if self.overlap is None else self.overlap == "on"
        return replace(
            base,
            rows=shape.rows,
            cols=shape.cols,
            dataflow=self.dataflow or base.dataflow,
            coupling=self.coupling or base.coupling,
            overlap=overlap,
        ), memory

    @property
    def words(self) -> str:
        """What it is, for messages."""
        return f"pe={self.pe!r} on {self.trace}"

    @property
    def read(self) -> tuple[str, ...]:
        """Files that the case reads: its trace, its accelerator's and its design's where they are
        files.
        """
        memory = self.memory if ACCELERATOR_FILE.fullmatch(self.memory) else None
        table = self.energy if ENERGY_FILE.fullmatch(self.energy) else None
        designs = (file_of(self.pe), named_file(self.dataflow or ""))
        return tuple(filter(None, (self.trace, memory, table, *designs)))

    def found_from(self, folder: Path) -> Self:
        """Return the case with its relative files (trace, FILE.py:CLASS, accelerator file) taken
        from `folder`.
        """
        memory = (
            str(folder / self.memory) if ACCELERATOR_FILE.fullmatch(self.memory) else self.memory
        )
        pe, assignment = self.pe, assignment_file(self.pe)
        if assignment is not None:
            pe = SIGN + str(folder / assignment)
        elif names_a_file(pe):
            pe = str(folder / pe)
        flow = self.dataflow
        if flow is not None and names_a_file(flow):
            flow = str(folder / flow)
        table = self.energy
        if ENERGY_FILE.fullmatch(table):
            table = str(folder / table)
        found = {"pe": pe, "dataflow": flow, "memory": memory, "energy": table}
        return self.model_copy(update={"trace": str(folder / self.trace), **found})


def _accelerator(source: str) -> tuple[ArrayConfig | None, Any]:
    from sparqsim.memory import load_accelerator

    accelerator = load_accelerator(source)
    return accelerator.array, accelerator.memory


def run(trace: Trace, case: Case) -> Report:
    """Simulate one case; `trace` is what its path names.

    Raises InputError where the case is refused.
    """
    return _simulated(trace, [case])[0]


def run_together(trace: Trace, cases: Sequence[Case]) -> list[Report | Exception]:
    """Simulate cases that differ in `pe` alone; they share the exact products, so this is faster
    than one by one.

    Returns
    -------
    list of Report or Exception
        For each case its report (the same as `run` gives), or what stopped it: InputError where the
        case is refused.
    """
    try:
        return list(_simulated(trace, cases))
    except Exception as error:  # noqa: BLE001 - a user's own design may raise anything; the caller tells it
        # One design cannot take down the others: find out which one it was.
        return [error] if len(cases) == 1 else [run_together(trace, [case])[0] for case in cases]


def run_on_arrays(
    trace: Trace, cases: Sequence[Case], measurements: Iterable[Measurement]
) -> list[Report | Exception]:
    """Simulate cases that differ in array and memory alone, with the pass over values made before.

    `measurements`: what `measured_layer` gave for each layer; the reports are those of `run`.
    """
    places: list[tuple[ArrayConfig, Any] | InputError] = []
    for case in cases:
        try:
            places.append(case.accelerator())
        except InputError as error:
            places.append(error)
    first = cases[0]
    found = iter(
        simulate_on(
            trace,
            first.running(),
            [place for place in places if not isinstance(place, InputError)],
            measurements,
            keep_8bit=not first.all_layers,
            kept=first.kept,
        )
    )
    return [place if isinstance(place, InputError) else next(found) for place in places]


def measured_layer(layer: Layer, cases: Sequence[Case]) -> list[Measurement]:
    """Return what values decide in a layer, for cases that differ in design alone."""
    keep, kept = not cases[0].all_layers, cases[0].kept
    runs = [case.running() for case in cases]
    return measured(layer, [run.keeping_8bit(kept) if keep else run for run in runs])


def _simulated(trace: Trace, cases: Sequence[Case]) -> list[Report]:
    array, memory = cases[0].accelerator()
    surroundings = {} if memory is None else {"memory": memory}
    pes = [case.assignment() for case in cases]
    reports = sparqsim.compare(
        trace,
        pes,
        array,
        baseline=pes[0],
        keep_8bit=not cases[0].all_layers,
        kept=cases[0].kept,
        signed=cases[0].signed,
        engine=cases[0].engine,
        energy=cases[0].energy or None,
        **surroundings,
    ).reports
    for report in reports.values():
        if report.energy_absent:
            raise InputError(f"energy: {report.energy_absent}")
    return [reports[pe.spec] for pe in pes]


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return a TOML file's content. Raises InputError naming the file and the place."""
    return toml_of(read_text(path, "a .toml file"), path)


def checked(model: type[Model], data: object, origin: str) -> Model:
    """Return `data` as a `model`. Raises InputError naming `origin`, the field and the value."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{origin}: {faults_of(error)[0]}") from None


def refuse_files(case: Case, origin: str) -> None:
    """Raise InputError where a case that a file holds names Python source, which would be run."""
    for field, what in CODE_FIELDS.items():
        value = getattr(case, field)
        if value is not None:
            refuse_code(value, what, origin, REMEDY)
