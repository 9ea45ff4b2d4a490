"""What the traces of networks on handwritten digits say of themselves, and how it is checked."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from digits_network import SPLIT_SEED, TEST_SHARE, Digits
from torch import Tensor

import sparqsim
from sparqsim.trace.coverage import Coverage

CALIBRATION_IMAGES = 512
LICENSE_NOTE = (
    "Images: 'Optical recognition of handwritten digits dataset' as bundled with scikit-learn "
    "(sklearn.datasets.load_digits), whose description says: 'This is a copy of the test set of "
    "the UCI ML hand-written digits datasets "
    "https://archive.ics.uci.edu/ml/datasets/Optical+Recognition+of+Handwritten+Digits'. It gives "
    "creator E. Alpaydin and date July 1998, and names no licence. Weights: trained by this "
    "script, under the licence of this project."
)


def accuracy_record(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return accuracy as counts and as a share."""
    correct = int((logits.argmax(dim=1) == labels).sum())
    return {"correct": correct, "total": len(labels), "share": correct / len(labels)}


def provenance(
    digits: Digits, seed: int, epochs: int, logits_float: Tensor, logits_8bit: Tensor
) -> dict[str, Any]:
    """Return what a reader needs to judge and to repeat a trace, whatever its network."""
    return {
        "accuracy_float": accuracy_record(logits_float, digits.test_labels),
        "accuracy_8bit": accuracy_record(logits_8bit, digits.test_labels),
        "calibration_images": f"the first {CALIBRATION_IMAGES} of the training split",
        "dataset": "sklearn.datasets.load_digits, pixels / 16, 8x8 scaled up to 16x16 (bilinear)",
        "epochs": epochs,
        "seed": seed,
        "split": {
            "test_size": TEST_SHARE,
            "random_state": SPLIT_SEED,
            "stratified": True,
            "train": len(digits.train_labels),
            "test": len(digits.test_labels),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
        },
    }


def save(trace: sparqsim.Trace, out: Path) -> None:
    """Write a trace, and print its accuracies."""
    trace.save(out)
    for kind in ("float", "8bit"):
        print(f"accuracy_{kind}: {trace.metadata.provenance[f'accuracy_{kind}']}")


def report_differences(trace: sparqsim.Trace, found: Sequence[str], coverage: Coverage) -> int:
    """Print whether a trace holds what it says of itself; return 0 if so, 1 if not.

    found: lines on what a replay of its layers found to be different. coverage: what it holds of
    the network.
    """
    lines = list(found)
    about = trace.metadata.provenance
    labels = torch.from_numpy(np.array(trace.arrays["labels"]))
    for kind in ("float", "8bit"):
        logits = torch.from_numpy(np.array(trace.arrays[f"logits_{kind}"]))
        accuracy = accuracy_record(logits, labels)
        if accuracy != about[f"accuracy_{kind}"]:
            lines.append(f"accuracy_{kind} is {accuracy}")
    if Coverage.of(about) != coverage:
        lines.append(f"coverage is {Coverage.of(about)}, not {coverage}")
    print("\n".join(lines or [f"replayed {len(trace.layers)} layers, all numbers agree"]))
    return 1 if lines else 0
