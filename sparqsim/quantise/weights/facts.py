"""What a weight quantiser is told of a layer and of its network.

Weights come as a trace holds them: float32 (output channel, kernel position, input channel of the
group). With K = kernel positions * input channels, channel innermost, output channel n of group g
is a row of K weights, and a layer is a matrix product: rows of K inputs times K weights.

All but the weights is computed when it is asked for, on the calibration pictures: a method that
needs no inputs costs no run of the network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.exact import float_product
from sparqsim.quantise.weights.codes import QuantisedWeights

Array = NDArray[Any]
#: Weights that are chosen already, by layer.
ChosenWeights = Mapping[str, QuantisedWeights]
#: Told of how far a method is: what it works on, steps done, steps in all.
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, steps: int) -> None:
    """Tell nobody."""


class Rows(NamedTuple):
    """What a layer multiplies, some rows of it, float32 (groups, M, K).

    real: its input in the float network. quantised: its input as the array takes it, brought back
    to real numbers: (code - zero point) * scale.
    """

    real: NDArray[np.float32]
    quantised: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Gram:
    """A layer's rows of calibration pictures, summed up: all that a squared output error needs.

    With X the real rows and Q the quantised ones, by group: inputs = Q'Q, cross = Q'X and
    real_squares = X'X, float64 (groups, K, K); real_mean and quantised_mean, float64 (groups, K);
    rows: how many there were, in each group.
    """

    inputs: NDArray[np.float64]
    cross: NDArray[np.float64]
    real_squares: NDArray[np.float64]
    real_mean: NDArray[np.float64]
    quantised_mean: NDArray[np.float64]
    rows: int

    @classmethod
    def of(cls, batches: Iterable[Rows]) -> Gram:
        """Return the sums of batches: products of each in float32, added in float64.

        Raises
        ------
        InputError
            Where there are no rows.
        """
        total: tuple[Array, ...] = ()
        count = 0
        for batch in batches:
            of_batch = _sums(batch)
            total = _added(total, of_batch) if total else of_batch
            count += batch.real.shape[1]
        if not count:
            raise InputError("calibration has no rows for a layer, expected at least one")
        inputs, cross, real_squares, real_sum, quantised_sum = total
        return cls(inputs, cross, real_squares, real_sum / count, quantised_sum / count, count)

    def squared_error(self, weights: Array, quantised: Array) -> NDArray[np.float64]:
        """Return the sum over rows of (x w - q v)^2, float64 (output channel,).

        Parameters
        ----------
        weights, quantised : real (output channel, ...)
            w and v, K values each; output channels of a group stand together.
        """
        w, v = self._by_group(weights), self._by_group(quantised)
        error = (float_product(v, self.inputs) * v).sum(-1) - 2 * (
            float_product(v, self.cross) * w
        ).sum(-1)
        error += (float_product(w, self.real_squares) * w).sum(-1)
        return np.asarray(np.maximum(error.reshape(-1), 0), np.float64)

    def mean_error(self, weights: Array, quantised: Array) -> NDArray[np.float64]:
        """Return the mean over rows of x w - q v, float64 (output channel,); as `squared_error`."""
        w, v = self._by_group(weights), self._by_group(quantised)
        means = float_product(w, self.real_mean[..., None])
        means -= float_product(v, self.quantised_mean[..., None])
        return means.reshape(-1)

    def _by_group(self, weights: Array) -> NDArray[np.float64]:
        """Return weights as float64 (groups, output channels of a group, K)."""
        groups, k = self.real_mean.shape
        return np.asarray(weights, np.float64).reshape(groups, -1, k)


def _sums(batch: Rows) -> tuple[NDArray[np.float64], ...]:
    """Return the sums of one batch, in the order of the fields of `Gram`."""
    real, quantised = batch
    columns = quantised.swapaxes(1, 2)
    products = (
        float_product(columns, quantised),
        float_product(columns, real),
        float_product(real.swapaxes(1, 2), real),
    )
    sums = (each.sum(axis=1, dtype=np.float64) for each in batch)
    return (*(each.astype(np.float64) for each in products), *sums)


def _added(total: tuple[Array, ...], more: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(one + other for one, other in zip(total, more, strict=True))


class RunningNetwork(ABC):
    """A network on its calibration pictures, as a front end runs it.

    A front end gives what it can, and says so in `provides`. What is chosen already (`chosen`)
    stands in the place of real weights, and the inputs of those layers are quantised, so that a
    method can go through a network layer by layer.
    """

    #: Which of `sparqsim.quantise.weights.base.Need` it can give.
    provides: frozenset[str] = frozenset()
    #: What messages call it: 'ONNX network'.
    kind: str = "network"

    @abstractmethod
    def rows(self, layer: str, chosen: ChosenWeights | None = None) -> Iterator[Rows]:
        """Yield a layer's rows, batch by batch, in the order of the calibration pictures.

        Parameters
        ----------
        layer : str
        chosen : mapping, optional
            Weights that stand in their layers while `Rows.quantised` is computed; None: the float
            network's own inputs, given codes.
        """

    def rows_of_all(self, layers: Sequence[str]) -> Iterator[tuple[str, Rows]]:
        """Yield rows of several layers of the float network, each with its layer's name.

        A layer's rows come in order; those of different layers may come in turns, so that a front
        end can have them from one run.
        """
        for layer in layers:
            for rows in self.rows(layer):
                yield layer, rows

    def logits(
        self,
        chosen: ChosenWeights | None = None,
        activation_scales: Mapping[str, float] | None = None,
        activation_bits: int = 8,
    ) -> NDArray[np.float32]:
        """Return what the network answers, float32 (picture, class).

        Parameters
        ----------
        chosen : mapping, optional
            Weights by layer; layers that are not named are in float, inputs and weights. None: the
            float network.
        activation_scales : mapping, optional
            By layer, in the place of the calibrator's.
        activation_bits : int
            Of the codes of those layers, so many top bits are used (`top_bits`).
        """
        raise InputError(f"an {self.kind} does not give its answers here")

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The class of each calibration picture, int64 (picture,), None where there are none."""
        return None

    @property
    def blocks(self) -> Any:
        """The framework's own network, for methods that learn through it (PyTorch)."""
        raise InputError(f"an {self.kind} has no PyTorch blocks")


@dataclass(frozen=True, eq=False)
class LayerFacts:
    """A layer whose weights are to be chosen.

    name; weights: float32 (output channel, kernel position, input channel of the group), finite;
    groups; network: what runs it, None where nobody does.
    """

    name: str
    weights: NDArray[np.float32]
    groups: int = 1
    network: RunningNetwork | None = None

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The weights as rows of K, float32 (groups, output channels of a group, K)."""
        return self.weights.reshape(self.groups, len(self.weights) // self.groups, -1)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Put the layer's name before the message of any InputError."""
        try:
            yield
        except InputError as error:
            raise InputError(f"layer {self.name!r}: {error}") from None

    def rows(self, chosen: ChosenWeights | None = None) -> Iterator[Rows]:
        """Yield what it multiplies (`RunningNetwork.rows`)."""
        if self.network is None:
            raise InputError(f"layer {self.name!r}: its inputs are not known, expected a network")
        return self.network.rows(self.name, chosen)

    @cached_property
    def gram(self) -> Gram:
        """Its rows in the float network, real and quantised, summed up."""
        return Gram.of(self.rows())

    def gram_behind(self, chosen: ChosenWeights) -> Gram:
        """Return the same where layers before it have weights that are chosen already."""
        return Gram.of(self.rows(chosen))


@dataclass(frozen=True, eq=False)
class NetworkFacts:
    """A network some of whose layers' weights are to be chosen.

    layers: those that a quantiser is asked for, in the order they run. fixed: weights of other
    layers, chosen before. seed: of what a method draws. progress: called by methods that take long.
    """

    layers: tuple[LayerFacts, ...]
    network: RunningNetwork | None = None
    fixed: ChosenWeights = field(default_factory=dict)
    seed: int = 0
    progress: Progress = silent
