"""Whether two forms of a design agree: sums and cycles of `step`, and of whatever is faster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.contract import Violation
from sparqsim.pe.base import COST_HOOKS, Array, PEDesign
from sparqsim.pe.declared import declared_cycles
from sparqsim.pe.layout import arranged
from sparqsim.pe.trials import plain_steps


def compare(pe: PEDesign, x: Array, w: Array) -> None:
    """Expect `matmul` and cycles of X (..., M, K) @ W (..., K, N) to be those of `step`."""
    fast = pe.matmul(x, w)
    for at in np.ndindex(*x.shape[:-2]):
        values, cycles = stepped(pe, x[at], w[at])
        difference_of(pe, x[at], w[at], fast[at], values.sum(-1), "step", "matmul")
        compare_cycles(pe, x[at], w[at], cycles)


def stepped(pe: PEDesign, x: Array, w: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return values and cycles of every `step` of X (M, K) @ W (K, N), int64 (M, N, steps) each."""
    steps = list(plain_steps(pe, x, w))
    shape = len(x), w.shape[1], pe.steps(x.shape[1])
    values = np.array([step.value for step in steps], np.int64)
    cycles = np.array([step.cycles for step in steps], np.int64)
    return values.reshape(shape), cycles.reshape(shape)


def compare_cycles(pe: PEDesign, x: Array, w: Array, cycles: NDArray[np.int64]) -> None:
    """Expect steps' cycles (M, N, steps) within bounds, and as `declared_cycles` says."""
    for m, n, s in np.argwhere((cycles < 1) | (cycles > pe.most_step_cycles))[:1]:
        raise Violation(
            f"step of {shown(pe, x[m], w[:, n], s)} takes {cycles[m, n, s]} cycles, "
            f"expected 1..{pe.most_step_cycles} (most_step_cycles)"
        )
    declared = declared_cycles(pe, x, w)
    expected = _declared_shape(pe, *cycles.shape)
    if declared.shape != expected:
        raise Violation(
            f"{COST_HOOKS.get(pe.cost, 'cost')} of {len(x)} rows and {w.shape[1]} columns makes "
            f"cycles of shape {declared.shape}, expected (rows or 1, steps, columns or 1) = "
            f"{expected}"
        )
    if declared.dtype != np.uint8:
        raise Violation(f"{COST_HOOKS.get(pe.cost, 'cost')} gives {declared.dtype}, expected uint8")
    by_output = np.broadcast_to(declared.transpose(0, 2, 1), cycles.shape)
    for m, n, s in np.argwhere(cycles != by_output)[:1]:
        raise Violation(
            f"step of {shown(pe, x[m], w[:, n], s)} takes {cycles[m, n, s]} cycles, but the fast "
            f"form says {by_output[m, n, s]} (cost={pe.cost!r})"
        )


def _declared_shape(pe: PEDesign, m: int, n: int, steps: int) -> tuple[int, int, int]:
    """Return the shape that `declared_cycles` must have."""
    rows = m if pe.cost in ("activations", "pair") else 1
    columns = n if pe.cost in ("weights", "pair") else 1
    return rows, steps, columns


def compare_cost(pe: PEDesign, x: Array, w: Array) -> None:
    """Expect the cycles of steps of X (M, K) @ W (K, N) to depend on what `cost` declares alone."""
    if pe.cost == "pair":
        return
    _, cycles = stepped(pe, x, w)
    shared = {"activations": "the same activations", "weights": "the same weights"}
    alike = shared.get(pe.cost, "every step alike")
    for m, n, s in np.ndindex(cycles.shape):
        other = {"activations": (m, 0, s), "weights": (0, n, s)}.get(pe.cost, (0, 0, 0))
        if cycles[m, n, s] != cycles[other]:
            here, there = (shown(pe, x[i], w[:, j], k) for i, j, k in ((m, n, s), other))
            raise Violation(
                f"cost={pe.cost!r} ({alike}), but the step of {here} takes {cycles[m, n, s]} "
                f"cycles and that of {there} takes {cycles[other]}"
            )


def difference_of(
    pe: PEDesign, x: Array, w: Array, found: Array, expected: Array, truth: str, other: str
) -> None:
    """Expect two products to be equal; name the operands of the first place where they are not."""
    for m, n in np.argwhere(found != expected)[:1]:
        row, column = x[m], w[:, n]
        where = f"x={row.tolist()} w={column.tolist()}"
        if pe.steps(len(row)) == 1:
            where = shown(pe, row, column, 0)
        raise Violation(f"{where}: {truth} gives {expected[m, n]}, {other} gives {found[m, n]}")


def shown(pe: PEDesign, x: Array, w: Array, s: int) -> str:
    """Return the operands of one step as text, lane by lane."""
    order = pe.k_order(len(x))
    return f"x={tuple(arranged(x, order)[s].tolist())} w={tuple(arranged(w, order)[s].tolist())}"
