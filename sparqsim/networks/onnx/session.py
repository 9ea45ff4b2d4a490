"""Running an ONNX graph with onnxruntime, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.networks.images import Pictures, needed
from sparqsim.networks.onnx.feeds import Port, feeds_of, fixed_batch, port_of
from sparqsim.networks.onnx.graph import Graph
from sparqsim.networks.onnx.guard import is_array, library_errors, quiet_session, run

Array = NDArray[Any]
#: Pictures at a time, where the network takes any number of them.
BATCH = 8


class Session:
    """A graph that gives, for a batch of pictures, the tensors asked for.

    Parameters
    ----------
    graph : Graph
    wanted : sequence of str
        Tensors; the graph's own outputs where None.
    shapes_of : sequence of str
        Tensors of which only the shape is asked for: key `shape_key(tensor)`, int64 (axes,).

    Raises
    ------
    InputError
        When onnxruntime refuses the graph, or its inputs are of types that are not fed here.
    """

    def __init__(
        self, graph: Graph, wanted: Sequence[str] | None = None, shapes_of: Sequence[str] = ()
    ) -> None:
        self._graph = graph
        self.wanted = list(dict.fromkeys(graph.outputs if wanted is None else wanted))
        measured = list(dict.fromkeys(shapes_of))
        self._keys = [*self.wanted, *map(shape_key, measured)]
        self._session = session_of(graph.model, self.wanted, graph.path, measured)
        self.ports: list[Port] = [port_of(each, graph.path) for each in self._session.get_inputs()]

    @property
    def fixed_batch(self) -> int | None:
        """How many pictures the graph takes at a time, None where it says no number."""
        return fixed_batch(self.ports)

    def batches(self, pictures: Pictures, size: int = BATCH) -> Iterator[dict[str, Array]]:
        """Yield, batch after batch, tensor name -> value; nothing of earlier batches is kept.

        Raises
        ------
        InputError
            When a batch does not fit the input, or onnxruntime cannot run it.
        """
        for feeds in feeds_of(self.ports, pictures, size, self._graph.path):
            yield self.run(feeds)

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Return the wanted tensors for one batch. Raises InputError with onnxruntime's words."""
        try:
            values = run(self._session, self._keys, feeds, str(self._graph.path))
        except InputError as error:
            raise self._by_own_name(feeds) or error from None
        for name, value in zip(self._keys, values, strict=True):
            if not is_array(value):
                raise InputError(
                    f"{self._graph.path}: {name!r} is {type(value).__name__}, expected a tensor of "
                    "numbers"
                )
        return dict(zip(self._keys, (np.asarray(value) for value in values), strict=True))

    def _by_own_name(self, feeds: dict[str, Array]) -> InputError | None:
        """Return the error of a run without optimisations: those rename and merge nodes."""
        measured = [key.removeprefix(shape_key("")) for key in self._keys[len(self.wanted) :]]
        try:
            plain = session_of(
                self._graph.model, self.wanted, self._graph.path, measured, optimised=False
            )
            run(plain, self._keys, feeds, str(self._graph.path))
        except InputError as error:
            return error
        return None


def shape_key(tensor: str) -> str:
    """Return the name under which a session gives a tensor's shape."""
    return f"sparqsim.shape.{tensor}"


def session_of(
    model: Any,
    wanted: Sequence[str],
    path: object,
    shapes_of: Sequence[str] = (),
    *,
    optimised: bool = True,
) -> Any:
    """Return a session of `model` that gives the tensors `wanted`, and shapes of others."""
    helper = needed("onnx.helper", "onnx")
    copy = type(model)()
    copy.CopyFrom(model)
    for name in shapes_of:
        copy.graph.node.append(helper.make_node("Shape", [name], [shape_key(name)]))
    present = {value.name for value in copy.graph.output}
    copy.graph.output.extend(
        helper.make_empty_tensor_value_info(name)
        for name in (*wanted, *map(shape_key, shapes_of))
        if name not in present
    )
    with library_errors(f"{path}: onnxruntime refuses it"):
        return quiet_session(copy, optimised=optimised)
