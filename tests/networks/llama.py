"""The language model of the shared data (Llama 2 architecture, 260 thousand parameters) and its
tokenizer.
"""

from __future__ import annotations

import struct

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.shared import ROOT

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCABULARY = 64, 172, 5, 8, 4, 512
HEAD = DIM // HEADS
BOS = 1


class RMSNorm(nn.Module):
    """x / rms(x) * weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(DIM))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def rotated(x: Tensor) -> Tensor:
    """Apply rotary positions to adjacent pairs of (batch, heads, tokens, head)."""
    frequency = 1.0 / 10000 ** (torch.arange(0, HEAD, 2).float() / HEAD)
    angle = torch.arange(x.shape[2]).float()[:, None] * frequency
    real, imaginary = x[..., ::2], x[..., 1::2]
    turned = (
        real * angle.cos() - imaginary * angle.sin(),
        real * angle.sin() + imaginary * angle.cos(),
    )
    return torch.stack(turned, dim=-1).flatten(-2)


class Attention(nn.Module):
    """Grouped-query attention; `fused`: through scaled_dot_product_attention."""

    def __init__(self, fused: bool = False) -> None:
        super().__init__()
        self.wq, self.wo = nn.Linear(DIM, DIM, bias=False), nn.Linear(DIM, DIM, bias=False)
        self.wk, self.wv = (
            nn.Linear(DIM, KV_HEADS * HEAD, bias=False),
            nn.Linear(DIM, KV_HEADS * HEAD, bias=False),
        )
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        split = [
            y.view(batch, tokens, -1, HEAD).transpose(1, 2)
            for y in (self.wq(x), self.wk(x), self.wv(x))
        ]
        q, k, v = rotated(split[0]), rotated(split[1]), split[2]
        k, v = (y.repeat_interleave(HEADS // KV_HEADS, dim=1) for y in (k, v))
        if self.fused:
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(2, 3) / HEAD**0.5
            future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
            y = torch.matmul(scores.masked_fill(future, -torch.inf).softmax(-1), v)
        return self.wo(y.transpose(1, 2).reshape(batch, tokens, DIM))


class FeedForward(nn.Module):
    """w2(silu(w1 x) * w3 x)."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w3 = nn.Linear(DIM, HIDDEN, bias=False), nn.Linear(DIM, HIDDEN, bias=False)
        self.w2 = nn.Linear(HIDDEN, DIM, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(functional.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    """Attention and feed-forward, each after a norm and added to its input."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.attention_norm, self.ffn_norm = RMSNorm(), RMSNorm()
        self.attention, self.feed_forward = Attention(fused), FeedForward()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class Llama(nn.Module):
    """Logits (batch, tokens, vocabulary) of token numbers (batch, tokens)."""

    def __init__(self, fused: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, DIM)
        self.layers = nn.ModuleList(Block(fused) for _ in range(LAYERS))
        self.norm, self.output = RMSNorm(), nn.Linear(DIM, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.output(self.norm(x))


def stories260k(fused: bool = False) -> Llama:
    """Return the model with the shared weights."""
    data = (ROOT / "llm_stories260K" / "stories260K.bin").read_bytes()
    assert struct.unpack("7i", data[:28]) == (DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCABULARY, 512)
    values, at = torch.from_numpy(np.frombuffer(data, "<f4", offset=28).copy()), 0

    def take(*shape: int) -> Tensor:
        nonlocal at
        at += int(np.prod(shape))
        return values[at - int(np.prod(shape)) : at].reshape(shape)

    model = Llama(fused).eval()
    names = [
        ("attention_norm", DIM),
        ("attention.wq", DIM, DIM),
        ("attention.wk", 32, DIM),
        ("attention.wv", 32, DIM),
        ("attention.wo", DIM, DIM),
        ("ffn_norm", DIM),
        ("feed_forward.w1", HIDDEN, DIM),
        ("feed_forward.w2", DIM, HIDDEN),
        ("feed_forward.w3", HIDDEN, DIM),
    ]
    state = {"embedding.weight": take(VOCABULARY, DIM)}
    for name, *shape in names:
        for layer, weight in enumerate(take(LAYERS, *shape)):
            state[f"layers.{layer}.{name}.weight"] = weight
    state |= {"norm.weight": take(DIM), "output.weight": state["embedding.weight"]}
    model.load_state_dict(state)
    return model


def vocabulary() -> list[bytes]:
    """Return the text of every token."""
    data = (ROOT / "llm_stories260K" / "tok512.bin").read_bytes()
    found, at = [], 4
    while at < len(data):
        (size,) = struct.unpack_from("<i", data, at + 4)
        found.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return found


def story(model: nn.Module, tokens: int) -> Tensor:
    """Return what greedy decoding from BOS gives, int64 (1, tokens), BOS first."""
    found = torch.tensor([[BOS]])
    with torch.no_grad():
        while found.shape[1] < tokens:
            found = torch.cat([found, model(found)[:, -1:].argmax(-1)], dim=1)
    return found


def text(tokens: Tensor) -> str:
    """Return the text of token numbers."""
    words = vocabulary()
    return (
        b"".join(words[number] for number in tokens.flatten().tolist() if number != BOS)
        .decode()
        .strip()
    )
