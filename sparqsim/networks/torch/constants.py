"""Tensors of a network that no input reaches: parameters, buffers, and what is made of these."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sparqsim.networks.torch.outputs import tensors_of


class Constants:
    """The constants of a network, known by where their values lie in memory.

    What a run makes of constants alone (weights that are transposed in memory, scaled, decoded) is
    one until the next run.
    """

    def __init__(self, model: nn.Module | None = None) -> None:
        self._names: dict[int, str] = {}
        #: Kept with their names, so that nothing else gets their place.
        self._made: dict[int, tuple[str, Tensor]] = {}
        for name, tensor in () if model is None else _stored(model):
            place = _place(tensor)
            if place is not None:
                self._names.setdefault(place, name)

    def name(self, tensor: Tensor) -> str | None:
        """Return the parameter or buffer that a tensor views or is made of; else None."""
        place = _place(tensor)
        if place is None:
            return None
        return self._made[place][0] if place in self._made else self._names.get(place)

    def name_of_all(self, operands: Any) -> str | None:
        """Return the name of the first of operands that are all constants; else None."""
        names = [self.name(tensor) for _, tensor in tensors_of(operands)]
        return names[0] if names and None not in names else None

    def note(self, operands: Any, output: Any) -> None:
        """Note what an operation that draws nothing made of operands."""
        name = self.name_of_all(operands)
        if name is None:
            return
        for _, tensor in tensors_of(output):
            place = _place(tensor)
            if place is not None and place not in self._names:
                self._made[place] = (name, tensor)

    def changed(self, tensor: Tensor) -> None:
        """Note that a run writes to a tensor: what it is a view of is no constant."""
        place = _place(tensor)
        if place is not None:
            self._names.pop(place, None)
            self._made.pop(place, None)

    def begin(self) -> None:
        """Forget what the run before made."""
        self._made.clear()


def _stored(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]


def _place(tensor: Tensor) -> int | None:
    """Return where in memory a tensor's values lie; None for sparse ones and those without any."""
    if tensor.layout != torch.strided or not tensor.numel():
        return None
    return tensor.untyped_storage().data_ptr()
