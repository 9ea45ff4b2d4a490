"""What layers computed in runs before, for runs that change few of them.

A search over clips runs a network on the same pictures again and again, and changes a layer or two
from run to run. What stands before the first changed layer computes what it did before.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import takewhile

from torch import Tensor

from sparqsim.networks.torch.network import Call, Values, Visitor

#: How a layer computes; None: in float.
Setting = Hashable | None

#: No more bytes of outputs are kept.
MOST_BYTES = 1 << 30


class KeptOutputs:
    """Outputs of layers on batches that are run again and again, always the same, in one order.

    An output is kept when it is computed a second time with nothing changed, so that layers behind
    one that changes in every run cost no copies; and until a layer up to it changes.

    Parameters
    ----------
    layers : names, in the order they run
    most_bytes : int
        Outputs beyond it are computed every time.
    """

    def __init__(self, layers: Sequence[str], most_bytes: int = MOST_BYTES) -> None:
        self._layers, self._left_bytes = layers, most_bytes
        self._outputs: dict[tuple[int, str], Tensor] = {}
        self._settings: Mapping[str, Setting] = {}
        self._steady: frozenset[str] = frozenset()

    def begin(self, settings: Mapping[str, Setting]) -> None:
        """Begin a run through all batches.

        settings: by layer; a layer whose setting equals that of the run before computes alike.
        """
        before, self._settings = self._settings, settings
        steady = takewhile(lambda name: before.get(name) == settings.get(name), self._layers)
        self._steady = frozenset(steady)
        for batch, name in list(self._outputs):
            if name not in self._steady:
                self._left_bytes += self._outputs.pop((batch, name)).nbytes

    def visitor(self, batch: int, compute: Visitor) -> Visitor:
        """Return what visits a batch's layers: `compute` does those whose outputs are not kept."""

        def visit(call: Call, values: Values) -> Tensor:
            """Return an output, a copy of what is kept: networks may write to what they get."""
            place = (batch, call.name)
            if place in self._outputs:
                return self._outputs[place].clone()
            output = compute(call, values)
            if call.name in self._steady:
                self._keep(place, output)
            return output

        return visit

    def _keep(self, place: tuple[int, str], output: Tensor) -> None:
        if output.nbytes <= self._left_bytes:
            self._left_bytes -= output.nbytes
            self._outputs[place] = output.clone()
