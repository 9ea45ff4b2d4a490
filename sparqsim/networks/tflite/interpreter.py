"""The TFLite interpreter in a process of its own: a file that makes it crash costs one line.

Its kernels are native code that trusts the file. Checks on this side cannot cover every operator
that there is, so the interpreter never runs in the process that holds the user's work.
"""

from __future__ import annotations

import math
import re
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.base.limits import TFLITE_SECONDS
from sparqsim.networks.images import needed
from sparqsim.networks.tflite import messages
from sparqsim.networks.tflite.model import Array, Model, Tensor

#: What the process runs: modules come from where they come here, not from the folder it starts in.
WORKER = (
    "import sys; sys.path[:] = sys.argv[1:]; from sparqsim.networks.tflite.worker import main; "
    "main()"
)
#: What all tensors of a network may take together: the interpreter keeps every one of them.
MOST_TENSOR_BYTES = 4 << 30


class Interpreter:
    """Runs a model, one input at a time, on the reference kernels: they requantise in fixed point.

    Parameters
    ----------
    model : Model

    Raises
    ------
    InputError
        When the interpreter refuses the model, naming the operator, dies of it, or takes longer
        than `TFLITE_SECONDS`.
    """

    def __init__(self, model: Model) -> None:
        needed("ai_edge_litert.interpreter", "tflite")
        _check_size(model)
        self._model = model
        self._process = subprocess.Popen(  # noqa: S603 - this program, with no word of a user's
            [sys.executable, "-P", "-c", WORKER, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("a process that was started with pipes has them")
        self._requests, self._answers = stdin, stdout
        weakref.finalize(self, _closed, self._process)
        self._asked({"model_bytes": len(model.content)}, model.content)

    def run(self, fed: Array, wanted: Sequence[int]) -> dict[int, Array]:
        """Return the wanted tensors for one input of the network, without its batch axis.

        Raises
        ------
        InputError
            When the input does not fit, the interpreter fails, naming the operator, or it takes
            longer than `TFLITE_SECONDS`.
        """
        tensor = self._model.tensors[self._model.inputs[0]]
        if fed[None].shape != tensor.shape or fed.dtype != tensor.dtype:
            raise InputError(
                f"{self._model.path}: takes {tensor.kind.lower()} {tensor.shape}, the prepared "
                f"picture is {fed.dtype} {fed[None].shape}; expected --preprocess steps (resize, "
                "crop) or an array that fit"
            )
        indices = [int(index) for index in wanted]
        request = {"input": tensor.index, "wanted": indices}
        values = self._asked(request, fed[None])
        for index, value in zip(indices, values, strict=True):
            _check_shape(self._model, self._model.tensors[index], value)
        return dict(zip(indices, values, strict=True))

    def _asked(self, request: dict[str, object], content: bytes | Array) -> list[Array]:
        """Send a request and return the arrays that answer it, within `TFLITE_SECONDS`."""
        seconds, late = TFLITE_SECONDS.most, threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        # A loop of a model may have no end, and native code is stopped by nothing but a signal.
        alarm = threading.Timer(min(seconds, threading.TIMEOUT_MAX), end)
        alarm.daemon = True
        alarm.start()
        try:
            return self._answered(request, content)
        except (EOFError, BrokenPipeError):
            raise InputError(
                f"{self._model.path}: the TFLite interpreter took more than {seconds} seconds for "
                f"one answer, expected less; {TFLITE_SECONDS.variable} allows more"
                if late.is_set()
                else f"{self._model.path}: {_death(self._process.wait())}"
            ) from None
        finally:
            alarm.cancel()

    def _answered(self, request: dict[str, object], content: bytes | Array) -> list[Array]:
        messages.send(self._requests, request)
        if isinstance(content, bytes):
            self._requests.write(content)
            self._requests.flush()
        else:
            messages.send_array(self._requests, content)
        answer = messages.receive(self._answers)
        if "error" in answer:
            raise InputError(f"{self._model.path}: {self._explained(str(answer['error']))}")
        return [messages.receive_array(self._answers) for _ in range(answer["arrays"])]

    def _explained(self, error: str) -> str:
        """Return what the interpreter says, with the operator's name in front of its number."""
        place = re.search(r"Node number ([0-9]{1,9}) ", error)
        operators = self._model.operators
        if place is None or int(place[1]) >= len(operators):
            return f"the TFLite interpreter refuses it ({error})"
        operator = operators[int(place[1])]
        return f"operator {operator.name!r} ({operator.kind}): the TFLite interpreter says: {error}"


def _closed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except BrokenPipeError:
                continue  # what was still to be sent has no reader any more
    process.wait()


def _death(code: int) -> str:
    """Return how the process of the interpreter ended."""
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    return f"the TFLite interpreter crashed on it ({how}); expected a model that it runs"


def _check_size(model: Model) -> None:
    """Refuse a model whose tensors would not fit in memory."""
    total_bytes = 0
    for tensor in model.tensors:
        element_bytes = 1 if tensor.dtype is None else tensor.dtype.itemsize
        total_bytes += math.prod(tensor.shape) * element_bytes
        if total_bytes > MOST_TENSOR_BYTES:
            raise InputError(
                f"{model.path}: its tensors up to {tensor.name!r} {tensor.shape} take "
                f"{total_bytes} bytes, expected at most {MOST_TENSOR_BYTES} for all of them, which "
                "are all kept"
            )


def _check_shape(model: Model, tensor: Tensor, value: Array) -> None:
    """Refuse a file whose shapes are not those that the interpreter computes."""
    if value.shape != tensor.shape or value.dtype != tensor.dtype:
        raise InputError(
            f"{model.path}: tensor {tensor.name!r} is {tensor.kind} {tensor.shape} in the file and "
            f"{value.dtype} {value.shape} when run, expected a file whose shapes are final"
        )
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise InputError(
            f"{model.path}: tensor {tensor.name!r} holds NaN or infinite values when run"
        )
