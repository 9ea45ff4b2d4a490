"""The contract of PE designs, as checks that anyone can run: `sparqsim pe check NAME` or
`FILE.py:CLASS`.

`step` is the definition of a design, so every check compares a fast form with `step`, or `step`
with what the design declares. A check returns when the design keeps it, and raises `Violation` with
the operands, what was expected and what was found.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np

from sparqsim.base.contract import Check, Outcome, Violation, expect, outcomes_of
from sparqsim.base.errors import InputError
from sparqsim.pe.agreement import compare, compare_cost, difference_of
from sparqsim.pe.base import Array, LayerFacts, PEDesign
from sparqsim.pe.contract_declared import check_declaration, check_frozen, check_k_order, check_spec
from sparqsim.pe.contract_filters import check_filters
from sparqsim.pe.contract_kept import check_kept
from sparqsim.pe.trials import KINDS, dtype_of, modes, narrowed, operands, plain_steps, weights

#: (M, K, N) of random products: K odd, K = 1, K below and above the lanes, a single row or column,
#: a long sum.
SHAPES = ((3, 1, 2), (1, 2, 1), (4, 3, 3), (5, 7, 4), (2, 8, 3), (3, 33, 2), (1, 130, 1))
#: (activation bits, weight bits) of layers that a design is made ready for.
BITS = ((8, 8), (8, 4), (4, 8), (3, 2), (1, 1))


def check_design(pe: PEDesign) -> Iterator[Outcome]:
    """Run every check on a design."""
    return outcomes_of(CHECKS, pe)


def ready(pe: PEDesign, x: Array) -> PEDesign:
    """Return the design as it runs a layer of 8-bit operands X (..., K)."""
    return pe.for_layer(LayerFacts(k=x.shape[-1], signed=x.dtype == np.int8))


def ready_for_one_step(pe: PEDesign, signed: bool) -> PEDesign:
    """Return the design as it runs a layer whose sums are a step long."""
    lanes = pe.for_layer(LayerFacts(k=64, signed=signed)).lanes
    return pe.for_layer(LayerFacts(k=lanes, signed=signed))


def check_first_pairs(pe: PEDesign) -> None:
    """Expect `matmul` = `step` for all values of a step's first two activations."""
    for signed in modes(pe):
        bound = ready_for_one_step(pe, signed)
        lanes = bound.lanes
        if lanes == 1:
            continue
        x = np.zeros((256, 256, lanes), np.uint8)
        x[..., 0], x[..., 1] = np.arange(256)[:, None], np.arange(256)
        x[..., 2:] = operands(bound, (256, 256, lanes - 2), "sparse", seed=3).view(np.uint8)
        in_order = np.empty_like(x)
        in_order[..., bound.k_order(lanes)[0]] = x
        w = weights((256, lanes, 1), "sparse", seed=4)
        compare(bound, in_order.view(dtype_of(signed)), w)


def check_first_products(pe: PEDesign) -> None:
    """Expect `matmul` = `step` for all values of a step's first activation and weight."""
    for signed in modes(pe):
        bound = ready_for_one_step(pe, signed)
        first = bound.k_order(bound.lanes)[0, 0]
        x = operands(bound, (256, bound.lanes), "random", seed=5, signed=signed)
        w = weights((bound.lanes, 256), "random", seed=6)
        x[:, first] = np.arange(256).astype(np.uint8).view(x.dtype)
        w[first] = np.arange(-128, 128)
        compare(bound, x, w)


def check_products(pe: PEDesign) -> None:
    """Expect `matmul` and declared cycles of `step` for ragged products of all operands."""
    for signed, kind, (m, k, n) in itertools.product(modes(pe), KINDS, SHAPES):
        x = operands(pe, (m, k), kind, seed=m + k, signed=signed)
        compare(ready(pe, x), x, weights((k, n), kind, seed=n + k))


def check_cost(pe: PEDesign) -> None:
    """Expect that nothing decides the cycles of a step but what `cost` declares."""
    for signed, kind in itertools.product(modes(pe), KINDS):
        x = operands(pe, (6, 9), kind, seed=12, signed=signed)
        compare_cost(ready(pe, x), x, weights((9, 6), kind, seed=13))


def check_one_sided(pe: PEDesign) -> None:
    """Expect `matmul` to be the product of used operands, unless values depend on the pair."""
    for signed, (m, k, n) in itertools.product(modes(pe), SHAPES):
        x = operands(pe, (m, k), "random", seed=14, signed=signed)
        w, bound = weights((k, n), "random", seed=15), ready(pe, x)
        if not bound.values_by_pair:
            used_x, used_w = bound.used_activations(x), bound.used_weights(w)
            product = used_x.astype(np.int64) @ used_w.astype(np.int64)
            truth = "used_activations(x) @ used_weights(w)"
            difference_of(bound, x, w, bound.matmul(x, w), product, truth, "matmul")


def check_one_by_one(pe: PEDesign) -> None:
    """Expect of a design that says so that an activation is used alike beside any others."""
    if not pe.one_by_one:
        return
    for signed, kind in itertools.product(modes(pe), KINDS):
        x = operands(pe, (64, 4 * pe.lanes), kind, seed=18, signed=signed)
        codes = np.arange(256).astype(np.uint8).view(x.dtype)[:, None]
        bound = ready(pe, x)
        used, alone = bound.used_activations(x), bound.used_activations(codes)[:, 0]
        expect(
            np.array_equal(used, alone[x.view(np.uint8)]),
            "one_by_one=True, but used_activations(x) differs from those of each code alone",
        )


def check_for_layer(pe: PEDesign) -> None:
    """Expect a design of the same spec for every layer, as true to its `step`, and stable.

    Bits that `for_layer` refuses by InputError are left out.
    """
    for signed, bits, k in itertools.product(modes(pe), BITS, (1, 9, 34)):
        facts = LayerFacts(k, signed, *bits)
        try:
            bound = pe.for_layer(facts)
        except InputError:
            expect(bits != (8, 8), f"for_layer({facts}) is refused, expected a design")
            continue
        _check_bound(pe, bound, facts)


def _check_bound(pe: PEDesign, bound: PEDesign, facts: LayerFacts) -> None:
    """Expect what `for_layer` gives to be the design, and to run operands of its bits."""
    expect(isinstance(bound, PEDesign), f"for_layer({facts}) gives {bound!r}, expected a PEDesign")
    expect(
        bound.spec == pe.spec,
        f"for_layer({facts}) gives a design of spec {bound.spec!r}, expected {pe.spec!r}: what "
        'follows a layer is a field with metadata={"key": False}',
    )
    again = bound.for_layer(facts)
    expect(
        again == bound == pe.for_layer(facts) and hash(again) == hash(bound),
        f"for_layer({facts}) gives {again!r} when asked again, expected {bound!r}",
    )
    if bound == pe:
        return
    check_declaration(bound)
    check_k_order(bound)
    for kind in KINDS:
        x = operands(bound, (3, facts.k), kind, seed=16, signed=facts.signed)
        x = narrowed(x, facts.activation_bits)
        w = narrowed(weights((facts.k, 4), kind, seed=17), facts.weight_bits)
        compare(bound, x, w)
        compare_cost(bound, x, w)


def check_batches(pe: PEDesign) -> None:
    """Expect a stack of products to be its products one by one, operands untouched."""
    x, w = operands(pe, (3, 4, 5), "random", seed=7), weights((3, 5, 2), "random", seed=8)
    kept = x.copy(), w.copy()
    result = pe.matmul(x, w)
    expect(
        result.dtype == np.int64 and result.shape == (3, 4, 2),
        f"matmul gives {result.dtype} {result.shape}, expected int64 (3, 4, 2)",
    )
    for at in range(3):
        expect(
            np.array_equal(result[at], pe.matmul(x[at], w[at])),
            f"matmul of a stack differs from product {at} by itself",
        )
    expect(np.array_equal(x, kept[0]) and np.array_equal(w, kept[1]), "matmul changes its operands")


def check_exact(pe: PEDesign) -> None:
    """Expect X @ W from a design that is declared exact."""
    if not pe.exact:
        return
    for signed, kind, (m, k, n) in itertools.product(modes(pe), KINDS, SHAPES):
        x, w = operands(pe, (m, k), kind, seed=m, signed=signed), weights((k, n), kind, seed=n)
        bound, product = ready(pe, x), x.astype(np.int64) @ w.astype(np.int64)
        difference_of(bound, x, w, bound.matmul(x, w), product, "x @ w", "matmul")


def check_signed(pe: PEDesign) -> None:
    """Expect int8 activations to be refused by a design that does not declare them."""
    if pe.signed_activations:
        return
    try:
        pe.matmul(np.zeros((1, 2), np.int8), np.zeros((2, 1), np.int8))
    except InputError:
        return
    raise Violation(
        "matmul takes int8 activations, expected InputError since signed_activations is False"
    )


def check_activity(pe: PEDesign) -> None:
    """Expect the parts counted by states to be those that `step` says were active."""
    from sparqsim.pe.activity import PartCounter

    for kind, signed in itertools.product(KINDS, modes(pe)):
        x = operands(pe, (1, 6, 21), kind, seed=9, signed=signed)
        w, bound = weights((1, 21, 5), kind, seed=10), ready(pe, x)
        states = bound.activation_states(x)
        if states is None:
            return
        counter = PartCounter(bound, w)
        counter.add(states)
        active: Counter[str] = Counter()
        for step in plain_steps(bound, x[0], w[0]):
            active.update(step.active_cycles)
        expect(
            +Counter(counter.cycles()) == +active,
            f"active cycles of {kind} operands by states are "
            f"{counter.cycles()}, expected those of step, {dict(sorted(active.items()))}",
        )


def check_windows(pe: PEDesign) -> None:
    """Expect windows to count non-zero activations: never more than there are, rows adding up."""
    for signed, kind in itertools.product(modes(pe), KINDS):
        x = operands(pe, (4, 12), kind, seed=11, signed=signed)
        found = pe.windows(x)
        expect(
            all(count >= 0 for count in found.values())
            and sum(found.values()) <= int(np.count_nonzero(x)),
            f"windows of {kind} activations are {found}, expected at most "
            f"{np.count_nonzero(x)} in all",
        )
        rows: Counter[int] = Counter()
        for row in x:
            rows.update(pe.windows(row[None]))
        expect(
            +rows == +Counter(found),
            f"windows of {kind} activations are {found}, expected the sum over rows {dict(rows)}",
        )


#: Every check by the name under which it is reported.
CHECKS: dict[str, Check[PEDesign]] = {
    "declares name, lanes, cycles, dataflows": check_declaration,
    "is frozen, hashable, equal to its twin": check_frozen,
    "its spec makes it again": check_spec,
    "takes every element of K once": check_k_order,
    "has a design and a column per filter": check_filters,
    "matmul = step, all pairs of activations": check_first_pairs,
    "matmul = step, all activations x weights": check_first_products,
    "matmul, cycles = step, ragged products": check_products,
    "matmul = product of used operands": check_one_sided,
    "uses activations one by one, if declared so": check_one_by_one,
    "nothing decides cycles but its cost": check_cost,
    "ready for a layer, same spec, as true": check_for_layer,
    "runs layers that stay at 8 bits": check_kept,
    "stacks of products, operands untouched": check_batches,
    "exact, if declared so": check_exact,
    "refuses int8 activations it cannot take": check_signed,
    "part activity = step": check_activity,
    "windows are consistent": check_windows,
}
