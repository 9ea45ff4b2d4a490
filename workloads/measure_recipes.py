"""Measure recipes on designs: answers, SQNR, cycles, area and energy of a network, a row for each
recipe and design; and write the tables of docs/recipes/.

    python workloads/measure_recipes.py digits vit
    SPARQSIM_SHARED=../shared python workloads/measure_recipes.py resnet20
    SPARQSIM_SHARED=../shared python workloads/measure_recipes.py resnet18 squeezenet   # longer

Records go to docs/recipes/NETWORK.json, written after every row; a row that is there is not
measured again, unless the record is of other pictures or trained weights. `recipe_tables.py` makes
the tables from them, by itself too. No picture both calibrates and is answered. `digits` and `vit`
are trained anew, as `make_digits_trace.py` and `make_vit_trace.py` do; other weights and pictures
are the shared data's, and nothing of them is copied. Needs the extra `torch`.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from recipe_claims import CLAIMS, Case
from recipe_subjects import SUBJECTS, Subject, first_of, pictures_of
from recipe_tables import BASELINE, FOLDER, write_tables
from torch import Tensor

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
from sparqsim.results.comparison import Comparison
from sparqsim.results.report import Report
from sparqsim.results.setting import ArrayInfo
from sparqsim.trace import Trace

Row = dict[str, Any]

ARRAY = ArrayConfig(16, 16)
ENERGY_TABLE = "osu018"
#: Multiply-adds a cycle of what adds up the columns of a channel.
COMBINED_PER_CYCLE = ARRAY.cols
#: Beside the default ones: they follow the bits of weights, and are exact.
BY_BITS = ("loom", "serial-w")
DESIGNS = (*DEFAULT_PES, *BY_BITS)
#: Its 8-bit codes count OliVe's normal steps: other designs would trim bits of decoded codes.
OLIVE_DESIGNS = (BASELINE, "olive-4b")

#: What `lapq` tells that is recorded.
LOSSES = (
    "phases",
    "loss",
    "pictures",
    "losses",
    "power",
    "start_loss",
    "final_loss",
    "evaluations",
)


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
        losses = self._losses()
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
        } | ({"losses": losses} if losses else {})

    def _losses(self) -> Row:
        """Return the losses that a method which looks at them told."""
        told = self.network.recipe_entry.get("weight_quantisers", {})
        found: Row = next(iter(told.values()), {})
        return {key: found[key] for key in LOSSES if key in found}

    @property
    def case(self) -> Case:
        """The network, for what was expected of its recipe."""
        subject = self._subject
        unseen = first_of(subject.answered, subject.error_pictures)
        return Case(self.network, subject.model, unseen, subject.calibration, ARRAY)

    def row(self, name: str, designs: tuple[str, ...]) -> Row:
        """Return what a design makes of the network, of several that are timed together."""
        report = self._timed(designs).reports[get_pe(name).spec]
        return self._answered(name) | self._costs(name, report)

    def _answered(self, name: str) -> Row:
        """Exact designs have the same sums, so they share their answers."""
        design = get_pe(name)
        if design.exact and self._exact is not None:
            return self._exact
        found = evaluate(
            self.network,
            self._subject.answered,
            by_magnitude(design),  # as `compare` runs int8 layers
            calibration_loader=self._subject.calibration,
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
            # Kernels that run on several threads can leave PyTorch with as many.
            torch.set_num_threads(1)
        return self._timing

    def _costs(self, name: str, report: Report) -> Row:
        if self._timing is None or self._timing.iso_area is None or self._trace is None:
            raise ValueError("nothing was timed")
        iso, spec = self._timing.iso_area, get_pe(name).spec
        energy, area = report.totals.energy_pj, iso.designs.get(spec)
        absent = {}
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
    trained = {"weights_sha256": subject.weights_sha256} if subject.weights_sha256 else {}
    return trained | {
        "network": subject.name,
        "data": subject.data,
        "answered_pictures": pictures_of(subject.answered),
        "error_pictures": subject.error_pictures,
        "calibration": {
            "pictures": pictures_of(subject.calibration),
            "words": subject.calibration_words,
        },
        "seeds": subject.seeds,
        "array": ArrayInfo.of(ARRAY).words,
    }


def measure(name: str, subject: Subject) -> None:
    """Add the rows and claims that a network's record lacks, and write it after each."""
    target = FOLDER / f"{name}.json"
    record = _continued(target, about(subject))
    record.setdefault("claims", {})

    def write() -> None:
        """Write the record, what is in it in the order of the recipes."""
        for part in ("recipes", "claims"):
            made = record[part]
            record[part] = {key: made[key] for key in subject.recipes if key in made}
        write_text(target, json.dumps(record, indent=1) + "\n")

    for key, recipe in subject.recipes.items():
        designs = OLIVE_DESIGNS if key == "olive" else DESIGNS
        known = {row["pe"] for row in record["rows"] if row["recipe"] == key}
        lacking = [pe for pe in designs if pe not in known]
        claimed = key in record["claims"] or key not in CLAIMS
        if claimed and not lacking:
            continue
        point = Point(subject, recipe)
        for pe in lacking:
            record["rows"].append({"recipe": key, "pe": pe} | point.row(pe, designs))
            print(name, record["rows"][-1], file=sys.stderr, flush=True)
            record["recipes"].setdefault(key, point.about(recipe))
            record |= point.energies()
            write()
        if not claimed:
            record["claims"][key] = CLAIMS[key](point.case)
            write()


def _continued(target: Path, start: Row) -> Row:
    """Return the record that is there, if it is of the same pictures and trained weights; else one
    without rows.
    """
    empty: Row = start | {"recipes": {}, "rows": []}
    if not target.is_file():
        return empty
    record: Row = json.loads(target.read_text(encoding="utf-8"))
    same = all(record.get(key) == value for key, value in start.items())
    return record if same else empty


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
