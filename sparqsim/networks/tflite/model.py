"""A .tflite file: operators and their options, tensors, scales and zero points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparqsim.networks.tflite.flatfile import Array, Operator, Tensor, read_graph

if TYPE_CHECKING:
    from sparqsim.networks.tflite.interpreter import Interpreter

__all__ = ["Array", "Model", "Operator", "Tensor"]


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
        self.tensors, self.operators = graph.tensors, graph.operators
        self.inputs, self.outputs = graph.inputs, graph.outputs

    def interpreter(self) -> Interpreter:
        """Return an interpreter whose intermediate tensors can be read."""
        from sparqsim.networks.tflite.interpreter import Interpreter

        return Interpreter(self)
