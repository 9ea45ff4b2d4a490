"""A .tflite file: operators and their options, tensors, scales and zero points."""

from __future__ import annotations

from pathlib import Path

from sparqsim.networks.tflite.flatfile import Array, Operator, Tensor, read_graph

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
