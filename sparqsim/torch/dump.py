"""`dump`: a PyTorch network's 8-bit operands, batch by batch into a trace file."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import sparqsim
from sparqsim.errors import InputError
from sparqsim.pe import get_pe
from sparqsim.torch.integer import Integers, as_array, patches
from sparqsim.torch.loaders import Inputs, checked
from sparqsim.torch.network import Operands, Site, Skipped, naming
from sparqsim.torch.outputs import logits_of
from sparqsim.torch.products import StrayProducts
from sparqsim.torch.quantised import IntegerLayer, Keep, QuantisedNetwork
from sparqsim.trace.coverage import Coverage, LeftOut
from sparqsim.trace.dumpreport import clipping_warning
from sparqsim.trace.schema import LayerRecord
from sparqsim.trace.writer import TraceWriter


@dataclass(frozen=True)
class LayerDump:
    """What the dump made of one layer.

    `signed`, `why`: int8 or uint8 activations, and the reason. `clipped_share`: of the dumped
    activations, those outside the code's range. `zero_pair_share`: of the pairs of X (as the array
    sees them, padding included), those with at least one zero; `lone_share`: those with exactly
    one. `macs`: multiply-accumulates of all dumped inputs.
    """

    name: str
    op: str
    signed: bool
    why: str
    activation_scale: float
    clipped_share: float
    zero_pair_share: float
    lone_share: float
    keep_8bit: bool
    macs: int

    def __str__(self) -> str:
        return (
            f"{'int8 ' if self.signed else 'uint8'}  scale {self.activation_scale:<9.4g} "
            f"zero pairs {self.zero_pair_share:6.1%}  clipped {self.clipped_share:7.3%}  "
            f"{'kept at 8 bits; ' if self.keep_8bit else ''}{self.why}"
        )


@dataclass(frozen=True)
class DumpReport:
    """What `dump` did.

    `pictures`: inputs written. `skipped`: what is not in the trace, modules that never ran
    included. `coverage`: operations that ran and are not in the trace, with their
    multiply-accumulates. `folded`: (layer, norm); `unfolded`: norms computed in float.
    `fold_unchecked`: why the output could not show that folding changed nothing, or ''.
    """

    path: str
    pictures: int
    calibrator: str
    layers: tuple[LayerDump, ...]
    skipped: tuple[Skipped, ...]
    folded: tuple[tuple[str, str], ...]
    unfolded: tuple[str, ...]
    coverage: Coverage
    fold_unchecked: str = ""

    @property
    def share_left_out(self) -> float | None:
        """Share of the network's multiply-accumulates not in the trace; None where unknown."""
        missing = self.coverage.macs_left_out()
        return (
            None
            if missing is None
            else missing / (missing + sum(layer.macs for layer in self.layers))
        )

    def __str__(self) -> str:
        width = max(len(layer.name) for layer in self.layers)
        pictures, layers = plural(self.pictures, "picture"), plural(len(self.layers), "layer")
        lines = [f"{self.path}: {pictures}, {layers}, calibrator {self.calibrator}"]
        lines += [f"{layer.name:{width}}  {layer}" for layer in self.layers]
        return "\n".join(lines + self._left_out() + self._remarks())

    def _left_out(self) -> list[str]:
        macs = {(each.name, each.reason): each.macs for each in self.coverage.left_out}
        lines = [
            f"left out: {each.name}: {each.reason}{_macs(macs, each)}" for each in self.skipped
        ]
        if macs:
            share = self.share_left_out
            told = "an unknown share" if share is None else f"{share:.1%}"
            lines.append(
                f"left out in all: {told} of the multiply-accumulates of matrix products and "
                "convolutions"
            )
        return lines

    def _remarks(self) -> list[str]:
        lines = [f"batch norm computed in float: {name}" for name in self.unfolded]
        if self.fold_unchecked:
            lines.append(f"folded batch norms were not checked: {self.fold_unchecked}")
        if signed := sum(layer.signed and not layer.keep_8bit for layer in self.layers):
            lines.append(
                f"int8 activations in {signed} of these layers: sparq-* designs take them with the "
                "key signed=magnitude only, as in sparq-5opt:signed=magnitude"
            )
        warning = clipping_warning((layer.name, layer.clipped_share) for layer in self.layers)
        return [*lines, warning] if warning else lines


def _macs(counts: dict[tuple[str, str], int | None], skipped: Skipped) -> str:
    """Return ' (1,234 MACs)' for an operation that ran, '' for a module that did not."""
    if (skipped.name, skipped.reason) not in counts:
        return ""
    count = counts[skipped.name, skipped.reason]
    return " (MACs unknown)" if count is None else f" ({count:,} MACs)"


def plural(count: int, noun: str) -> str:
    """Return '1 layer' or '3 layers'."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def dump(
    model: nn.Module | QuantisedNetwork,
    loader: Iterable[Any],
    path: str | Path,
    *,
    images: int | None = None,
    calibrate: str = "mean-max",
    calibration_loader: Iterable[Any] | None = None,
    keep_8bit: Keep = "first-last",
    matmuls: Sequence[str] = (),
    fold: bool = True,
    network: str = "",
    license_note: str = "",
) -> DumpReport:
    """Calibrate a network, run it at 8 bits and write the operands of every layer.

    Each layer computes on integers (as `mac-8b8b` does), so a layer's activations are those of the 8-bit network.
    Batches stream: no more than one batch is in memory. Beside the layers the file carries the arrays `logits_8bit`,
    `logits_float` and, where the loader gives them, `labels`.

    Parameters
    ----------
    model : nn.Module or QuantisedNetwork
        Not modified: a copy is run, in evaluation mode, on the CPU. A QuantisedNetwork brings its own scales and keys.
    loader : iterable of batches
        Tensors or (inputs, labels); must be readable more than once.
    path : str or Path
    images : int, optional
        Inputs to dump, the loader's first; all by default.
    calibration_loader : iterable of batches, optional
        Default: all of `loader`.
    calibrate, keep_8bit, matmuls, fold
        As in `QuantisedNetwork`.
    network, license_note : str
        Written to the file.

    Raises
    ------
    InputError
        NaN or infinite values (naming the layer), unusable names, loaders or paths.
    """
    if images is not None and images < 1:
        raise InputError(f"images={images}, expected at least 1")
    quantised = (
        model
        if isinstance(model, QuantisedNetwork)
        else QuantisedNetwork(
            model,
            loader if calibration_loader is None else calibration_loader,
            calibrate=calibrate,
            keep_8bit=keep_8bit,
            matmuls=matmuls,
            fold=fold,
        )
    )
    with TraceWriter(path, **_document(quantised, network, license_note)) as writer:
        dumper = Dumper(quantised, writer)
        for inputs, labels in quantised.batches(checked(loader, "loader"), images):
            dumper.run(inputs, labels)
        if not dumper.inputs_done:
            raise InputError("loader holds no batch, expected at least one")
        writer.add_provenance(**dumper.coverage.entry())
        return dumper.report(str(path))


def _document(quantised: QuantisedNetwork, network: str, license_note: str) -> dict[str, Any]:
    return {
        "network": network or type(quantised.network.model).__name__,
        "calibrator": quantised.calibrator.spec,
        "origin": f"sparqsim.torch.dump {sparqsim.__version__}",
        "license_note": license_note,
        "provenance": {
            "versions": {"torch": torch.__version__, "python": platform.python_version()},
            "signedness": {name: layer.why for name, layer in quantised.layers.items()},
            "skipped": {skipped.name: skipped.reason for skipped in quantised.network.skipped},
            "folded_batch_norms": dict(quantised.network.folded.pairs),
        },
    }


class Dumper:
    """The visitor that writes every site's operands and computes on them."""

    def __init__(self, quantised: QuantisedNetwork, writer: TraceWriter) -> None:
        self._quantised, self._writer = quantised, writer
        self._pe = get_pe("mac-8b8b")
        self._pairs: dict[str, list[int]] = {}
        self._macs: Counter[str] = Counter()
        self._stray = StrayProducts(quantised.network)
        self.inputs_done = 0
        quantised.reset_counts()
        for layer in quantised.layers.values():
            self._announce(layer)

    def run(self, inputs: Inputs, labels: Tensor | None) -> None:
        """Run one batch in float and at 8 bits, the latter dumping; write logits and labels."""
        network, writer = self._quantised.network, self._writer
        runs = {"logits_float": logits_of(network.run(inputs))}
        with self._stray:
            runs["logits_8bit"] = logits_of(network.run(inputs, self))
        self.inputs_done += len(inputs)
        for name, logits in runs.items():
            if logits is not None:
                writer.append_array(name, as_array(logits.float()))
        if labels is not None:
            writer.append_array("labels", as_array(labels))

    def __call__(self, site: Site, operands: Operands) -> Tensor:
        """Write one site's operands and return what they give."""
        layer = self._quantised.layer(site)
        with naming(site.name):
            integers = layer.integers(operands)
            stacked = layer.second is not None
            self._writer.append(
                site.name, as_array(integers.x), as_array(integers.w) if stacked else None
            )
            counts = self._pairs.setdefault(site.name, [0, 0, 0])
            for index, count in enumerate(pair_counts(integers)):
                counts[index] += count
            self._macs[site.name] += integers.macs
            return layer.real(integers.result(self._pe), operands)

    @property
    def coverage(self) -> Coverage:
        """What of the network is in the trace so far, and what is not."""
        left_out = [
            LeftOut(name=name, reason=reason, macs=macs)
            for (name, reason), macs in self._stray.macs.items()
        ]
        return Coverage(inputs=self.inputs_done, left_out=tuple(left_out))

    def report(self, path: str) -> DumpReport:
        """Return the report of what was written."""
        network, layers = self._quantised.network, self._quantised.layers.values()
        return DumpReport(
            path,
            self.inputs_done,
            self._quantised.calibrator.spec,
            tuple(self._layer_report(layer) for layer in layers),
            network.skipped,
            network.folded.pairs,
            network.folded.left,
            self.coverage,
            network.folded.unchecked,
        )

    def _announce(self, layer: IntegerLayer) -> None:
        module, stacked = layer.site.module, layer.second is not None
        record = LayerRecord(
            name=layer.site.name,
            op=layer.site.op,
            geometry=layer.geometry,
            groups=module.groups if layer.site.op == "conv2d" else 1,
            activation_scale=layer.activation.scale,
            weight_scales=tuple(layer.weight_scales.tolist()),
            keep_8bit=layer.keep_8bit,
            note="product of two activations; the second takes the weights' place"
            if stacked
            else "",
        )
        bias = None if layer.bias is None else as_array(layer.bias)
        self._writer.add_layer(record, None if stacked else as_array(layer.weights), bias)

    def _layer_report(self, layer: IntegerLayer) -> LayerDump:
        pairs, with_zero, lone = self._pairs.get(layer.site.name, [0, 0, 0])
        return LayerDump(
            name=layer.site.name,
            op=layer.site.op,
            signed=layer.activation.signed,
            why=layer.why,
            activation_scale=layer.activation.scale,
            clipped_share=layer.clipped / max(1, layer.values),
            zero_pair_share=with_zero / max(1, pairs),
            lone_share=lone / max(1, pairs),
            keep_8bit=layer.keep_8bit,
            macs=self._macs[layer.site.name],
        )


def pair_counts(layer: Integers) -> tuple[int, int, int]:
    """Return of the pairs (k, k + 1) of X, k even: how many there are, with at least one zero, with exactly one."""
    geometry = layer.geometry
    if geometry is None or layer.w.shape[2] % 2:
        x = layer.x if geometry is None else patches(layer.x, geometry, layer.groups)
        zeros = _zeros_per_pair(x)
        return zeros.numel(), int((zeros > 0).sum()), int((zeros == 1).sum())
    # Pairs of channels of one pixel: counted once per pixel, then as often as kernel positions visit the pixel.
    zeros = _zeros_per_pair(layer.x)
    pairs_of_pixel, batch = zeros.shape[3], zeros.shape[0]
    visits = [
        _visited((zeros != value).sum(dim=(0, 3)), geometry, outside)
        for value, outside in ((0, batch * pairs_of_pixel), (1, batch * pairs_of_pixel))
    ]
    rows, columns = layer.output_shape[1:3]
    total = batch * rows * columns * layer.w.shape[1] * pairs_of_pixel
    return total, visits[0], total - visits[1]


def _zeros_per_pair(x: Tensor) -> Tensor:
    """Return how many of each two adjacent elements are zero, uint8 (..., ceil(K / 2)); a missing partner is zero."""
    zero = (functional.pad(x, (0, x.shape[-1] % 2)) == 0).to(torch.uint8)
    return zero[..., ::2] + zero[..., 1::2]


def _visited(counts: Tensor, geometry: Any, outside: int) -> int:
    """Return the sum of `counts` (height, width) over all kernel positions of all output pixels.

    Pixels of padding count as `outside`.
    """
    top, bottom, left, right = geometry.padding
    padded = functional.pad(counts.double(), (left, right, top, bottom), value=outside)
    return int(
        patches(
            padded[None, :, :, None], geometry.model_copy(update={"padding": (0, 0, 0, 0)}), 1
        ).sum()
    )
