"""A .tflite file: operators and their options, tensors, scales and zero points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.networks.tflite.flatfile import DTYPES, RawTensor, read_graph

if TYPE_CHECKING:
    from sparqsim.networks.tflite.interpreter import Interpreter

Array = NDArray[Any]


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    kind: its type in the file format, such as 'INT8'. dtype: None where numpy has no such type.
    scales, zero_points: one for all or one per slice of axis `axis`; empty where not quantised.
    value: of a constant that is stored dense, else None. constant: whether the file holds it.
    """

    index: int
    name: str
    kind: str
    shape: tuple[int, ...]
    scales: NDArray[np.float64]
    zero_points: NDArray[np.int64]
    axis: int
    value: Array | None
    constant: bool
    sparse: bool

    @classmethod
    def of(cls, raw: RawTensor) -> Tensor:
        """Return the tensor of a file's entry, whose bytes are those of its shape."""
        value = None
        dtype = DTYPES.get(raw.kind)
        if raw.data is not None and dtype is not None and not raw.sparse:
            value = np.frombuffer(raw.data, dtype).reshape(raw.shape)
        return cls(
            raw.index,
            raw.name,
            raw.kind,
            raw.shape,
            raw.scales,
            raw.zero_points,
            raw.axis,
            value,
            constant=raw.data is not None,
            sparse=raw.sparse,
        )

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The numpy type of its elements."""
        return np.dtype(DTYPES[self.kind]) if self.kind in DTYPES else None

    @property
    def scale(self) -> float:
        """The one scale of an activation tensor."""
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The one zero point of an activation tensor."""
        return int(self.zero_points[0])


@dataclass(frozen=True)
class Operator:
    """One operator.

    kind: such as 'CONV_2D'. options: by the file format's names. inputs, outputs: tensors by index
    (-1: an optional input that is not there).
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


class Model:
    """The main graph of a .tflite file.

    Raises
    ------
    InputError
        When the file is not a readable TFLite model, naming it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        graph = read_graph(self.path)
        self.content = graph.content
        self.tensors = [Tensor.of(raw) for raw in graph.tensors]
        self.operators = [
            Operator(raw.kind, raw.name, raw.inputs, raw.outputs, raw.options)
            for raw in graph.operators
        ]
        self.inputs, self.outputs = graph.inputs, graph.outputs

    def interpreter(self) -> Interpreter:
        """Return an interpreter whose intermediate tensors can be read."""
        from sparqsim.networks.tflite.interpreter import Interpreter

        return Interpreter(self)
