"""Whether two forms of a design agree: sums and cycles of `step`, and of whatever is faster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, PEDesign, arranged
from sparqsim.pe.trials import plain_steps


class Violation(Exception):
    """A design does not keep its contract."""


def expect(holds: bool, message: str) -> None:
    """Raise Violation with the message unless the condition holds."""
    if not holds:
        raise Violation(message)


def compare(pe: PEDesign, x: Array, w: Array) -> None:
    """Expect `matmul` and the step cycles of X (..., M, K) @ W (..., K, N) to be those of `step`."""
    fast = pe.matmul(x, w)
    for at in np.ndindex(*x.shape[:-2]):
        shape = (x.shape[-2], w.shape[-1], pe.steps(x.shape[-1]))
        steps = [(step.value, step.cycles) for step in plain_steps(pe, x[at], w[at])]
        values, cycles = np.moveaxis(np.array(steps, np.int64).reshape(*shape, 2), -1, 0)
        difference_of(pe, x[at], w[at], fast[at], values.sum(-1), "step", "matmul")
        compare_cycles(pe, x[at], w[at], cycles, declared_cycles(pe, x[at], w[at]))


def declared_cycles(pe: PEDesign, x: Array, w: Array) -> NDArray[np.uint8]:
    """Return the cycles of each step by the design's fast form, for X (M, K) and W (K, N): axes (M, N or 1, steps)."""
    order, told = pe.k_order(x.shape[1]), pe.step_cycles(x)
    of_pairs = pe.pair_step_cycles(arranged(x, order), np.moveaxis(arranged(w.T, order), 0, -1))
    if of_pairs is not None:
        return of_pairs.transpose(0, 2, 1)
    return (
        np.ones((len(x), w.shape[1], pe.steps(len(w))), np.uint8) if told is None else told[:, None]
    )


def compare_cycles(
    pe: PEDesign, x: Array, w: Array, cycles: NDArray[np.int64], told: NDArray[np.uint8]
) -> None:
    """Expect each step's cycles (M, N, steps) to be within bounds, and to be what `declared_cycles` says."""
    for m, n, s in np.argwhere((cycles < 1) | (cycles > pe.most_step_cycles))[:1]:
        raise Violation(
            f"step of {shown(pe, x[m], w[:, n], s)} takes {cycles[m, n, s]} cycles, "
            f"expected 1..{pe.most_step_cycles} (most_step_cycles)"
        )
    if pe.times_itself:
        return
    if told.shape not in (cycles.shape, (len(x), 1, cycles.shape[2])):
        raise Violation(
            f"step_cycles of {len(x)} rows and {w.shape[1]} columns has shape {told.shape}, expected "
            f"(rows, columns or 1, steps) = ({len(x)}, {w.shape[1]} or 1, {cycles.shape[2]})"
        )
    told = np.broadcast_to(told, cycles.shape)
    for m, n, s in np.argwhere(cycles != told)[:1]:
        raise Violation(
            f"step of {shown(pe, x[m], w[:, n], s)} takes {cycles[m, n, s]} cycles, but the fast form says "
            f"{told[m, n, s]}"
        )


def difference_of(
    pe: PEDesign, x: Array, w: Array, found: Array, expected: Array, truth: str, other: str
) -> None:
    """Expect two products to be equal; name the operands of the first place where they are not."""
    for m, n in np.argwhere(found != expected)[:1]:
        alone = pe.steps(x.shape[1]) == 1
        where = shown(pe, x[m], w[:, n], 0) if alone else f"x={x[m].tolist()} w={w[:, n].tolist()}"
        raise Violation(f"{where}: {truth} gives {expected[m, n]}, {other} gives {found[m, n]}")


def shown(pe: PEDesign, x: Array, w: Array, s: int) -> str:
    """Return the operands of one step as text, lane by lane."""
    order = pe.k_order(len(x))
    return f"x={tuple(arranged(x, order)[s].tolist())} w={tuple(arranged(w, order)[s].tolist())}"
