"""The shared data: where it is, pictures and weights."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

SHARED = Path(os.environ.get("SPARQSIM_SHARED", Path(__file__).parents[2].parent / "shared"))
NO_SHARED = f"shared data not found at {SHARED} (set SPARQSIM_SHARED)"
ROOT = SHARED / "data"
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def weights(path: str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file of the shared data, as float32."""
    return {name: tensor.float() for name, tensor in load_file(ROOT / path).items()}


def cifar10(first: int = 0, stop: int = 500) -> tuple[Tensor, Tensor]:
    """Return CIFAR-10 test pictures, float32 (n, 3, 32, 32) as the ResNets take them, and labels
    int64 (n,).
    """
    stored = np.load(ROOT / "cifar10" / "cifar10_test_0000_0499.npz")
    pixels = torch.from_numpy(stored["images"][first:stop]).float() / 255
    labels = torch.from_numpy(stored["labels"][first:stop]).long()
    return ((pixels - MEAN) / STD).permute(0, 3, 1, 2).contiguous(), labels


def imagenet_list() -> list[tuple[str, int]]:
    """Return (file name, class) of the ImageNet samples, in the order of the list."""
    with (ROOT / "imagenet_samples" / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [(row["file"], int(row["class_index_0_999"])) for row in csv.DictReader(file)]


def imagenet_pixels(name: str, side: int) -> Tensor:
    """Return the centre crop of one sample, float32 (side, side, 3), RGB 0..255."""
    from PIL import Image

    with Image.open(ROOT / "imagenet_samples" / name) as picture:
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        crop = picture.convert("RGB").crop((left, top, left + side, top + side))
        return torch.from_numpy(np.asarray(crop).copy()).float()


class ImagenetSamples:
    """Batches of the ImageNet samples, read from disk each time they are asked for.

    `style`: 'torch' (224, RGB, normalised) or 'caffe' (227, BGR, mean subtracted).
    """

    def __init__(self, style: str, batch: int = 10, stop: int = 200) -> None:
        self._style, self._batch, self._files = style, batch, imagenet_list()[:stop]

    def __iter__(self):
        for start in range(0, len(self._files), self._batch):
            part = self._files[start : start + self._batch]
            yield (
                torch.stack([self._picture(name) for name, _ in part]),
                torch.tensor([label for _, label in part]),
            )

    def _picture(self, name: str) -> Tensor:
        if self._style == "torch":
            return ((imagenet_pixels(name, 224) / 255 - MEAN) / STD).permute(2, 0, 1)
        return (imagenet_pixels(name, 227).flip(2) - torch.tensor([104.0, 117.0, 123.0])).permute(
            2, 0, 1
        )
