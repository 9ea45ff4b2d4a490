"""The networks of docs/recipes/, their pictures, and the recipes that are measured on them.

No picture both calibrates and is answered. `digits` and `vit` are trained anew, as
`make_digits_trace.py` and `make_vit_trace.py` do; other weights and pictures are the shared data's.
Needs the extra `torch`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from accuracy_tables import ROOT
from torch import Tensor, nn

from sparqsim.quantise.recipe import Recipe

if TYPE_CHECKING:
    from digits_network import Digits

sys.path.insert(0, str(ROOT / "tests"))  # networks are defined beside the tests that use them

Batch = tuple[Tensor, Tensor]

RECIPES: Mapping[str, Recipe] = {
    "a8w8": Recipe(),
    "a8w8-all": Recipe(keep_8bit="none"),
    "a4w8": Recipe(activations="mse:4"),
    "a4w4": Recipe(activations="mse:4", weights="nearest:4"),
    "a4w4-all": Recipe(activations="mse:4", weights="nearest:4", keep_8bit="none"),
    "adaround": Recipe(activations="mse:4", weights="adaround:4"),
    "lapq": Recipe(activations="mse:4", weights="lapq:4"),
    "multipoint": Recipe(activations="mse:4", weights="multipoint:4"),
    "olive": Recipe(activations="olive:4", weights="olive:4"),
}
#: Those that take long: minutes on millions of weights, or up to a thousand runs of a network.
LEARNED = ("adaround", "lapq")


@dataclass(frozen=True)
class Subject:
    """A network and its pictures.

    answered, calibration: batches of (pictures, labels), none in both. error_pictures: of the
    answered ones, the first. calibration_words, seeds: for the record. left_out: recipes that are
    not measured. weights_sha256: of a network that is trained anew, as float sums of another
    machine end in other weights.
    """

    name: str
    data: str
    model: nn.Module
    answered: list[Batch]
    calibration: list[Batch]
    error_pictures: int
    calibration_words: str
    seeds: str = "none, nothing is drawn"
    left_out: tuple[str, ...] = ()
    weights_sha256: str = ""

    @property
    def recipes(self) -> dict[str, Recipe]:
        """The recipes that are measured."""
        return {name: made for name, made in RECIPES.items() if name not in self.left_out}


def digits() -> Subject:
    """899 digits of the test split; the first 512 of the training split calibrate."""
    import digits_network

    split = digits_network.load_split()
    torch.set_num_threads(2)  # as where the shipped trace was made: float sums depend on it
    torch.use_deterministic_algorithms(mode=True)
    model = digits_network.train(split, seed=0, epochs=60)
    torch.set_num_threads(1)
    return _of_digits("residual CNN of the shipped trace", model, split)


def vit() -> Subject:
    """Pictures as in `digits`."""
    import digits_network
    import digits_vit

    split = digits_network.load_split()
    torch.use_deterministic_algorithms(mode=True)
    return _of_digits(
        "vision transformer of the shipped trace",
        digits_vit.train_vit(split),
        split,
        left_out=(*LEARNED, "multipoint", "olive"),
    )


def _of_digits(
    name: str, model: nn.Module, split: Digits, *, left_out: tuple[str, ...] = ()
) -> Subject:
    """Return all digits of the test split, and the first of the training split, which calibrate."""
    import make_digits_trace

    first = make_digits_trace.CALIBRATION_IMAGES
    return Subject(
        name,
        "handwritten digits, the test split",
        model,
        _batches(split.test_images, split.test_labels, 100),
        _batches(split.train_images[:first], split.train_labels[:first], 64),
        100,
        "the first of the training split",
        "0 for the network's training; otherwise nothing is drawn",
        left_out=left_out,
        weights_sha256=sha256_of(model),
    )


def sha256_of(model: nn.Module) -> str:
    """Return the SHA-256 of all weights and buffers, as they lie in memory, in their order."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def resnet20() -> Subject:
    """372 CIFAR-10 test pictures; 128 others calibrate."""
    from networks import convolutional, shared

    images, labels = shared.cifar10()
    return Subject(
        "ResNet-20",
        "CIFAR-10 test pictures (of the first 500)",
        convolutional.resnet20(),
        _batches(images[:372], labels[:372], 62),
        _batches(images[372:], labels[372:], 64),
        124,
        "the last of those 500",
    )


def resnet18() -> Subject:
    """ImageNet samples."""
    return _imagenet("resnet18", "torch", "ResNet-18", answered=60, left_out=LEARNED)


def squeezenet() -> Subject:
    """ImageNet samples."""
    return _imagenet("squeezenet", "caffe", "SqueezeNet 1.1", answered=100, left_out=("lapq",))


def _imagenet(
    make: str, style: str, name: str, *, answered: int, left_out: tuple[str, ...]
) -> Subject:
    """Return the first samples, which are answered, and the last 32, which calibrate."""
    from networks import convolutional, shared

    batches = list(shared.ImagenetSamples(style, 2))
    return Subject(
        name,
        "ImageNet samples, every fifth class (of 200)",
        getattr(convolutional, make)(),
        batches[: answered // 2],
        batches[-16:],
        20,
        "the last of those 200",
        left_out=left_out,
    )


def _batches(images: Tensor, labels: Tensor, size: int) -> list[Batch]:
    return list(zip(images.split(size), labels.split(size), strict=True))


def first_of(batches: Iterable[Batch], pictures: int) -> list[Batch]:
    """Return the first batches, up to so many pictures."""
    found: list[Batch] = []
    for batch in batches:
        if pictures_of(found) >= pictures:
            break
        found.append(batch)
    return found


def pictures_of(batches: Iterable[Batch]) -> int:
    """Return how many pictures batches have."""
    return sum(len(images) for images, _ in batches)


SUBJECTS: Mapping[str, Callable[[], Subject]] = {
    "digits": digits,
    "vit": vit,
    "resnet20": resnet20,
    "resnet18": resnet18,
    "squeezenet": squeezenet,
}
