"""What `sparqsim rtl fit` and `sparqsim rtl try` do and print."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from pydantic import ValidationError

from sparqsim.base.errors import InputError
from sparqsim.base.record import faults_of
from sparqsim.cli.cells import new_table
from sparqsim.cli.tables import Shown
from sparqsim.cost.table import DesignCosts, EnergyTable, TriedLayer, load_table
from sparqsim.cost.trying import Measured, table_of, tried_on
from sparqsim.results.filekinds import result_text
from sparqsim.rtl.gates.record import SCHEMA, EnergyReference
from sparqsim.trace import load_trace

Pair = tuple[str, str]


def split_test(text: str, option: str) -> Pair:
    """Return record and trace of 'RECORD=TRACE'; errors name `option`."""
    record, equals, trace = text.partition("=")
    if not equals or not record or not trace:
        raise InputError(f"{option} {text!r}: expected RECORD=TRACE")
    return record, trace


def fitted_table(name: str, fit: Pair, tests: Sequence[Pair], node_nm: float) -> EnergyTable:
    """Return the table of a record, tried on others.

    Raises InputError where the record gives one that cannot be, as of negative energies.
    """
    measured, others = _measured(fit), [_measured(pair) for pair in tests]
    try:
        return table_of(name, measured, others, node_nm)
    except ValidationError as error:
        fault = faults_of(error)[0]
        raise InputError(f"{fit[0]}: gives no table of energy: {fault}") from None


def tried_table(name: str, tests: Sequence[Pair]) -> EnergyTable:
    """Return a table, by its name or its file, tried on these records instead of its own."""
    return tried_on(load_table(name), [_measured(pair) for pair in tests])


def _measured(pair: Pair) -> Measured:
    path, trace = pair
    text, _ = result_text(path, [SCHEMA], "the -o of `sparqsim rtl energy`")
    return Measured(EnergyReference.from_json(text, path), load_trace(trace), path)


def table_shown(table: EnergyTable) -> Shown:
    """Return how good the coefficients of every design are."""
    shown = new_table(
        "design",
        "layers\nof fit",
        "error %\nmedian",
        "\nworst",
        "layers\ntried",
        "error %\nmedian",
        "\nworst",
        "int8\nworst",
        "constant\nmedian",
        "\nworst",
        title="Fast energy model against gate-level runs, whole layers; constant: one energy per "
        "MAC instead",
    )
    for name, costs in table.designs.items():
        shown.add_row(name, *_cells(costs))
    return Shown("", [shown], _notes(table), lambda: _flat(table), table.to_json)


def _cells(costs: DesignCosts) -> list[str]:
    of_fit = [abs(each.error_percent) for each in costs.fitted if not each.signed]
    constant = [abs(each.constant_error_percent) for each in costs.measured_tests]
    figures = [
        costs.median_percent,
        costs.worst_percent,
        costs.signed_worst_percent,
        median(constant) if constant else None,
        max(constant, default=None),
    ]
    return [
        str(len(of_fit)),
        _percent(median(of_fit)),
        _percent(max(of_fit)),
        str(len(constant)),
        *map(_percent, figures),
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _notes(table: EnergyTable) -> str:
    orders = table.orders
    return "\n".join(
        [
            (
                f"{table.library}, {table.node_nm:g} nm, {table.corner}, {table.voltage_v:g} V, "
                f"clock of {table.clock_ns:g} ns, slew {table.slew_ns:g} ns; "
                f"{', '.join(table.tools)}."
            ),
            f"Fitted on {table.samples} sampled outputs of each layer of {table.trace}.",
            (
                f"Of {orders.pairs:,} pairs of designs on a tried layer the reference tells "
                f"{orders.separated:,} apart (two standard errors); the model orders "
                f"{orders.right:,} of them alike."
            ),
            *_statistical(table),
            *table.notes,
        ]
    )


def _statistical(table: EnergyTable) -> list[str]:
    """Return how far a statistical model of activity is from the reference, where records say."""
    tried = [each for costs in table.designs.values() for each in costs.measured_tests]
    errors = [each.vectorless_error_percent for each in tried]
    known = [abs(error) for error in errors if error is not None]
    if not known:
        return []
    told = f"A statistical model of activity errs by {median(known):.0f} % (median) on "
    return [f"{told}{len(known):,} of these layers x designs, by {max(known):.0f} % at most."]


def _flat(table: EnergyTable) -> list[dict[str, Any]]:
    """Return a row per design and layer."""
    return [
        {"design": name, "use": use, **each.model_dump()}
        for name, costs in table.designs.items()
        for use, layers in _uses(costs)
        for each in layers
    ]


def _uses(costs: DesignCosts) -> list[tuple[str, tuple[TriedLayer, ...]]]:
    return [("fit", costs.fitted), ("test", costs.tested)]
