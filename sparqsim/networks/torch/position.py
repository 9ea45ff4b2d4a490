"""Where in a network a run stands, so that what goes wrong there is told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from sparqsim.base.errors import InputError
from sparqsim.networks.torch.outputs import described


class Position:
    """The modules of a network that are running, outermost first, known while it is `followed`."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._path: list[tuple[str, nn.Module, Any]] = []

    @property
    def names(self) -> list[str]:
        """The running modules' names, outermost first; the network's own is ''."""
        return [name for name, _, _ in self._path]

    @property
    def module(self) -> nn.Module | None:
        """The innermost running module."""
        return self._path[-1][1] if self._path else None

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Follow the modules of a run; whatever it raises becomes an InputError that names one.

        Raises
        ------
        InputError
            Naming the innermost running module and the shapes it was given.
        """
        self._path.clear()
        handles = [
            handle
            for name, module in self._model.named_modules()
            for handle in (
                module.register_forward_pre_hook(self._entering(name), with_kwargs=True),
                module.register_forward_hook(self._leave),
            )
        ]
        try:
            with self.told():
                yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Make an InputError of whatever is raised, which names the running module if it is known:
        without hooks on modules, as norms are folded where there are none.
        """
        try:
            yield
        except (InputError, MemoryError):
            raise
        except Exception as error:
            raise InputError(self._fault(error)) from error

    def _entering(self, name: str) -> Any:
        def enter(module: nn.Module, inputs: Any, named: Any) -> None:
            self._path.append((name, module, (inputs, named)))

        return enter

    def _leave(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        self._path.pop()

    def _fault(self, error: Exception) -> str:
        if "HigherOrderOperator" in str(error):
            return (
                "the network has an operation that takes functions (flex_attention), which hides "
                "its products; expected scaled_dot_product_attention, or products written out"
            )
        if not self._path:
            return f"the network cannot run: {one_line(error)}"
        name, module, given = self._path[-1]
        place = f"module {name!r}" if name else "the network itself"
        return (
            f"{place} ({type(module).__name__}) cannot run on {described(given)}: "
            f"{one_line(error)}; expected a loader whose batches the network takes"
        )


def one_line(error: Exception) -> str:
    """Return an error's message on one line, its type where it has none, cut at 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
