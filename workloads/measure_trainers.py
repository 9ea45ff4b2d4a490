"""Train the digits network at few bits, simulate it, and write the tables of
docs/how-to/trainers.md.

    pip install -e .[train]
    python workloads/measure_trainers.py                          # what the record lacks
    python workloads/measure_trainers.py --only bsq:0.2 --seeds 0 --keep FOLDER

The record, docs/trainers/digits.json, is written after every row, and a row that it holds is not
measured again: a run can be interrupted, and goes on with the row that it was at.
`trainer_tables.py` makes the tables from it, by itself too. Every network is saved as sparqsim's
quantised networks are, read back, and answers and is timed from that file; `--keep` leaves it
there, with the float weights that it belongs to and its list of bits, for `--bits`. A folder that
was kept is looked into for float networks, which are the same for all rows of a seed.

Scales of activations are found on the first 512 pictures of the training split, answers are those
of the test split. Seeds are those of the float network and of what trains it on.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bit_slice_l1 import SlicedWeights, needs
from bsq import BitPlanes
from digits_network import Digits, Network, load_split, train
from dropbits import BitGates
from few_bits import Codes, FewBits, Plan, learn, put_on, taken_off, weighted
from learned_step import LearnedStep
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from trained_network import TrainedLayer, plain_network, quantised, trained_layers
from trainer_tables import (
    BIT_LISTS,
    RECORD,
    SEEDS,
    SETTINGS,
    TITLES,
    loaded,
    row_key,
    write_tables,
)

from sparqsim.array.config import ArrayConfig
from sparqsim.base.files import replaced, write_text
from sparqsim.engine.simulation import compare
from sparqsim.networks.torch import QuantisedNetwork, evaluate
from sparqsim.networks.torch.dump import trace_of
from sparqsim.trace.bitlist import MAGNITUDES

Row = dict[str, Any]

FLOAT_EPOCHS = 24
CALIBRATION_PICTURES = 512
ARRAY = ArrayConfig(16, 16)
DESIGNS = ("mac-8b8b", "serial-w", "loom")
BATCH = 300
#: Epochs of BSQ and DropBits, the last ones of them, and of a uniform network: as many in all.
SEARCHED, FINE_TUNED, EVERY = 12, 6, 2
UNIFORM = SEARCHED + FINE_TUNED
#: Of bit-slice L1, and when small weights are pruned.
SLICED, PRUNED_AT = 9, 6


@dataclass(frozen=True, eq=False)
class Start:
    """A float network and the pictures it was trained on; `seed`: of both."""

    network: Network
    digits: Digits
    seed: int

    def copied(self) -> Network:
        """Return a copy to train on."""
        torch.manual_seed(self.seed)
        return copy.deepcopy(self.network)


Trained = tuple[Network, dict[str, Codes]]


def rounded(start: Start, weight_bits: float) -> Trained:
    """Round weights to the same bits in all layers, at the best step of each; train nothing."""
    network = start.copied()
    put_on(network, lambda _, weight: LearnedStep(weight, int(weight_bits) - 1))
    return network, taken_off(network)


def uniform(start: Start, weight_bits: float) -> Trained:
    """Train all layers at the same bits."""
    network = start.copied()
    held = put_on(network, lambda _, weight: LearnedStep(weight, int(weight_bits) - 1))
    learn(network, start.digits, held, Plan(UNIFORM), "uniform bits")
    return network, taken_off(network)


def bsq(start: Start, strength: float) -> Trained:
    """Train bit planes, then steps at the bits that are left."""
    plan = Plan(SEARCHED, penalty=strength, every=EVERY)
    return _searched(start, lambda _, weight: BitPlanes(weight), plan)


def dropbits(start: Start, strength: float) -> Trained:
    """Train gates of bits, then steps at the bits that are left."""
    return _searched(start, lambda _, weight: BitGates(weight), Plan(SEARCHED, penalty=strength))


def _searched(start: Start, make: Callable[[str, Tensor], FewBits], plan: Plan) -> Trained:
    network = start.copied()
    learn(network, start.digits, put_on(network, make), plan, "bits")
    found = taken_off(network)
    factors = _regrown(network, start.network)

    def at_found_bits(name: str, weight: Tensor) -> LearnedStep:
        bits, step = found[name].magnitude_bits, found[name].step
        return LearnedStep(weight, bits, step * factors[name])

    held = put_on(network, at_found_bits)
    learn(network, start.digits, held, Plan(FINE_TUNED), "fine-tuning")
    return network, taken_off(network)


def _regrown(network: Network, size_of: Network) -> dict[str, float]:
    """Bring weights before batch normalisation back to the size that they have in another network,
    and return the factors.

    Penalties shrink such weights to next to nothing, since batch normalisation takes any factor out
    again; but the smaller they are the further a step of SGD turns them.
    """
    factors = {}
    before = weighted(size_of)
    for name, module in weighted(network).items():
        size = module.weight.norm().item()
        normed = isinstance(module, nn.Conv2d) and size > 0
        factors[name] = before[name].weight.norm().item() / size if normed else 1.0
        with torch.no_grad():
            module.weight.mul_(factors[name])
    return factors


def slices(start: Start, strength: float) -> Trained:
    """Train weights of dynamic fixed point, their slices small; 0: without that."""
    network = start.copied()
    held = put_on(network, lambda _, weight: SlicedWeights(weight))
    every = PRUNED_AT if strength else 0
    plan = Plan(SLICED, penalty=strength, every=every)
    learn(network, start.digits, held, plan, "slices")
    return network, taken_off(network)


METHODS: Mapping[str, Callable[[Start, float], Trained]] = {
    "rounded": rounded,
    "uniform": uniform,
    "bsq": bsq,
    "dropbits": dropbits,
    "slices": slices,
}


@cache
def digits() -> Digits:
    """Return the pictures."""
    return load_split()


@cache
def start_of(seed: int, folder: Path) -> Start:
    """Return a float network: that of a folder, where it is there, else it is trained and put
    there.
    """
    path = folder / f"float-{FLOAT_EPOCHS}-epochs-seed-{seed}.safetensors"
    if path.exists():
        network = Network()
        network.load_state_dict(load_file(path))
        return Start(network.eval(), digits(), seed)
    network = train(digits(), seed, FLOAT_EPOCHS)
    with replaced(path) as temporary:
        save_file(network.state_dict(), temporary)
    return Start(network, digits(), seed)


def measured(setting: str, seed: int, folder: Path) -> Row:
    """Train and measure one row; its files go to `folder`."""
    method, _, value = setting.partition(":")
    start = start_of(seed, folder)
    began = time.process_time()
    network, codes = METHODS[method](start, float(value))
    seconds = time.process_time() - began
    layers = trained_layers(network, codes)
    path = folder / f"{method}-{value}-seed-{seed}"
    _save(layers, path, setting, seed)
    row: Row = {
        "cpu_seconds": round(seconds, 1),
        "magnitude_bits": {name: found.magnitude_bits for name, found in codes.items()},
        **simulated(read_back(layers, path), start),
    }
    if method == "slices":
        row["crossbars"] = needs([_matrix(each) for each in layers.values()])
    return row


def _matrix(layer: TrainedLayer) -> NDArray[np.int8]:
    """Return a layer's codes as rows of K, int8 (output channel, K), channel innermost."""
    return layer.weights.codes.reshape(len(layer.weights.codes), -1)


def _save(layers: Mapping[str, TrainedLayer], path: Path, setting: str, seed: int) -> None:
    """Write a network, the float weights that it belongs to, and its list of bits."""
    method = setting.partition(":")[0]
    trainer = f"{TITLES[method]} (workloads/measure_trainers.py, {setting})"
    listed = method in BIT_LISTS
    made = quantised(layers, _calibration(), trainer=trainer, seed=seed, listed=listed)
    made.save(f"{path}.safetensors")
    with replaced(Path(f"{path}.float.safetensors")) as temporary:
        save_file(plain_network(layers).state_dict(), temporary)
    if listed:
        bits = {name: each.weights.bits - 1 for name, each in layers.items()}
        write_text(Path(f"{path}.bits.json"), json.dumps({MAGNITUDES: True} | bits, indent=1))


def read_back(layers: Mapping[str, TrainedLayer], path: Path) -> QuantisedNetwork:
    """Return the network that was saved."""
    model = plain_network(layers)
    return QuantisedNetwork.load(f"{path}.safetensors", model, _calibration())


def _calibration() -> list[Tensor]:
    return [digits().train_images[:CALIBRATION_PICTURES]]


def simulated(network: QuantisedNetwork, start: Start) -> Row:
    """Return what a network answers on the test split, and its cycles for a picture of it."""
    images, labels = digits().test_images, digits().test_labels
    batches = list(zip(images.split(BATCH), labels.split(BATCH), strict=True))
    found = evaluate(network, batches, "serial-w", error_images=0)
    with torch.no_grad():
        of_float = start.network(images).argmax(dim=1)
    answered = found.logits.argmax(dim=1)
    timing = compare(trace_of(network, batches, images=1), DESIGNS, ARRAY)
    reports = {name: timing.reports[name] for name in DESIGNS}
    return {
        "right": found.top1,
        "agree": int((answered == of_float).sum()),
        "float_right": int((of_float == labels).sum()),
        "cycles": {name: report.cycles.total for name, report in reports.items()},
        "cycles_of_layers": {
            name: [layer.cycles.total for layer in report.layers]
            for name, report in reports.items()
        },
        "card": timing.card.quantisation.model_dump(mode="json", exclude_none=True),
    }


def about() -> Row:
    """Return a record without rows."""
    network = Network()
    return {
        "network": "digits network: 15 convolutions and a classifier",
        "data": "digits of scikit-learn, 16x16",
        "data_sha256": _sha256(digits()),
        "train_pictures": len(digits().train_labels),
        "calibration_pictures": CALIBRATION_PICTURES,
        "answered_pictures": len(digits().test_labels),
        "array": f"{ARRAY.rows}x{ARRAY.cols}, {ARRAY.dataflow}, {ARRAY.coupling}",
        "epochs": {
            "float": FLOAT_EPOCHS,
            "uniform": UNIFORM,
            "bsq, dropbits": [SEARCHED, FINE_TUNED],
            "slices": SLICED,
        },
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        "weights": {name: each.weight.numel() for name, each in weighted(network).items()},
        "rows": {},
    }


def _sha256(pictures: Digits) -> str:
    """Return the digest of pictures and labels: training split first."""
    digest = hashlib.sha256()
    for each in (
        pictures.train_images,
        pictures.train_labels,
        pictures.test_images,
        pictures.test_labels,
    ):
        digest.update(each.contiguous().numpy().tobytes())
    return digest.hexdigest()


def measure(record: Row, settings: Sequence[str], seeds: Sequence[int], folder: Path) -> None:
    """Add what the record lacks, and write it after every row."""
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for setting in settings:
            key = row_key(setting, seed)
            if key in record["rows"]:
                continue
            record["rows"][key] = measured(setting, seed, folder)
            print(key, record["rows"][key]["right"], file=sys.stderr, flush=True)
            write_text(RECORD, json.dumps(record, indent=1) + "\n")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description="Train the digits network at few bits.")
    parser.add_argument("--only", nargs="*", choices=SETTINGS, default=SETTINGS, help="settings")
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS, help="default: 0 1 2")
    parser.add_argument("--keep", type=Path, help="folder that trained networks are written to")
    options = parser.parse_args(arguments)
    try:
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--keep {options.keep}: {error.strerror}, expected a folder")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write record and tables; return the exit code."""
    options = parse_arguments(arguments)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # the order of float sums depends on it
    record = loaded() if RECORD.is_file() else about()
    with tempfile.TemporaryDirectory() as folder:
        measure(record, options.only, options.seeds, options.keep or Path(folder))
    write_tables()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
