"""Running an ONNX graph with onnxruntime, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.errors import InputError
from sparqsim.images import Pictures, needed
from sparqsim.onnx.graph import Graph, quiet_session
from sparqsim.preprocess import Layout

Array = NDArray[Any]

BATCH = 8
INPUT_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}


class Session:
    """A graph that gives, for a batch of pictures, the tensors asked for.

    Parameters
    ----------
    graph : Graph
        With one input, of pictures.
    wanted : sequence of str
        Tensors; the graph's own outputs where None.

    Raises
    ------
    InputError
        When onnxruntime refuses the graph, or it does not take one input of pictures.
    """

    def __init__(self, graph: Graph, wanted: Sequence[str] | None = None) -> None:
        self._graph = graph
        self.wanted = list(dict.fromkeys(graph.outputs if wanted is None else wanted))
        self._session = session_of(graph.model, self.wanted, graph.path)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in INPUT_TYPES or len(inputs[0].shape) < 2:
            shown = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in inputs)
            raise InputError(
                f"{graph.path}: inputs are {shown}; expected one 8-bit or float input of pictures"
            )
        self._input = inputs[0]

    @property
    def layout(self) -> Layout:
        """'nhwc' where the input's last axis is 1 or 3 and its second is not, else 'nchw'."""
        shape = self._input.shape
        return (
            "nhwc" if len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3) else "nchw"
        )

    def batches(self, pictures: Pictures, size: int = BATCH) -> Iterator[dict[str, Array]]:
        """Yield, batch after batch, tensor name -> value; nothing of earlier batches is kept.

        Raises
        ------
        InputError
            When a batch does not fit the input.
        """
        fixed = self._input.shape[0]
        size = fixed if isinstance(fixed, int) else size
        dtype = INPUT_TYPES[self._input.type]
        fed = np.float32 if np.issubdtype(dtype, np.floating) else dtype
        for batch in pictures.batches(size, self.layout, fed):
            if isinstance(fixed, int) and len(batch) != fixed:
                raise InputError(
                    f"{self._graph.path}: takes exactly {fixed} pictures at a time, and {len(pictures)} is "
                    "not a multiple of it; expected another --limit"
                )
            yield self.run(batch.astype(dtype, copy=False))

    def run(self, batch: Array) -> dict[str, Array]:
        """Return the wanted tensors for one batch."""
        shape = self._input.shape
        fits = len(shape) == batch.ndim and all(
            not isinstance(size, int) or size == found
            for size, found in zip(shape, batch.shape, strict=True)
        )
        if not fits:
            raise InputError(
                f"{self._graph.path}: input {self._input.name!r} is {shape}, the prepared pictures are "
                f"{batch.shape}; expected --preprocess steps (resize, crop, layout) that fit"
            )
        values = self._session.run(self.wanted, {self._input.name: batch})
        return dict(zip(self.wanted, values, strict=True))


def session_of(model: Any, wanted: Sequence[str], path: object) -> Any:
    """Return an onnxruntime session of `model` whose outputs are the tensors `wanted`."""
    helper = needed("onnx.helper", "onnx")
    copy = type(model)()
    copy.CopyFrom(model)
    present = {value.name for value in copy.graph.output}
    copy.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in wanted if name not in present
    )
    try:
        return quiet_session(copy)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class but Exception
        raise InputError(f"{path}: onnxruntime refuses it ({error})") from None
