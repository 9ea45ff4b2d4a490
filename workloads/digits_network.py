"""A small residual CNN that reads handwritten digits: its training, and its form at 8 bits.

`make_digits_trace.py` writes its trace. The images are the ones bundled with scikit-learn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

#: Computes the named layer (convolution or classifier, with its bias) on a batch.
Apply = Callable[[str, Tensor], Tensor]

SIDE = 16  # pixels: digits of 8x8 are scaled up, or the last stage would be 2x2
TEST_SHARE = 0.5  # a quarter is classified without an error, which leaves nothing to compare
SPLIT_SEED = 0
BATCH = 64


@dataclass(frozen=True)
class Block:
    """A residual block: two 3x3 convolutions, and a 1x1 one on the shortcut where the shape
    changes.
    """

    name: str
    inputs: int
    outputs: int
    stride: int

    @property
    def reshapes(self) -> bool:
        """Whether the shortcut needs a convolution."""
        return self.stride != 1 or self.inputs != self.outputs


STEM_CHANNELS = 16
BLOCKS = (
    Block("layer1.0", 16, 16, 1),
    Block("layer1.1", 16, 16, 1),
    Block("layer2.0", 16, 32, 2),
    Block("layer2.1", 32, 32, 1),
    Block("layer3.0", 32, 64, 2),
    Block("layer3.1", 64, 64, 1),
)
CLASSES = 10


def run_network(apply: Apply, images: Tensor) -> Tensor:
    """Return the logits (batch, 10) of images (batch, 1, height, width), every layer computed by
    `apply`.

    The topology stands here once, for the float, the folded and the 8-bit network alike.
    """
    x = torch.relu(apply("conv1", images))
    for block in BLOCKS:
        y = torch.relu(apply(f"{block.name}.conv1", x))
        y = apply(f"{block.name}.conv2", y)
        shortcut = apply(f"{block.name}.shortcut", x) if block.reshapes else x
        x = torch.relu(y + shortcut)
    return apply("fc", x.mean(dim=(2, 3)))


class Network(nn.Module):
    """The network as it is trained: every convolution followed by batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        layers = {"conv1": conv_bn(1, STEM_CHANNELS, 3, 1)}
        for block in BLOCKS:
            layers[f"{block.name}.conv1"] = conv_bn(block.inputs, block.outputs, 3, block.stride)
            layers[f"{block.name}.conv2"] = conv_bn(block.outputs, block.outputs, 3, 1)
            if block.reshapes:
                layers[f"{block.name}.shortcut"] = conv_bn(
                    block.inputs, block.outputs, 1, block.stride
                )
        layers["fc"] = nn.Linear(BLOCKS[-1].outputs, CLASSES)
        self.names = tuple(layers)
        self.layers = nn.ModuleList(layers.values())  # a ModuleDict refuses dots in names

    def layer(self, name: str) -> nn.Module:
        """Return the module of the named layer."""
        return self.layers[self.names.index(name)]

    def forward(self, images: Tensor) -> Tensor:
        """Return logits float32 (batch, 10) of images float32 (batch, 1, height, width)."""
        return run_network(lambda name, x: self.layer(name)(x), images)


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    """Return a convolution without bias and the batch normalisation after it."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


@dataclass(frozen=True)
class Digits:
    """Images float32 (n, 1, 16, 16) in 0..1 and labels int64 (n,) of the training and the test
    split.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load_split() -> Digits:
    """Return the stratified split, the same in every run."""
    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(
        pixels, labels, test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=labels
    )
    train, test = (enlarge(part) for part in parts[:2])
    return Digits(train, torch.from_numpy(parts[2]), test, torch.from_numpy(parts[3]))


def enlarge(pixels: np.ndarray) -> Tensor:
    """Return digits float64 (n, 64) in 0..16 as images float32 (n, 1, 16, 16) in 0..1.

    Nothing is centred: a black pixel stays 0, so an unsigned 8-bit code with zero point 0 holds it
    exactly.
    """
    images = torch.from_numpy(pixels.reshape(-1, 1, 8, 8) / 16).float()
    return functional.interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False)


def train(digits: Digits, seed: int, epochs: int) -> Network:
    """Return the trained network, in evaluation mode."""
    torch.manual_seed(seed)
    network = Network().train()
    steps = epochs * (len(digits.train_images) // BATCH)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
    for epoch in range(epochs):
        loss = train_epoch(network, digits, optimizer, schedule)
        show_progress(f"epoch {epoch + 1}/{epochs}  loss {loss:.4f}")
    return network.eval()


def train_epoch(
    network: Network,
    digits: Digits,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float:
    """Take one pass over the training split in random order; return the mean loss."""
    order = torch.randperm(len(digits.train_images))
    losses = []
    # The last, incomplete batch is left out: batch statistics of a few images are poor.
    for batch in order.split(BATCH)[: len(order) // BATCH]:
        logits = network(shifted(digits.train_images[batch]))
        loss = functional.cross_entropy(logits, digits.train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def shifted(images: Tensor) -> Tensor:
    """Return the batch moved by up to 2 pixels each way, black coming in at the edge."""
    down, right = (int(offset) for offset in torch.randint(0, 5, (2,)))
    return functional.pad(images, (2, 2, 2, 2))[..., down : down + SIDE, right : right + SIDE]


def show_progress(text: str) -> None:
    """Show one line that replaces itself on a terminal; be silent in a pipe."""
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class FloatLayer:
    """A layer with batch normalisation folded in.

    `weight` is float32 (outputs, inputs, height, width), or (outputs, inputs) for the classifier;
    `bias` is float32 (outputs,). `stride` and `padding` are in pixels, the same on every axis and
    side.
    """

    weight: Tensor
    bias: Tensor
    stride: int = 1
    padding: int = 0


def fold(network: Network) -> dict[str, FloatLayer]:
    """Return the layers of a trained network, batch normalisation folded into weights and bias."""
    return {name: fold_layer(network.layer(name)) for name in network.names}


def fold_layer(module: nn.Module) -> FloatLayer:
    """Return one module as a plain layer."""
    if isinstance(module, nn.Linear):
        return FloatLayer(module.weight.detach(), module.bias.detach())
    conv, norm = module
    # In float64, so that the only rounding is the one back to float32.
    gain = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = conv.weight.detach().double() * gain[:, None, None, None]
    bias = norm.bias.detach().double() - norm.running_mean.double() * gain
    return FloatLayer(weight.float(), bias.float(), conv.stride[0], conv.padding[0])


def run_float(layers: Mapping[str, FloatLayer], images: Tensor) -> Tensor:
    """Return the logits float32 (batch, 10) of the folded network."""
    return run_network(lambda name, x: float_output(layers[name], x), images)


def float_output(layer: FloatLayer, x: Tensor) -> Tensor:
    """Return a folded layer's output, float32."""
    return contract(x, layer.weight, layer.stride, layer.padding) + per_channel(
        layer.bias, layer.weight
    )


def contract(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return the convolution, or the matrix product where the weights have two axes, without
    bias.
    """
    if weight.ndim == 2:
        return functional.linear(x, weight)
    return functional.conv2d(x, weight, stride=stride, padding=padding)


def per_channel(values: Tensor, weight: Tensor) -> Tensor:
    """Return `values` (outputs,) shaped to broadcast over the output of a layer with these
    weights.
    """
    return values.reshape((1, -1) + (1,) * (weight.ndim - 2))


@dataclass(frozen=True)
class IntegerLayer:
    """A layer at 8 bits.

    `weight` is int8, shaped as in `FloatLayer`; `weight_scales` is float64 (outputs,), real units
    per step; `activation_scale` is the same for the unsigned input. `bias` is float32, in real
    units.
    """

    weight: Tensor
    weight_scales: Tensor
    bias: Tensor
    activation_scale: float
    stride: int = 1
    padding: int = 0


def activation_scales(layers: Mapping[str, FloatLayer], images: Tensor) -> dict[str, float]:
    """Return each layer's input scale: the mean over images of the image's largest input, over
    255.
    """
    scales: dict[str, float] = {}

    def measured(name: str, x: Tensor) -> Tensor:
        scales[name] = x.flatten(1).amax(dim=1).double().mean().item() / 255
        return float_output(layers[name], x)

    run_network(measured, images)
    return scales


def quantise_activations(x: Tensor, scale: float) -> Tensor:
    """Return x >= 0 as uint8: rounded half to even, clamped to 0..255."""
    return torch.round(x.double() / scale).clamp(0, 255).to(torch.uint8)


def quantise_weights(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights as int8, symmetric, and their scales, float64 (outputs,), one per output
    channel.
    """
    largest = weight.double().flatten(1).abs().amax(dim=1)
    # A channel of zeros would have scale 0; any positive scale represents it exactly.
    scales = torch.where(largest > 0, 2 * largest / (2**8 - 1), torch.ones_like(largest))
    steps = torch.round(weight.double() / scales.reshape((-1,) + (1,) * (weight.ndim - 1)))
    return steps.clamp(-128, 127).to(torch.int8), scales


def quantise(layers: Mapping[str, FloatLayer], calibration: Tensor) -> dict[str, IntegerLayer]:
    """Return the 8-bit network, its activation scales taken from calibration images."""
    scales = activation_scales(layers, calibration)
    return {name: quantise_layer(layer, scales[name]) for name, layer in layers.items()}


def quantise_layer(layer: FloatLayer, activation_scale: float) -> IntegerLayer:
    """Return a layer at 8 bits."""
    weight, weight_scales = quantise_weights(layer.weight)
    return IntegerLayer(
        weight, weight_scales, layer.bias, activation_scale, layer.stride, layer.padding
    )


def integer_output(layer: IntegerLayer, x: Tensor) -> Tensor:
    """Return a layer's output in real units, float64, from its input's integers, uint8."""
    # float64 holds these sums of integers exactly, and PyTorch convolves it faster than int64.
    sums = contract(x.double(), layer.weight.double(), layer.stride, layer.padding)
    scales = per_channel(layer.weight_scales * layer.activation_scale, layer.weight)
    return sums * scales + per_channel(layer.bias.double(), layer.weight)


def run_integer(
    layers: Mapping[str, IntegerLayer], images: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the logits float32 (batch, 10) of the 8-bit network and each layer's input, uint8.

    Residual add, ReLU and average pooling work on real values; each consumer quantises its own
    input.
    """
    inputs: dict[str, Tensor] = {}

    def recorded(name: str, x: Tensor) -> Tensor:
        inputs[name] = quantise_activations(x, layers[name].activation_scale)
        return integer_output(layers[name], inputs[name])

    return run_network(recorded, images).float(), inputs
