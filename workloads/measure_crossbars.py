"""Measure ResNet-20 on crossbars, and write the record and the tables of docs/how-to/crossbar.md.

    SPARQSIM_SHARED=../shared python workloads/measure_crossbars.py
    SPARQSIM_SHARED=../shared python workloads/measure_crossbars.py "with bit-slice L1"=FILE

FILE: weights of ResNet-20 as the shared data's file names them (.safetensors), in rows of their own
below those of the shared data's. Weights and pictures are not copied. Needs the extra `torch`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from crossbar_tables import RECORD, WITHOUT_TRAINING, write_tables
from numpy.typing import NDArray
from page_tables import ROOT
from safetensors.torch import load_file
from torch import Tensor, nn

from sparqsim import get_pe, simulate
from sparqsim.base.files import write_text
from sparqsim.engine.models.crossbar.cells import bits_for, column_sums, planes
from sparqsim.engine.models.reram import Reram
from sparqsim.networks.arithmetic import ErrorMeter
from sparqsim.networks.site import Operands, Site
from sparqsim.networks.torch import QuantisedNetwork
from sparqsim.networks.torch.dump import trace_of
from sparqsim.quantise.recipe import Recipe
from sparqsim.results.action_costs import ActionCosts
from sparqsim.results.report import Report

sys.path.insert(0, str(ROOT / "tests"))  # the network is defined beside the tests that use it

EXACT = get_pe("mac-8b8b")
#: The codes that such crossbars are for, in every layer.
RECIPE = Recipe(weights="bitslice:8", keep_8bit="none")
YARDSTICK = "mac-8b8b"
#: The headline's bits, one number for all slices, and those that are found.
CROSSBARS = (
    "reram:adc_bits=1/3/3/3",
    *(f"reram:adc_bits={bits}" for bits in range(3, 9)),
    "reram:sqnr_db=20",
    "reram:sqnr_db=30",
    "reram",
)
BATCH = 50
CALIBRATION_BATCHES, ALL_BATCHES, ERROR_BATCHES = 4, 6, 1
#: Pictures on which bits of `auto` are found.
BITS_PICTURES = 4

Row = dict[str, Any]
Batch = tuple[Tensor, Tensor]


class Measured:
    """A network of some weights on crossbars.

    Parameters
    ----------
    network : QuantisedNetwork
    label : str
        What its weights are.
    traced : list of (pictures, labels)
        The first of them are what cycles are of, and what bits of `auto` are found on.
    answered : list of (pictures, labels)
    """

    def __init__(
        self, network: QuantisedNetwork, label: str, traced: list[Batch], answered: list[Batch]
    ) -> None:
        self._label, self._network, self._answered = label, network, answered
        self.layers = list(self._network.layers)
        self._float = self._classes(None)
        self.float_top1 = self._right(self._float)
        self._one = trace_of(self._network, traced, images=1)
        self._some = trace_of(self._network, traced, images=BITS_PICTURES)

    def row(self, spec: str) -> Row:
        """Return the row of a design."""
        found = {layer.name: layer.found_keys for layer in simulate(self._some, spec).layers}
        fixed = {name: _with_bits(spec, keys) for name, keys in found.items()}
        meters = {name: ErrorMeter() for name in self.layers}
        classes = self._classes(fixed, meters)
        agree = int((classes == self._float).sum())
        row: Row = {
            "weights": self._label,
            "pe": spec,
            "top1": self._right(classes),
            "agree": agree,
            "sqnr_db": [meters[name].error().sqnr_db for name in self.layers],
        }
        if any(found.values()):
            row["found"] = found
        return row | self._costs(spec, fixed)

    def _costs(self, spec: str, fixed: Mapping[str, str]) -> Row:
        """Return cycles and actions of one picture, each layer with its bits."""
        layers = self._one.layers
        parts = [simulate(type(self._one)([layer]), fixed[layer.name]) for layer in layers]
        row: Row = {"cycles": sum(part.cycles.total for part in parts)}
        if spec == YARDSTICK:
            return row
        conversions = [_conversions(part) for part in parts]
        total = sum(sum(each.values()) for each in conversions)
        bits = sum(bits * count for each in conversions for bits, count in each.items())
        return row | {
            "conversions": total,
            "mean_bits": bits / total,
            "nj": sum(_energy_nj(part) for part in parts),
        }

    def _classes(
        self, fixed: Mapping[str, str] | None, meters: Mapping[str, ErrorMeter] | None = None
    ) -> Tensor:
        """Return the class of every answered picture: in float, or by layers' designs."""
        found = []
        for number, (inputs, _) in enumerate(self._network.batches(self._answered)):
            noted = meters if number < ERROR_BATCHES else None
            output = (
                self._network.run(inputs)
                if fixed is None
                else self._network.run(inputs, _Sums(fixed, noted))
            )
            found.append(output.argmax(dim=1))
        return torch.cat(found)

    def _right(self, classes: Tensor) -> int:
        labels = torch.cat([labels for _, labels in self._answered])
        return int((classes == labels).sum())


class _Sums:
    """Sums of sites by what is named for each."""

    def __init__(self, fixed: Mapping[str, str], meters: Mapping[str, ErrorMeter] | None) -> None:
        self._fixed, self._meters = fixed, meters

    def __call__(self, site: Site, operands: Operands) -> NDArray[np.int64]:
        spec = self._fixed[site.name]
        if spec == YARDSTICK:
            made = site.sums(operands, EXACT)
        else:
            made = on_crossbars(site, operands, spec)
        if self._meters is not None:
            self._meters[site.name].add(made, site.sums(operands, EXACT))
        return made


def on_crossbars(site: Site, operands: Operands, spec: str) -> NDArray[np.int64]:
    """Return one batch's sums of a site on crossbars of fixed bits, as `Site.sums` does."""
    from sparqsim.engine.models import get_model

    layer = site.layer([operands])
    model = get_model(spec)
    assert isinstance(model, Reram)  # noqa: S101 - for the type checker
    lowered = layer.lower()
    sums = model.bound_to(layer).outputs(lowered, lowered.rows())
    if site.geometry is None:
        return sums
    return sums.transpose(1, 0, 2).reshape(layer.output_shape)


def _with_bits(spec: str, found_keys: str) -> str:
    """Return a design with the bits that were found for a layer."""
    return f"{spec.partition(':')[0]}:{found_keys}" if found_keys else spec


def _conversions(report: Report) -> dict[int, int]:
    """Return conversions by bits."""
    return {
        int(name.split("_")[1].removesuffix("bit.conversions")): action.count
        for name, action in report.totals.actions.items()
        if name.endswith("conversions")
    }


def _energy_nj(report: Report) -> float:
    engine = report.pe.engine_model
    costs = None if engine is None else engine.costs
    assert isinstance(costs, ActionCosts)  # noqa: S101 - for the type checker
    return math.fsum(costs.energies_pj(report.totals.actions).values()) / 1000


def sums_of(weights: list[NDArray[np.float64]], bits: int) -> Row:
    """Return what columns of all layers sum up to: codes of so many bits of magnitude, the scale a
    power of two by layer, 128-row tiles, every input 1.
    """
    sums, zeros = [], []
    for w in weights:
        exponent = math.ceil(math.log2(np.abs(w).max()))
        magnitudes = np.minimum(2**bits - 1, np.round(np.abs(w) / 2.0 ** (exponent - bits)))
        cells = planes((magnitudes * np.sign(w)).astype(np.int16), 2)
        sums.append(column_sums(cells, 128).reshape(4, -1))
        # A weight is in one sign's cells: the other's are empty whatever it is.
        zeros.append((cells.sum(axis=1) == 0).reshape(4, -1))
    together, empty = np.concatenate(sums, axis=1), np.concatenate(zeros, axis=1)
    largest = together.max(axis=1).tolist()
    return {
        "codes": f"magnitudes 0 to {2**bits - 1}",
        "zeros_percent": (100 * empty.mean(axis=1)).tolist(),
        "largest": largest,
        "percentile99": np.percentile(together, 99, axis=1).tolist(),
        "bits": [bits_for(each) for each in largest],
    }


def measured(named: Mapping[str, nn.Module], batches: list[Batch]) -> dict[str, Any]:
    """Return the record."""
    rows: list[Row] = []
    calibration, answered = batches[:CALIBRATION_BATCHES], batches[CALIBRATION_BATCHES:]
    subjects = {
        label: Measured(
            QuantisedNetwork(model, calibration, recipe=RECIPE), label, calibration, answered
        )
        for label, model in named.items()
    }
    for subject in subjects.values():
        for spec in (YARDSTICK, *CROSSBARS):
            rows.append(subject.row(spec))
            told = {key: rows[-1][key] for key in ("pe", "top1", "agree", "cycles")}
            print(told, file=sys.stderr, flush=True)
    first, model = next(iter(subjects.values())), next(iter(named.values()))
    weights = [
        w.detach().double().numpy().reshape(len(w), -1).T
        for name, w in model.named_parameters()
        if name.endswith("weight") and w.ndim in {2, 4}
    ]
    return {
        "network": "ResNet-20",
        "recipe": {"weights": RECIPE.weights, "keep_8bit": RECIPE.keep_8bit},
        "data": "CIFAR-10 test pictures",
        "pictures": BATCH * (ALL_BATCHES - CALIBRATION_BATCHES),
        "calibration_pictures": BATCH * CALIBRATION_BATCHES,
        "bits_pictures": BITS_PICTURES,
        "error_pictures": BATCH * ERROR_BATCHES,
        "float_top1": first.float_top1,
        "layers": first.layers,
        "column_sums": [sums_of(weights, 8), sums_of(weights, 7)],
        "rows": rows,
    }


def main() -> None:
    """Measure, and write the record and the tables."""
    from networks import convolutional, shared

    torch.set_num_threads(1)  # one order of additions in float: equal runs give equal figures
    named: dict[str, nn.Module] = {WITHOUT_TRAINING: convolutional.resnet20()}
    for argument in sys.argv[1:]:
        label, _, file = argument.rpartition("=")
        named[label] = convolutional.resnet20()
        named[label].load_state_dict(load_file(file), strict=False)
    images, labels = shared.cifar10()
    count = BATCH * ALL_BATCHES
    batches = list(zip(images[:count].split(BATCH), labels[:count].split(BATCH), strict=True))
    RECORD.parent.mkdir(exist_ok=True)
    write_text(RECORD, json.dumps(measured(named, batches), indent=1) + "\n")
    write_tables()


if __name__ == "__main__":
    main()
