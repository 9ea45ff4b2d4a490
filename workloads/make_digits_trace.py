"""Train a small residual CNN on handwritten digits, quantise it to 8 bits and write its trace.

The digits are the ones bundled with scikit-learn, so nothing is downloaded. Run from a checkout:

    pip install -e .[torch]
    python workloads/make_digits_trace.py

Equal versions, seed and machine give equal bytes. It takes well under a minute on two cores. `--check` trains
nothing: it replays the network from the trace file alone and compares activations, logits and accuracies.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

import sparqsim

#: Computes the named layer (convolution or classifier, with its bias) on a batch.
Apply = Callable[[str, Tensor], Tensor]

SIDE = 16  # pixels: digits of 8x8 are scaled up, or the last stage would be 2x2
TEST_SHARE = 0.5  # a quarter is classified without an error, which leaves nothing to compare
SPLIT_SEED = 0
CALIBRATION_IMAGES = 512
BATCH = 64
FOLD_TOLERANCE = 1e-4  # of the largest logit: float32 rounding through 16 layers

LICENSE_NOTE = (
    "Images: 'Optical recognition of handwritten digits dataset' as bundled with scikit-learn "
    "(sklearn.datasets.load_digits), whose description says: 'This is a copy of the test set of the UCI ML "
    "hand-written digits datasets "
    "https://archive.ics.uci.edu/ml/datasets/Optical+Recognition+of+Handwritten+Digits'. "
    "It gives creator E. Alpaydin and date July 1998, and names no licence. "
    "Weights: trained by this script, under the licence of this project."
)


@dataclass(frozen=True)
class Block:
    """A residual block: two 3x3 convolutions, and a 1x1 one on the shortcut where the shape changes."""

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
    """Return the logits (batch, 10) of images (batch, 1, height, width), every layer computed by `apply`.

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
                layers[f"{block.name}.shortcut"] = conv_bn(block.inputs, block.outputs, 1, block.stride)
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
    """Images float32 (n, 1, 16, 16) in 0..1 and labels int64 (n,) of the training and the test split."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load_split() -> Digits:
    """Return the stratified split, the same in every run."""
    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(pixels, labels, test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=labels)
    train, test = (enlarge(part) for part in parts[:2])
    return Digits(train, torch.from_numpy(parts[2]), test, torch.from_numpy(parts[3]))


def enlarge(pixels: np.ndarray) -> Tensor:
    """Return digits float64 (n, 64) in 0..16 as images float32 (n, 1, 16, 16) in 0..1.

    Nothing is centred: a black pixel stays 0, so an unsigned 8-bit code with zero point 0 holds it exactly.
    """
    images = torch.from_numpy(pixels.reshape(-1, 1, 8, 8) / 16).float()
    return functional.interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False)


def train(digits: Digits, seed: int, epochs: int) -> Network:
    """Return the trained network, in evaluation mode."""
    torch.manual_seed(seed)
    network = Network().train()
    steps = epochs * (len(digits.train_images) // BATCH)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
    for epoch in range(epochs):
        loss = train_epoch(network, digits, optimizer, schedule)
        show_progress(f"epoch {epoch + 1}/{epochs}  loss {loss:.4f}")
    return network.eval()


def train_epoch(network: Network, digits: Digits, optimizer: torch.optim.Optimizer,
                schedule: torch.optim.lr_scheduler.LRScheduler) -> float:
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
    return functional.pad(images, (2, 2, 2, 2))[..., down:down + SIDE, right:right + SIDE]


def show_progress(text: str) -> None:
    """Show one line that replaces itself on a terminal; be silent in a pipe."""
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class FloatLayer:
    """A layer with batch normalisation folded in.

    `weight` is float32 (outputs, inputs, height, width), or (outputs, inputs) for the classifier; `bias` is
    float32 (outputs,). `stride` and `padding` are in pixels, the same on every axis and side.
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
    return contract(x, layer.weight, layer.stride, layer.padding) + per_channel(layer.bias, layer.weight)


def contract(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return the convolution, or the matrix product where the weights have two axes, without bias."""
    if weight.ndim == 2:
        return functional.linear(x, weight)
    return functional.conv2d(x, weight, stride=stride, padding=padding)


def per_channel(values: Tensor, weight: Tensor) -> Tensor:
    """Return `values` (outputs,) shaped to broadcast over the output of a layer with these weights."""
    return values.reshape((1, -1) + (1,) * (weight.ndim - 2))


@dataclass(frozen=True)
class IntegerLayer:
    """A layer at 8 bits.

    `weight` is int8, shaped as in `FloatLayer`; `weight_scales` is float64 (outputs,), real units per step;
    `activation_scale` is the same for the unsigned input. `bias` is float32, in real units.
    """

    weight: Tensor
    weight_scales: Tensor
    bias: Tensor
    activation_scale: float
    stride: int = 1
    padding: int = 0


def activation_scales(layers: Mapping[str, FloatLayer], images: Tensor) -> dict[str, float]:
    """Return each layer's input scale: the mean over images of the image's largest input, over 255."""
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
    """Return weights as int8, symmetric, and their scales, float64 (outputs,), one per output channel."""
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
    return IntegerLayer(weight, weight_scales, layer.bias, activation_scale, layer.stride, layer.padding)


def integer_output(layer: IntegerLayer, x: Tensor) -> Tensor:
    """Return a layer's output in real units, float64, from its input's integers, uint8."""
    # float64 holds these sums of integers exactly, and PyTorch convolves it faster than int64.
    sums = contract(x.double(), layer.weight.double(), layer.stride, layer.padding)
    scales = per_channel(layer.weight_scales * layer.activation_scale, layer.weight)
    return sums * scales + per_channel(layer.bias.double(), layer.weight)


def run_integer(layers: Mapping[str, IntegerLayer], images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the logits float32 (batch, 10) of the 8-bit network and each layer's input, uint8.

    Residual add, ReLU and average pooling work on real values; each consumer quantises its own input.
    """
    inputs: dict[str, Tensor] = {}

    def recorded(name: str, x: Tensor) -> Tensor:
        inputs[name] = quantise_activations(x, layers[name].activation_scale)
        return integer_output(layers[name], inputs[name])

    return run_network(recorded, images).float(), inputs


def trace_layer(name: str, layer: IntegerLayer, x: Tensor) -> sparqsim.Layer:
    """Return a layer of the trace, its input uint8 (batch, channels[, height, width])."""
    fields = {
        "activation_scale": layer.activation_scale,
        "weight_scales": layer.weight_scales.tolist(),
        "bias": layer.bias.numpy(),
        "keep_8bit": name in ("conv1", "fc"),
    }
    if layer.weight.ndim == 2:
        return sparqsim.Layer.linear(name, x.contiguous().numpy(), layer.weight.numpy(), **fields)
    outputs, inputs, height, width = layer.weight.shape
    weights = layer.weight.permute(0, 2, 3, 1).reshape(outputs, height * width, inputs)
    return sparqsim.Layer.conv2d(
        name, x.permute(0, 2, 3, 1).contiguous().numpy(), weights.contiguous().numpy(),
        kernel=(height, width), stride=(layer.stride,) * 2, padding=(layer.padding,) * 4, **fields)


def correct(logits: Tensor, labels: Tensor) -> int:
    """Return how many images are classified correctly."""
    return int((logits.argmax(dim=1) == labels).sum())


def accuracy_record(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return accuracy as counts and as a share."""
    count = correct(logits, labels)
    return {"correct": count, "total": len(labels), "share": count / len(labels)}


def architecture() -> str:
    """Return the architecture in one line."""
    blocks = ", ".join(f"{block.name} {block.inputs}->{block.outputs} stride {block.stride}"
                       for block in BLOCKS)
    return (f"{SIDE}x{SIDE}x1 input; conv1 3x3 1->{STEM_CHANNELS}; "
            f"residual blocks of two 3x3 convolutions: {blocks} "
            "(1x1 convolution on the shortcut where the shape changes); "
            "ReLU after conv1, between a block's convolutions and after its add; "
            f"global average pooling; fc {BLOCKS[-1].outputs}->{CLASSES}")


def provenance(digits: Digits, seed: int, epochs: int, logits_float: Tensor,
               logits_8bit: Tensor) -> dict[str, Any]:
    """Return what a reader needs to judge and to repeat the trace."""
    return {
        "accuracy_float": accuracy_record(logits_float, digits.test_labels),
        "accuracy_8bit": accuracy_record(logits_8bit, digits.test_labels),
        "architecture": architecture(),
        "batch_normalisation": "folded into weights and bias before quantisation",
        "calibration_images": f"the first {CALIBRATION_IMAGES} of the training split",
        "dataset": "sklearn.datasets.load_digits, pixels / 16, 8x8 scaled up to 16x16 (bilinear)",
        "epochs": epochs,
        "quantisation": "activations uint8, zero point 0, one scale per layer; weights int8 symmetric, one "
                        "scale per output channel, 2*max|w|/255; round half to even; bias, residual add and "
                        "pooling in float64",
        "seed": seed,
        "split": {"test_size": TEST_SHARE, "random_state": SPLIT_SEED, "stratified": True,
                  "train": len(digits.train_labels), "test": len(digits.test_labels)},
        "training": f"SGD with Nesterov momentum, one-cycle rate, batch {BATCH}, shifts of up to 2 pixels",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__,
                     "numpy": np.__version__, "scikit-learn": sklearn.__version__},
    }


def build_trace(digits: Digits, network: Network, seed: int, epochs: int, images: int) -> sparqsim.Trace:
    """Return the trace of the first `images` test images, both networks measured on the whole test split."""
    layers = fold(network)
    logits_float = run_float(layers, digits.test_images)
    expect_close(network(digits.test_images), logits_float)
    quantised = quantise(layers, digits.train_images[:CALIBRATION_IMAGES])
    logits_8bit, inputs = run_integer(quantised, digits.test_images)
    return sparqsim.Trace(
        [trace_layer(name, layer, inputs[name][:images]) for name, layer in quantised.items()],
        network="residual CNN of 15 convolutions and a classifier, handwritten digits 16x16",
        calibrator="mean-max",
        origin="workloads/make_digits_trace.py",
        license_note=LICENSE_NOTE,
        provenance=provenance(digits, seed, epochs, logits_float, logits_8bit),
        arrays={"labels": digits.test_labels.numpy(), "logits_float": logits_float.numpy(),
                "logits_8bit": logits_8bit.numpy(), "traced_images": np.arange(images, dtype=np.int64)})


def expect_close(unfolded: Tensor, folded: Tensor) -> None:
    """Stop if folding batch normalisation changed the logits by more than rounding."""
    worst = float((unfolded - folded).abs().max() / unfolded.abs().max())
    if worst > FOLD_TOLERANCE:
        raise SystemExit(f"folding batch normalisation moved a logit by {worst:.2e} of the largest, "
                         f"expected at most {FOLD_TOLERANCE:.0e}")


def replay(trace: sparqsim.Trace) -> list[str]:
    """Run the network on a trace's lowered operands alone; return a line per layer that differs."""
    layers = {layer.name: layer for layer in trace.layers}
    differing: list[str] = []

    def lowered_output(name: str, x: Tensor) -> Tensor:
        layer = layers[name]
        found = quantise_activations(x, layer.record.activation_scale)
        stored = torch.from_numpy(np.array(layer.activations))
        stored = stored[0] if found.ndim == 2 else stored.permute(0, 3, 1, 2)
        if not torch.equal(found, stored):
            differing.append(f"{name}: {int((found != stored).sum())} activations differ")
        return product_output(layer)

    first = trace.layers[0]
    images = torch.from_numpy(np.array(first.activations)).permute(0, 3, 1, 2).double()
    logits = run_network(lowered_output, images * first.record.activation_scale).float().numpy()
    expected = trace.arrays["logits_8bit"][trace.arrays["traced_images"]]
    if not np.array_equal(logits, expected):
        differing.append(f"logits differ by up to {np.abs(logits - expected).max():.2e}")
    return differing


def product_output(layer: sparqsim.Layer) -> Tensor:
    """Return a layer's output in real units, float64, channels first, from the product it is lowered to."""
    lowered = layer.lower()
    sums = lowered.rows()[0].astype(np.int64) @ lowered.weights[0].astype(np.int64)
    # The same operations in the same order as `integer_output`, so that the last bit agrees too.
    scales = np.array(layer.record.weight_scales) * layer.record.activation_scale
    real = torch.from_numpy((sums * scales + np.float64(layer.bias)).reshape(layer.output_shape))
    return real if real.ndim == 2 else real.permute(0, 3, 1, 2)


def check(path: Path) -> int:
    """Recompute what a trace file says of itself; return 0 if it holds, 1 if not."""
    trace = sparqsim.load_trace(path)
    differing = replay(trace)
    labels = torch.from_numpy(np.array(trace.arrays["labels"]))
    for kind in ("float", "8bit"):
        logits = torch.from_numpy(np.array(trace.arrays[f"logits_{kind}"]))
        if accuracy_record(logits, labels) != trace.metadata.provenance[f"accuracy_{kind}"]:
            differing.append(f"accuracy_{kind} is {accuracy_record(logits, labels)}")
    print("\n".join(differing or [f"{path}: replayed {len(trace.layers)} layers, all numbers agree"]))
    return 1 if differing else 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description="Train, quantise and trace a small residual CNN on digits.")
    beside = Path(__file__).with_name("digits_resnet.safetensors")
    parser.add_argument("--out", type=Path, default=beside, help="trace file (default: beside this script)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and shifts (default: 0)")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training split (default: 60)")
    parser.add_argument("--images", type=int, default=8, help="test images in the trace (default: 8)")
    parser.add_argument("--check", action="store_true", help="replay the file at --out instead of making it")
    options = parser.parse_args(arguments)
    if options.epochs < 1 or options.images < 1:
        parser.error("--epochs and --images must be at least 1")
    return options


def make(options: argparse.Namespace) -> int:
    """Train, quantise and write the trace file."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)  # the order of float sums depends on it
    digits = load_split()
    if options.images > len(digits.test_labels):
        raise sparqsim.InputError(f"--images is {options.images}, expected at most {len(digits.test_labels)}")
    network = train(digits, options.seed, options.epochs)
    with torch.no_grad():
        trace = build_trace(digits, network, options.seed, options.epochs, options.images)
    trace.save(options.out)
    for kind in ("float", "8bit"):
        print(f"accuracy_{kind}: {trace.metadata.provenance[f'accuracy_{kind}']}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Make the trace, or check it; return the exit code."""
    options = parse_arguments(arguments)
    try:
        return check(options.out) if options.check else make(options)
    except sparqsim.InputError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
