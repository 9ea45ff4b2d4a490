"""Networks with the structure of well-known ones, small in width and depth, with random weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head self-attention of (batch, tokens, width), masked where `mask` is False."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x, mask=None):
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=2)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Encoder(nn.Module):
    """One transformer block; `first`: norms before their function (ViT), else after (BERT)."""

    def __init__(self, width: int, heads: int, *, first: bool) -> None:
        super().__init__()
        self.first, self.attention = first, Attention(width, heads)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask=None):
        if self.first:
            x = x + self.attention(self.norm1(x), mask)
            return x + self.down(functional.gelu(self.up(self.norm2(x))))
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.down(functional.gelu(self.up(x))))


class VisionTransformer(nn.Module):
    """ViT: patches of 8 x 8, a class token, positions, 12 blocks; width 64 instead of 768."""

    def __init__(self, width: int = 64, blocks: int = 12) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 17, width))
        self.blocks = nn.ModuleList(Encoder(width, 4, first=True) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Bert(nn.Module):
    """BERT: token, type and position embeddings, 12 blocks, a pooler; width 96 instead of 768.

    Takes its inputs by name and returns a mapping, as Hugging Face's networks do.
    """

    def __init__(self, width: int = 96, blocks: int = 12) -> None:
        super().__init__()
        self.words, self.types = nn.Embedding(200, width), nn.Embedding(2, width)
        self.positions, self.norm = nn.Embedding(32, width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Encoder(width, 12, first=False) for _ in range(blocks))
        self.pooler, self.classifier = nn.Linear(width, width), nn.Linear(width, 5)

    def forward(self, input_ids, attention_mask, token_type_ids):
        x = self.words(input_ids) + self.types(token_type_ids)
        x = self.norm(x + self.positions.weight[: input_ids.shape[1]])
        mask = attention_mask[:, None, None, :].bool()
        for block in self.blocks:
            x = block(x, mask)
        pooled = torch.tanh(self.pooler(x[:, 0]))
        return {"logits": self.classifier(pooled), "pooled": pooled, "last": x}


class NormAct(nn.BatchNorm2d):
    """A batch norm with its activation inside."""

    def forward(self, input):  # noqa: A002 - the name of the method it overrides
        return functional.hardswish(super().forward(input))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = (
            nn.Conv2d(channels, channels // 4, 1),
            nn.Conv2d(channels // 4, channels, 1),
        )

    def forward(self, x):
        gate = self.expand(functional.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * functional.hardsigmoid(gate)


class Bottleneck(nn.Module):
    """Inverted residual: expand, depthwise, squeeze-excite, project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, *, norm) -> None:
        super().__init__()
        wide = 4 * inputs
        self.expand, self.norm1 = nn.Conv2d(inputs, wide, 1, bias=False), norm(wide)
        self.depth = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False)
        self.norm2, self.gate = norm(wide), SqueezeExcite(wide)
        self.project, self.norm3 = nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.norm2(self.depth(self.norm1(self.expand(x))))
        y = self.norm3(self.project(self.gate(y)))
        return x + y if self.residual else y


def plain_norm_act(channels: int) -> nn.Module:
    """A batch norm with a hardswish behind it, as two modules."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.Hardswish())


class MobileNetV3(nn.Module):
    """Five bottlenecks, kernels of 3 and 5; activations inside their norms, or behind them."""

    def __init__(self, norm=NormAct) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, 16, 3, 2, 1, bias=False), norm(16)
        shapes = ((16, 16, 3, 1), (16, 24, 3, 2), (24, 24, 5, 1), (24, 40, 5, 2), (40, 40, 5, 1))
        self.blocks = nn.Sequential(*(Bottleneck(*shape, norm=norm) for shape in shapes))
        self.last, self.fc = nn.Linear(40, 64), nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(self.stem_norm(self.stem(x)))
        return self.fc(functional.hardswish(self.last(x.mean((2, 3)))))


class ConvNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return functional.silu(self.norm(self.conv(x)))


class CrossStage(nn.Module):
    """Two branches, one of them with residuals, concatenated."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.left, self.right = ConvNorm(inputs, half), ConvNorm(inputs, half)
        self.inner1, self.inner2 = ConvNorm(half, half), ConvNorm(half, half, 3)
        self.merge = ConvNorm(outputs, outputs)

    def forward(self, x):
        y = self.left(x)
        y = y + self.inner2(self.inner1(y))
        return self.merge(torch.cat([y, self.right(x)], dim=1))


class Yolo(nn.Module):
    """A backbone, a neck that joins two resolutions, and a head for each: two feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down1 = ConvNorm(3, 16, 3, 2), ConvNorm(16, 32, 3, 2)
        self.stage1, self.down2 = CrossStage(32, 32), ConvNorm(32, 64, 3, 2)
        self.stage2, self.lateral = CrossStage(64, 64), ConvNorm(64, 32)
        self.neck = CrossStage(64, 32)
        self.head1, self.head2 = nn.Conv2d(32, 21, 1), nn.Conv2d(64, 21, 1)

    def forward(self, x):
        fine = self.stage1(self.down1(self.stem(x)))
        coarse = self.stage2(self.down2(fine))
        up = functional.interpolate(self.lateral(coarse), scale_factor=2.0, mode="nearest")
        joined = self.neck(torch.cat([up, fine], dim=1))
        return [self.head1(joined), self.head2(coarse)]


def settled(make, seed: int = 0):
    """Return a network in evaluation mode with random weights and norms that have statistics."""
    torch.manual_seed(seed)
    model = make().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.3, 1.5)
    return model


def pictures(count: int = 4, side: int = 32, seed: int = 1):
    """Return one batch of random pictures."""
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def sentences(count: int = 4, tokens: int = 16, seed: int = 1):
    """Return one batch of random token numbers, the last ones of each row masked."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.arange(tokens - count, tokens)[:, None]
    return {
        "input_ids": torch.randint(0, 200, (count, tokens), generator=random),
        "attention_mask": (torch.arange(tokens)[None] < lengths).long(),
        "token_type_ids": torch.zeros(count, tokens, dtype=torch.long),
        "labels": torch.randint(0, 5, (count,), generator=random),
    }
