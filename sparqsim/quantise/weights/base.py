"""What a weight quantiser must give.

A weight quantiser is one frozen dataclass in one file of this folder, in a file named
`FILE.py:CLASS`, or an entry point of the group `sparqsim.weights`. Its fields are its keys
(`sparqsim.base.keys`), one of them `bits`. Fields up to `bits` may be given by their place:
`nearest:4`, `lp:2.4:4`; all may be named: `lp:p=2.4,bits=4`.

`quantise(layer)` takes a layer's facts and returns its codes. A method that decides over layers
together, or goes through a network layer by layer, overrides `quantise_network`. `needs` says what
it asks of the network beside weights; it is refused, by name, where a front end does not have it:

* `inputs`: `LayerFacts.rows`, `LayerFacts.gram`: what layers take on calibration pictures;
* `prefix`: `LayerFacts.rows(chosen)`, `gram_behind(chosen)`: the same behind chosen weights;
* `answers`: `RunningNetwork.logits`: the network's answers with chosen weights;
* `labels`: `RunningNetwork.labels`: classes of the calibration pictures;
* `blocks`: `RunningNetwork.blocks`: PyTorch's own modules, to learn through.

What every quantiser keeps (`contract.py` checks it): codes within its bits, a scale above 0 for
each row, a channel of zeros stays one, the same for the same facts and seed, nothing that was given
is written to, and weights that are NaN or infinite are refused with the layer's name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sparqsim.base.errors import InputError
from sparqsim.base.keys import keys_of
from sparqsim.quantise.weights.codes import QuantisedWeights
from sparqsim.quantise.weights.facts import LayerFacts, NetworkFacts, RunningNetwork

Need = Literal["inputs", "prefix", "answers", "labels", "blocks"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a quantiser chose for a network.

    weights: by layer. activation_scales: by layer, of methods that choose those as well, in the
    place of the calibrator's. facts: what it says of itself, as JSON values: losses, which phases
    ran.
    """

    weights: Mapping[str, QuantisedWeights]
    activation_scales: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class WeightQuantiser(ABC):
    """How real weights become codes; the module's docstring says what it must keep."""

    #: What the user names it by.
    name: ClassVar[str]
    #: What it asks of the network beside weights.
    needs: ClassVar[frozenset[Need]] = frozenset()
    #: Of the codes: 2 to 8.
    bits: int

    @property
    def stored_bits(self) -> int:
        """Bits of the integers that stand for the codes: as many, unless codes are no integers."""
        return self.bits

    @property
    def spec(self) -> str:
        """Its name and keys: those up to `bits` by their place, others where they are not at their
        default.
        """
        placed = [repr(getattr(self, key)).removesuffix(".0") for key in placed_keys(type(self))]
        others = [
            f"{key.name}={getattr(self, key.name)}"
            for key in keys_of(self)[len(placed) :]
            if getattr(self, key.name) != key.default
        ]
        return ":".join([self.name, *placed, *filter(None, [",".join(others)])])

    @abstractmethod
    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        """Return the codes of one layer.

        Raises
        ------
        InputError
            For weights that it cannot take, naming the layer.
        """

    def quantise_network(self, network: NetworkFacts) -> Chosen:
        """Return the codes of layers, one by one unless a method decides otherwise.

        Raises
        ------
        InputError
            For a layer that it cannot take, naming it.
        """
        weights = {}
        for done, layer in enumerate(network.layers):
            network.progress(layer.name, done, len(network.layers))
            weights[layer.name] = self.quantise(layer)
        return Chosen(weights)

    def check_needs(self, network: RunningNetwork | None) -> None:
        """Raise InputError where a network does not have what this asks of it."""
        provided = frozenset() if network is None else network.provides
        missing = sorted(self.needs - provided)
        if not missing:
            return
        kind = "network" if network is None else network.kind
        given = ", ".join(sorted(provided)) or "nothing"
        raise InputError(
            f"weight quantiser {self.spec!r} needs {' and '.join(missing)} of the network; this "
            f"{kind} gives {given} beside weights; expected a quantiser that needs no more, or "
            "another network (PyTorch gives most)"
        )


def placed_keys(kind: type[WeightQuantiser]) -> list[str]:
    """Return the keys that may be given by their place: those up to `bits`."""
    names = [key.name for key in keys_of(kind)]
    return names[: names.index("bits") + 1]
