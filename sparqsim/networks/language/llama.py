"""A plain PyTorch network of Llama's architecture: RMS norms, rotary positions, grouped-query
attention, SwiGLU.

    x = x + output(attention(rotated(query(norm x)), rotated(key(norm x)), value(norm x)))
    x = x + down(silu(gate(norm x)) * up(norm x))

Rotary positions turn adjacent pairs of a head, (2i, 2i + 1), by position * base^(-2i / head width),
as the files of GGUF and llama2.c have their weights laid out.

*Source*: Touvron et al., Llama (arXiv 2302.13971) and Llama 2 (arXiv 2307.09288) for what the
blocks compute; rotary positions: Su et al. (arXiv 2104.09864).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparqsim.base.errors import InputError


@dataclass(frozen=True)
class Sizes:
    """What a network of this architecture is made of.

    vocabulary: tokens there are. width: of the residual stream. hidden: of the feed-forward layers.
    heads, kv_heads: of queries, and of keys and values. rotary_base, norm_epsilon: constants of
    the rotary positions and of the norms. context: tokens of the longest sequence that it was made
    for, None where that is not known.

    Raises
    ------
    InputError
        For sizes that no such network has.
    """

    vocabulary: int
    width: int
    hidden: int
    blocks: int
    heads: int
    kv_heads: int
    rotary_base: float = 10_000.0
    norm_epsilon: float = 1e-5
    context: int | None = None

    def __post_init__(self) -> None:
        counts = ("vocabulary", "width", "hidden", "blocks", "heads", "kv_heads")
        known = counts if self.context is None else (*counts, "context")
        for name in known:
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}, expected at least 1")
        for name in ("rotary_base", "norm_epsilon"):
            if not 0 < getattr(self, name) < inf:
                raise InputError(f"{name}={getattr(self, name)}, expected a number above 0")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise InputError(
                f"width={self.width}, heads={self.heads}: expected heads of an even width"
            )
        if self.heads % self.kv_heads:
            raise InputError(
                f"heads={self.heads}, kv_heads={self.kv_heads}: expected a multiple of kv_heads"
            )

    @property
    def head(self) -> int:
        """The width of a head."""
        return self.width // self.heads


class RMSNorm(nn.Module):
    """x / rms(x) * weight, over the last axis."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(sizes.width))
        self.epsilon = sizes.norm_epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Return the norm of (..., width)."""
        mean_square = x.pow(2).mean(-1, keepdim=True)
        return x * torch.rsqrt(mean_square + self.epsilon) * self.weight


def rotated(x: Tensor, base: float) -> Tensor:
    """Return (batch, heads, tokens, head) turned by each token's position, from 0."""
    width = x.shape[-1]
    frequency = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    position = torch.arange(x.shape[2], dtype=torch.float64)
    angle = position[:, None] * frequency
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., ::2], x[..., 1::2]
    turned = (even * cosine - odd * sine, even * sine + odd * cosine)
    return torch.stack(turned, dim=-1).flatten(-2)


class Attention(nn.Module):
    """Causal attention in which several heads of queries share one of keys and values."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        shared = sizes.kv_heads * sizes.head
        self.query = nn.Linear(sizes.width, sizes.width, bias=False)
        self.key = nn.Linear(sizes.width, shared, bias=False)
        self.value = nn.Linear(sizes.width, shared, bias=False)
        self.output = nn.Linear(sizes.width, sizes.width, bias=False)
        self.sizes = sizes

    def forward(self, x: Tensor) -> Tensor:
        """Return attention's output of (batch, tokens, width)."""
        base = self.sizes.rotary_base
        query = rotated(self._heads(self.query(x)), base)
        key = rotated(self._heads(self.key(x)), base)
        value = self._heads(self.value(x))
        repeats = self.sizes.heads // self.sizes.kv_heads
        key, value = (part.repeat_interleave(repeats, dim=1) for part in (key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output

    def _heads(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        return x.reshape(batch, tokens, -1, self.sizes.head).transpose(1, 2)


class FeedForward(nn.Module):
    """down(silu(gate x) * up x)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.gate = nn.Linear(sizes.width, sizes.hidden, bias=False)
        self.up = nn.Linear(sizes.width, sizes.hidden, bias=False)
        self.down = nn.Linear(sizes.hidden, sizes.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of (batch, tokens, width)."""
        output: Tensor = self.down(functional.silu(self.gate(x)) * self.up(x))
        return output


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and added to its input."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention_norm, self.attention = RMSNorm(sizes), Attention(sizes)
        self.feed_forward_norm, self.feed_forward = RMSNorm(sizes), FeedForward(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Return what follows (batch, tokens, width)."""
        x = x + self.attention(self.attention_norm(x))
        after: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return after


class Llama(nn.Module):
    """Logits (batch, tokens, vocabulary) of token numbers (batch, tokens)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.width)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.blocks))
        self.norm = RMSNorm(sizes)
        self.head = nn.Linear(sizes.width, sizes.vocabulary, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return the logits of the token behind each. Raises InputError for what are no tokens."""
        check_tokens(input_ids, self.sizes)
        x = self.embedding(input_ids)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits

    def before(self, number: int, input_ids: Tensor) -> Tensor:
        """Return what a block takes of token numbers, (batch, tokens, width), in float.

        number: of the block, from 0.

        Raises
        ------
        InputError
            For a block that is not there, and for what are no tokens.
        """
        self._check_block(number)
        check_tokens(input_ids, self.sizes)
        with torch.no_grad():
            x: Tensor = self.embedding(input_ids)
            for block in list(self.blocks)[:number]:
                x = block(x)
        return x

    def alone(self, number: int) -> OneBlock:
        """Return one block as a network of its own, its layers named as in this one.

        Raises
        ------
        InputError
            For a block that is not there.
        """
        self._check_block(number)
        return OneBlock(self, number)

    def _check_block(self, number: int) -> None:
        if not 0 <= number < self.sizes.blocks:
            raise InputError(f"block {number}: expected 0 to {self.sizes.blocks - 1}")


def check_tokens(input_ids: Tensor, sizes: Sizes) -> None:
    """Raise InputError for what are no token numbers (batch, tokens) of a network."""
    if input_ids.dtype not in {torch.int64, torch.int32} or input_ids.ndim != 2:
        found = f"{str(input_ids.dtype).removeprefix('torch.')} {tuple(input_ids.shape)}"
        raise InputError(f"input_ids is {found}, expected int64 (batch, tokens)")
    longest = inf if sizes.context is None else sizes.context
    if not 1 <= input_ids.shape[1] <= longest:
        expected = "at least 1" if sizes.context is None else f"1 to {longest}, the longest"
        raise InputError(f"input_ids has {input_ids.shape[1]} tokens, expected {expected}")
    unknown = input_ids[(input_ids < 0) | (input_ids >= sizes.vocabulary)]
    if unknown.numel():
        raise InputError(
            f"input_ids has token {int(unknown[0])}, expected 0 to {sizes.vocabulary - 1}"
        )


class OneBlock(nn.Module):
    """One block of a network, (batch, tokens, width) to the same."""

    def __init__(self, model: Llama, number: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleDict({str(number): model.blocks[number]})

    def forward(self, x: Tensor) -> Tensor:
        """Return what the block makes of its input."""
        for block in self.blocks.values():
            x = block(x)
        return x


def empty(sizes: Sizes) -> Llama:
    """Return a network whose weights have no values and no memory yet, for `with_weights`."""
    with torch.device("meta"):
        return Llama(sizes)


def with_weights(model: Llama, weights: dict[str, Tensor], source: str) -> Llama:
    """Put weights in the place of a network's own; return it in evaluation mode.

    Parameters
    ----------
    model : Llama
    weights : dict
        By the names of `model.state_dict()`; `head.weight` may be missing where it is the
        embedding's.
    source : str
        Where they come from, for errors.

    Raises
    ------
    InputError
        For a tensor that is missing, has another shape, or has no place.
    """
    given = {"head.weight": weights.get("embedding.weight"), **weights}
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name, shape in wanted.items():
        tensor = given.get(name)
        if tensor is None:
            raise InputError(f"{source}: {name} is missing, expected {shape}")
        if tuple(tensor.shape) != shape:
            raise InputError(f"{source}: {name} has shape {tuple(tensor.shape)}, expected {shape}")
    for name in given:
        if name not in wanted:
            raise InputError(f"{source}: {name} has no place in this architecture")
    model.load_state_dict(given, assign=True)
    return model.requires_grad_(requires_grad=False).eval()
