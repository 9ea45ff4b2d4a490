"""Train a small vision transformer on handwritten digits, quantise it and write its trace.

The network and its training stand in `digits_vit.py`; quantised and traced it is as any PyTorch
network, by `sparqsim.torch`. Run from a checkout:

    pip install -e .[torch]
    python workloads/make_vit_trace.py

Equal versions, seed and machine give equal bytes; it takes about two minutes of one core. `--check`
trains nothing: it replays the network from the trace file alone, written out in numpy and a few
functions of PyTorch, and compares every layer's operands, the logits and the accuracies.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from digits_network import Digits, load_split
from digits_trace import (
    CALIBRATION_IMAGES,
    LICENSE_NOTE,
    provenance,
    report_differences,
    save,
)
from digits_vit import DEPTH, EPOCHS, HEADS, HIDDEN, LEARNING_RATE, WIDTH, DigitsVit, train_vit
from torch import Tensor, nn
from torch.nn import functional

import sparqsim
from sparqsim.networks.torch import QuantisedNetwork, evaluate
from sparqsim.networks.torch.dump import trace_of
from sparqsim.quantise.recipe import Recipe
from sparqsim.trace.coverage import Coverage

IMAGES = 8
ARCHITECTURE = (
    f"patches of 4x4 pixels, a class token, {DEPTH} blocks of width {WIDTH} with {HEADS} heads and "
    f"MLPs of {HIDDEN}, layer norms before each, GELU, a classifier"
)
TRAINING = f"AdamW, one-cycle rate up to {LEARNING_RATE}, shifts of up to 2 pixels"
#: What a trace keeps beside its layers, to be replayed: parameters that no array multiplies.
KEPT = ("norm", "class_token", "positions", "in_proj_bias")


def build_trace(digits: Digits, network: DigitsVit, seed: int, epochs: int) -> sparqsim.Trace:
    """Return the trace of the first test images, both networks measured on the whole split."""
    tests = list(zip(digits.test_images.split(100), digits.test_labels.split(100), strict=True))
    calibration = list(digits.train_images[:CALIBRATION_IMAGES].split(64))
    quantised = QuantisedNetwork(network, calibration, recipe=Recipe())
    in_float, in_8bit = (evaluate(quantised, tests, pe) for pe in (None, "mac-8b8b"))
    found = trace_of(quantised, [digits.test_images[:IMAGES]], IMAGES)
    return sparqsim.Trace(
        list(found.layers),
        network=f"vision transformer of {DEPTH} blocks, handwritten digits 16x16",
        calibrator=quantised.calibrator,
        origin="workloads/make_vit_trace.py",
        license_note=LICENSE_NOTE,
        provenance={
            **found.metadata.provenance,
            **provenance(digits, seed, epochs, in_float.logits, in_8bit.logits),
            "architecture": ARCHITECTURE,
            "training": TRAINING,
        },
        arrays={
            "labels": digits.test_labels.numpy(),
            "logits_float": in_float.logits.numpy(),
            "logits_8bit": in_8bit.logits.numpy(),
            "traced_images": np.arange(IMAGES, dtype=np.int64),
            **kept_parameters(network),
        },
    )


def kept_parameters(network: nn.Module) -> dict[str, np.ndarray]:
    """Return the parameters that a replay needs beside layers, float32, by name."""
    return {
        name: parameter.detach().numpy()
        for name, parameter in network.named_parameters()
        if any(part in name for part in KEPT)
    }


class Replay:
    """The network from its trace alone, layer by layer; each takes the operands that are stored.

    `differing`: of each tensor of codes, how many are not those found here, and of how many.
    """

    def __init__(self, trace: sparqsim.Trace) -> None:
        self._layers = {layer.name: layer for layer in trace.layers}
        self._arrays = {
            name: torch.from_numpy(np.array(each)) for name, each in trace.arrays.items()
        }
        self._count = len(trace.arrays["traced_images"])
        self.differing: dict[str, tuple[int, int]] = {}

    def logits(self) -> Tensor:
        """Return the logits float32 (images, 10) of the traced images."""
        tokens = self._patches().reshape(self._count, -1, WIDTH)
        classes = self._arrays["class_token"].expand(self._count, -1, -1)
        x = torch.cat([classes, tokens], dim=1) + self._arrays["positions"]
        for number in range(DEPTH):
            x = self._block(f"blocks.{number}", x)
        return self._linear("head", self._normed("norm", x[:, 0]))

    def _patches(self) -> Tensor:
        layer = self._layers["patches"]
        return torch.from_numpy(self._real(layer, self._sums(layer)[0]))

    def _block(self, name: str, x: Tensor) -> Tensor:
        x = x + self._attention(f"{name}.attention", self._normed(f"{name}.norm1", x))
        hidden = self._linear(f"{name}.fc1", self._normed(f"{name}.norm2", x))
        return x + self._linear(f"{name}.fc2", functional.gelu(hidden))

    def _attention(self, name: str, x: Tensor) -> Tensor:
        # PyTorch's attention runs tokens first, and adds the bias of the projection behind it.
        rows = self._linear(f"{name}.in_proj", x.transpose(0, 1))
        rows = rows + self._arrays[f"{name}.in_proj_bias"]
        q, k, v = (
            part.reshape(-1, self._count, HEADS, WIDTH // HEADS).permute(1, 2, 0, 3)
            for part in rows.chunk(3, dim=2)
        )
        scores = self._product(f"{name}.product1", q, k.mT) * (WIDTH // HEADS) ** -0.5
        mixed = self._product(f"{name}.product2", scores.softmax(-1), v)
        joined = mixed.permute(2, 0, 1, 3).reshape(-1, self._count, WIDTH)
        return self._linear(f"{name}.out_proj", joined).transpose(0, 1)

    def _normed(self, name: str, x: Tensor) -> Tensor:
        weight, bias = (self._arrays[f"{name}.{part}"] for part in ("weight", "bias"))
        return functional.layer_norm(x, (WIDTH,), weight, bias)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        layer = self._layers[name]
        scale = layer.record.activation_scale
        self._expect(
            f"{name}: activations", x.reshape(-1, x.shape[-1])[None], scale, layer.activations
        )
        real = self._real(layer, self._sums(layer)[0])
        return torch.from_numpy(real).reshape(*x.shape[:-1], -1)

    def _product(self, name: str, left: Tensor, right: Tensor) -> Tensor:
        layer = self._layers[name]
        record = layer.record
        self._expect(
            f"{name}: first", left.flatten(0, 1), record.activation_scale, layer.activations
        )
        columns = right.mT.flatten(0, 2)[:, None]
        self._expect(f"{name}: second", columns, record.weight_scales[0], layer.weights)
        unit = record.activation_scale * record.weight_scales[0]
        real = (self._sums(layer) * unit).astype(np.float32)
        return torch.from_numpy(real).unflatten(0, (self._count, HEADS))

    def _expect(self, what: str, values: Tensor, scale: float, stored: np.ndarray) -> None:
        """Count the real values that, in steps of `scale`, are other codes than those stored."""
        lowest, highest = (-127, 127) if stored.dtype == np.int8 else (0, 255)
        steps = np.rint(values.numpy() / np.float32(scale))
        found = np.clip(steps, lowest, highest).astype(stored.dtype)
        self.differing[what] = int(np.sum(found != stored)), found.size

    def _sums(self, layer: sparqsim.Layer) -> np.ndarray:
        """Return the integer sums of stored operands, int64 (groups, M, N)."""
        lowered = layer.lower()
        return lowered.rows().astype(np.int64) @ lowered.weights.astype(np.int64)

    def _real(self, layer: sparqsim.Layer, sums: np.ndarray) -> np.ndarray:
        """Return sums of a layer with weights in real units, float32."""
        real = sums * (layer.record.activation_scale * np.array(layer.record.weight_scales))
        return (real if layer.bias is None else real + layer.bias.astype(np.float64)).astype("f4")


def replayed(trace: sparqsim.Trace) -> list[str]:
    """Return a line for everything that a replay of a trace finds to be different."""
    with torch.no_grad():
        replay = Replay(trace)
        logits = replay.logits().numpy()
    lines = [
        f"{what}: {count} of {size} codes differ"
        for what, (count, size) in replay.differing.items()
        if count
    ]
    expected = trace.arrays["logits_8bit"][trace.arrays["traced_images"]]
    if not np.array_equal(logits, expected):
        lines.append(f"logits differ by up to {np.abs(logits - expected).max():.2e}")
    return lines


def check(path: Path) -> int:
    """Recompute what a trace file says of itself; return 0 if it holds, 1 if not."""
    trace = sparqsim.load_trace(path)
    coverage = Coverage(inputs=len(trace.arrays["traced_images"]), unit="picture")
    return report_differences(trace, replayed(trace), coverage)


def make(options: argparse.Namespace) -> int:
    """Train, quantise and write the trace file."""
    torch.use_deterministic_algorithms(True)
    digits = load_split()
    network = train_vit(digits, options.seed, options.epochs)
    trace = build_trace(digits, network, options.seed, options.epochs)
    save(trace, options.out)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Make the trace, or check it; return the exit code."""
    torch.set_num_threads(1)  # the order of float sums depends on it
    beside = Path(__file__).with_name("digits_vit.safetensors")
    parser = argparse.ArgumentParser(description="Train, quantise and trace a small ViT on digits.")
    parser.add_argument(
        "--out", type=Path, default=beside, help="trace file (default: beside this script)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (default: 0)")
    parser.add_argument(
        "--epochs", type=int, default=EPOCHS, help=f"over the training split (default: {EPOCHS})"
    )
    parser.add_argument(
        "--check", action="store_true", help="replay the file at --out instead of making it"
    )
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    try:
        return check(options.out) if options.check else make(options)
    except sparqsim.InputError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
