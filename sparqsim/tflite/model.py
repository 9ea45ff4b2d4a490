"""A .tflite file: operators and their options, tensors, scales and zero points; the interpreter that runs it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.errors import InputError
from sparqsim.images import needed

Array = NDArray[Any]

DTYPES = {
    0: np.float32,
    1: np.float16,
    2: np.int32,
    3: np.uint8,
    4: np.int64,
    6: np.bool_,
    7: np.int16,
    9: np.int8,
}


@dataclass(frozen=True)
class Tensor:
    """One tensor. `scales`, `zero_points`: one for all or one per slice of axis `axis`; empty where not quantised.

    `value`: of a constant, else None.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    scales: NDArray[np.float64]
    zero_points: NDArray[np.int64]
    axis: int
    value: Array | None

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
    """One operator: `kind` such as 'CONV_2D', `options` by the file format's names, tensors by index (-1: none)."""

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


class Model:
    """The main graph of a .tflite file.

    Raises
    ------
    InputError
        When the file is not a readable TFLite model, naming it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._schema = needed("ai_edge_litert.schema_py_generated", "tflite")
        try:
            self.content = self.path.read_bytes()
            parsed = self._parsed()
            self._buffers, graph = parsed.buffers, parsed.subgraphs[0]
            self.tensors = [self._tensor(at, tensor) for at, tensor in enumerate(graph.tensors)]
            codes = [
                max(code.builtinCode, code.deprecatedBuiltinCode) for code in parsed.operatorCodes
            ]
            self.operators = [self._operator(operator, codes) for operator in graph.operators]
            self.inputs, self.outputs = (
                tuple(map(int, graph.inputs)),
                tuple(map(int, graph.outputs)),
            )
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); expected a TFLite model"
            ) from None
        except Exception as error:  # noqa: BLE001 - generated accessors fail in many ways on a foreign file
            raise InputError(
                f"{path}: not a readable TFLite model ({type(error).__name__}: {error})"
            ) from None

    def _parsed(self) -> Any:
        if self.content[4:8] != b"TFL3":
            raise ValueError("bytes 4 to 8 are not 'TFL3'")
        return self._schema.ModelT.InitFromPackedBuf(self.content, 0)

    def _tensor(self, at: int, tensor: Any) -> Tensor:
        found = tensor.quantization
        scales = [] if found is None or found.scale is None else found.scale
        points = (
            np.zeros(len(scales), np.int64)
            if found is None or found.zeroPoint is None
            else found.zeroPoint
        )
        dtype = DTYPES.get(tensor.type)
        shape = tuple(int(size) for size in ([] if tensor.shape is None else tensor.shape))
        data = self._buffers[tensor.buffer].data
        value: Array | None = None
        if data is not None and len(data) and dtype is not None:
            value = np.frombuffer(bytes(data), dtype).reshape(shape)
        return Tensor(
            at,
            tensor.name.decode(),
            shape,
            None if dtype is None else np.dtype(dtype),
            np.asarray(scales, np.float64),
            np.asarray(points, np.int64),
            0 if found is None else found.quantizedDimension,
            value,
        )

    def _operator(self, operator: Any, codes: list[int]) -> Operator:
        kinds = {
            code: name
            for name, code in vars(self._schema.BuiltinOperator).items()
            if not name.startswith("_")
        }
        outputs = tuple(int(at) for at in operator.outputs)
        options = vars(operator.builtinOptions) if operator.builtinOptions is not None else {}
        # A fused operator's tensor may be named 'a;b': the first is the operator's own.
        name = self.tensors[outputs[0]].name.partition(";")[0]
        return Operator(
            kinds.get(codes[operator.opcodeIndex], "UNKNOWN"),
            name,
            tuple(int(at) for at in operator.inputs),
            outputs,
            options,
        )

    def interpreter(self) -> Interpreter:
        """Return an interpreter whose intermediate tensors can be read."""
        return Interpreter(self)


class Interpreter:
    """Runs a model, one picture at a time, on the reference kernels: they requantise in fixed point, as documented."""

    def __init__(self, model: Model) -> None:
        litert = needed("ai_edge_litert.interpreter", "tflite")
        self._model = model
        with warnings.catch_warnings():
            # The interpreter warns that keeping all tensors takes memory; reading them is what it is here for.
            warnings.simplefilter("ignore")
            try:
                self._interpreter = litert.Interpreter(
                    model_content=model.content,
                    experimental_preserve_all_tensors=True,
                    experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
                )
                self._interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise InputError(
                    f"{model.path}: the TFLite interpreter refuses it ({error})"
                ) from None

    def run(self, picture: Array, wanted: Sequence[int]) -> dict[int, Array]:
        """Return the wanted tensors for one picture, (height, width, channels).

        Raises
        ------
        InputError
            When the picture does not fit the input.
        """
        tensor = self._model.tensors[self._model.inputs[0]]
        if picture[None].shape != tensor.shape or picture.dtype != tensor.dtype:
            raise InputError(
                f"{self._model.path}: takes {tensor.dtype} {tensor.shape}, the prepared picture is {picture.dtype} "
                f"{picture[None].shape}; expected --preprocess steps (resize, crop) that fit"
            )
        self._interpreter.set_tensor(tensor.index, picture[None])
        self._interpreter.invoke()
        return {index: self._interpreter.get_tensor(index) for index in wanted}
