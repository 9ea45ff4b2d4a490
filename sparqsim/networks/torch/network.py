"""A network whose matrix products are handed, one by one, to whoever wants to see or replace them.

A *call* is one place of the network where a product is computed: of a Conv2d or Linear module, or
of two activations inside a module that the user names. `Network.run` gives each call's operands to
a *visitor*, which returns the call's output.
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

from sparqsim.base.errors import InputError, nearest
from sparqsim.networks.site import Op
from sparqsim.networks.torch.fold import Folded, computes_as, fold_batch_norms
from sparqsim.networks.torch.loaders import HALF, Inputs
from sparqsim.networks.torch.position import Position, one_line
from sparqsim.networks.torch.products import ProductMode, StrayProducts

#: The real operands of a call.
Values = tuple[Tensor, ...]


@dataclass(frozen=True)
class Call:
    """One matrix product of the network.

    `name`: the module's, with '#2' for its second call in one run; for products inside a named
    module, the module's name and '.product1', ... `module`: the layer, or None for a product of two
    activations.
    """

    name: str
    op: Op
    module: Any = None

    def in_float(self, values: Values) -> Tensor:
        """Return what it computes in the float network."""
        if self.module is None:
            return torch.matmul(*values)
        if self.op == "linear":
            return functional.linear(values[0], self.module.weight, self.module.bias)
        output: Tensor = self.module._conv_forward(  # noqa: SLF001
            values[0], self.module.weight, self.module.bias
        )
        return output


Visitor = Callable[[Call, Values], Tensor]


@dataclass(frozen=True)
class Skipped:
    """What holds or computes a matrix product and is not in the trace; it runs in float."""

    name: str
    reason: str


class Network:
    """A copy of the user's network, in evaluation mode, on the CPU, its batch norms folded, with
    its sites in hand.

    Parameters
    ----------
    model : nn.Module
        Not modified. Weights of 16-bit floating point are run as float32.
    example : Tensor or Inputs
        A batch of inputs; batch norms and skipped products are found by running it.
    matmuls : sequence of str
        Modules inside which products of two activations are sites.
    fold : bool
        Whether to fold batch norms.

    Raises
    ------
    InputError
        For a module name that does not exist, a network without any Conv2d or Linear, or one that
        cannot run on `example`.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Tensor | Inputs,
        matmuls: Sequence[str] = (),
        fold: bool = True,
    ) -> None:
        self.model = _own_copy(model)
        self._visitor: Visitor = lambda call, values: call.in_float(values)
        self._position = Position(self.model)
        self._counts: Counter[str] = Counter()
        self._inside = 0
        self._modules: dict[str, nn.Module] = {}
        self._matmuls = _checked_names(self.model, matmuls)
        # What cannot run at all is told by this run: it alone knows the module at fault.
        self.run(example)
        with torch.no_grad(), _without_fast_paths():
            self.folded = fold_batch_norms(self.model, example) if fold else Folded((), ())
        self._install()
        self.skipped = self._explore(Inputs.of(example))

    def run(self, inputs: Tensor | Inputs, visitor: Visitor | None = None) -> Any:
        """Return the network's output; every site is computed by `visitor`, in float without one.

        Raises
        ------
        InputError
            For whatever goes wrong, naming the module and the shapes that it was given.
        """
        self._visitor = visitor or (lambda call, values: call.in_float(values))
        self._counts.clear()
        self._inside = 0
        with (
            torch.no_grad(),
            _without_fast_paths(),
            self._position.followed(),
            ProductMode(self) if self._matmuls else nullcontext(),
        ):
            return Inputs.of(inputs).fed_to(self.model)

    @property
    def at(self) -> str:
        """The innermost module that is running."""
        names = self._position.names
        return names[-1] if names else ""

    @property
    def inside_site(self) -> bool:
        """Whether a site is being computed."""
        return self._inside > 0

    @property
    def matmul_module(self) -> str | None:
        """The innermost running module that `matmuls` names, or None."""
        return next(
            (name for name in reversed(self._position.names) if name in self._matmuls), None
        )

    def product(self, module: str, first: Tensor, second: Tensor) -> Tensor:
        """Compute the product of two activations inside the named module."""
        self._counts[module] += 1
        return self._visit(Call(f"{module}.product{self._counts[module]}", "gemm"), (first, second))

    def _visit(self, call: Call, values: Values) -> Tensor:
        self._inside += 1
        output = self._visitor(call, values)
        self._inside -= 1
        return output

    def _install(self) -> None:
        """Send Conv2d and Linear to the visitor."""
        for name, module in self.model.named_modules(remove_duplicate=True):
            op = _op_of(module)
            if op is not None:
                module.forward = self._caller(name, op, module)
                self._modules[name] = module

    def _caller(
        self, name: str, op: Literal["conv2d", "linear"], module: nn.Module
    ) -> Callable[[Tensor], Tensor]:
        def forward(input: Tensor) -> Tensor:  # noqa: A002 - the name that callers may use
            """Let the visitor compute the module; each further call is a layer of its own."""
            self._counts[name] += 1
            number = self._counts[name]
            if op == "conv2d" and input.ndim != 4:
                raise InputError(
                    f"layer {name!r}: input has shape {tuple(input.shape)}, expected (batch, "
                    "channels, height, width)"
                )
            return self._visit(
                Call(name if number == 1 else f"{name}#{number}", op, module), (input,)
            )

        return forward

    def _explore(self, example: Inputs) -> tuple[Skipped, ...]:
        """Run once; return what computes products outside the sites, and layers that never ran."""
        visited: list[Call] = []

        def visitor(call: Call, values: Values) -> Tensor:
            visited.append(call)
            return call.in_float(values)

        with StrayProducts(self) as stray:
            self.run(example, visitor)
        if not visited:
            found = (
                "; ".join(f"{name}: {reason}" for name, reason in stray.tally.operations)
                or "no matrix product at all"
            )
            raise InputError(f"model: no Conv2d or Linear ran, expected at least one ({found})")
        #: In the order they ran.
        self.calls = tuple(visited)
        modules = {id(call.module) for call in visited}
        idle = [
            Skipped(name, f"{type(module).__name__} was not called in a forward pass")
            for name, module in self._modules.items()
            if id(module) not in modules
        ]
        return tuple(Skipped(name, reason) for name, reason in stray.tally.operations) + tuple(idle)


def _own_copy(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, on the CPU, without 16-bit floating point."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model is a {type(model).__name__}, expected a torch.nn.Module")
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    try:
        copied: nn.Module = copy.deepcopy(model).cpu().eval()
    except Exception as error:
        raise InputError(
            f"model {type(model).__name__} cannot be copied to the CPU: {one_line(error)}; "
            "expected a network that copy.deepcopy takes, its weights loaded"
        ) from error
    for module in copied.modules():
        _widen(module)
    return copied


def _widen(module: nn.Module) -> None:
    """Make a module's own 16-bit parameters and buffers float32, in place: values stay exact."""
    for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        if tensor.dtype in HALF:
            tensor.data = tensor.data.float()


@contextmanager
def _without_fast_paths() -> Iterator[None]:
    """Let attention and encoder layers call their modules, not one function that hides them."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _op_of(module: nn.Module) -> Literal["conv2d", "linear"] | None:
    """Return what a module computes if it is a Conv2d or Linear without a forward of its own."""
    if computes_as(module, [nn.Conv2d]):
        return "conv2d"
    return "linear" if computes_as(module, [nn.Linear]) else None


def _checked_names(model: nn.Module, names: Sequence[str]) -> frozenset[str]:
    known = dict(model.named_modules())
    for name in names:
        if name not in known:
            raise InputError(
                f"matmuls: module {name!r} is not in the network{nearest(name, known)}; expected "
                "names of model.named_modules()"
            )
    return frozenset(names)
