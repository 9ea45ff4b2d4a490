"""A TFLite network that answers pictures, in the interpreter and under a design's arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np

from sparqsim.networks.arithmetic import Designs
from sparqsim.networks.evaluate import AnsweringNetwork
from sparqsim.networks.images import Pictures
from sparqsim.networks.tflite.execute import Executor
from sparqsim.networks.tflite.interpreter import Interpreter
from sparqsim.networks.tflite.model import Array
from sparqsim.networks.tflite.network import TfliteSites, prepared
from sparqsim.trace.bitlist import BitList

#: Pictures at a time under a design.
BATCH = 4


class TfliteNetwork(AnsweringNetwork):
    """Operators that are left out cannot be, when the whole network is to answer."""

    reference_name = "TFLite, own 8 bits"

    def __init__(self, network: TfliteSites, bits: BitList | None = None) -> None:
        super().__init__(network, bits)
        self._model = network.model
        self._executor = Executor(network.model, network.macs, self.sites)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs of the model."""
        return tuple(self._model.tensors[at].name for at in self._model.outputs)

    def reference(self, pictures: Pictures) -> Iterable[Array]:
        """Yield the interpreter's scores."""
        interpreter, scores = Interpreter(self._model), self._executor.scores
        for picture in prepared(self._model, pictures):
            yield interpreter.run(picture, [scores])[scores]

    def computed(self, pictures: Pictures, designs: Designs) -> Iterable[Array]:
        """Yield scores with every layer under its design, operator by operator, on integers."""
        waiting = prepared(self._model, pictures)
        while batch := list(islice(waiting, BATCH)):
            values = self._executor.run(np.stack(batch), designs)
            yield values[self._executor.scores]
