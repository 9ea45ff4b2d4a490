"""Rounding learned block by block, through a PyTorch network: what `brecq` and `qdrop` share.

A block is a module that holds several layers and is called once, with one tensor in and one out: of
a residual network the two convolutions and the addition. Its layers' roundings are learned together
on its output, by Adam on batches of the calibration pictures:

    mean over pixels of (block(q) - y)^2 + weight * sum(1 - abs(2 h - 1)^beta)

q is the block's input behind the blocks before it, which are quantised already; y its output in the
float network; h and the second term are those of `sparqsim.quantise.rounding`. A layer in no such
module is a block of its own.

What is learned of a block is kept in the user's cache, under a digest of all that it depends on: a
run that was interrupted goes on at the block it was in.

This module imports torch; whoever needs it imports it when it is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sparqsim.base.errors import InputError
from sparqsim.base.files import cache_folder, replaced
from sparqsim.quantise.descent import Descent, Grid, LearnedUnit, Learning, Seen
from sparqsim.quantise.layered import LayeredNetwork, Unit, find_units

#: What is learned with other code is not taken from the cache.
CACHE_FORMAT = 1
#: Steps between two reports of progress.
TOLD_EVERY = 50


@contextmanager
def _captured(module: nn.Module, into: list[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Append the input and the output of every call of a module meanwhile."""

    def note(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        into.append((args[0].detach().clone(), output.detach().clone()))

    handle = module.register_forward_hook(note)
    try:
        yield
    finally:
        handle.remove()


class Reconstruction:
    """Learns the roundings of a network, block after block.

    Parameters
    ----------
    network : LayeredNetwork
    batches : sequence of inputs
        Calibration pictures.
    feed : callable
        Runs a model on a batch.
    learning : Learning
    """

    def __init__(
        self,
        network: LayeredNetwork,
        batches: Sequence[Any],
        feed: Callable[[nn.Module, Any], Any],
        learning: Learning,
    ) -> None:
        self._network, self._batches, self._feed = network, batches, feed
        self._learning = learning

    def units(self) -> list[Unit]:
        """Return the blocks."""
        return find_units(self._network, self._batches[0], self._feed)

    def learned(
        self, unit: Unit, grids: Mapping[str, Grid], each: Callable[[int], None]
    ) -> LearnedUnit:
        """Return the codes of a block's layers.

        Parameters
        ----------
        unit : Unit
        grids : mapping
            Of the layers whose rounding is learned, by name.
        each : callable
            Called with the number of steps done.
        """
        seen = self._seen(unit)
        place = _cache_place(_digest(unit, grids, seen, self._learning))
        if place is not None and (kept := _read(place, grids)) is not None:
            return kept
        found = Descent(self._network, unit, grids, seen, self._learning).learned(each)
        if place is not None:
            _write(place, found)
        return found

    def errors(self, unit: Unit, codes: Mapping[str, Tensor], grids: Mapping[str, Grid]) -> float:
        """Return the block's mean squared output error with codes, on the calibration pictures."""
        descent = Descent(self._network, unit, grids, self._seen(unit), self._learning)
        return descent.error(codes)

    def _seen(self, unit: Unit) -> Seen:
        """Return what a block takes and what it should give."""
        module = self._network.module(unit.name)
        in_float, quantised = _Kept(), _Kept()
        weights = self._network.weights
        bits = self._learning.activation_bits

        def coded_where_chosen(name: str, x: Tensor) -> Tensor:
            return self._network.coded(name, x, bits) if name in weights else x

        with torch.no_grad():
            self._network.weights = {}
            with _captured(module, in_float):
                for batch in self._batches:
                    self._feed(self._network.model, batch)
            self._network.weights = weights
            with _captured(module, quantised), self._network.holding(coded_where_chosen):
                for batch in self._batches:
                    self._feed(self._network.model, batch)
        return Seen(quantised.inputs, in_float.inputs, in_float.outputs)


class _Kept(list[tuple[Tensor, Tensor]]):
    """Inputs and outputs of all calls."""

    @property
    def inputs(self) -> Tensor:
        return torch.cat([each for each, _ in self])

    @property
    def outputs(self) -> Tensor:
        return torch.cat([each for _, each in self])


def as_codes(codes: Tensor) -> NDArray[np.int8]:
    """Return codes in a module's axes as a trace has them: (output channel, position, input)."""
    values = codes.to(torch.int8).numpy()
    if values.ndim == 2:
        return values[:, None, :]
    channels, depth = values.shape[:2]
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).reshape(channels, -1, depth)


def as_weight(real: NDArray[np.float32], like: Tensor) -> Tensor:
    """Return weights as a trace has them in the axes of a module's own."""
    if like.ndim == 2:
        return torch.from_numpy(np.ascontiguousarray(real[:, 0]))
    channels, depth, *kernel = like.shape
    axes = real.reshape(channels, *kernel, depth).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(axes))


def _digest(unit: Unit, grids: Mapping[str, Grid], seen: Seen, learning: Learning) -> str:
    """Return a name for all that a block's codes depend on."""
    said = f"{CACHE_FORMAT} {torch.__version__} {unit} {learning} {list(grids)}"
    digest = hashlib.sha256(said.encode())
    tensors = [*seen]
    for grid in grids.values():
        tensors += [grid.weights, grid.scales, torch.tensor(grid.limit)]
    for tensor in tensors:
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _cache_place(digest: str) -> Any:
    folder = cache_folder("blocks")
    return None if folder is None else folder / f"{digest}.safetensors"


def _read(place: Any, grids: Mapping[str, Grid]) -> LearnedUnit | None:
    """Return what is kept at a place; None where nothing is, or nothing that fits."""
    if not place.is_file():
        return None
    try:
        with safe_open(place, "pt") as file:
            codes = {name: file.get_tensor(name).float() for name in grids}
            facts = json.loads((file.metadata() or {})["facts"])
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
    fits = all(codes[name].shape == grid.weights.shape for name, grid in grids.items())
    return LearnedUnit(codes, facts) if fits else None


def _write(place: Any, found: LearnedUnit) -> None:
    codes = {name: each.to(torch.int8).contiguous() for name, each in found.codes.items()}
    try:
        with replaced(place) as temporary:
            save_file(codes, temporary, {"facts": json.dumps(found.facts)})
    except (OSError, InputError):
        return  # a cache that cannot be written to keeps nothing
