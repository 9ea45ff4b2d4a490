"""Measure the digits network on crossbars, with and without bit-slice L1, and write the record and
the tables of docs/how-to/crossbar.md.

    python workloads/measure_crossbar_training.py

Networks are those of `measure_trainers.py`, settings `slices:0` and `slices:4`, seed 0, trained
here (half a minute of CPU) and read back from the files that the trainer saves. Needs the extra
`train`; some minutes of CPU.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from crossbar_tables import TRAINING, write_tables
from measure_crossbars import BITS_PICTURES, YARDSTICK, Batch, Measured, Row
from measure_trainers import CALIBRATION_PICTURES, SLICED, digits, measured, start_of
from safetensors.torch import load_file
from torch import nn
from trained_network import PlainNetwork

from sparqsim.base.files import write_text
from sparqsim.networks.torch import QuantisedNetwork

#: What each setting is called in the tables.
SETTINGS = {"slices:0": "without the penalty", "slices:4": "with bit-slice L1"}
CROSSBARS = (
    "reram:adc_bits=1/3/3/3",
    *(f"reram:adc_bits={bits}" for bits in (3, 4, 5, 6)),
    "reram",
)
SEED, BATCH, BATCHES = 0, 50, 4


def subject(setting: str, folder: Path) -> tuple[Measured, Row]:
    """Train, and return the network that was saved, ready to be measured, and the trainer's row."""
    row = measured(setting, SEED, folder)
    name = f"{setting.replace(':', '-')}-seed-{SEED}"
    model = _plain(folder / f"{name}.float.safetensors", folder)
    calibration = [digits().train_images[:CALIBRATION_PICTURES]]
    network = QuantisedNetwork.load(folder / f"{name}.safetensors", model, calibration)
    images, labels = digits().test_images, digits().test_labels
    count = BATCH * BATCHES
    answered = list(zip(images[:count].split(BATCH), labels[:count].split(BATCH), strict=True))
    traced: list[Batch] = [(digits().train_images[:BITS_PICTURES], digits().train_labels)]
    return Measured(network, SETTINGS[setting], traced, answered), row


def _plain(path: Path, folder: Path) -> nn.Module:
    """Return the network of the float weights in a file: batch norms are folded."""
    start = start_of(SEED, folder).network
    from digits_network import fold_layer

    model = PlainNetwork({name: fold_layer(start.layer(name)) for name in start.names})
    model.load_state_dict(load_file(path))
    return model.eval()


def main() -> None:
    """Train, measure, and write the record and the tables."""
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)  # one order of additions in float: equal runs give equal figures
    rows: list[Row] = []
    needs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for setting, label in SETTINGS.items():
            network, trained = subject(setting, Path(folder))
            needs[label] = trained["crossbars"]
            for spec in (YARDSTICK, *CROSSBARS):
                rows.append(network.row(spec))
                told = {key: rows[-1][key] for key in ("weights", "pe", "top1", "cycles")}
                print(told, file=sys.stderr, flush=True)
    record = {
        "network": "digits network",
        "data": "handwritten digits of its test split",
        "pictures": BATCH * BATCHES,
        "calibration_pictures": CALIBRATION_PICTURES,
        "bits_pictures": BITS_PICTURES,
        "error_pictures": BATCH,
        "epochs": SLICED,
        "seed": SEED,
        "settings": SETTINGS,
        "layers": network.layers,
        "column_sums": needs,
        "rows": rows,
    }
    write_text(TRAINING, json.dumps(record, indent=1) + "\n")
    write_tables()


if __name__ == "__main__":
    main()
