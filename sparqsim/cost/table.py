"""Tables of energy: coefficients of designs in a library, fitted on gate-level runs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from statistics import median
from typing import Annotated, Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.record import Name, Record, Text
from sparqsim.cost.toggles import Toggles
from sparqsim.results.filekinds import result_text

SCHEMA: Final = "sparqsim.energy_table/1"
FOLDER = Path(__file__).with_name("tables")
#: Counts that energies of an edge unit follow from; the others are a PE's.
EDGE_COUNTS = ("edge_raw_bits", "edge_used_bits")
PE_COUNTS = tuple(each.name for each in fields(Toggles) if each.name not in EDGE_COUNTS)
#: More than anything costs whose energies can still be summed.
MOST_PJ = 1e12
Coefficient = Annotated[float, Field(ge=0, le=MOST_PJ, allow_inf_nan=False)]


class PerCount(Record):
    """Energy of one of what is counted, pJ."""

    switching_pj: Coefficient
    internal_pj: Coefficient


class PerCycle(Record):
    """Energy of a cycle, pJ: of the clock pins, and of leakage at the table's clock."""

    clock_pj: Coefficient
    leakage_pj: Coefficient


class TriedLayer(Record):
    """A layer on which the model was compared with the reference.

    reference_pj_per_mac, standard_error_percent: of the PE and its share of the edge unit, by the
    samples. error_percent: of the model on the whole layer. constant_error_percent: of the design's
    mean energy per MAC over the layers of the fit. vectorless_error_percent: of a model of random
    activity, where the record has it. signed: activations are int8.
    """

    network: Text
    layer: Text
    signed: bool
    reference_pj_per_mac: float
    standard_error_percent: float
    error_percent: float
    constant_error_percent: float
    vectorless_error_percent: float | None = None


class Costs(Record):
    """Coefficients of a design, by the counts of `Toggles`; drain_moves is measured, not fitted.

    pe_cycle, edge_cycle: what a cycle of a PE costs, whatever it does, and one of an edge unit.
    """

    counts: dict[Name, PerCount]
    pe_cycle: PerCycle
    edge_cycle: PerCycle


class DesignCosts(Costs):
    """Coefficients of a design, and how good they are.

    fitted: the layers that they were found on. tested: others. median_percent, worst_percent: of
    the absolute errors on those of `tested` whose activations are unsigned, as the fit's are; None
    where there are none. signed_worst_percent: the same of layers of int8 activations, whose
    circuits are others.
    """

    fitted: tuple[TriedLayer, ...] = Field(min_length=1)
    tested: tuple[TriedLayer, ...] = ()

    @model_validator(mode="after")
    def _has_every_count(self) -> Self:
        expected = {*PE_COUNTS, *EDGE_COUNTS}
        if set(self.counts) != expected:
            differing = ", ".join(sorted(expected ^ set(self.counts)))
            raise ValueError(f"counts: expected those of this version; differing: {differing}")
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def median_percent(self) -> float | None:
        """Median absolute error on the tested layers, percent."""
        return median(self._errors()) if self.measured_tests else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def worst_percent(self) -> float | None:
        """Largest absolute error on the tested layers, percent."""
        return max(self._errors()) if self.measured_tests else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def signed_worst_percent(self) -> float | None:
        """Largest absolute error on tested layers of int8 activations, percent."""
        return max(self._errors(signed=True), default=None)

    @property
    def measured_tests(self) -> list[TriedLayer]:
        """The tested layers that run on the circuits of the fit: those of unsigned activations."""
        return [each for each in self.tested if not each.signed]

    def _errors(self, *, signed: bool = False) -> list[float]:
        return [abs(each.error_percent) for each in self.tested if each.signed == signed]


class Orders(Record):
    """Pairs of designs on the tested layers. separated: those that differ by more than two standard
    errors of the difference. right: those of them that the model orders as the reference does.
    """

    pairs: int = Field(ge=0)
    separated: int = Field(ge=0)
    right: int = Field(ge=0)


class EnergyTable(Record):
    """Coefficients of designs in one library.

    trace, trace_sha256: what the fit's operands are of. rows, cols: of the array whose tiles were
    sampled; an edge unit is shared by `cols` PEs. samples: outputs of each layer.
    """

    schema_: Literal["sparqsim.energy_table/1"] = Field(default=SCHEMA, alias="schema")
    name: Name
    library: Text
    node_nm: float = Field(gt=0, allow_inf_nan=False)
    corner: Text
    voltage_v: float = Field(gt=0, allow_inf_nan=False)
    clock_ns: float = Field(gt=0, allow_inf_nan=False)
    slew_ns: float = Field(ge=0, allow_inf_nan=False)
    flow: Text
    tools: tuple[Text, ...]
    notes: tuple[Text, ...]
    trace: Text
    trace_sha256: Text
    rows: int = Field(ge=1)
    cols: int = Field(ge=1)
    samples: int = Field(ge=1)
    orders: Orders
    designs: dict[Name, DesignCosts] = Field(min_length=1)

    def costs(self, circuit: str) -> DesignCosts:
        """Return the coefficients of a circuit.

        Raises InputError where the table has none.
        """
        if circuit not in self.designs:
            raise InputError(
                f"{circuit}: energy table {self.name!r} has no coefficients of this circuit"
                f"{nearest(circuit, self.designs)}; it has those of {', '.join(self.designs)}"
            )
        return self.designs[circuit]


def shipped_tables() -> Mapping[str, Path]:
    """Return the files of the tables that ship, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.json"))}


def load_table(name: str | Path) -> EnergyTable:
    """Return a table that ships, by its name, or the one in a file.

    Raises
    ------
    InputError
        Where there is none.
    """
    shipped = shipped_tables()
    if str(name) in shipped:
        return _shipped(str(name))
    if not Path(name).is_file():
        raise InputError(
            f"energy table {str(name)!r}: no file, and none that ships"
            f"{nearest(str(name), shipped)}; expected {', '.join(shipped)}, or a file that "
            "`sparqsim rtl fit` wrote"
        )
    text, _ = result_text(name, [SCHEMA], "an energy table, as `sparqsim rtl fit` writes it")
    return EnergyTable.from_json(text, str(name))


@cache
def _shipped(name: str) -> EnergyTable:
    return EnergyTable.load(shipped_tables()[name])
