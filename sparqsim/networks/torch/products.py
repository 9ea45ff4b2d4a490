"""Products outside Conv2d and Linear: those asked for become sites, all others are named."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from sparqsim.base.errors import InputError
from sparqsim.networks.torch.macs import product_macs
from sparqsim.trace.coverage import Tally

MATMULS = {torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__}
#: Functions that hold products which this module does not take apart.
OPAQUE = {
    torch.einsum: "einsum",
    functional.multi_head_attention_forward: "multi_head_attention_forward",
    torch.baddbmm: "baddbmm",
    torch.addbmm: "addbmm",
    torch.tensordot: "tensordot",
}
#: Names of PyTorch's basic operations that multiply matrices.
PRODUCTS = re.compile(
    r"_?conv.*|mkldnn_.*|_?scaled_dot_product_.*|_scaled_(dot_product|mm).*|_native_multi_head_attention|"
    r"_transformer_encoder.*|lstm.*|gru.*|rnn_.*|quantized_.*|_?(add)?(mm|bmm|mv)|_int_mm|baddbmm|dot|vdot|matmul|"
    r"linear|bilinear|_trilinear|einsum|tensordot|_?thnn_.*|slow_conv.*|_?weight_int.*"
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
    def at(self) -> str:
        """Name of the module that runs now."""

    @property
    def inside_site(self) -> bool:
        """Whether a site runs now."""

    @property
    def matmul_module(self) -> str | None:
        """The module that runs now, of those whose products are sites."""

    def product(self, module: str, a: Tensor, b: Tensor) -> Tensor:
        """Return the product of a site inside `module`."""


class ProductMode(TorchFunctionMode):
    """While active, products of two activations inside named modules go to the network."""

    def __init__(self, network: Watched) -> None:
        super().__init__()
        self._network = network

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute `func`, or hand its operands to the network."""
        module = None if self._network.inside_site else self._network.matmul_module
        if module is not None:
            if func in MATMULS and not kwargs:
                return self._network.product(module, *args)
            if func is functional.scaled_dot_product_attention:
                return self._attention(module, *args, **(kwargs or {}))
            if func in OPAQUE:
                raise InputError(
                    f"module {module!r}: {OPAQUE[func]} is not supported, expected torch.matmul, "
                    "@, torch.bmm or scaled_dot_product_attention in the modules that matmuls names"
                )
        return func(*args, **(kwargs or {}))

    def _attention(
        self,
        module: str,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """Compute scaled_dot_product_attention as two products, softmax in float between them."""
        del dropout_p  # evaluation mode: nothing is dropped
        if enable_gqa:
            repeats = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
        scores = self._network.product(module, query, key.transpose(-2, -1))
        scores = scores * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        if attn_mask is not None:
            scores = (
                scores.masked_fill(~attn_mask, -math.inf)
                if attn_mask.dtype == torch.bool
                else scores + attn_mask
            )
        return self._network.product(module, scores.softmax(-1), value)


class StrayProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's is untyped
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
        name = func.overloadpacket.__name__
        output = func(*args, **(kwargs or {}))
        if not self._network.inside_site and PRODUCTS.fullmatch(name):
            self._note(name, product_macs(func.overloadpacket, args, kwargs or {}, output))
        return output

    def _note(self, operation: str, macs: int | None) -> None:
        at = self._network.at
        reason = _reason(operation, self._modules[at])
        self.tally.add(at or "(the network itself)", reason, macs)


def _reason(operation: str, module: Any) -> str:
    what = next((name for name, known in FAMILIES.items() if known.fullmatch(operation)), operation)
    # MultiheadAttention keeps its products in one function, which cannot be taken apart.
    apart = what in ACTIVATIONS and not isinstance(module, nn.MultiheadAttention)
    hint = "; name the module in matmuls to include products of two activations" if apart else ""
    return (
        f"{what} of {type(module).__name__} is not a Conv2d or Linear module: "
        f"computed in float, not in the trace{hint}"
    )
