"""Measure weight quantisers on ResNet-20, and write the tables of docs/how-to/weight-methods.md.

    SPARQSIM_SHARED=../shared python workloads/measure_weight_methods.py

Calibration pictures are the last 128 of 500 CIFAR-10 test pictures, the others are answered. The
record, docs/weight-methods/resnet20.json, is written after every row, and a row that it holds is
not measured again: a run can be interrupted. `weight_method_tables.py` makes the tables from it, by
itself too. Weights and pictures are the shared data's; nothing of them is copied. Needs the extra
`torch`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accuracy_tables import ROOT
from held_out import facts_of, points_errors, rounding_errors
from torch import Tensor
from weight_method_tables import ACTIVATIONS, LAYER_SPECS, LOSSES, RECORD, SPECS, write_tables

from sparqsim.analysis.combining import combined
from sparqsim.array.config import ArrayConfig
from sparqsim.base.files import write_text
from sparqsim.engine.simulation import simulate
from sparqsim.networks.torch import QuantisedNetwork, evaluate
from sparqsim.networks.torch.dump import trace_of
from sparqsim.pe import get_pe
from sparqsim.quantise.clips import cross_entropy, divergence
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.weights import get_weight_quantiser

sys.path.insert(0, str(ROOT / "tests"))  # the network is defined beside the tests that use it
from networks import convolutional, shared

Row = dict[str, Any]

ANSWERED, PICTURES, BATCH = 372, 500, 62
ARRAY = ArrayConfig(16, 16)
#: Pictures on which errors of layers and blocks are taken, of those that are answered.
ERROR_PICTURES = 124


class Subject:
    """ResNet-20, the pictures that are answered and those of calibration."""

    def __init__(self) -> None:
        images, labels = shared.cifar10(0, PICTURES)
        self.model = convolutional.resnet20()
        self.answered = list(
            zip(images[:ANSWERED].split(BATCH), labels[:ANSWERED].split(BATCH), strict=True)
        )
        self.calibration = list(
            zip(images[ANSWERED:].split(64), labels[ANSWERED:].split(64), strict=True)
        )
        self.labels = labels[:ANSWERED].numpy()
        self.errors = self.answered[: ERROR_PICTURES // BATCH]

    def quantised(self, weights: str, labels: str = "none") -> QuantisedNetwork:
        """Return the network by a recipe."""
        recipe = Recipe.model_validate(
            {"weights": weights, "activations": ACTIVATIONS, "calibration": {"labels": labels}}
        )
        return QuantisedNetwork(self.model, self.calibration, recipe=recipe)


def network_row(subject: Subject, weights: str, labels: str) -> Row:
    """Return answers, losses and errors of blocks under one quantiser."""
    started = time.process_time()
    network = subject.quantised(weights, labels)
    row: Row = {"weights": weights, "labels": labels, "cpu_seconds": time.process_time() - started}
    meant = evaluate(network, subject.answered, None).logits.numpy()
    for pe in ("mac-8b8b", "mac-4b8b"):
        found = evaluate(network, subject.answered, pe, error_images=0)
        logits = found.logits.numpy()
        row[pe] = {
            "top1": found.top1,
            "agree": found.agreement,
            "cross_entropy": cross_entropy(logits, subject.labels),
            "divergence": divergence(logits, meant),
        }
    row["blocks"] = block_errors(subject, network)
    row |= columns_of(subject, network)
    told = network.recipe_entry.get("weight_quantisers", {})
    return row | {"told": next(iter(told.values()), {})}


def block_errors(subject: Subject, network: QuantisedNetwork) -> dict[str, float]:
    """Return each block's squared output error over the outputs' squares, in the whole network."""
    exact = get_pe("mac-8b8b")
    noise: dict[str, float] = {}
    power: dict[str, float] = {}
    for inputs, _ in network.batches(subject.errors):
        with block_outputs(network) as meant:
            network.run(inputs)
        with block_outputs(network) as found:
            network.run(inputs, lambda site, operands: site.sums(operands, exact))
        for name, real in meant.items():
            off = found[name].double() - real.double()
            noise[name] = noise.get(name, 0) + float(off.square().sum())
            power[name] = power.get(name, 0) + float(real.double().square().sum())
    return {name: noise[name] / power[name] for name in noise}


@contextmanager
def block_outputs(network: QuantisedNetwork) -> Iterator[dict[str, Tensor]]:
    """Yield the outputs of the network's residual blocks, filled while it runs."""
    met: dict[str, Tensor] = {}

    def noting(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: met.update({name: output.clone()})

    handles = [
        module.register_forward_hook(noting(name))
        for name, module in network.network.model.named_modules()
        if isinstance(module, convolutional.CifarBlock)
    ]
    try:
        yield met
    finally:
        for handle in handles:
            handle.remove()


def columns_of(subject: Subject, network: QuantisedNetwork) -> Row:
    """Return columns and cycles of a picture on `mac-4b4b`, and of what combines columns."""
    trace = trace_of(network, subject.answered, images=1)
    report = simulate(trace, "mac-4b4b", array=ARRAY, engine="fast")
    layers = combined(report, trace, per_cycle=ARRAY.cols)
    return {
        "columns": sum(each.columns for each in layers),
        "channels": sum(each.channels for each in layers),
        "array_cycles": report.cycles.total,
        "combining_cycles": sum(each.combining.cycles for each in layers),
        "combined_cycles": sum(each.cycles for each in layers),
    }


def layer_row(subject: Subject, weights: str) -> Row:
    """Return output errors of every layer on pictures that were not seen."""
    network = subject.quantised("nearest:8")
    quantiser = get_weight_quantiser(weights)
    seen = facts_of(network, subject.calibration)
    started = time.process_time()
    chosen = quantiser.quantise_network(seen).weights
    seconds = time.process_time() - started
    layers = rounding_errors(facts_of(network, subject.errors), chosen, quantiser.bits)
    return {"weights": weights, "cpu_seconds": seconds, "layers": layers}


def points_row(subject: Subject, weights: str) -> Row:
    """Return output errors of every layer on pictures that were not seen: extra points by error,
    and as many at random.
    """
    network = subject.quantised("nearest:8")
    quantiser = get_weight_quantiser(weights)
    seen = facts_of(network, subject.calibration)
    chosen = quantiser.quantise_network(seen).weights
    layers = points_errors(facts_of(network, subject.errors), chosen, quantiser.bits)
    return {"weights": weights, "layers": layers}


Part = Callable[..., Row]


def measure(record: dict[str, Any]) -> None:
    """Add what the record lacks, and write it after every row."""
    subject = Subject()
    asked: list[tuple[str, str, Part, tuple[str, ...]]] = [
        *(("layers", spec, layer_row, (spec,)) for spec in LAYER_SPECS),
        *(("points", spec, points_row, (spec,)) for spec in SPECS if spec.startswith("multip")),
        *(("answers", spec, network_row, (spec, "none")) for spec in SPECS),
        *(("answers", f"{spec} true", network_row, (spec, "true")) for spec in LOSSES),
    ]
    for part, key, made, arguments in asked:
        rows: dict[str, Mapping[str, Any]] = record.setdefault(part, {})
        if key in rows:
            continue
        print(part, key, file=sys.stderr, flush=True)
        torch.set_num_threads(1)  # kernels on several threads can leave PyTorch with as many
        rows[key] = made(subject, *arguments)
        write_text(RECORD, json.dumps(record, indent=1) + "\n")


def main() -> None:
    """Measure, and write record and tables."""
    torch.set_num_threads(1)  # one order of additions in float: equal runs give equal figures
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else about()
    measure(record)
    write_tables()


def about() -> dict[str, Any]:
    """Return a record without rows."""
    return {
        "network": "ResNet-20",
        "data": "CIFAR-10 test pictures (the first 500)",
        "answered_pictures": ANSWERED,
        "calibration_pictures": PICTURES - ANSWERED,
        "error_pictures": ERROR_PICTURES,
        "activations": ACTIVATIONS,
        "array": f"{ARRAY.rows}x{ARRAY.cols}, {ARRAY.dataflow}, {ARRAY.coupling}",
    }


if __name__ == "__main__":
    main()
