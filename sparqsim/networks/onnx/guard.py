"""What a run may cost, and how failures of the ONNX libraries are told: one way for all."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.environment import environment
from sparqsim.base.errors import InputError
from sparqsim.base.limits import ONNX_SECONDS
from sparqsim.networks.images import needed

Array = NDArray[Any]
#: Characters of a library's message that are shown.
MESSAGE_LENGTH = 400


def onnxruntime() -> Any:
    """Return onnxruntime, which reports nothing of its use and leaves no file behind.

    When it is loaded it begins a session of telemetry, whose number it keeps in `TMPDIR`; no option
    turns that file off, so it goes to a folder that is removed at once.

    Raises
    ------
    InputError
        Where it is not installed.
    """
    if "onnxruntime" in sys.modules:
        return needed("onnxruntime", "onnx")
    with (
        tempfile.TemporaryDirectory(prefix="sparqsim-") as folder,
        environment({"TMPDIR": folder, "ORT_DISABLE_TELEMETRY": "1"}),
    ):
        return needed("onnxruntime", "onnx")


@contextmanager
def library_errors(what: str) -> Iterator[None]:
    """Turn whatever the ONNX libraries raise inside the block into an InputError that begins with
    `what`.

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
    """Return an onnxruntime session on the processor; its remarks on graphs stay off standard
    error.

    Parameters
    ----------
    model : onnx.ModelProto
    optimised : bool
        Whether nodes are merged and renamed for speed.
    threads : int
        0: as many as the processor has cores.
    """
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    if not optimised:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(session: Any, outputs: Sequence[str], feeds: dict[str, Array], what: str) -> list[Any]:
    """Return a session's outputs, within `ONNX_SECONDS`.

    Raises
    ------
    InputError
        Beginning with `what`: with onnxruntime's message, which names the node, or the bound.
    """
    seconds = ONNX_SECONDS.most
    options = onnxruntime().RunOptions()
    options.log_severity_level = 4
    alarm = threading.Timer(
        min(seconds, threading.TIMEOUT_MAX), setattr, (options, "terminate", True)
    )
    alarm.daemon = True
    alarm.start()
    try:
        with library_errors(f"{what}: onnxruntime cannot run it"):
            values: list[Any] = session.run(list(outputs), feeds, options)
    except InputError:
        if options.terminate:
            raise InputError(
                f"{what}: one run took more than {seconds} seconds, expected less; "
                f"{ONNX_SECONDS.variable} allows more"
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
