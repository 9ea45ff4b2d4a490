"""Products outside Conv2d and Linear modules: what of them become calls, what is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sparqsim.networks.torch.attention import attended
from sparqsim.networks.torch.constants import Constants
from sparqsim.networks.torch.macs import product_macs
from sparqsim.networks.torch.modes import OperationMode
from sparqsim.trace.coverage import Tally

#: Names of PyTorch's basic operations that multiply matrices.
PRODUCTS = re.compile(
    r"_?conv.*|mkldnn_.*|_?scaled_dot_product_.*|_scaled_(dot_product|mm).*|_native_multi_head_attention|"
    r"_transformer_encoder.*|lstm.*|gru.*|rnn_.*|quantized_.*|_?(add)?(mm|bmm|mv)|_int_mm|baddbmm|dot|vdot|matmul|"
    r"linear|linear_.*|bilinear|_trilinear|einsum|tensordot|_?thnn_.*|slow_conv.*|_?weight_int.*|"
    r"_(scaled_)?grouped_mm.*|_sparse_(add)?mm.*|sparse_sampled_addmm|hspmm|sspaddmm"
)


#: Basic operations that stand for one another from run to run, as memory lies: one name for all.
FAMILIES = {
    "matrix product": re.compile(
        r"_?(add)?(mm|bmm|mv)|_addmm_activation|baddbmm|matmul|linear|v?dot"
    ),
    "scaled_dot_product_attention": re.compile(r"_?scaled_dot_product_.*"),
    "convolution": re.compile(r"_?conv.*|mkldnn_conv.*|slow_conv.*"),
}
#: Families that may multiply two activations.
ACTIVATIONS = ("matrix product", "scaled_dot_product_attention")


class Watched(Protocol):
    """What is asked of the network whose products are watched."""

    @property
    def model(self) -> nn.Module:
        """The network's module."""

    @property
    def constants(self) -> Constants:
        """Its tensors that no input reaches."""

    @property
    def at(self) -> str:
        """Name of the module that runs now."""

    @property
    def inside_site(self) -> bool:
        """Whether a site runs now."""

    @property
    def is_recurrent(self) -> bool:
        """Whether the module that runs now does so step by step."""

    @property
    def takes_products(self) -> bool:
        """Whether products of two activations are sites where the network stands now."""

    def product(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the product of two activations, (..., M, K) x (..., K, N)."""

    def linear(self, name: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return x (..., K) times a constant weight (N, K), plus its bias (N,)."""

    def convolution(
        self, name: str, x: Tensor, weight: Tensor, bias: Tensor | None, **geometry: Any
    ) -> Tensor:
        """Return a two-dimensional convolution by a constant weight."""


class ProductMode(OperationMode):
    """While active, hands products that no module site computes to the network.

    It sees PyTorch's basic operations, to which `torch.matmul`, `torch.einsum`, functional layers
    and `nn.MultiheadAttention` come down. Products with a constant (a parameter, a buffer, or what
    is made of these alone, as weights that are transposed or scaled) are linear layers and
    convolutions; others are of two activations. Outer products (K = 1), which add nothing up,
    recurrent modules, and what has no method here stay with PyTorch.
    """

    def __init__(self, network: Watched) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's own is untyped
        self._network = network
        self._methods: dict[str, Callable[..., Any]] = {
            "mm": self._mm,
            "mv": self._mv,
            "bmm": self._bmm,
            "addmm": self._addmm,
            "addmv": self._addmv,
            "baddbmm": self._baddbmm,
            "addbmm": self._addbmm,
            "convolution": self._convolution,
            "_scaled_dot_product_flash_attention_for_cpu": self._attention,
        }

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute `func`, or hand its operands to the network."""
        named = kwargs or {}
        if self._network.inside_site or self._network.is_recurrent:
            return func(*args, **named)
        name = name_of(func)
        written = self._note_writes(func, args, named)
        output = None
        if PRODUCTS.fullmatch(name) and all(map(_is_strided, args)):
            read = {key: value for key, value in named.items() if key != "out"}
            output = self._computed(func, name, args, read)
        if output is not None:
            return written[0].copy_(output) if written else output
        output = func(*args, **named)
        if not written and torch.Tag.nondeterministic_seeded not in func.tags:
            self._network.constants.note((args, named), output)
        return output

    def _computed(self, func: Any, name: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Return what the network makes of a product; None where PyTorch shall compute it."""
        if name in self._methods:
            return self._methods[name](*args, **named)
        if func._schema.is_mutable:  # noqa: SLF001 - PyTorch has no public way to ask
            return None
        # Inference mode shows operations whole that otherwise come apart before they get here.
        with self:
            output = func.decompose(*args, **named)
        return None if output is NotImplemented else output

    def _note_writes(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> list[Tensor]:
        """Tell the network what an operation writes to, and return it: its own operand where it
        works in place, that of `out=`.
        """
        if not func._schema.is_mutable:  # noqa: SLF001 - PyTorch has no public way to ask
            return []
        arguments = func._schema.arguments  # noqa: SLF001
        given = {argument.name: each for argument, each in zip(arguments, args, strict=False)}
        given |= named
        written = [given.get(argument.name) for argument in arguments if argument.is_write]
        found = [each for each in written if isinstance(each, Tensor)]
        for each in found:
            self._network.constants.changed(each)
        return found

    def _mm(self, first: Tensor, second: Tensor) -> Tensor | None:
        output = self._bmm(first[None], second[None])
        return None if output is None else output[0]

    def _mv(self, matrix: Tensor, vector: Tensor) -> Tensor | None:
        output = self._mm(matrix, vector[:, None])
        return None if output is None else output[:, 0]

    def _bmm(self, first: Tensor, second: Tensor) -> Tensor | None:
        """(G, M, K) x (G, K, N)."""
        if not _is_product(first, second):
            return None
        left, right = self._weights_name(first), self._weights_name(second)
        if left is not None and right is not None:
            return None  # no input reaches it
        if right is not None:
            return self._network.linear(right, first, second[0].mT, None)
        if left is not None:
            turned = self._network.linear(left, second.mT, first[0], None)
            return turned.mT.contiguous()
        return self._network.product(first, second) if self._network.takes_products else None

    def _weights_name(self, matrices: Tensor) -> str | None:
        """Return the name of the weights that a stack repeats, or is alone; None for others."""
        is_one = len(matrices) == 1 or matrices.stride(0) == 0
        return self._network.constants.name(matrices) if is_one else None

    def _addmm(
        self, added: Tensor, first: Tensor, second: Tensor, *, beta: Any = 1, alpha: Any = 1
    ) -> Tensor | None:
        """Beta * added + alpha * first @ second."""
        name = self._network.constants.name(second)
        plain = beta == alpha == 1 and added.ndim == 1 and len(added) == second.shape[1]
        is_bias = plain and self._network.constants.name(added) is not None
        if name is None or not is_bias or not _is_product(first[None], second[None]):
            return _summed(added, self._mm(first, second), beta, alpha)
        if self._network.constants.name(first) is not None:
            return None
        return self._network.linear(name, first, second.mT, added)

    def _addmv(
        self, added: Tensor, matrix: Tensor, vector: Tensor, *, beta: Any = 1, alpha: Any = 1
    ) -> Tensor | None:
        return _summed(added, self._mv(matrix, vector), beta, alpha)

    def _addbmm(
        self, added: Tensor, first: Tensor, second: Tensor, *, beta: Any = 1, alpha: Any = 1
    ) -> Tensor | None:
        """Beta * added + alpha * the sum of all products."""
        products = self._bmm(first, second)
        return _summed(added, None if products is None else products.sum(0), beta, alpha)

    def _baddbmm(
        self, added: Tensor, first: Tensor, second: Tensor, *, beta: Any = 1, alpha: Any = 1
    ) -> Tensor | None:
        return _summed(added, self._bmm(first, second), beta, alpha)

    def _attention(
        self, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **named: Any
    ) -> tuple[Tensor, Tensor] | None:
        """Attention of (batch, heads, tokens, head); the second output is never read."""
        if not (self._network.takes_products and _is_product(query, key.mT)):
            return None
        output = attended(self._network.product, query, key, value, *rest, **named)
        return output, query.new_empty(0)

    def _convolution(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        transposed: bool,
        _output_padding: Sequence[int],
        groups: int,
    ) -> Tensor | None:
        """Convolve by a constant; along one axis it is that of images of height 1."""
        name = self._network.constants.name(weight)
        biased = bias is None or self._network.constants.name(bias) is not None
        if name is None or not biased or transposed or x.ndim not in {3, 4} or not x.numel():
            return None
        lifted = x.ndim == 3
        if lifted:
            x, weight = x[:, :, None], weight[:, :, None]
        keys = {"stride": stride, "padding": padding, "dilation": dilation}
        geometry = {
            key: ((0 if key == "padding" else 1), given[0]) if lifted else tuple(given)
            for key, given in keys.items()
        }
        output = self._network.convolution(name, x, weight, bias, groups=groups, **geometry)
        return output[:, :, 0] if lifted else output


def name_of(func: Any) -> str:
    """Return an operation's name, that of its form which writes to no operand."""
    name: str = func.overloadpacket.__name__
    return name.removesuffix("_")


def _is_strided(given: Any) -> bool:
    """Whether an operand is no sparse tensor."""
    return not isinstance(given, Tensor) or given.layout == torch.strided


def _is_product(first: Tensor, second: Tensor) -> bool:
    """Whether matrices of real numbers are multiplied, sums of more than one product."""
    real = first.is_floating_point() and second.is_floating_point()
    return real and first.shape[-1] > 1 and first.numel() > 0 and second.numel() > 0


def _summed(added: Tensor, product: Tensor | None, beta: Any, alpha: Any) -> Tensor | None:
    """Return beta * added + alpha * product; what is added counts for nothing where beta is 0."""
    if product is None:
        return None
    scaled = product if alpha == 1 else alpha * product
    return scaled if beta == 0 else scaled + (added if beta == 1 else beta * added)


class StrayProducts(OperationMode):
    """While active, notes every matrix product that is computed outside the network's sites.

    It sees PyTorch's basic operations, so it sees what fused functions do as well.
    """

    def __init__(self, network: Watched) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's own is untyped
        self._network = network
        self._modules = dict(network.model.named_modules())
        #: By module, in the order they first ran.
        self.tally = Tally()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute `func`, and note it if it is a stray product."""
        name = name_of(func)
        output = func(*args, **(kwargs or {}))
        stray = not self._network.inside_site and PRODUCTS.fullmatch(name)
        # What no input reaches is computed once, before any of them.
        if stray and self._network.constants.name_of_all((args, kwargs)) is None:
            self._note(name, product_macs(name, args, kwargs or {}, output))
        return output

    def _note(self, operation: str, macs: int | None) -> None:
        at = self._network.at
        reason = self._reason(operation, type(self._modules[at]).__name__)
        self.tally.add(at or "(the network itself)", reason, macs)

    def _reason(self, operation: str, module: str) -> str:
        what = next(
            (name for name, known in FAMILIES.items() if known.fullmatch(operation)), operation
        )
        left_out = what in ACTIVATIONS and not self._network.takes_products
        why = "not in a module that matmuls names" if left_out else "not a layer that is dumped"
        return f"{what} of {module} is {why}: computed in float, not in the trace"
