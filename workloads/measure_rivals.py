"""Measure designs for weights of few bits, and of few shifts, on real networks, and write the
tables of docs/rivals/.

    SPARQSIM_SHARED=../shared python workloads/measure_rivals.py              # resnet20
    SPARQSIM_SHARED=../shared python workloads/measure_rivals.py resnet18     # longer

Records go to docs/rivals/NETWORK.json; `rivals_tables.py` makes the tables from them, by itself
too. Weights and pictures are the shared data's; nothing of them is copied. Needs the extra `torch`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from page_tables import ROOT
from rivals_tables import BIT_DESIGNS, BITS, FOLDER, SHIFTS, YARDSTICKS, write_tables
from torch import Tensor, nn

from sparqsim import get_pe
from sparqsim.array.config import ArrayConfig
from sparqsim.base.files import write_text
from sparqsim.engine.simulation import compare
from sparqsim.networks.arithmetic import ErrorMeter
from sparqsim.networks.site import Operands, Site
from sparqsim.networks.torch import QuantisedNetwork, evaluate
from sparqsim.networks.torch.answers import Answers, answers
from sparqsim.networks.torch.dump import trace_of
from sparqsim.pe import PEDesign
from sparqsim.results.comparison import Comparison
from sparqsim.trace.bitlist import BitList

sys.path.insert(0, str(ROOT / "tests"))  # the network is defined beside the tests that use it

EXACT = get_pe("mac-8b8b")
ARRAY = ArrayConfig(16, 16)

Row = dict[str, Any]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Subject:
    """A network and what it is measured on.

    `batches` of (pictures, labels): all that are answered; the first of them calibrate, and tell
    the errors of layers.
    """

    name: str
    data: str
    model: nn.Module
    batches: list[Batch]
    calibration_batches: int
    error_batches: int

    def pictures(self, batches: int | None = None) -> int:
        """Return how many pictures the first batches have."""
        return sum(len(images) for images, _ in self.batches[:batches])


def resnet20() -> Subject:
    """500 CIFAR-10 test pictures."""
    from networks import convolutional, shared

    images, labels = shared.cifar10()
    batches = list(zip(images.split(50), labels.split(50), strict=True))
    data = "CIFAR-10 test pictures (the first)"
    return Subject("ResNet-20", data, convolutional.resnet20(), batches, 4, 2)


def resnet18() -> Subject:
    """200 ImageNet samples."""
    from networks import convolutional, shared

    batches = list(shared.ImagenetSamples("torch", 4))
    data = "ImageNet samples, every fifth class"
    return Subject("ResNet-18", data, convolutional.resnet18(), batches, 15, 5)


class Rivals:
    """What designs make of a network."""

    def __init__(self, subject: Subject) -> None:
        self._subject, self._batches = subject, subject.batches
        whole = self._network()
        self.layers = [name for name, site in whole.layers.items() if not site.keep_8bit]
        self._in_float: Answers = answers(whole, self._batches)
        self.reference = self._hits(whole, None)

    def rows(self, names: tuple[str, ...], bits: int) -> list[Row]:
        """Return the rows of designs on weights of some bits, the kept layers' 8.

        With fewer bits than 8 all designs are exact: the first one answers for them.
        """
        network = self._network(bits)
        trace = trace_of(network, self._batches, images=1)
        timing = compare(trace, names, ARRAY, baseline="mac-8b8b", iso="area")
        found: list[Row] = []
        for name in names:
            design = get_pe(name)
            answered = found[0] if found and bits < 8 else self._answered(network, design)
            told = {key: answered[key] for key in ("top1", "agree", "sqnr_db")}
            found.append({"pe": name, "bits": bits} | told | self._cycles(timing, design.spec))
            print(found[-1], file=sys.stderr, flush=True)
        return found

    def _network(self, bits: int = 8) -> QuantisedNetwork:
        calibration = self._batches[: self._subject.calibration_batches]
        listed = None if bits == 8 else BitList.of(dict.fromkeys(self.layers, bits))
        return QuantisedNetwork(self._subject.model, calibration, bits=listed)

    def _answered(self, network: QuantisedNetwork, design: PEDesign) -> Row:
        levels = self._errors(network, design)
        return self._hits(network, design) | {
            "sqnr_db": [levels[name].error().sqnr_db for name in self.layers]
        }

    def _hits(self, network: QuantisedNetwork, design: PEDesign | None) -> Row:
        found = evaluate(network, self._batches, design, error_images=0, in_float=self._in_float)
        return {"top1": found.top1, "agree": found.agreement}

    def _errors(self, network: QuantisedNetwork, design: PEDesign) -> Mapping[str, ErrorMeter]:
        """Return the errors of layers' sums against exact ones of weights of all bits."""
        meters = {name: ErrorMeter() for name in self.layers}
        whole = {name: replace(site, weight_bits=8) for name, site in network.layers.items()}

        def sums(site: Site, operands: Operands) -> Any:
            found = site.sums(operands, EXACT if site.keep_8bit else design)
            if not site.keep_8bit:
                meters[site.name].add(found, whole[site.name].sums(operands, EXACT))
            return found

        for inputs, _ in network.batches(self._batches[: self._subject.error_batches]):
            network.run(inputs, sums)
        return meters

    def _cycles(self, timing: Comparison, name: str) -> Row:
        report = timing.reports[name]
        of_layers = {layer.name: layer.cycles.total for layer in report.layers}
        found: Row = {
            "cycles": report.cycles.total,
            "cycles_of_layers": [of_layers[layer] for layer in self.layers],
        }
        iso = timing.iso_area
        if iso is None or name not in iso.designs:
            return found
        design = iso.designs[name]
        speedup = design.speedup
        middle = design.arrays.middle
        return found | {
            "equal_area": {
                "rows": middle.rows,
                "cols": middle.cols,
                "cycles": middle.cycles,
                "speedup": [speedup.low, speedup.middle, speedup.high],
            }
        }


SUBJECTS: Mapping[str, Callable[[], Subject]] = {"resnet20": resnet20, "resnet18": resnet18}


def measured(subject: Subject) -> dict[str, Any]:
    """Return the record of a network."""
    rivals = Rivals(subject)
    rows = rivals.rows((*YARDSTICKS, *SHIFTS), 8)
    rows += [row for bits in BITS for row in rivals.rows(BIT_DESIGNS, bits)]
    return {
        "network": subject.name,
        "data": subject.data,
        "pictures": subject.pictures(),
        "calibration_pictures": subject.pictures(subject.calibration_batches),
        "error_pictures": subject.pictures(subject.error_batches),
        "array": f"{ARRAY.rows}x{ARRAY.cols}, {ARRAY.dataflow}, {ARRAY.coupling}",
        "float_network": rivals.reference,
        "layers": rivals.layers,
        "rows": rows,
    }


def main() -> None:
    """Measure, and write records and tables."""
    torch.set_num_threads(1)  # one order of additions in float: equal runs give equal figures
    for name in sys.argv[1:] or ["resnet20"]:
        text = json.dumps(measured(SUBJECTS[name]()), indent=1)
        write_text(FOLDER / f"{name}.json", text + "\n")
    write_tables()


if __name__ == "__main__":
    main()
