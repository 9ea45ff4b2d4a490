"""What a design declares of itself, before a step is taken."""

from __future__ import annotations

import numpy as np

from sparqsim.base.contract import expect, expect_frozen, expect_same_of_spec
from sparqsim.pe.base import COST_HOOKS, COSTS, MOST_CYCLES, PEDesign
from sparqsim.pe.registry import WHAT

STATIONARY = ("outputs", "weights", "activations")


def check_declaration(pe: PEDesign) -> None:
    """Expect that name, lanes, multipliers, cycles and dataflows are declared, and make sense."""
    expect(
        isinstance(pe.name, str) and pe.name != "" and not set(pe.name) & set(":,= "),
        f"name={pe.name!r}, expected a text without ':', ',', '=' and spaces",
    )
    for what, least in (
        ("lanes", 1),
        ("multipliers", 1),
        ("most_step_cycles", 1),
        ("edge_cycles", 0),
        ("stage_cycles", 0),
    ):
        value = getattr(pe, what)
        expect(
            type(value) is int and value >= least,
            f"{what}={value!r}, expected an integer of at least {least}",
        )
    expect(
        pe.stage_cycles == 0 or pe.cost == "unit",
        f"stage_cycles={pe.stage_cycles} with cost={pe.cost!r}, expected 0: a step of several "
        "cycles adds to its sum in each",
    )
    _check_cost_declared(pe)
    expect(
        bool(pe.stationary) and set(pe.stationary) <= set(STATIONARY),
        f"stationary={pe.stationary!r}, expected some of {', '.join(STATIONARY)}",
    )
    names = pe.dataflows
    expect(
        names is None or (isinstance(names, tuple) and bool(names) and all(map(_is_name, names))),
        f"dataflows={names!r}, expected None, or a tuple of names, e.g. ('os', 'ws')",
    )


def _check_cost_declared(pe: PEDesign) -> None:
    """Expect a known cost, whose hook is there, and bounds on cycles that fit it."""
    expect(pe.cost in COSTS, f"cost={pe.cost!r}, expected one of {', '.join(COSTS)}")
    expect(
        pe.most_step_cycles <= MOST_CYCLES,
        f"most_step_cycles={pe.most_step_cycles}, expected at most {MOST_CYCLES}",
    )
    hook = COST_HOOKS.get(pe.cost, "step")
    expect(
        getattr(type(pe), hook) is not getattr(PEDesign, hook),
        f"cost={pe.cost!r} without a `{hook}` of its own",
    )
    expect(
        pe.cost != "unit" or pe.most_step_cycles == 1,
        f"cost='unit' with most_step_cycles={pe.most_step_cycles}, expected 1, or another cost: "
        f"{', '.join(COST_HOOKS)}",
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def check_frozen(pe: PEDesign) -> None:
    """Expect a frozen value: equal keys make equal, hashable designs."""
    expect_frozen(pe, "designs")


def check_spec(pe: PEDesign) -> None:
    """Expect the text that names a design, its keys included, to make the same design again."""
    expect_same_of_spec(pe, WHAT)


def check_k_order(pe: PEDesign) -> None:
    """Expect every element of K once, in `steps` steps, -1 standing for a padded zero."""
    for k in (*range(1, 4 * pe.lanes + 2), 64, 129):
        order = pe.k_order(k)
        expect(
            order.shape == (pe.steps(k), pe.lanes),
            f"k_order({k}) has shape {order.shape}, expected (steps, lanes) = "
            f"({pe.steps(k)}, {pe.lanes})",
        )
        taken = np.sort(order[order >= 0])
        expect(
            bool(np.array_equal(taken, np.arange(k)) and order.min() >= -1),
            f"k_order({k}) takes {taken.tolist()}, expected 0..{k - 1} once each, -1 elsewhere",
        )
