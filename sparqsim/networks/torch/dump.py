"""`dump`: a PyTorch network's 8-bit operands, batch by batch into a trace file."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparqsim.base.errors import InputError
from sparqsim.base.version import VERSION
from sparqsim.networks.torch.dumpreport import DumpReport, LayerDump
from sparqsim.networks.torch.integer import as_array
from sparqsim.networks.torch.loaders import Inputs, checked
from sparqsim.networks.torch.network import Operands, Site, naming
from sparqsim.networks.torch.outputs import logits_of
from sparqsim.networks.torch.pairs import pair_counts
from sparqsim.networks.torch.products import StrayProducts
from sparqsim.networks.torch.quantised import IntegerLayer, Keep, QuantisedNetwork
from sparqsim.pe import get_pe
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.schema import LayerRecord
from sparqsim.trace.writer import TraceWriter


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
        "origin": f"sparqsim.torch.dump {VERSION}",
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
        return self._stray.tally.coverage(self.inputs_done)

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
