"""Attention as two products, softmax in float between them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def attended(
    product: Callable[[Tensor, Tensor], Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Return what PyTorch's fused attention does, its two products computed by `product`.

    The rule is that of `torch.nn.functional.scaled_dot_product_attention`'s documentation; a query
    that sees no key gives zeros, as PyTorch's does.

    Parameters
    ----------
    product : callable
        Returns (..., M, K) x (..., K, N).
    query, key, value : Tensor
        (batch, heads, queries, head), (batch, heads, keys, head), (batch, heads, keys, width). Keys
        and values may have fewer heads, of which each then serves several of the queries'.
    dropout_p : float
        Ignored: networks run in evaluation mode.
    is_causal : bool
        Whether query i sees keys 0 to i only.
    attn_mask : Tensor, optional
        Broadcast over the scores: False hides where it is boolean, else it is added.
    scale : float, optional
        Of the scores; by default 1 / sqrt(head).

    Returns
    -------
    Tensor (batch, heads, queries, width)
        Laid out in memory with heads behind queries, as PyTorch's.
    """
    del dropout_p
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = (part.repeat_interleave(repeats, 1) for part in (key, value))
    scores = product(query, key.mT) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, -math.inf)
    if attn_mask is not None:
        hides = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if hides else scores + attn_mask
    sees_none = (scores == -math.inf).all(-1, keepdim=True)
    mixed = product(scores.softmax(-1).masked_fill(sees_none, 0), value)
    return mixed.transpose(1, 2).contiguous().transpose(1, 2)
