"""A language model's sequences, one at a time, as a phase takes them; whether it is causal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import torch
from torch import Tensor

from sparqsim.base.errors import InputError
from sparqsim.networks.phase import Phase, check_unchanged, with_another_last
from sparqsim.networks.torch.loaders import Inputs
from sparqsim.networks.torch.outputs import tensors_of
from sparqsim.networks.torch.quantised import QuantisedNetwork
from sparqsim.networks.torch.sites import as_float32

Batch = tuple[Inputs, Tensor | None]


def sequences(phase: Phase, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the first tokens of every sequence, each alone.

    Axis 1 is that of tokens, in every tensor that has as many there as the main one.

    Raises
    ------
    InputError
        For inputs without such an axis, and for sequences that are too short.
    """
    for inputs, labels in batches:
        main = inputs.main
        if main.ndim < 2:
            raise InputError(f"phase={phase}: inputs are {tuple(main.shape)}, expected sequences")
        tokens = main.shape[1]
        phase.check_length(tokens)
        cut = partial(_cut, tokens=tokens, length=phase.length)
        for row in range(len(inputs)):
            alone = inputs.at(slice(row, row + 1))
            yield alone.changed(cut), None if labels is None else cut(labels[row : row + 1])


def _cut(part: Tensor, tokens: int, length: int) -> Tensor:
    """Return a tensor's first tokens, on every axis of theirs (a mask has two)."""
    for axis in range(1, part.ndim):
        if part.shape[axis] == tokens:
            part = part.narrow(axis, 0, length)
    return part


def check_causal(phase: Phase, quantised: QuantisedNetwork, inputs: Inputs) -> None:
    """Raise InputError where a decode step is none: another last token changes earlier outputs.

    Outputs are looked at where axis 1 is that of tokens; without one nothing is known.
    """
    if phase.kind == "prefill":
        return
    main = inputs.main

    def changed(part: Tensor) -> Tensor:
        return _with_another_last(part) if part is main else part

    outputs = [quantised.run(each) for each in (inputs, inputs.changed(changed))]
    for (_, one), (_, other) in zip(*map(tensors_of, outputs), strict=True):
        check_unchanged(phase, as_float32(one), as_float32(other))


def _with_another_last(tokens: Tensor) -> Tensor:
    return torch.from_numpy(with_another_last(tokens.numpy()))
