"""A network whose matrix products are handed, one by one, to whoever wants to see or replace them.

A *call* is one place of the network where a product is computed: of a Conv2d or Linear module, of a
function with a parameter or buffer as weights, or of two activations. `Network.run` gives each
call's operands to a *visitor*, which returns the call's output.
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
from sparqsim.networks.torch.constants import Constants
from sparqsim.networks.torch.fold import Folded, computes_as, fold_batch_norms
from sparqsim.networks.torch.functions import FunctionLayers, with_bias
from sparqsim.networks.torch.loaders import HALF, Inputs
from sparqsim.networks.torch.position import Position, one_line
from sparqsim.networks.torch.products import ProductMode, StrayProducts

#: The real operands of a call.
Values = tuple[Tensor, ...]


@dataclass(frozen=True)
class Call:
    """One matrix product of the network.

    `name`: the module's; for weights of a function, theirs without '.weight'; with '#2' for a
    second call in one run. A product of two activations: the running module's name and '.product1',
    ... `module`: the layer, made here for a function's weights, or None for a product of two
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
    matmuls : sequence of str, optional
        Modules inside which products of two activations are sites; by default all are.
    fold : bool
        Whether to fold batch norms.

    Raises
    ------
    InputError
        For a module name that does not exist, a network without any layer, or one that cannot run
        on `example`.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Tensor | Inputs,
        matmuls: Sequence[str] | None = None,
        fold: bool = True,
    ) -> None:
        self.model = _own_copy(model)
        self._visitor: Visitor = lambda call, values: call.in_float(values)
        self._position = Position(self.model)
        self._counts: Counter[str] = Counter()
        self._inside, self._batch = 0, 1
        self._modules: dict[str, nn.Module] = {}
        self._matmuls = None if matmuls is None else _checked_names(self.model, matmuls)
        self._installed = False
        #: Tensors that no input reaches.
        self.constants = Constants()
        self._functional = FunctionLayers()
        # What cannot run at all is told by this run: it alone knows the module at fault.
        self.run(example)
        with torch.no_grad(), _without_fast_paths(), self._position.told():
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
        self.constants.begin()
        self._inside, self._batch = 0, len(Inputs.of(inputs))
        with (
            torch.no_grad(),
            _without_fast_paths(),
            self._position.followed(),
            ProductMode(self) if self._installed else nullcontext(),
        ):
            return Inputs.of(inputs).fed_to(self.model)

    @property
    def at(self) -> str:
        """The innermost module that is running."""
        names = self._position.names
        return names[-1] if names else ""

    @property
    def is_recurrent(self) -> bool:
        """Whether that module runs step by step, so that each step would be a layer."""
        return isinstance(self._position.module, nn.RNNBase)

    @property
    def inside_site(self) -> bool:
        """Whether a site is being computed."""
        return self._inside > 0

    @property
    def takes_products(self) -> bool:
        """Whether products of two activations are sites where the network stands now."""
        return self._matmuls is None or not self._matmuls.isdisjoint(self._position.names)

    def product(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute the product of two activations, (groups, M, K) x (groups, K, N)."""
        products = f"{self.at}.product" if self.at else "product"
        self._counts[products] += 1
        call = Call(self._numbered(f"{products}{self._counts[products]}"), "gemm")
        output = self._visit(call, (self._by_input(first), self._by_input(second)))
        return output.reshape(*first.shape[:-1], second.shape[-1])

    def linear(self, name: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute a linear layer that is no module, x (..., K)."""
        name = self._numbered(name.removesuffix(".weight").removesuffix("_weight"))
        made = self._functional.linear(name, weight, bias)
        rows = self._by_input(x.reshape(-1, x.shape[-1]))
        output = self._visit(Call(name, "linear", made), (rows,))
        return with_bias(output.reshape(*x.shape[:-1], -1), made.bias, bias)

    def convolution(
        self, name: str, x: Tensor, weight: Tensor, bias: Tensor | None, **geometry: Any
    ) -> Tensor:
        """Compute a convolution that is no Conv2d."""
        name = self._numbered(name.removesuffix(".weight"))
        made = self._functional.convolution(name, x.shape[1], weight, bias, **geometry)
        output = self._visit(Call(name, "conv2d", made), (x,))
        return with_bias(output.movedim(1, -1), made.bias, bias).movedim(-1, 1)

    def _by_input(self, values: Tensor) -> Tensor:
        """Return values whose first axis is that of the batch, as far as its size divides by it:
        PyTorch joins axes, and calibrators look at inputs one by one.
        """
        whole = values.ndim > 3 or len(values) % self._batch
        return values if whole else values.reshape(self._batch, -1, *values.shape[1:])

    def _numbered(self, name: str) -> str:
        """Return a call's name, with its number where it is not the first of that name."""
        self._counts[name] += 1
        number = self._counts[name]
        return name if number == 1 else f"{name}#{number}"

    def _visit(self, call: Call, values: Values) -> Tensor:
        self._inside += 1
        output = self._visitor(call, values)
        self._inside -= 1
        return output

    def _install(self) -> None:
        """Send products to the visitor, those of Conv2d and Linear modules as a module's."""
        self._installed, self.constants = True, Constants(self.model)
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
            if op == "conv2d" and input.ndim != 4:
                raise InputError(
                    f"layer {name!r}: input has shape {tuple(input.shape)}, expected (batch, "
                    "channels, height, width)"
                )
            return self._visit(Call(self._numbered(name), op, module), (input,))

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
            raise InputError(f"model: no layer ran, expected at least one ({found})")
        #: In the order they ran.
        self.calls = tuple(visited)
        modules = {id(call.module) for call in visited}
        idle = [
            Skipped(name, f"{type(module).__name__} was not called in a forward pass")
            for name, module in self._modules.items()
            if id(module) not in modules and name not in self._functional.names
        ]
        return tuple(Skipped(name, reason) for name, reason in stray.tally.operations) + tuple(idle)


def _own_copy(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, on the CPU, without 16-bit floating point."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model is a {type(model).__name__}, expected a torch.nn.Module")
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if any(isinstance(each, torch.jit.ScriptModule) for each in model.modules()):
        raise InputError(
            f"model {type(model).__name__} is TorchScript, whose layers cannot be seen; expected "
            "the torch.nn.Module that it was made of"
        )
    lazy = [name for name, each in model.named_parameters() if nn.parameter.is_lazy(each)]
    if lazy:
        raise InputError(
            f"model: parameter {lazy[0]!r} has no shape yet, expected a network that ran once"
        )
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
