"""Train a small residual CNN on handwritten digits, quantise it to 8 bits and write its trace.

The network, its training and its 8-bit form stand in `digits_network.py`; its digits are the ones
bundled with scikit-learn, so nothing is downloaded. Run from a checkout:

    pip install -e .[torch]
    python workloads/make_digits_trace.py

Equal versions, seed and machine give equal bytes. It takes well under a minute on two cores.
`--check` trains nothing: it replays the network from the trace file alone and compares activations,
logits and accuracies.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from digits_network import (
    BATCH,
    BLOCKS,
    CLASSES,
    SIDE,
    STEM_CHANNELS,
    Digits,
    IntegerLayer,
    Network,
    fold,
    load_split,
    quantise,
    quantise_activations,
    run_float,
    run_integer,
    run_network,
    train,
)
from digits_trace import (
    CALIBRATION_IMAGES,
    LICENSE_NOTE,
    provenance,
    report_differences,
    save,
)
from torch import Tensor

import sparqsim
from sparqsim.trace.coverage import Coverage

QUANTISATION = (
    "activations uint8, zero point 0, one scale per layer; weights int8 symmetric, one scale per "
    "output channel, 2*max|w|/255; round half to even; bias, residual add and pooling in float64"
)
TRAINING = f"SGD with Nesterov momentum, one-cycle rate, batch {BATCH}, shifts of up to 2 pixels"
FOLD_TOLERANCE = 1e-4  # of the largest logit: float32 rounding through 16 layers


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
        name,
        x.permute(0, 2, 3, 1).contiguous().numpy(),
        weights.contiguous().numpy(),
        kernel=(height, width),
        stride=(layer.stride,) * 2,
        padding=(layer.padding,) * 4,
        **fields,
    )


def architecture() -> str:
    """Return the architecture in one line."""
    blocks = ", ".join(
        f"{block.name} {block.inputs}->{block.outputs} stride {block.stride}" for block in BLOCKS
    )
    return (
        f"{SIDE}x{SIDE}x1 input; conv1 3x3 1->{STEM_CHANNELS}; "
        f"residual blocks of two 3x3 convolutions: {blocks} "
        "(1x1 convolution on the shortcut where the shape changes); "
        "ReLU after conv1, between a block's convolutions and after its add; "
        f"global average pooling; fc {BLOCKS[-1].outputs}->{CLASSES}"
    )


def build_trace(
    digits: Digits, network: Network, seed: int, epochs: int, images: int
) -> sparqsim.Trace:
    """Return the trace of the first `images` test images, both networks measured on the whole test
    split.
    """
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
        provenance={
            **provenance(digits, seed, epochs, logits_float, logits_8bit),
            **Coverage(inputs=images).entry(),
            "architecture": architecture(),
            "batch_normalisation": "folded into weights and bias before quantisation",
            "quantisation": QUANTISATION,
            "training": TRAINING,
            "threads": torch.get_num_threads(),
        },
        arrays={
            "labels": digits.test_labels.numpy(),
            "logits_float": logits_float.numpy(),
            "logits_8bit": logits_8bit.numpy(),
            "traced_images": np.arange(images, dtype=np.int64),
        },
    )


def expect_close(unfolded: Tensor, folded: Tensor) -> None:
    """Stop if folding batch normalisation changed the logits by more than rounding."""
    worst = float((unfolded - folded).abs().max() / unfolded.abs().max())
    if worst > FOLD_TOLERANCE:
        raise SystemExit(
            f"folding batch normalisation moved a logit by {worst:.2e} of the largest, "
            f"expected at most {FOLD_TOLERANCE:.0e}"
        )


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
    """Return a layer's output in real units, float64, channels first, from the product it is
    lowered to.
    """
    lowered = layer.lower()
    sums = lowered.rows()[0].astype(np.int64) @ lowered.weights[0].astype(np.int64)
    # The same operations in the same order as `integer_output`, so that the last bit agrees too.
    scales = np.array(layer.record.weight_scales) * layer.record.activation_scale
    real = torch.from_numpy((sums * scales + np.float64(layer.bias)).reshape(layer.output_shape))
    return real if real.ndim == 2 else real.permute(0, 3, 1, 2)


def check(path: Path) -> int:
    """Recompute what a trace file says of itself; return 0 if it holds, 1 if not."""
    trace = sparqsim.load_trace(path)
    coverage = Coverage(inputs=len(trace.arrays["traced_images"]))
    return report_differences(trace, replay(trace), coverage)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        description="Train, quantise and trace a small residual CNN on digits."
    )
    beside = Path(__file__).with_name("digits_resnet.safetensors")
    parser.add_argument(
        "--out", type=Path, default=beside, help="trace file (default: beside this script)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of weights, order and shifts (default: 0)"
    )
    parser.add_argument(
        "--epochs", type=int, default=60, help="passes over the training split (default: 60)"
    )
    parser.add_argument(
        "--images", type=int, default=8, help="test images in the trace (default: 8)"
    )
    parser.add_argument(
        "--check", action="store_true", help="replay the file at --out instead of making it"
    )
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
        raise sparqsim.InputError(
            f"--images is {options.images}, expected at most {len(digits.test_labels)}"
        )
    network = train(digits, options.seed, options.epochs)
    with torch.no_grad():
        trace = build_trace(digits, network, options.seed, options.epochs, options.images)
    save(trace, options.out)
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
