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

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from sparqsim.base.errors import InputError
from sparqsim.base.files import cache_folder, replaced
from sparqsim.quantise.codes import LIMITS
from sparqsim.quantise.rounding import GAMMA, UNDECIDED, ZETA, Schedule

Hold = Callable[[str, Tensor], Tensor]

#: Modules that only call what they hold, one after another: no block of a network's design.
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
#: What is learned with other code is not taken from the cache.
CACHE_FORMAT = 1
#: Steps between two reports of progress.
TOLD_EVERY = 50


@dataclass(frozen=True)
class Learning:
    """How blocks are learned.

    schedule; batch: pictures of a step; seed; drop: the share of inputs that are quantised while
    learning, 0 where none is; activation_bits: top bits of the layers' 8-bit codes.
    """

    schedule: Schedule
    batch: int = 32
    seed: int = 0
    drop: float = 0.0
    activation_bits: int = 8


class Unit(NamedTuple):
    """A block: its name, and the layers in it."""

    name: str
    layers: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Grid:
    """A layer's weights and the codes they can have.

    weights: float32 in the module's own axes. scales: float32 (output channel,). limit: the largest
    code.
    """

    weights: Tensor
    scales: Tensor
    limit: int

    @property
    def unit(self) -> Tensor:
        """The scales, along the weights' first axis."""
        return self.scales.reshape(-1, *[1] * (self.weights.ndim - 1))

    @property
    def nearest(self) -> Tensor:
        """Codes by rounding to nearest."""
        steps = torch.round(self.weights.double() / self.unit.double())
        return steps.clamp(-self.limit, self.limit).float()


@dataclass(frozen=True, eq=False)
class LearnedUnit:
    """Codes of a block's layers, float32 in the modules' own axes, and what is told of them."""

    codes: Mapping[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)


class LayeredNetwork:
    """A copy of a network whose layers compute with weights and inputs as they are told.

    Parameters
    ----------
    model : nn.Module
        Not modified.
    layers : names of modules
    signed : mapping
        Whether a layer's activation codes are int8, by name.
    scales : mapping
        Of activation codes.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str],
        signed: Mapping[str, bool],
        scales: Mapping[str, float],
    ) -> None:
        self.model = copy.deepcopy(model)
        self._signed, self._scales = signed, scales
        modules = dict(self.model.named_modules())
        for name in layers:
            if name not in modules:
                raise InputError(
                    f"layer {name!r} is no module that runs once, expected one: its rounding is "
                    "learned through PyTorch's modules"
                )
        #: The layers' modules, by name.
        self.modules: dict[str, Any] = {name: modules[name] for name in layers}
        #: Weights that stand in their layers.
        self.weights: dict[str, Tensor] = {}
        self._hold: Hold = lambda _, x: x
        for name, module in self.modules.items():
            module.forward = partial(self._forward, name, module)

    def _forward(self, name: str, module: Any, x: Tensor) -> Tensor:
        weight = self.weights.get(name, module.weight)
        held = self._hold(name, x)
        if isinstance(module, nn.Linear):
            return functional.linear(held, weight, module.bias)
        output: Tensor = module._conv_forward(held, weight, module.bias)  # noqa: SLF001
        return output

    @contextmanager
    def holding(self, hold: Hold) -> Iterator[None]:
        """Let layers take what `hold` makes of their inputs, given the layer's name."""
        before, self._hold = self._hold, hold
        try:
            yield
        finally:
            self._hold = before

    def coded(self, name: str, x: Tensor, bits: int) -> Tensor:
        """Return inputs as the top bits of their codes have them; gradients go through where
        nothing saturates.
        """
        step, signed = self._scales[name], self._signed[name]
        lowest, highest = LIMITS[signed]
        codes = torch.clamp(torch.round(x / step), lowest, highest)
        unit = 1 << (8 - bits)
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if bits < 8:
            codes = torch.clamp(torch.round(codes / unit), least, most) * unit
        clipped = torch.clamp(x, lowest * step, highest * step)
        return clipped + (codes * step - clipped).detach()

    def module(self, name: str) -> nn.Module:
        """Return a module of the copy."""
        found: nn.Module = self.model.get_submodule(name)
        return found


def find_units(
    network: LayeredNetwork, example: Any, feed: Callable[[nn.Module, Any], Any]
) -> list[Unit]:
    """Return the blocks of a network, in the order they start.

    A layer belongs to the nearest module around it that holds several layers and is called once,
    with one tensor in and one out, but not to the whole network.

    Parameters
    ----------
    network : LayeredNetwork
    example : a batch of inputs
    feed : callable
        Runs a model on a batch.
    """
    seen = _Calls(network)
    with seen.watching(), torch.no_grad():
        feed(network.model, example)
    units: dict[str, list[str]] = {}
    for layer in seen.layers:
        units.setdefault(seen.block_of(layer), []).append(layer)
    return [Unit(name, tuple(layers)) for name, layers in units.items()]


class _Calls:
    """How the modules of a network are called in one run."""

    def __init__(self, network: LayeredNetwork) -> None:
        self._network = network
        self._holders = {
            name: module
            for name, module in network.model.named_modules()
            if name and name not in network.modules and not isinstance(module, CONTAINERS)
        }
        self._plain: dict[str, list[bool]] = {}
        self.layers: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note calls meanwhile."""

        def note_layer(name: str, x: Tensor) -> Tensor:
            if name in self.layers:
                raise InputError(f"layer {name!r} runs more than once, expected once")
            self.layers.append(name)
            return x

        handles = [
            module.register_forward_hook(partial(self._note, name), with_kwargs=True)
            for name, module in self._holders.items()
        ]
        try:
            with self._network.holding(note_layer):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _note(
        self, name: str, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        plain = len(args) == 1 and not kwargs and isinstance(args[0], Tensor)
        self._plain.setdefault(name, []).append(plain and isinstance(output, Tensor))

    def block_of(self, layer: str) -> str:
        """Return the name of the block that a layer is in, its own where there is none."""
        parts = layer.split(".")
        for length in range(len(parts) - 1, 0, -1):
            name = ".".join(parts[:length])
            inside = [each for each in self.layers if each.startswith(f"{name}.")]
            if self._plain.get(name) == [True] and len(inside) > 1:
                return name
        return layer


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
        found = _Descent(self._network, unit, grids, seen, self._learning).learned(each)
        if place is not None:
            _write(place, found)
        return found

    def errors(self, unit: Unit, codes: Mapping[str, Tensor], grids: Mapping[str, Grid]) -> float:
        """Return the block's mean squared output error with codes, on the calibration pictures."""
        descent = _Descent(self._network, unit, grids, self._seen(unit), self._learning)
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


class Seen(NamedTuple):
    """A block's input behind quantised blocks, in the float network, and its float output."""

    taken: Tensor
    real: Tensor
    meant: Tensor


class _Descent:
    """V of a block's layers and how they are learned."""

    def __init__(
        self,
        network: LayeredNetwork,
        unit: Unit,
        grids: Mapping[str, Grid],
        seen: Seen,
        learning: Learning,
    ) -> None:
        self._network, self._grids, self._seen, self._learning = network, grids, seen, learning
        self._module = network.module(unit.name)
        self._random = torch.Generator().manual_seed(learning.seed)

    def learned(self, each: Callable[[int], None]) -> LearnedUnit:
        """Return the codes by the hard rule, or to nearest where those are better."""
        schedule = self._learning.schedule
        floors = {name: torch.floor(grid.weights / grid.unit) for name, grid in self._grids.items()}
        starts = {
            name: _start_of(grid.weights / grid.unit - floors[name])
            for name, grid in self._grids.items()
        }
        vs = {name: start.requires_grad_() for name, start in starts.items()}
        adam = torch.optim.Adam(vs.values(), lr=schedule.rate)
        for step in range(schedule.steps):
            adam.zero_grad()
            self._loss(vs, floors, schedule.beta(step)).backward()  # type: ignore[no-untyped-call]
            adam.step()
            each(step + 1)
        return self._decided({name: v.detach() for name, v in vs.items()}, floors)

    def _loss(
        self, vs: Mapping[str, Tensor], floors: Mapping[str, Tensor], beta: float | None
    ) -> Tensor:
        hs = {name: _rectified(v) for name, v in vs.items()}
        codes = {name: floors[name] + h for name, h in hs.items()}
        count = len(self._seen.meant)
        drawn = torch.randperm(count, generator=self._random)[: self._learning.batch]
        loss = self._output_error(codes, drawn, self._dropping)
        if beta is not None:
            drawing = sum((1 - (2 * h - 1).abs() ** beta).sum() for h in hs.values())
            loss = loss + self._learning.schedule.weight * drawing
        return loss

    def error(self, codes: Mapping[str, Tensor]) -> float:
        """Return the mean squared output error on all calibration pictures."""
        total = 0.0
        with torch.no_grad():
            for part in torch.split(torch.arange(len(self._seen.meant)), self._learning.batch):
                total += float(self._output_error(codes, part, self._holding)) * len(part)
        return total / len(self._seen.meant)

    def _output_error(self, codes: Mapping[str, Tensor], pictures: Tensor, hold: Hold) -> Tensor:
        """Return the mean over pixels of the squared output error, summed over channels."""
        before = self._network.weights
        self._network.weights = before | {
            name: codes[name].clamp(-grid.limit, grid.limit) * grid.unit
            for name, grid in self._grids.items()
        }
        try:
            with self._network.holding(hold):
                output: Tensor = self._module(hold("", pictures))
        finally:
            self._network.weights = before
        return (output - self._seen.meant[pictures]).square().sum(dim=1).mean()

    def _holding(self, name: str, x: Tensor) -> Tensor:
        """Return what a layer takes afterwards; the block's own input where the name is empty."""
        if not name:
            return self._seen.taken[x]
        return self._network.coded(name, x, self._learning.activation_bits)

    def _dropping(self, name: str, x: Tensor) -> Tensor:
        """Return what a layer takes while learning: in part as in the float network."""
        drop = self._learning.drop
        if not name:
            taken = self._seen.taken[x]
            return self._mixed(taken, self._seen.real[x]) if drop else taken
        if not drop:
            return x
        return self._mixed(self._network.coded(name, x, self._learning.activation_bits), x)

    def _mixed(self, quantised: Tensor, real: Tensor) -> Tensor:
        chosen = torch.rand(quantised.shape, generator=self._random) < self._learning.drop
        return torch.where(chosen, quantised, real)

    def _decided(self, vs: Mapping[str, Tensor], floors: Mapping[str, Tensor]) -> LearnedUnit:
        nearest = {name: grid.nearest for name, grid in self._grids.items()}
        codes = {
            name: (floors[name] + (v >= 0)).clamp(-self._grids[name].limit, self._grids[name].limit)
            for name, v in vs.items()
        }
        error, error_nearest = self.error(codes), self.error(nearest)
        hs = torch.cat([_rectified(v).flatten() for v in vs.values()])
        undecided = ((hs > UNDECIDED[0]) & (hs < UNDECIDED[1])).double().mean()
        facts = {
            "layers": list(codes),
            "pictures": len(self._seen.meant),
            "output_error": min(error, error_nearest),
            "output_error_nearest": error_nearest,
            "kept_nearest": error > error_nearest,
            "undecided_share": float(undecided),
        }
        return LearnedUnit(nearest if error > error_nearest else codes, facts)


def _rectified(v: Tensor) -> Tensor:
    return torch.clamp((ZETA - GAMMA) * torch.sigmoid(v) + GAMMA, 0, 1)


def _start_of(fraction: Tensor) -> Tensor:
    return -torch.log((ZETA - GAMMA) / (fraction - GAMMA) - 1)


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
