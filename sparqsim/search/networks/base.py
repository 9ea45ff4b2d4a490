"""What a framework gives of a network whose layers' bits are searched for.

Layers are quantised one by one here (`nearest:B`, `lp:P:B`), so a network of mixed bits takes each
layer's codes from networks of uniform bits, which are calibrated once each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from sparqsim.networks.computing import Computing
from sparqsim.networks.images import Pictures
from sparqsim.networks.site import Operands, Site
from sparqsim.search.rules import Rules
from sparqsim.search.space import Edge, LayerBits
from sparqsim.trace.layer import Layer
from sparqsim.trace.trace import Trace

Array = NDArray[Any]
#: Bits of layers by name; layers that are not in it have 8.
BitsOf = Mapping[str, LayerBits]


class SearchedNetwork(ABC):
    """A calibrated network.

    Parameters
    ----------
    rules : Rules
    calibration : Pictures
        On which scales are found.
    """

    def __init__(self, rules: Rules, calibration: Pictures) -> None:
        self.rules, self.calibration = rules, calibration
        self._uniform: dict[int, Mapping[str, Site]] = {}
        self._sites: dict[tuple[str, LayerBits], Site] = {}
        self._taken: tuple[Pictures, tuple[Mapping[str, Any], ...]] | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """What reports call it."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Digest of all that it is made of."""

    @property
    @abstractmethod
    def reference_name(self) -> str:
        """What answers are compared with."""

    @property
    @abstractmethod
    def sites(self) -> tuple[Site, ...]:
        """Its layers at 8 bits, in the order they run."""

    @abstractmethod
    def edges(self, choices: tuple[int, ...]) -> tuple[Edge, ...]:
        """Return what can have bits of its own, activations before weights.

        Kept layers, layers without real weights, and activations that such a layer takes too, have
        none.
        """

    @abstractmethod
    def reference(self, pictures: Pictures) -> Iterable[Array]:
        """Yield the outputs (pictures, classes) of the network as it is, batch by batch."""

    @abstractmethod
    def answers(self, bits: BitsOf, pe: Computing, pictures: Pictures) -> Iterable[Array]:
        """Yield the outputs (pictures, classes) under a design, layers having their bits."""

    @abstractmethod
    def trace(self, bits: BitsOf, pictures: Pictures) -> Trace:
        """Return the trace of a few pictures, layers having their bits.

        Operands are those of the network as it is, so a layer's depend on its own bits alone.
        """

    @abstractmethod
    def sites_of_bits(self, bits: int) -> Mapping[str, Site]:
        """Return all layers by name: those of edges with `bits` bits, calibrated for them."""

    @abstractmethod
    def taken(self, pictures: Pictures) -> Iterator[Mapping[str, Any]]:
        """Yield what layers take, by name, in the network as it is, batch by batch."""

    @abstractmethod
    def operands(self, site: Site, taken: Mapping[str, Any]) -> Operands:
        """Return a layer's operands as its codes have them, given what layers take."""

    def site(self, name: str, bits: LayerBits) -> Site:
        """Return a layer at its bits, always the same object."""
        key = name, bits
        if key not in self._sites:
            taking = self._of_bits(bits.activations)[name]
            self._sites[key] = replace(
                self._of_bits(bits.weights)[name],
                activation=taking.activation,
                activation_bits=bits.activations,
            )
        return self._sites[key]

    def sites_at(self, bits: BitsOf) -> dict[str, Site]:
        """Return all layers by name, each at its bits."""
        return {
            site.name: self.site(site.name, bits[site.name]) if site.name in bits else site
            for site in self.sites
        }

    def layer(self, name: str, bits: LayerBits | None, pictures: Pictures) -> Layer:
        """Return a layer of the trace of a few pictures; None: one that is never given bits.

        The network runs once for all layers and bits.
        """
        if self._taken is None or self._taken[0] is not pictures:
            self._taken = pictures, tuple(self.taken(pictures))
        base = next(site for site in self.sites if site.name == name)
        site = base if bits is None else self.site(name, bits)
        return site.layer([self.operands(site, batch) for batch in self._taken[1]])

    def _of_bits(self, bits: int) -> Mapping[str, Site]:
        if bits not in self._uniform:
            self._uniform[bits] = self.sites_of_bits(bits)
        return self._uniform[bits]
