"""What made a result: the design or engine, the array, the trace, the version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import NOT_IN_NAMES, get_dataflow
from sparqsim.base.errors import printable, shown
from sparqsim.base.record import Name, Record, Text
from sparqsim.base.tabular import Row, short_name
from sparqsim.base.wording import counted
from sparqsim.results.action_costs import ActionCosts
from sparqsim.trace.coverage import Coverage

#: How layers marked keep_8bit run: on each design's own circuit, or as mac-8b8b under every design.
Kept = Literal["honest", "ideal"]
HONEST: Final = "honest"
#: What must stand wherever cycles of a design stand that times itself.
TIMED_BY_QUEUES: Final = (
    "timed by queues of its own, so coupling and overlap do not apply: tiles follow one another "
    "without refilling the array, and sums leave for free; compare it under --overlap on"
)


class EngineInfo(Record):
    """An engine that is no array of PEs.

    kind: what it is, in words that follow its name. units: what works side by side, in the place of
    PEs. remark: what else must be known to compare it; '' for nothing. costs: what its actions
    cost; absent where nobody says so.
    """

    kind: Text
    units: int = Field(ge=1)
    remark: Text = ""
    costs: ActionCosts | None = Field(default=None, exclude_if=lambda each: each is None)

    @property
    def words(self) -> str:
        """What it is and how much of it works side by side: 'crossbars ..., 8 units'."""
        return f"{self.kind.removeprefix('is ')}, {counted(self.units, 'unit')}"


class AssignedLayers(Record):
    """A rule of an assignment.

    match: shell pattern on the names of layers; the first rule that takes a layer decides. pe: the
    design that runs them.
    """

    match: Text
    pe: Name


class AssignmentInfo(Record):
    """Which design runs which layer. default: the design of the layers that no rule takes. layers:
    the rules.
    """

    default: Name
    layers: tuple[AssignedLayers, ...] = Field(min_length=1)


class PEInfo(Record):
    """The PE design of a report, or the engine or assignment in its place.

    lanes: pairs of an activation and a weight that a PE consumes per step; where that follows a
    layer's bits, the most of any layer. multipliers: those of a
    PE, narrow or wide. cycles_depend_on_values: False where only shapes decide cycles.
    times_itself: the design's own queues set the timing, so the array's coupling and overlap do not
    apply to it. timing_note: what must be known to compare such cycles; '' where the array sets the
    timing. engine_model: what is known of an engine that is no array of PEs; absent where the
    design is one of PEs. assignment: which designs run which layers, under the name of the
    assignment; absent where one design runs them all. Its lanes and multipliers are the most of its
    designs'. real_valued: whether a design has number formats and scales of its own, so that error
    is of real outputs, rounded to whole units of one product's least bit; absent where none has.
    """

    name: Name
    spec: Name
    lanes: int
    multipliers: int
    cycles_depend_on_values: bool
    times_itself: bool = False
    real_valued: bool = Field(default=False, exclude_if=lambda each: not each)
    engine_model: EngineInfo | None = Field(default=None, exclude_if=lambda each: each is None)
    assignment: AssignmentInfo | None = Field(default=None, exclude_if=lambda each: each is None)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def timing_note(self) -> str:
        """What must be known to compare the design's cycles; '' where the array sets the timing."""
        if self.assignment is not None:
            rules = ", ".join(f"{rule.match}: {rule.pe}" for rule in self.assignment.layers)
            timed = f"; a design in it is {TIMED_BY_QUEUES}" if self.times_itself else ""
            return (
                f"an assignment of designs to layers, as if each had an array of its own ({rules}, "
                f"others: {self.assignment.default}){timed}"
            )
        engine = self.engine_model
        if engine is not None:
            size = f"{counted(engine.units, 'unit')} of {counted(self.lanes, 'MAC')} per step"
            remark = f"; {engine.remark}" if engine.remark else ""
            return (
                f"{engine.kind} ({size}): sides, dataflow, coupling and overlap of an array "
                "do not apply to it, it runs layers marked keep_8bit itself, and its speedup is "
                f"not one at equal PE count{remark}"
            )
        return TIMED_BY_QUEUES if self.times_itself else ""


#: What must stand wherever error of a design stands that is `real_valued`.
REAL_VALUED: Final = (
    "number formats and scales of its own, found on the operands of the trace; SQNR compares real "
    "outputs with exact 8-bit ones, rounded to whole units of one product's least bit"
)


def value_notes(designs: Iterable[PEInfo]) -> dict[str, str]:
    """Return what must be known to compare the error of some designs, by design."""
    return {design.spec: REAL_VALUED for design in designs if design.real_valued}


def timing_notes(designs: Iterable[PEInfo]) -> dict[str, str]:
    """Return the `timing_note` of every design that has one, by design."""
    return {design.spec: design.timing_note for design in designs if design.timing_note}


def note_lines(notes: Mapping[str, str]) -> list[str]:
    """Return notes by design in sentences, designs with the same note named together."""
    designs: dict[str, list[str]] = {}
    for name, note in notes.items():
        designs.setdefault(note, []).append(name)
    return [f"{', '.join(names)}: {note}." for note, names in designs.items()]


class ArrayInfo(Record):
    """The array of a report."""

    rows: int
    cols: int
    dataflow: str
    coupling: str
    overlap: bool

    @classmethod
    def of(cls, array: ArrayConfig) -> Self:
        """Return the record of an array; a dataflow from a file is told by its name, which is no
        path.
        """
        return cls(
            rows=array.rows,
            cols=array.cols,
            dataflow=get_dataflow(array.dataflow).name,
            coupling=array.coupling,
            overlap=array.overlap,
        )

    @model_validator(mode="after")
    def _is_an_array(self) -> Self:
        # A report may be of a dataflow that is not here, and may not make a file run.
        ArrayConfig(self.rows, self.cols, coupling=self.coupling, overlap=self.overlap)
        if NOT_IN_NAMES.search(self.dataflow):
            raise ValueError(f"dataflow={shown(self.dataflow)}: expected the name of a dataflow")
        return self

    @property
    def size(self) -> str:
        """Rows and columns: '16x16'."""
        return f"{self.rows}x{self.cols}"

    @property
    def mode(self) -> str:
        """Dataflow, coupling and overlap, in words."""
        overlap = "on" if self.overlap else "off"
        return f"dataflow {self.dataflow}, {self.coupling}, overlap {overlap}"

    @property
    def words(self) -> str:
        """The array's settings in one line."""
        return f"array {self.size}, {self.mode}"

    def words_of(self, designs: Iterable[PEInfo]) -> str:
        """Return what designs ran on, in one line: the array, or engines alone where none of them
        runs on it.
        """
        engines = [each.engine_model for each in designs]
        named = [each.words for each in engines if each is not None]
        if not named or len(named) < len(engines):
            return self.words
        return "; ".join(dict.fromkeys(named))

    def flat_fields(self) -> Row:
        """Return the array for a flat row."""
        return {
            "rows": self.rows,
            "cols": self.cols,
            "dataflow": self.dataflow,
            "coupling": self.coupling,
            "overlap": self.overlap,
        }


class Provenance(Record):
    """What made a report.

    trace_sha256: of the trace file's bytes. synthetic: the trace's own label. coverage: for how
    many inputs of the network the trace is, and which operations with multiply-accumulates are not
    in it; empty in older files. calibrator: how activation scales were found, in the trace's words;
    '' in older files. folded_batch_norms: how many batch norms were folded into a layer; None where
    the trace does not say.
    """

    version: str
    engine: str
    trace_sha256: str
    network: Text
    synthetic: Text
    coverage: Coverage = Coverage()
    calibrator: Text = ""
    folded_batch_norms: int | None = Field(default=None, ge=0)

    def source(self) -> str:
        """Return the network's name, or what identifies its trace; drawn values are named as
        such.
        """
        name = self.network or f"trace {self.trace_sha256[:12]}"
        return printable(
            name + (f" [SYNTHETIC values: {self.synthetic}]" if self.synthetic else "")
        )

    def short_source(self) -> str:
        """Return the same in a few words."""
        name = short_name(self.network) or f"trace {self.trace_sha256[:12]}"
        return name + (" [SYNTHETIC values]" if self.synthetic else "")
