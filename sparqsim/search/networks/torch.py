"""PyTorch networks whose layers can have bits of their own."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn

from sparqsim.base.errors import InputError, shown
from sparqsim.base.plugins import SourceClass, user_place
from sparqsim.networks.arithmetic import Arithmetic
from sparqsim.networks.computing import Computing
from sparqsim.networks.images import Pictures
from sparqsim.networks.site import Operands, Site
from sparqsim.networks.torch.answers import answers
from sparqsim.networks.torch.dump import trace_in_float
from sparqsim.networks.torch.network import Call, Values
from sparqsim.networks.torch.quantised import QuantisedNetwork
from sparqsim.networks.torch.sites import operands_of
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.recipe_fields import ALL_ACTIVATION_BITS
from sparqsim.search.networks.base import Array, BitsOf, SearchedNetwork
from sparqsim.search.rules import Rules
from sparqsim.search.space import Edge, Kind, LayerBits
from sparqsim.trace.trace import Trace

WHAT = "network"
#: Pictures at a time where it is not said.
BATCH = 50


@dataclass(frozen=True)
class Batches:
    """Pictures as batches of a network's input, which can be read again and again."""

    pictures: Pictures
    size: int

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self.pictures.batches(self.size, "nchw"):
            yield torch.from_numpy(batch)


class TorchSearched(SearchedNetwork):
    """A module.

    Parameters
    ----------
    model : nn.Module
        Not modified.
    rules, calibration
        As in `SearchedNetwork`.
    batch : int, optional
        Pictures at a time.

    Raises
    ------
    InputError
        For a network that cannot be used.
    """

    def __init__(
        self, model: nn.Module, rules: Rules, calibration: Pictures, batch: int | None = None
    ) -> None:
        super().__init__(rules, calibration)
        self._model, self._size = model, batch or BATCH
        #: Digest of the file whose function made it, '' where there is none.
        self._file_sha256 = ""

    @classmethod
    def opened(
        cls, spec: str, rules: Rules, calibration: Pictures, batch: int | None = None
    ) -> Self:
        """Return the network that the function of 'FILE.py:FUNCTION' returns. The file is run.

        Raises
        ------
        InputError
            For a file that cannot be run, a function that it has not, and what is no module.
        """
        source = SourceClass.parse(spec, WHAT)
        if source is None or source.keys:
            raise InputError(f"{spec}: expected FILE.py:FUNCTION, without keys")
        make = source.load(nn.Module)
        try:
            model = make()
        except Exception as error:  # noqa: BLE001 - a user's own function may raise anything
            place = user_place(error) or source.origin
            raise InputError(f"{spec}: cannot be called ({place}: {error!r})") from None
        if not isinstance(model, nn.Module):
            raise InputError(
                f"{spec}: gives {shown(type(model).__name__)}, expected a torch.nn.Module"
            )
        made = cls(model, rules, calibration, batch)
        made._file_sha256 = hashlib.sha256(source.file.read_bytes()).hexdigest()
        return made

    @cached_property
    def base(self) -> QuantisedNetwork:
        """The network at 8 bits."""
        return self._made(self.rules.recipe({}))

    @property
    def name(self) -> str:
        """The class of the module."""
        return type(self._model).__name__

    @property
    def sha256(self) -> str:
        """Of its parameters and buffers, of its modules, and of the file that makes it."""
        parts = self.base.origin.source_sha256, str(self._model), self._file_sha256
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def sites(self) -> tuple[Site, ...]:
        """Its layers at 8 bits."""
        return tuple(self.base.layers.values())

    @property
    def reference_name(self) -> str:
        """What answers are compared with."""
        return "float network"

    def edges(self, choices: tuple[int, ...]) -> tuple[Edge, ...]:
        """Return edges: activations and weights of each layer.

        That two modules take the same tensor is not known here, so each has bits of its own.
        """
        free = [site for site in self.sites if site.weights is not None and not site.keep_8bit]
        kinds: tuple[Kind, ...] = ("activations", "weights")
        return tuple(Edge(kind, (site.name,), choices) for site in free for kind in kinds)

    def sites_of_bits(self, bits: int) -> Mapping[str, Site]:
        """Return the layers of the network that has `bits` bits wherever it can."""
        if bits == ALL_ACTIVATION_BITS:
            return self.base.layers
        layers = {
            name: LayerBits(bits, bits) for edge in self.edges((bits,)) for name in edge.layers
        }
        return self._made(self.rules.recipe(layers)).layers

    def network(self, bits: BitsOf) -> QuantisedNetwork:
        """Return the network at some layers' bits: the one that `Rules.recipe` makes."""
        made = copy.copy(self.base)
        made.layers = self.sites_at(bits)
        recipe = self.rules.recipe(bits)
        made.recipe_title = recipe.title
        made.recipe_entry = {"recipe": recipe.model_dump(mode="json")}
        return made

    def reference(self, pictures: Pictures) -> Iterable[Array]:
        """Yield outputs of the float network."""
        yield answers(self.base, self._batches(pictures)).logits.double().numpy()

    def answers(self, bits: BitsOf, pe: Computing, pictures: Pictures) -> Iterable[Array]:
        """Yield outputs under a design."""
        made = self.network(bits)
        arithmetic = Arithmetic(made.layers.values(), pe, error_inputs=0)
        found = answers(made, self._batches(pictures), arithmetic=arithmetic)
        yield found.logits.double().numpy()

    def trace(self, bits: BitsOf, pictures: Pictures) -> Trace:
        """Return the trace of a few pictures."""
        return trace_in_float(self.network(bits), self._batches(pictures), len(pictures))

    def taken(self, pictures: Pictures) -> Iterator[Mapping[str, Any]]:
        """Yield calls and their operands, by name of layer."""
        for inputs, _ in self.base.batches(self._batches(pictures)):
            met: dict[str, tuple[Call, Values]] = {}

            def visitor(call: Call, values: Values, met: dict[str, Any] = met) -> Tensor:
                """Keep what a call takes; a network may write to it when the call is done."""
                met[call.name] = call, tuple(value.clone() for value in values)
                return call.in_float(values)

            self.base.network.run(inputs, visitor)
            yield met

    def operands(self, site: Site, taken: Mapping[str, Any]) -> Operands:
        """Return a layer's operands."""
        call, values = taken[site.name]
        return operands_of(call, site, values)

    def _batches(self, pictures: Pictures) -> Batches:
        return Batches(pictures, self._size)

    def _made(self, recipe: Recipe) -> QuantisedNetwork:
        return QuantisedNetwork(self._model, self._batches(self.calibration), recipe=recipe)
