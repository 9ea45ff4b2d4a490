"""A small network with every kind of layer that can be dumped, and data for it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Small(nn.Module):
    """Odd channels, stride, groups, dilation, uneven kernels, a norm that stays, a residual, a
    classifier.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = (
            nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(6),
        )
        self.odd = nn.Conv2d(6, 5, (1, 3), padding="same")
        self.grouped, self.grouped_norm = nn.Conv2d(5, 8, 1), nn.BatchNorm2d(8)
        self.pairs = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.alone = nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, 8, (3, 2), stride=(1, 2), padding=(1, 0))
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = functional.relu(self.stem_norm(self.stem(x)))
        x = functional.relu(self.grouped_norm(self.grouped(functional.relu(self.odd(x)))))
        x = x + functional.relu(self.pairs(x))
        x = self.last(self.alone(x))  # signed: no ReLU between
        return self.fc(functional.relu(x).mean(dim=(2, 3)))


def small(seed: int = 0) -> Small:
    """Return the network with random weights and norms that do something."""
    torch.manual_seed(seed)
    model = Small().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(
                module.weight, -1.5, 1.5
            )  # a negative gain turns a channel's weights around
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model


def batches(count: int = 4, size: int = 3, side: int = 11, seed: int = 1):
    """Return batches of (pictures, labels)."""
    random = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(size, 3, side, side, generator=random),
            torch.randint(0, 10, (size,), generator=random),
        )
        for _ in range(count)
    ]
