"""What a network answers: logits and labels, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sparqsim.base.errors import InputError
from sparqsim.networks.arithmetic import Arithmetic
from sparqsim.networks.torch.loaders import Inputs
from sparqsim.networks.torch.outputs import described, logits_of, names_of
from sparqsim.networks.torch.quantised import QuantisedNetwork


@dataclass(frozen=True)
class Answers:
    """Logits (rows, classes) of every input, and the labels int64 (rows,) if the loader gives them.

    outputs: where the tensors of the network's output stand, that of the logits first.
    """

    logits: Tensor
    labels: Tensor | None
    outputs: tuple[str, ...] = ()

    @property
    def cross_entropy(self) -> float | None:
        """Mean over rows of -ln of the probability that a label has, in float64; None without
        labels, and for labels that are no classes of the logits.
        """
        labels = self.labels
        if labels is None or not bool(((labels >= 0) & (labels < self.logits.shape[1])).all()):
            return None
        return float(functional.cross_entropy(self.logits.double(), labels))


def answers(
    quantised: QuantisedNetwork,
    loader: Iterable[Any],
    images: int | None = None,
    arithmetic: Arithmetic | None = None,
) -> Answers:
    """Return what the network answers in `arithmetic`, in float without one."""
    logits, labels = [], []
    outputs: tuple[str, ...] = ()
    for inputs, label in quantised.batches(loader, images):
        output = answered(quantised, inputs, arithmetic)
        outputs = names_of(output)
        logits.append(_logits(output))
        labels.append(label)
        if arithmetic is not None:
            arithmetic.inputs_done += len(inputs)
    if not logits:
        raise InputError("loader holds no batch, expected at least one")
    return Answers(_joined(logits), _row_labels(labels, sum(map(len, logits))), outputs)


def _joined(logits: list[Tensor]) -> Tensor:
    classes = sorted({batch.shape[1] for batch in logits})
    if len(classes) > 1:
        raise InputError(
            f"the network gives {' and '.join(map(str, classes))} logits in different batches, "
            "expected equally many classes in each"
        )
    return torch.cat(logits)


def _row_labels(labels: list[Tensor | None], rows: int) -> Tensor | None:
    """Return the class number of every row of logits, int64 (rows,), or None without labels."""
    known = [label.reshape(-1) for label in labels if label is not None]
    if not known:
        return None
    found = torch.cat(known)
    if found.is_floating_point() or found.is_complex() or len(found) != rows:
        raise InputError(
            f"labels are {described(found)} for {rows} rows of logits, expected one integer class "
            "number for each row"
        )
    return found.long()


def answered(quantised: QuantisedNetwork, inputs: Inputs, arithmetic: Arithmetic | None) -> Any:
    """Return the network's output for one batch in `arithmetic`, in float without one."""
    if arithmetic is None:
        return quantised.run(inputs)
    return quantised.run(
        inputs,
        arithmetic.sums,
        in_float=lambda site: arithmetic.design(site) is None,
        direct=partial(quantised.direct.output, arithmetic),
    )


def _logits(output: Any) -> Tensor:
    logits = logits_of(output)
    if logits is None:
        raise InputError(
            f"the network's output is {described(output)}, and none of it is known to be logits; "
            "expected (batch, classes) or (batch, positions, classes), alone, as the first of a "
            "tuple, or under the name 'logits'"
        )
    return logits
