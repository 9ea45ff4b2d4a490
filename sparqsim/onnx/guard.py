"""What a model file may cost, and how failures of the ONNX libraries are told: one way for all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.errors import InputError
from sparqsim.images import needed

Array = NDArray[Any]
#: Characters of a library's message that are shown.
MESSAGE_LENGTH = 400


@dataclass(frozen=True)
class Bound:
    """The most of something. variable: of the environment; its value replaces `default`."""

    variable: str
    default: int
    unit: str

    @property
    def most(self) -> int:
        """The bound in force. Raises InputError for a variable that is not a whole number."""
        text = os.environ.get(self.variable, "")
        if not text:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) <= 30 and int(text)):
            raise InputError(f"{self.variable}={text!r}: expected a whole number of {self.unit}")
        return int(text)

    def check(self, amount: int, what: str) -> None:
        """Raise InputError where `amount` is beyond the bound; `what` says of what it is."""
        if amount > self.most:
            raise InputError(
                f"{what}: {amount:,} {self.unit}, expected at most {self.most:,}; to allow them "
                f"set {self.variable}={amount}"
            )


#: Of one tensor, given or computed.
ELEMENTS = Bound("SPARQSIM_MAX_ONNX_ELEMENTS", 1 << 30, "elements")
#: Of a loop whose number of trips the file fixes.
TRIPS = Bound("SPARQSIM_MAX_ONNX_TRIPS", 1_000_000, "trips")
#: Once local functions are written out.
NODES = Bound("SPARQSIM_MAX_ONNX_NODES", 1_000_000, "nodes")
#: Of one run: a batch of pictures, or constants that are computed when a file is read.
SECONDS = Bound("SPARQSIM_MAX_ONNX_SECONDS", 600, "seconds")


@contextmanager
def library_errors(what: str) -> Iterator[None]:
    """Turn whatever the ONNX libraries raise inside the block into an InputError that begins with `what`.

    protobuf's DecodeError, onnx's own kinds and onnxruntime's share no base class but Exception.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - see above: any failure means the same
        message = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{what} ({message[:MESSAGE_LENGTH]})") from None


def quiet_session(model: Any, *, optimised: bool = True, threads: int = 0) -> Any:
    """Return an onnxruntime session on the processor; its remarks on graphs stay off standard error.

    Parameters
    ----------
    model : onnx.ModelProto
    optimised : bool
        Whether nodes are merged and renamed for speed.
    threads : int
        0: as many as the processor has cores.
    """
    runtime = needed("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    if not optimised:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(session: Any, outputs: Sequence[str], feeds: dict[str, Array], what: str) -> list[Any]:
    """Return a session's outputs, within `SECONDS`.

    Raises
    ------
    InputError
        Beginning with `what`: with onnxruntime's message, which names the node, or the bound.
    """
    seconds = SECONDS.most
    options = needed("onnxruntime", "onnx").RunOptions()
    options.log_severity_level = 4
    alarm = threading.Timer(seconds, setattr, (options, "terminate", True))
    alarm.daemon = True
    alarm.start()
    try:
        with library_errors(f"{what}: onnxruntime cannot run it"):
            values: list[Any] = session.run(list(outputs), feeds, options)
    except InputError:
        if options.terminate:
            raise InputError(
                f"{what}: one run took more than {seconds} seconds, expected less; "
                f"{SECONDS.variable} allows more"
            ) from None
        raise
    finally:
        alarm.cancel()
    return values


def evaluated(nodes: Sequence[Any], feeds: Sequence[Any], output: str, like: Any, what: str) -> Any:
    """Return one tensor that `nodes` make of constants.

    Parameters
    ----------
    nodes : sequence of onnx.NodeProto, in order
    feeds : sequence of onnx.TensorProto
        Every tensor that they take and do not make.
    output : str
    like : onnx.ModelProto
        Whose versions of operators are used.
    what : str
        Begins the message of an InputError.
    """
    helper = needed("onnx.helper", "onnx")
    graph = helper.make_graph(
        nodes, "constant", [], [helper.make_empty_tensor_value_info(output)], feeds
    )
    model = helper.make_model(
        graph, opset_imports=like.opset_import, ir_version=max(like.ir_version, 4)
    )
    with library_errors(f"{what}: onnxruntime refuses it"):
        session = quiet_session(model, optimised=False, threads=1)
    return run(session, [output], {}, what)[0]


def elements(shape: Sequence[int]) -> int:
    """Return the number of elements of a shape; a Python integer, so that nothing wraps."""
    count = 1
    for size in shape:
        count *= int(size)
    return count


def is_array(value: object) -> bool:
    """Return whether a run's output is a tensor of numbers (not a sequence, a map, or strings)."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
