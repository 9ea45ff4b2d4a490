"""The way to see PyTorch's basic operations that everything here takes."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class OperationMode(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's is untyped
    """While active, sees every basic operation.

    PyTorch shields such a mode from its compiler, and loads the compiler for that at the mode's
    first operation: seconds of work and 100 MB. Nothing is compiled here.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return whether PyTorch is to shield the mode from its compiler."""
        return False
