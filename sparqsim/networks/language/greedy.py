"""What a language model writes when it takes the likeliest token each time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sparqsim.base.errors import InputError
from sparqsim.networks.arithmetic import Arithmetic
from sparqsim.networks.torch.answers import answered
from sparqsim.networks.torch.loaders import Inputs
from sparqsim.networks.torch.quantised import QuantisedNetwork

#: Returns the logits (batch, tokens, vocabulary) of token numbers.
Logits = Callable[[Tensor], Tensor]


def continued(model: Logits | nn.Module, start: Tensor, tokens: int) -> Tensor:
    """Return a sequence continued to `tokens` tokens.

    Every step runs the whole sequence: no cache, so that each token is answered as in one run.

    Parameters
    ----------
    model : callable
        A network, or what `under` gives.
    start : int64 (1, tokens)
    tokens : int
        How many there are at the end.

    Raises
    ------
    InputError
        For a start that is longer, or no sequence.
    """
    if start.ndim != 2 or not start.shape[1]:
        raise InputError(f"start is {tuple(start.shape)}, expected (1, tokens), 1 token or more")
    if start.shape[1] > tokens:
        raise InputError(f"start has {start.shape[1]} tokens, expected at most {tokens}")
    found = start
    with torch.no_grad():
        while found.shape[1] < tokens:
            likeliest = model(found)[:, -1:].argmax(-1)
            found = torch.cat([found, likeliest], dim=1)
    return found


def under(network: QuantisedNetwork, arithmetic: Arithmetic | None) -> Logits:
    """Return a network whose layers compute in `arithmetic`, in float without one."""

    def logits(tokens: Tensor) -> Tensor:
        output: Tensor = answered(network, Inputs.of(tokens), arithmetic)
        return output

    return logits
