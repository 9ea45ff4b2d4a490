"""The process that runs the TFLite interpreter, started by `sparqsim.networks.tflite.interpreter`.

It reads a model from standard input, then inputs of the network one by one, and answers with the
tensors that were asked for (`sparqsim.networks.tflite.messages`). What native code prints goes
elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from typing import IO, Any

from sparqsim.networks.tflite import messages

#: Address space of the process: a file may ask for tensors that no machine holds.
MOST_ADDRESS_BYTES = 8 << 30


def main() -> None:
    """Answer requests until the other side closes the pipe, or is gone."""
    # Ctrl-C reaches the whole group of processes; the one that started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _bound_memory()
    reader, writer = os.pipe()
    threading.Thread(target=_handed_on, args=(writer,), daemon=True).start()
    requests, answers = os.fdopen(reader, "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    model_bytes = messages.receive(requests)["model_bytes"]
    content = messages.exactly(requests, model_bytes)
    try:
        interpreter = _allocated(content)
        messages.send(answers, {"arrays": 0})
        while True:
            _answer(interpreter, requests, answers)
    except (ValueError, RuntimeError, MemoryError) as error:
        messages.send(answers, {"error": str(error) or type(error).__name__})


def _handed_on(writer: int) -> None:
    """Hand on what arrives, and end with the other side, even if that was killed while native code
    runs without end.
    """
    with os.fdopen(writer, "wb", buffering=0) as requests:
        while content := os.read(sys.stdin.fileno(), 1 << 16):
            requests.write(content)
        os._exit(0)


def _bound_memory() -> None:
    """Bound the address space, on systems that can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESS_BYTES, hard))


def _allocated(content: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        # It warns that keeping all tensors takes memory; reading them is what it is here for.
        warnings.simplefilter("ignore")
        interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        )
        interpreter.allocate_tensors()
    return interpreter


def _answer(interpreter: Any, requests: IO[bytes], answers: IO[bytes]) -> None:
    request = messages.receive(requests)
    interpreter.set_tensor(request["input"], messages.receive_array(requests))
    interpreter.invoke()
    values = [interpreter.get_tensor(index) for index in request["wanted"]]
    messages.send(answers, {"arrays": len(values)})
    for value in values:
        messages.send_array(answers, value)
