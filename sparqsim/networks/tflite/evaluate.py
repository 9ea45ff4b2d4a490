"""A TFLite network that answers pictures, in the interpreter and under a design's arithmetic."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from sparqsim.engine.simulation import KEPT
from sparqsim.networks.images import Pictures
from sparqsim.networks.tflite.dump import ORIGIN, kept_layers, only_input, prepared
from sparqsim.networks.tflite.execute import Executor, layer_of
from sparqsim.networks.tflite.macs import described, read_operators, skipped_operators
from sparqsim.networks.tflite.model import Array, Model
from sparqsim.pe import PEDesign, get_pe
from sparqsim.trace.trace import Trace

BATCH = 4


class TfliteNetwork:
    """See `sparqsim.networks.accuracy.Answering`.

    Parameters
    ----------
    path : str or Path
    skip : operators that stay out; none can, when the whole network is to answer
    keep_8bit : names of layers that stay at 8 bits
    """

    pictures_per_run = 1
    calibrator = "the network's own scales"
    reference_name = "TFLite, own 8 bits"

    def __init__(
        self,
        path: str | Path,
        *,
        skip: Collection[str] = (),
        keep_8bit: Collection[str] | None = None,
    ) -> None:
        self._model = Model(path)
        only_input(self._model)
        self._macs = read_operators(self._model, skip)
        self._kept = kept_layers(self._macs, keep_8bit)
        self._executor = Executor(self._model, self._macs)
        #: Operators left out, 'name (kind)'.
        self.skipped = tuple(map(described, skipped_operators(self._model, skip)))

    @property
    def name(self) -> str:
        """The model's file name."""
        return self._model.path.name

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs of the model."""
        return tuple(self._model.tensors[at].name for at in self._model.outputs)

    def reference(self, pictures: Pictures) -> Iterable[Array]:
        """Yield the interpreter's scores."""
        interpreter, scores = self._model.interpreter(), self._executor.scores
        for picture in prepared(self._model, pictures):
            yield interpreter.run(picture, [scores])[scores]

    def under(self, pe: PEDesign, pictures: Pictures, *, keep_8bit: bool = True) -> Iterable[Array]:
        """Yield scores under `pe`."""
        designs = {
            mac.name: get_pe(KEPT) if keep_8bit and mac.name in self._kept else pe
            for mac in self._macs
        }
        waiting = prepared(self._model, pictures)
        while batch := list(islice(waiting, BATCH)):
            values = self._executor.run(np.stack(batch), designs)
            yield values[self._executor.scores]

    def route(self, pe: PEDesign, *, keep_8bit: bool = True) -> str:
        """Return 'numpy': operator by operator, on integers."""
        return "numpy"

    def trace(self, pictures: Pictures) -> Trace:
        """Return the trace of a few pictures."""
        interpreter, sources = self._model.interpreter(), [mac.source.index for mac in self._macs]
        runs = [interpreter.run(picture, sources) for picture in prepared(self._model, pictures)]
        values = {at: np.concatenate([each[at] for each in runs]) for at in sources}
        layers = [
            layer_of(mac, values[mac.source.index], mac.name in self._kept) for mac in self._macs
        ]
        return Trace(layers, network=self.name, origin=ORIGIN, calibrator=self.calibrator)
