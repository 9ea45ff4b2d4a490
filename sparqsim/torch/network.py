"""A network whose matrix products are handed, one by one, to whoever wants to see or replace them.

A *site* is one place of the network where a product is computed: a call of a Conv2d or Linear module, or a matrix
product of two activations inside a module that the user names. `Network.run` gives each site's operands to a *visitor*,
which returns the site's output.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparqsim.errors import InputError, nearest
from sparqsim.torch.fold import Folded, fold_batch_norms
from sparqsim.torch.products import ProductMode, StrayProducts

Operands = tuple[Tensor, ...]


@dataclass(frozen=True)
class Site:
    """One matrix product of the network.

    `name`: the module's, with '#2' for its second call in one run; for products inside a named module, the module's
    name and '.product1', ... `module`: the layer, or None for a product of two activations.
    """

    name: str
    op: Literal["conv2d", "linear", "gemm"]
    module: Any = None

    def in_float(self, operands: Operands) -> Tensor:
        """Return what the site computes in the float network."""
        if self.module is None:
            return torch.matmul(*operands)
        if self.op == "linear":
            return functional.linear(operands[0], self.module.weight, self.module.bias)
        output: Tensor = self.module._conv_forward(  # noqa: SLF001
            operands[0], self.module.weight, self.module.bias
        )
        return output


Visitor = Callable[[Site, Operands], Tensor]


@dataclass(frozen=True)
class Skipped:
    """Something that holds or computes a matrix product and is not in the trace; it runs in float."""

    name: str
    reason: str


class Network:
    """A copy of the user's network, in evaluation mode, on the CPU, its batch norms folded, with its sites in hand.

    Parameters
    ----------
    model : nn.Module
        Not modified.
    example : Tensor
        A batch of inputs; batch norms and skipped products are found by running it.
    matmuls : sequence of str
        Modules inside which products of two activations are sites.
    fold : bool
        Whether to fold batch norms.

    Raises
    ------
    InputError
        For a module name that does not exist, or a network without any Conv2d or Linear.
    """

    def __init__(
        self, model: nn.Module, example: Tensor, matmuls: Sequence[str] = (), fold: bool = True
    ) -> None:
        self.model = copy.deepcopy(model).cpu().eval()
        self._visitor: Visitor = lambda site, operands: site.in_float(operands)
        self._path: list[str] = []
        self._calls: Counter[str] = Counter()
        self._inside = 0
        self._matmuls = _checked_names(self.model, matmuls)
        with torch.no_grad():
            self.folded = fold_batch_norms(self.model, example) if fold else Folded((), ())
        self._install()
        self.skipped = self._explore(example)

    def run(self, inputs: Tensor, visitor: Visitor | None = None) -> Any:
        """Return the network's output; every site is computed by `visitor`, in float without one."""
        self._visitor = visitor or (lambda site, operands: site.in_float(operands))
        self._calls.clear()
        self._path.clear()
        self._inside = 0
        with torch.no_grad(), ProductMode(self) if self._matmuls else nullcontext():
            return self.model(inputs)

    @property
    def at(self) -> str:
        """The innermost module that is running."""
        return self._path[-1] if self._path else ""

    @property
    def inside_site(self) -> bool:
        """Whether a site is being computed."""
        return self._inside > 0

    @property
    def matmul_module(self) -> str | None:
        """The innermost running module that `matmuls` names, or None."""
        return next((name for name in reversed(self._path) if name in self._matmuls), None)

    def product(self, module: str, first: Tensor, second: Tensor) -> Tensor:
        """Compute the product of two activations inside the named module."""
        self._calls[module] += 1
        return self._visit(Site(f"{module}.product{self._calls[module]}", "gemm"), (first, second))

    def _visit(self, site: Site, operands: Operands) -> Tensor:
        self._inside += 1
        output = self._visitor(site, operands)
        self._inside -= 1
        return output

    def _install(self) -> None:
        """Track which module runs, and send Conv2d and Linear to the visitor."""
        for name, module in self.model.named_modules(remove_duplicate=True):
            module.register_forward_pre_hook(
                lambda _module, _inputs, name=name: self._path.append(name)
            )
            module.register_forward_hook(self._leave)
            op = _op_of(module)
            if op is not None:
                module.forward = self._caller(name, op, module)

    def _leave(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        self._path.pop()

    def _caller(
        self, name: str, op: Literal["conv2d", "linear"], module: nn.Module
    ) -> Callable[[Tensor], Tensor]:
        def forward(input: Tensor) -> Tensor:  # noqa: A002 - the name that callers may use
            """Let the visitor compute the module; every further call of a module is a layer of its own."""
            self._calls[name] += 1
            call = self._calls[name]
            if op == "conv2d" and input.ndim != 4:
                raise InputError(
                    f"layer {name!r}: input has shape {tuple(input.shape)}, expected (batch, channels, "
                    "height, width)"
                )
            return self._visit(Site(name if call == 1 else f"{name}#{call}", op, module), (input,))

        return forward

    def _explore(self, example: Tensor) -> tuple[Skipped, ...]:
        """Run once; return what computes products outside the sites, and layers that never ran."""
        visited: list[Site] = []

        def visitor(site: Site, operands: Operands) -> Tensor:
            visited.append(site)
            return site.in_float(operands)

        with StrayProducts(self) as stray:
            self.run(example, visitor)
        if not visited:
            found = (
                "; ".join(f"{name}: {reason}" for name, reason in stray.found)
                or "no matrix product at all"
            )
            raise InputError(f"model: no Conv2d or Linear ran, expected at least one ({found})")
        self.sites = tuple(visited)
        modules = {id(site.module) for site in visited}
        idle = [
            Skipped(name, f"{type(module).__name__} was not called in a forward pass")
            for name, module in self.model.named_modules()
            if _op_of(module) and id(module) not in modules
        ]
        return tuple(Skipped(name, reason) for name, reason in stray.found) + tuple(idle)


def _op_of(module: nn.Module) -> Literal["conv2d", "linear"] | None:
    """Return what a module computes if it is a plain Conv2d or Linear; a subclass with a forward of its own is not."""
    forward = type(module).forward
    if isinstance(module, nn.Conv2d) and forward is nn.Conv2d.forward:
        return "conv2d"
    return "linear" if isinstance(module, nn.Linear) and forward is nn.Linear.forward else None


def _checked_names(model: nn.Module, names: Sequence[str]) -> frozenset[str]:
    known = dict(model.named_modules())
    for name in names:
        if name not in known:
            raise InputError(
                f"matmuls: module {name!r} is not in the network{nearest(name, known)}; expected names of "
                "model.named_modules()"
            )
    return frozenset(names)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the layer's name before the message of any InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"layer {name!r}: {error}") from None
