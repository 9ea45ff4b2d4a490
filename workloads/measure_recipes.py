"""Measure recipes on designs: answers, SQNR, cycles, area and energy of a network, a row for each
recipe and design; and write the tables of docs/recipes/.

    python workloads/measure_recipes.py digits
    SPARQSIM_SHARED=../shared python workloads/measure_recipes.py resnet20
    SPARQSIM_SHARED=../shared python workloads/measure_recipes.py resnet18 squeezenet   # longer

Records go to docs/recipes/NETWORK.json, written after every row; a row that is there is not
measured again, unless the record is of other pictures. `recipe_tables.py` makes the tables from
them, by itself too. No picture both calibrates and is answered. `digits` is trained anew, as
`make_digits_trace.py` does; other weights and pictures are the shared data's, and nothing of them
is copied. Needs the extra `torch`.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from accuracy_tables import ROOT
from recipe_tables import BASELINE, FOLDER, write_tables
from torch import Tensor, nn

from sparqsim.analysis.combining import combined
from sparqsim.array.config import ArrayConfig
from sparqsim.base.files import write_text
from sparqsim.engine.simulation import DEFAULT_PES, compare
from sparqsim.networks.torch import QuantisedNetwork, evaluate
from sparqsim.networks.torch.answers import Answers, answers
from sparqsim.networks.torch.dump import trace_of
from sparqsim.networks.torch.evaluate import Evaluation
from sparqsim.pe import get_pe
from sparqsim.pe.signs import by_magnitude
from sparqsim.quantise.recipe import Recipe
from sparqsim.results.report import Comparison, Report
from sparqsim.results.setting import ArrayInfo
from sparqsim.trace import Trace

sys.path.insert(0, str(ROOT / "tests"))  # networks are defined beside the tests that use them

Row = dict[str, Any]
Batch = tuple[Tensor, Tensor]

ARRAY = ArrayConfig(16, 16)
ENERGY_TABLE = "osu018"
#: Multiply-adds a cycle of what adds up the columns of a channel.
COMBINED_PER_CYCLE = ARRAY.cols
#: Beside the default ones: they follow the bits of weights, and are exact.
BY_BITS = ("loom", "serial-w")
DESIGNS = (*DEFAULT_PES, *BY_BITS)
#: Its 8-bit codes count OliVe's normal steps: other designs would trim bits of decoded codes.
OLIVE_DESIGNS = (BASELINE, "olive-4b")

RECIPES: Mapping[str, Recipe] = {
    "a8w8": Recipe(),
    "a8w8-all": Recipe(keep_8bit="none"),
    "a4w8": Recipe(activations="mse:4"),
    "a4w4": Recipe(activations="mse:4", weights="nearest:4"),
    "a4w4-all": Recipe(activations="mse:4", weights="nearest:4", keep_8bit="none"),
    "adaround": Recipe(activations="mse:4", weights="adaround:4"),
    "lapq": Recipe(activations="mse:4", weights="lapq:4"),
    "multipoint": Recipe(activations="mse:4", weights="multipoint:4"),
    "olive": Recipe(activations="olive:4", weights="olive:4"),
}
#: Those that take long: minutes on millions of weights, or up to a thousand runs of a network.
LEARNED = ("adaround", "lapq")


@dataclass(frozen=True)
class Subject:
    """A network and its pictures.

    answered, calibration: batches of (pictures, labels), none in both. error_pictures: of the
    answered ones, the first. calibration_words, seeds: for the record. left_out: recipes that are
    not measured.
    """

    name: str
    data: str
    model: nn.Module
    answered: list[Batch]
    calibration: list[Batch]
    error_pictures: int
    calibration_words: str
    seeds: str = "none, nothing is drawn"
    left_out: tuple[str, ...] = ()

    @property
    def recipes(self) -> dict[str, Recipe]:
        """The recipes that are measured."""
        return {name: made for name, made in RECIPES.items() if name not in self.left_out}


def digits() -> Subject:
    """899 digits of the test split; the first 512 of the training split calibrate."""
    import digits_network
    import make_digits_trace

    split = digits_network.load_split()
    torch.set_num_threads(2)  # as where the shipped trace was made: float sums depend on it
    torch.use_deterministic_algorithms(mode=True)
    model = digits_network.train(split, seed=0, epochs=60)
    torch.set_num_threads(1)
    first = make_digits_trace.CALIBRATION_IMAGES
    return Subject(
        "residual CNN of the shipped trace",
        "handwritten digits, the test split",
        model,
        _batches(split.test_images, split.test_labels, 100),
        _batches(split.train_images[:first], split.train_labels[:first], 64),
        100,
        "the first of the training split",
        "0 for the network's training; otherwise nothing is drawn",
        left_out=("lapq",),
    )


def resnet20() -> Subject:
    """372 CIFAR-10 test pictures; 128 others calibrate."""
    from networks import convolutional, shared

    images, labels = shared.cifar10()
    return Subject(
        "ResNet-20",
        "CIFAR-10 test pictures (of the first 500)",
        convolutional.resnet20(),
        _batches(images[:372], labels[:372], 62),
        _batches(images[372:], labels[372:], 64),
        124,
        "the last of those 500",
    )


def resnet18() -> Subject:
    """ImageNet samples."""
    return _imagenet("resnet18", "torch", "ResNet-18")


def squeezenet() -> Subject:
    """ImageNet samples."""
    return _imagenet("squeezenet", "caffe", "SqueezeNet 1.1")


def _imagenet(make: str, style: str, name: str) -> Subject:
    """50 samples are answered, the last 32 calibrate."""
    from networks import convolutional, shared

    batches = list(shared.ImagenetSamples(style, 2))
    return Subject(
        name,
        "ImageNet samples, every fifth class (of 200)",
        getattr(convolutional, make)(),
        batches[:25],
        batches[-16:],
        4,
        "the last of those 200",
        left_out=LEARNED,
    )


def _batches(images: Tensor, labels: Tensor, size: int) -> list[Batch]:
    return list(zip(images.split(size), labels.split(size), strict=True))


def _pictures(batches: Iterable[Batch]) -> int:
    return sum(len(images) for images, _ in batches)


class Point:
    """A network under one recipe, and what designs make of it."""

    def __init__(self, subject: Subject, recipe: Recipe) -> None:
        self._subject = subject
        started = time.process_time()
        self.network = QuantisedNetwork(subject.model, subject.calibration, recipe=recipe)
        self._seconds = time.process_time() - started
        self._in_float: Answers = answers(self.network, subject.answered)
        self._exact: Row | None = None
        self._timing: Comparison | None = None
        self._trace: Trace | None = None

    def about(self, recipe: Recipe) -> Row:
        """Return what the record says of the recipe."""
        sites = [site for site in self.network.layers.values() if site.weights is not None]
        sizes = [(site.weights.codes.size, site.weights.bits) for site in sites if site.weights]
        bits = sum(size * each for size, each in sizes) / sum(size for size, _ in sizes)
        return {
            "activations": recipe.activations,
            "weights": recipe.weights,
            "keep_8bit": recipe.keep_8bit,
            "calibration_pictures": self.network.origin.pictures,
            "title": recipe.title,
            "weight_bits": bits,
            "cpu_seconds": self._seconds,
            "float_top1": evaluate(
                self.network, self._subject.answered, None, in_float=self._in_float
            ).top1,
            "calibration_sha256": self.network.stated.calibration_sha256,
        }

    def row(self, name: str, designs: tuple[str, ...]) -> Row:
        """Return what a design makes of the network, of several that are timed together."""
        report = self._timed(designs).reports[get_pe(name).spec]
        return self._answered(name) | self._costs(name, report)

    def _answered(self, name: str) -> Row:
        """Exact designs have the same sums, so they share their answers."""
        design = get_pe(name)
        if design.real_valued:
            return dict.fromkeys(("top1", "agree", "logits_sqnr_db", "layers_sqnr_db"))
        if design.exact and self._exact is not None:
            return self._exact
        found = evaluate(
            self.network,
            self._subject.answered,
            by_magnitude(design),  # as `compare` runs int8 layers
            in_float=self._in_float,
            error_images=self._subject.error_pictures,
        )
        row = {
            "top1": found.top1,
            "agree": found.agreement,
            "logits_sqnr_db": sqnr_db(self._in_float.logits, found.logits),
            "layers_sqnr_db": _levels(found),
        }
        if design.exact:
            self._exact = row
        return row

    def _timed(self, designs: tuple[str, ...]) -> Comparison:
        if self._timing is None:
            self._trace = trace_of(self.network, self._subject.answered, images=1)
            self._timing = compare(
                self._trace, designs, ARRAY, baseline=BASELINE, iso="area", energy=ENERGY_TABLE
            )
        return self._timing

    def _costs(self, name: str, report: Report) -> Row:
        if self._timing is None or self._timing.iso_area is None or self._trace is None:
            raise ValueError("nothing was timed")
        iso, spec = self._timing.iso_area, get_pe(name).spec
        energy, area = report.totals.energy_pj, iso.designs.get(spec)
        absent = {}
        if get_pe(name).real_valued:
            absent["answers"] = "finds a layer's scale on all activations of a trace, not by batch"
        if energy is None:
            absent["energy"] = _without_layer(report.energy_absent)
        if area is None:
            absent["area"] = iso.without_area[spec].partition(";")[0].removeprefix(f"{spec}: ")
        found: Row = {"cycles": report.cycles.total}
        layers = combined(report, self._trace, per_cycle=COMBINED_PER_CYCLE)
        if any(each.columns != each.channels for each in layers):
            found["combined_cycles"] = sum(each.cycles for each in layers)
        ratio = None if area is None else area.relative_pe_area[BASELINE]
        return found | {
            "pe_area": None if ratio is None else [ratio.low, ratio.middle, ratio.high],
            "energy_uj": None if energy is None else energy.total / 1e6,
            "absent": absent,
        }

    def energies(self) -> Row:
        """Return what energies and areas are of."""
        timing = self._timing
        if timing is None or timing.iso_area is None:
            raise ValueError("nothing was timed")
        energy = timing.reports[BASELINE].energy
        if energy is None:
            raise ValueError("energy was asked for")
        cells, iso = energy.cells, timing.iso_area
        return {
            "areas": f"{iso.source}, {iso.combinations} libraries and flows",
            "energies": {
                "library": cells.library,
                "node_nm": cells.node_nm,
                "corner": cells.corner,
                "voltage_v": cells.voltage_v,
                "clock_ns": cells.clock_ns,
                "source": cells.source,
                "remarks": list(energy.remarks),
            },
        }


def _without_layer(reason: str) -> str:
    """Return why a design has no energy, without the layer that was asked first."""
    return reason.rpartition(": ")[2].partition(";")[0]


def _levels(found: Evaluation) -> list[float] | None:
    """Return the median and the lowest SQNR of layers that the design computed, dB; None where no
    layer lost anything.
    """
    known = [math.inf if level is None else level for level in found.sqnr_db.values()]
    if not known or min(known) == math.inf:
        return None
    return [median(known), min(known)]


def sqnr_db(meant: Tensor, found: Tensor) -> float | None:
    """Return the power of logits over that of their error, dB; None where there is none."""
    meant, found = meant.double(), found.double()
    noise = float((found - meant).square().sum())
    return 10 * math.log10(float(meant.square().sum()) / noise) if noise else None


def about(subject: Subject) -> Row:
    """Return a record without rows."""
    return {
        "network": subject.name,
        "data": subject.data,
        "answered_pictures": _pictures(subject.answered),
        "error_pictures": subject.error_pictures,
        "calibration": {
            "pictures": _pictures(subject.calibration),
            "words": subject.calibration_words,
        },
        "seeds": subject.seeds,
        "array": ArrayInfo.of(ARRAY).words,
    }


def measure(name: str, subject: Subject) -> None:
    """Add the rows that a network's record lacks, and write it after each."""
    target = FOLDER / f"{name}.json"
    record = _continued(target, about(subject))
    for key, recipe in subject.recipes.items():
        designs = OLIVE_DESIGNS if key == "olive" else DESIGNS
        known = {row["pe"] for row in record["rows"] if row["recipe"] == key}
        lacking = [pe for pe in designs if pe not in known]
        if not lacking:
            continue
        point = Point(subject, recipe)
        for pe in lacking:
            record["rows"].append({"recipe": key, "pe": pe} | point.row(pe, designs))
            print(name, record["rows"][-1], file=sys.stderr, flush=True)
            record["recipes"].setdefault(key, point.about(recipe))
            made = record["recipes"]
            record["recipes"] = {each: made[each] for each in subject.recipes if each in made}
            record |= point.energies()
            write_text(target, json.dumps(record, indent=1) + "\n")


def _continued(target: Path, start: Row) -> Row:
    """Return the record that is there, if it is of the same pictures; else one without rows."""
    empty: Row = start | {"recipes": {}, "rows": []}
    if not target.is_file():
        return empty
    record: Row = json.loads(target.read_text(encoding="utf-8"))
    same = all(record.get(key) == value for key, value in start.items())
    return record if same else empty


SUBJECTS: Mapping[str, Callable[[], Subject]] = {
    "digits": digits,
    "resnet20": resnet20,
    "resnet18": resnet18,
    "squeezenet": squeezenet,
}


def main() -> None:
    """Measure, and write records and tables."""
    torch.set_num_threads(1)  # one order of additions in float: equal runs give equal figures
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or ["digits"]:
        if name not in SUBJECTS:
            sys.exit(f"{name!r} is no network here, expected some of {', '.join(SUBJECTS)}")
        measure(name, SUBJECTS[name]())
    write_tables()


if __name__ == "__main__":
    main()
