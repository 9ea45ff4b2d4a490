"""A small vision transformer (ViT) that reads the digits of `digits_network.py`, and its training.

`make_vit_trace.py` writes its trace.
"""

from __future__ import annotations

import torch
from digits_network import CLASSES, Digits, show_progress, train_epoch
from torch import Tensor, nn
from torch.nn import functional

PATCH = 4  # pixels a side: 16 patches of an image
TOKENS = 17  # the patches' and the class's
WIDTH = 48
HEADS = 4
HIDDEN = 96  # of the MLPs
DEPTH = 4
EPOCHS = 100
LEARNING_RATE = 2e-3


class Block(nn.Module):
    """Attention and an MLP, each after a layer norm and with a residual around it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.fc1 = nn.Linear(WIDTH, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 (batch, tokens, width) of the same."""
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))


class DigitsVit(nn.Module):
    """Patches become tokens; the class's token, after the last block, becomes logits."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.positions = nn.Parameter(torch.empty(1, TOKENS, WIDTH).normal_(std=0.02))
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits float32 (batch, 10) of images float32 (batch, 1, height, width)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        classes = self.class_token.expand(images.shape[0], -1, -1)
        x = torch.cat([classes, tokens], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


def train_vit(digits: Digits, seed: int = 0, epochs: int = EPOCHS) -> DigitsVit:
    """Return the trained network, in evaluation mode."""
    torch.manual_seed(seed)
    network = DigitsVit().train()
    steps = epochs * (len(digits.train_images) // 64)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=LEARNING_RATE, total_steps=steps
    )
    for epoch in range(epochs):
        loss = train_epoch(network, digits, optimizer, schedule)
        show_progress(f"epoch {epoch + 1}/{epochs}  loss {loss:.4f}")
    return network.eval()
