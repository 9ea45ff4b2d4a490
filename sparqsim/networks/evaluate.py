"""A network of pictures that answers under any design: what a front end adds is how it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.networks.arithmetic import Designs, designs_of
from sparqsim.networks.chosen_layers import with_bits
from sparqsim.networks.computing import Computing, scales_tensors
from sparqsim.networks.dump import SiteNetwork, trace_of
from sparqsim.networks.images import Pictures
from sparqsim.networks.site import Operands
from sparqsim.results.accuracy_report import Hits
from sparqsim.trace.bitlist import BitList
from sparqsim.trace.coverage import Tally
from sparqsim.trace.trace import Trace

Array = NDArray[Any]

#: Calibration pictures that scales of tensors are found on: what layers take of them is in memory.
SCALED_ON = 64


class AnsweringNetwork(ABC):
    """A network that answers pictures, in its own arithmetic and in a design's.

    A front end computes the sums of `sites` with `Site.sums`, under the designs it is given.

    Parameters
    ----------
    network : SiteNetwork
        Calibrated.
    bits : BitList, optional
        Of the layers' weights (`sparqsim.networks.site.with_bits`).
    """

    #: The title of the recipe, '' for none.
    recipe = ""

    def __init__(self, network: SiteNetwork, bits: BitList | None = None) -> None:
        self._network = network
        #: The layers as they are computed.
        self.sites = network.sites if bits is None else with_bits(network.sites, bits)
        #: The title of the list of bits, '' for none.
        self.bits = "" if bits is None else bits.title
        self.recipe = str(getattr(network, "recipe", ""))
        #: Pictures on whose first `SCALED_ON` designs of `tensor_scales` find their scales; such
        #: designs are refused where it is None.
        self.calibration: Pictures | None = None

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._network.name

    @property
    def calibrator(self) -> str:
        """How its scales were found."""
        return self._network.calibrator

    @property
    def skipped(self) -> tuple[str, ...]:
        """What multiplies and accumulates and is in no design."""
        return self._network.skipped

    @property
    def pictures_per_run(self) -> int:
        """How many pictures it takes, no fewer: 1 where it takes any number."""
        return 1

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the network's outputs, of which the first answers; () where they have none."""
        return ()

    @property
    @abstractmethod
    def reference_name(self) -> str:
        """What its own arithmetic is."""

    @abstractmethod
    def reference(self, pictures: Pictures) -> Iterable[Array]:
        """Yield the outputs (pictures, ...) of the network as it is, batch by batch."""

    @abstractmethod
    def computed(self, pictures: Pictures, designs: Designs) -> Iterable[Array]:
        """Yield its outputs, batch by batch, with every site's sums under its design."""

    def under(
        self, pe: Computing, pictures: Pictures, *, keep_8bit: bool = True
    ) -> Iterable[Array]:
        """Yield outputs under `pe`; sites that stay at 8 bits compute exactly."""
        return self.computed(pictures, self.designs(pe, keep_8bit=keep_8bit))

    def designs(self, pe: Computing, *, keep_8bit: bool = True) -> Designs:
        """Return which design computes which site, with scales of tensors where it has some."""
        seen = self._seen if scales_tensors(pe) and self.calibration is not None else None
        return designs_of(self.sites, pe, keep_8bit=keep_8bit, seen=seen)

    @cached_property
    def _seen(self) -> dict[str, list[Operands]]:
        """Every site's operands on calibration pictures, in the network as it is."""
        found: dict[str, list[Operands]] = {site.name: [] for site in self.sites}
        assert self.calibration is not None  # noqa: S101 - for the type checker
        runs = -(-SCALED_ON // self.pictures_per_run)
        pictures = self.calibration.first(runs * self.pictures_per_run)
        for batch in self._network.operands(pictures, Tally()):
            for name, operands in found.items():
                operands.append(batch[name])
        return found

    def route(self, pe: Computing, *, keep_8bit: bool = True) -> str:
        """Return how `under` computes: 'numpy', layer by layer on integers."""
        return "numpy"

    def trace(self, pictures: Pictures) -> Trace:
        """Return the trace of a few pictures."""
        return trace_of(self._network, pictures, self.sites)


def best(scores: Array, count: int = 5) -> NDArray[np.int64]:
    """Return the classes of the largest scores, best first; the lower class wins ties.

    Parameters
    ----------
    scores : (rows, classes)
    count : int
        At most; no more than there are classes.

    Returns
    -------
    int64 (rows, count)
        -1 in rows that hold NaN: no class is right there.
    """
    rows, classes = scores.shape
    count = min(count, classes)
    found = np.full((rows, count), -1, np.int64)
    least = np.partition(scores, classes - count, axis=1)[:, classes - count]
    for at, row in enumerate(scores):
        if np.isnan(row).any():
            continue
        candidates = np.flatnonzero(row >= least[at])
        order = np.argsort(-row[candidates].astype(np.float64), kind="stable")
        found[at] = candidates[order[:count]]
    return found


def right(answers: NDArray[np.int64], labels: Array) -> int:
    """Return for how many rows of `best` the label is among the answers."""
    return int((answers == np.asarray(labels)[:, None]).any(axis=1).sum())


def hits(answers: NDArray[np.int64], reference: NDArray[np.int64], labels: Array | None) -> Hits:
    """Count right answers (rows, up to 5), and those whose first is the reference's."""
    first = answers[:, 0]
    agree = int(((first == reference[:, 0]) & (first >= 0)).sum())
    if labels is None:
        return Hits(top1=None, top5=None, agree=agree)
    return Hits(top1=right(answers[:, :1], labels), top5=right(answers, labels), agree=agree)
