"""How many pictures a network answers at a time without mixing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.graph import Array, Graph
from sparqsim.networks.onnx.session import BATCH, Session

#: Root-mean-square difference, relative to the values, that rounding may make between two runs:
#: of real values, and of values that passed through 8-bit codes.
MOST_DIFFERENCE = {"f": 1e-3, "u": 1e-2, "i": 1e-2}


@dataclass(frozen=True)
class Batching:
    """size: pictures at a time. note: why it is one, where the network says otherwise; '' else."""

    size: int
    note: str = ""


def batching(
    graph: Graph, pictures: Pictures, tensors: Sequence[str], batch: int | None
) -> Batching:
    """Return how many pictures to run at a time.

    A graph may say that its first axis is free and still fix it inside (a Reshape to 1 row, an
    attention over all rows): two pictures together must give what they give apart, in every tensor
    that a layer takes, or they are run one by one.

    Parameters
    ----------
    graph : Graph
    pictures : Pictures
    tensors : sequence of str
        What must not change with the batch: layers' inputs and the graph's outputs.
    batch : int or None
        The user's number.

    Raises
    ------
    InputError
        For a number that the graph does not take, or that mixes pictures.
    """
    session = Session(graph, tensors)
    fixed = session.fixed_batch
    if fixed is not None:
        if batch not in (None, fixed):
            raise InputError(
                f"--batch {batch}: {graph.path} takes exactly {fixed} pictures at a time, expected "
                f"--batch {fixed}"
            )
        return Batching(fixed)
    if batch == 1 or len(pictures) == 1:
        return Batching(1)
    reason = _mixed(session, pictures)
    if reason is None:
        return Batching(BATCH if batch is None else batch)
    if batch is not None:
        raise InputError(f"--batch {batch}: {graph.path}: {reason}; expected --batch 1")
    return Batching(1, f"pictures are run one at a time: {reason}")


def _mixed(session: Session, pictures: Pictures) -> str | None:
    """Return how two pictures in one batch are not two pictures, or None."""
    pair = pictures.at((0, len(pictures) - 1))
    apart = list(session.batches(pair, 1))
    try:
        together = next(session.batches(pair, 2))
    except InputError as error:
        return f"two together cannot be run ({error})"
    for name in session.wanted:
        reason = _difference(together[name], [values[name] for values in apart])
        if reason is not None:
            return f"tensor {name!r} {reason}"
    return None


def _difference(together: Array, apart: Sequence[Array]) -> str | None:
    shapes = [value.shape for value in apart]
    rows = [shape[:1] == (1,) for shape in shapes]
    joined = all(rows) or all(len(shape) and shape[0] for shape in shapes)
    if not joined or shapes[0] != shapes[1]:
        return f"has shapes {shapes[0]} and {shapes[1]} for single pictures"
    expected = np.concatenate(apart)
    if together.shape != expected.shape:
        return f"has shape {together.shape} for two pictures and {shapes[0]} for one"
    # Infinite and NaN values are named later, with their layer.
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.subtract(together, expected, dtype=np.float64)
        size = (
            float(np.sqrt(np.mean(np.square(expected, dtype=np.float64)))) if expected.size else 0
        )
        error = float(np.sqrt(np.mean(np.square(difference)))) if expected.size else 0.0
    most = MOST_DIFFERENCE.get(together.dtype.kind, 0.0) * max(size, np.finfo(np.float32).tiny)
    return f"changes with the other pictures of a batch (by {error:.3g})" if error > most else None
