"""`dump`: a PyTorch network's 8-bit operands, batch by batch into a trace file."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparqsim.base.errors import InputError
from sparqsim.base.version import VERSION
from sparqsim.engine.models.base import KEPT
from sparqsim.networks.dump import Collector, Dumper
from sparqsim.networks.observe import naming
from sparqsim.networks.phase import Phase
from sparqsim.networks.site import Operands, Site
from sparqsim.networks.torch.dumpreport import DumpReport
from sparqsim.networks.torch.loaders import Inputs, checked
from sparqsim.networks.torch.network import Call, Values
from sparqsim.networks.torch.outputs import logits_of
from sparqsim.networks.torch.phases import check_causal, sequences
from sparqsim.networks.torch.products import StrayProducts
from sparqsim.networks.torch.quantised import Keep, QuantisedNetwork
from sparqsim.networks.torch.sites import as_array, operands_of
from sparqsim.pe import get_pe
from sparqsim.quantise.recipe import Recipe
from sparqsim.trace.coverage import Coverage, InputKind
from sparqsim.trace.trace import Trace
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
    matmuls: Sequence[str] | None = None,
    fold: bool = True,
    recipe: Recipe | str | PathLike[str] | None = None,
    inputs: Callable[[Any], Any] | None = None,
    forward: Callable[..., Any] | None = None,
    phase: str = "",
    network: str = "",
    license_note: str = "",
) -> DumpReport:
    """Calibrate a network, run it at 8 bits and write the operands of every layer.

    Each layer computes on integers (as `mac-8b8b` does), so a layer's activations are those of the
    8-bit network. Batches stream: no more than one batch is in memory. Beside the layers the file
    carries the arrays `logits_8bit`, `logits_float` and, where the loader gives them, `labels`.

    Parameters
    ----------
    model : nn.Module or QuantisedNetwork
        Not modified: a copy is run, in evaluation mode, on the CPU. A QuantisedNetwork brings its
        own scales and keys.
    loader : iterable of batches
        Tensors or (inputs, labels); must be readable more than once.
    path : str or Path
    images : int, optional
        Inputs to dump, the loader's first; all by default.
    calibration_loader : iterable of batches, optional
        Default: all of `loader`.
    calibrate, keep_8bit, matmuls, fold, recipe, inputs, forward
        As in `QuantisedNetwork`. A recipe goes into the trace's provenance.
    phase : str
        'prefill:T' or 'decode:T' of a language model (`sparqsim.networks.phase`); '': whole runs.
    network, license_note : str
        Written to the file.

    Raises
    ------
    InputError
        NaN or infinite values (naming the layer), unusable names, loaders or paths; for a phase
        sequences that are too short, and a network whose earlier tokens see later ones.
    """
    part = Phase.parse(phase) if phase else None
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
            recipe=recipe,
            inputs=inputs,
            forward=forward,
        )
    )
    if "" in quantised.layers:
        raise InputError(
            f"model is a bare {type(quantised.network.model).__name__}, so its layer has no name; "
            "expected a network that holds it, e.g. torch.nn.Sequential(model)"
        )
    with TraceWriter(path, **_document(quantised, network, license_note)) as writer:
        dumper = TorchDumper(quantised, writer, part)
        batches = quantised.batches(checked(loader, "loader"), images)
        for given, labels in batches if part is None else sequences(part, batches):
            dumper.run(given, labels)
        if not dumper.inputs_done:
            raise InputError("loader holds no batch, expected at least one")
        writer.add_provenance(**dumper.coverage.entry())
        return dumper.report(str(path))


def _document(quantised: QuantisedNetwork, network: str, license_note: str) -> dict[str, Any]:
    return {
        "network": network or type(quantised.network.model).__name__,
        "calibrator": quantised.calibrator,
        "origin": f"sparqsim.torch.dump {VERSION}",
        "license_note": license_note,
        "provenance": {
            "versions": {"torch": torch.__version__, "python": platform.python_version()},
            "signedness": {name: site.reason for name, site in quantised.layers.items()},
            "skipped": {skipped.name: skipped.reason for skipped in quantised.network.skipped},
            "folded_batch_norms": dict(quantised.network.folded.pairs),
            **quantised.recipe_entry,
            **quantised.stated.entry(),
        },
    }


class TorchDumper:
    """Runs batches in float and at 8 bits, and writes what every layer takes of the latter."""

    def __init__(
        self, quantised: QuantisedNetwork, writer: TraceWriter, phase: Phase | None = None
    ) -> None:
        self._quantised, self._writer, self._phase = quantised, writer, phase
        self._dumper = Dumper(quantised.layers.values(), writer)
        self._stray = StrayProducts(quantised.network)
        self._kind: InputKind | None = None
        self.inputs_done = 0

    def run(self, inputs: Inputs, labels: Tensor | None) -> None:
        """Run one batch, write its operands, logits and labels."""
        runs = {"logits_float": logits_of(self._quantised.run(inputs))}
        if self._phase is not None:
            check_causal(self._phase, self._quantised, inputs)
        output = run_exactly(self._quantised, inputs, self._add, self._stray)
        runs["logits_8bit"] = logits_of(output)
        self.inputs_done += len(inputs)
        kind = kind_of(inputs)
        self._kind = kind if self._kind is None else self._kind.plus(kind)
        for name, logits in runs.items():
            if logits is not None:
                self._writer.append_array(name, as_array(logits.float()))
        if labels is not None:
            self._writer.append_array("labels", as_array(labels))

    def _add(self, site: Site, operands: Operands) -> None:
        kept = operands if self._phase is None else self._phase.kept(site, operands)
        self._dumper.add(site, kept)

    @property
    def coverage(self) -> Coverage:
        """What of the network is in the trace so far, and what is not."""
        found = self._stray.tally.coverage(self.inputs_done, self._kind)
        return found if self._phase is None else self._phase.covered(found)

    def report(self, path: str) -> DumpReport:
        """Return the report of what was written."""
        network = self._quantised.network
        return DumpReport(
            path=path,
            pictures=self.inputs_done,
            calibrator=self._quantised.calibrator,
            layers=self._dumper.layers,
            skipped=network.skipped,
            folded=network.folded.pairs,
            unfolded=network.folded.left,
            coverage=self.coverage,
            fold_unchecked=network.folded.unchecked,
        )


def run_exactly(
    quantised: QuantisedNetwork,
    inputs: Inputs,
    add: Callable[[Site, Operands], None],
    stray: StrayProducts,
) -> Any:
    """Return an output at 8 bits; `add` gets every layer's operands, `stray` sees the rest."""
    exact = get_pe(KEPT)

    def sums(site: Site, operands: Operands) -> NDArray[np.int64]:
        add(site, operands)
        return site.sums(operands, exact)

    with stray:
        return quantised.run(inputs, sums)


def kind_of(inputs: Inputs) -> InputKind:
    """Return what the inputs of a batch are."""
    whole = not (inputs.main.is_floating_point() or inputs.main.is_complex())
    return InputKind.of(inputs.main.shape, whole_numbers=whole)


def trace_of(quantised: QuantisedNetwork, loader: Iterable[Any], images: int) -> Trace:
    """Return the trace of the loader's first inputs, in memory."""
    collector = Collector(quantised.layers.values())
    stray = StrayProducts(quantised.network)
    kind: InputKind | None = None
    for inputs, _ in quantised.batches(loader, images):
        run_exactly(quantised, inputs, collector.add, stray)
        kind = kind_of(inputs) if kind is None else kind.plus(kind_of(inputs))
    document = _document(quantised, network="", license_note="")
    document["provenance"] |= stray.tally.coverage(images, kind).entry()
    return collector.trace(**document)


def trace_in_float(quantised: QuantisedNetwork, loader: Iterable[Any], images: int) -> Trace:
    """Return the trace of the loader's first inputs, in memory, operands of the float network: a
    layer's codes depend on no other layer's.
    """
    collector = Collector(quantised.layers.values())
    stray = StrayProducts(quantised.network)
    kind: InputKind | None = None
    for inputs, _ in quantised.batches(loader, images):
        with stray:
            run_in_float(quantised, inputs, collector.add)
        kind = kind_of(inputs) if kind is None else kind.plus(kind_of(inputs))
    document = _document(quantised, network="", license_note="")
    document["provenance"] |= stray.tally.coverage(images, kind).entry()
    return collector.trace(**document)


def run_in_float(
    quantised: QuantisedNetwork, inputs: Inputs, add: Callable[[Site, Operands], None]
) -> None:
    """Run one batch in float; `add` gets every layer's operands as codes."""

    def visitor(call: Call, values: Values) -> Tensor:
        """Keep a call's operands as codes, and compute it in float."""
        site = quantised.layers[call.name]
        with naming(call.name):
            add(site, operands_of(call, site, values))
        return call.in_float(values)

    quantised.network.run(inputs, visitor)


def operands_in_float(
    quantised: QuantisedNetwork, loader: Iterable[Any]
) -> dict[str, list[Operands]]:
    """Return the operands of every layer of the float network as codes, by name, batch by batch."""
    found: dict[str, list[Operands]] = {name: [] for name in quantised.layers}
    for inputs, _ in quantised.batches(loader):
        run_in_float(quantised, inputs, lambda site, given: found[site.name].append(given))
    return found
