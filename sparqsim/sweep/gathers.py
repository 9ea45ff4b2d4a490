"""Gathers as cases that files list: what `sparqsim gather` is asked, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr

from sparqsim.base.errors import InputError
from sparqsim.base.plugins import names_a_file, refuse_code
from sparqsim.engine.behind import DEFAULT_PE, Behind
from sparqsim.engine.gather import DEFAULT_FORMATS, Asked, gather
from sparqsim.gather.lookups import draw_of, lookups_of
from sparqsim.gather.program import LAYOUTS
from sparqsim.gather.table import PACKAGED, load_table
from sparqsim.results.gather_report import GatherReport
from sparqsim.sweep.case import ACCELERATOR_FILE, ENERGY_FILE, REMEDY, Case, Named

TEXT = "text:"
#: Fields of a case that a network behind needs, and nothing else does.
OF_NETWORK = ("pe", "array", "dataflow")


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


class GatherCase(BaseModel):
    """One run of `sparqsim gather`, as a file names it.

    table: as TABLE. indices, tensor, tokenizer, lookups, bag, seed: as the options. format, width:
    one or a list; without them all formats that ship, and all elements. layout: as the option.
    memory: as `--config`. energy: as `--memory-energy`, '' where it is not asked for. trace: as
    `--with-trace`, '' for none; pe, array, dataflow: what runs it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    table: Named
    indices: Named
    tensor: str | None = None
    tokenizer: Named | None = None
    lookups: Annotated[int, Field(ge=1)] | None = None
    bag: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    format: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)] = Field(
        default=[*DEFAULT_FORMATS]
    )
    layout: Literal["padded", "packed", "both"] = "both"
    width: Annotated[list[int], BeforeValidator(_listed)] = Field(default=[])
    memory: Named = "edge"
    energy: Named = ""
    trace: Named = ""
    pe: Named | None = None
    array: str | None = None
    dataflow: str | None = None
    engine: Literal["fast", "event"] = "fast"
    _trusts: bool = PrivateAttr(default=False)

    def trusted(self, trust: bool) -> Self:
        """Return the case as one whose files may, or may not, name Python source."""
        copy = self.model_copy()
        copy._trusts = trust  # noqa: SLF001 - its own
        return copy

    def refuse_files(self, origin: str) -> None:
        """Raise InputError where the case names Python source, which would be run."""
        for spec in self.format:
            refuse_code(spec, "row format", origin, REMEDY)
        for name, what in (("pe", "PE design"), ("dataflow", "dataflow")):
            value = getattr(self, name)
            if value is not None:
                refuse_code(value, what, origin, REMEDY)

    @property
    def words(self) -> str:
        """What it is, for messages."""
        return f"gathers from {self.table}, {self.indices}"

    @property
    def read(self) -> tuple[str, ...]:
        """Files that the case reads."""
        table = "" if self.table == PACKAGED else self.table
        drawn = self.indices.startswith("zipf:")
        rows = "" if drawn else self.indices.removeprefix(TEXT)
        memory = self.memory if ACCELERATOR_FILE.fullmatch(self.memory) else ""
        words = self.energy if ENERGY_FILE.fullmatch(self.energy) else ""
        return tuple(filter(None, (table, rows, self.tokenizer, memory, words, self.trace)))

    def found_from(self, folder: Path) -> Self:
        """Return the case with its relative files taken from `folder`."""

        def found(value: str) -> str:
            return str(folder / value)

        changed: dict[str, Any] = {}
        if self.table != PACKAGED:
            changed["table"] = found(self.table)
        if self.indices.startswith(TEXT):
            changed["indices"] = TEXT + found(self.indices.removeprefix(TEXT))
        elif not self.indices.startswith("zipf:"):
            changed["indices"] = found(self.indices)
        if self.tokenizer:
            changed["tokenizer"] = found(self.tokenizer)
        if self.trace:
            changed["trace"] = found(self.trace)
        changed["format"] = [found(each) if names_a_file(each) else each for each in self.format]
        of_a_run = Case(trace="", pe=self.pe or "", dataflow=self.dataflow, memory=self.memory)
        there = of_a_run.model_copy(update={"energy": self.energy}).found_from(folder)
        changed |= {"memory": there.memory, "energy": there.energy}
        changed |= {"pe": self.pe and there.pe, "dataflow": there.dataflow}
        return self.model_copy(update=changed)

    def run(self) -> GatherReport:
        """Look rows up.

        Raises
        ------
        InputError
            Where the case is refused, naming the field.
        """
        from sparqsim.cost.memory import load_memory
        from sparqsim.memory import load_accelerator

        draw = draw_of(self.indices, self.lookups, self.bag, self.seed, self.tokenizer)
        behind = self._behind()
        table = load_table(self.table, self.tensor)
        asked = Asked(
            table,
            lookups_of(self.indices, table.height, draw, self.tokenizer),
            load_accelerator(self.memory),
            self.format,
            LAYOUTS if self.layout == "both" else (self.layout,),
            self.width,
            self.engine,
            load_memory(self.energy) if self.energy else None,
        )
        return gather(asked, behind)

    def _behind(self) -> Behind | None:
        if not self.trace:
            for name in OF_NETWORK:
                if getattr(self, name) is not None:
                    raise InputError(
                        f"{name}={getattr(self, name)!r}: nothing runs on an array; add `trace`"
                    )
            return None
        from sparqsim.trace import load_trace

        case = self.behind_case()
        array, memory = case.accelerator()
        return Behind(load_trace(self.trace), array, memory, case.assignment())

    def behind_case(self) -> Case:
        """Return the network behind as a case of its own."""
        return Case(
            trace=self.trace,
            pe=self.pe or DEFAULT_PE,
            array=self.array,
            dataflow=self.dataflow,
            memory=self.memory,
        ).trusted(self._trusts)
