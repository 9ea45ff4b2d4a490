"""Measure accuracy, agreement, SQNR and cycles of the designs on real networks, and write the
tables.

    SPARQSIM_SHARED=../shared python workloads/measure_accuracy.py
    python workloads/measure_accuracy.py resnet18 mobilenet_v2 --resume

Results go to docs/accuracy/NETWORK.json (`sparqsim.accuracy/1`), row by row as they are measured;
with --resume, rows that are there are kept. The tables of docs/accuracy.md are then made from those
files, as `accuracy_tables.py` does by itself. Weights and pictures are the shared data's (see its
SOURCES.md); nothing of them is copied. Needs the extras `torch`, `onnx` and `tflite`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy_tables import FILES, write_tables
from page_tables import ROOT

from sparqsim.base.files import write_text
from sparqsim.networks.accuracy import accuracy
from sparqsim.networks.evaluate import AnsweringNetwork
from sparqsim.networks.images import Pictures, load_labels
from sparqsim.networks.torch.accuracy import Study
from sparqsim.results.accuracy_report import AccuracyReport, AccuracyRow, Trial
from sparqsim.results.setting import HONEST

sys.path.insert(0, str(ROOT / "tests"))  # the networks are defined beside the tests that use them

Each = Callable[[AccuracyReport], None]
Known = Sequence[AccuracyRow]

SPARQ = ("sparq-5opt", "sparq-3opt", "sparq-2opt", "sparq-6opt", "sparq-7opt")
KEYS = (":pairing=off", ":rounding=trim", ":rounding=trim,pairing=off")
STATIC = ("mac-4b8b", "mac-4b4b")

#: First what everyone asks for: a run that is cut short leaves a table that says the most.
MAIN = (
    Trial(None),
    Trial("mac-8b8b"),
    *(Trial(name) for name in (*SPARQ[:3], *STATIC)),
    *(Trial(name + keys) for name in SPARQ[:3] for keys in KEYS[:2]),
    *(Trial(name, "mse:4") for name in STATIC),
)
ALL = (
    *MAIN,
    *(Trial(name + KEYS[2]) for name in SPARQ[:3]),
    *(Trial(name + keys) for name in SPARQ[3:] for keys in ("", *KEYS)),
    *(Trial(f"{name}:rounding=trim") for name in STATIC),
)
#: The same where a network brings its scales, or only one calibrator is asked.
DESIGNS = (
    "mac-8b8b",
    "sparq-5opt",
    "mac-4b8b",
    "sparq-2opt",
    "sparq-5opt:rounding=trim",
    "sparq-5opt:pairing=off",
    "mac-4b4b",
    "sparq-3opt",
    *(name + keys for name in SPARQ[1:3] for keys in KEYS[:2]),
)
#: Batch norms measured anew under the design, where the network has norms with statistics of its
#: own.
RECALIBRATED = tuple(
    Trial(name, recalibrate_bn=True) for name in (None, "mac-8b8b", *SPARQ, *STATIC)
)

CIFAR = "500 CIFAR-10 test pictures (the first)"
SAMPLES = "200 ImageNet samples, every fifth class"


def resnet20(known: Known, each: Each) -> None:
    """ResNet-20 in PyTorch."""
    from networks import convolutional, shared

    images, labels = shared.cifar10()
    batches = list(zip(images.split(50), labels.split(50), strict=True))
    Study(
        convolutional.resnet20(),
        batches,
        batches[:4],
        network="ResNet-20",
        data=CIFAR,
        calibration="the first 200 of them",
    ).report(ALL + RECALIBRATED, known, each)


def imagenet(make: str, style: str, name: str, known: Known, each: Each) -> None:
    """Measure a network of `networks.convolutional` on the ImageNet samples."""
    from networks import convolutional, shared

    loader: Iterable[Any] = shared.ImagenetSamples(style, 4)
    calibration = list(shared.ImagenetSamples(style, 4, stop=60))
    Study(
        getattr(convolutional, make)(),
        loader,
        calibration,
        network=name,
        data=SAMPLES,
        calibration="the first 60 of them",
        error_images=40,
    ).report(MAIN, known, each)


def mobilenet_v2(known: Known, each: Each) -> None:
    """MobileNet-v2, an 8-bit TFLite network; its class 0 is background."""
    from networks.shared import ROOT as DATA

    from sparqsim.networks.tflite.evaluate import TfliteNetwork
    from sparqsim.networks.tflite.network import TfliteSites

    pictures = Pictures.open(DATA / "imagenet_samples", "crop:0.875,resize:224x224")
    labels = load_labels(DATA / "imagenet_samples" / "labels.csv", pictures.names) + 1
    file = DATA / "imagenet_mobilenet_int8" / "mobilenet_v2_1.0_224_quant.tflite"
    network = TfliteNetwork(TfliteSites(file))
    _answers(
        network,
        pictures,
        labels,
        known,
        each,
        data=SAMPLES,
        calibration="nothing here: the network brings them",
    )


def resnet20_onnx(known: Known, each: Each) -> None:
    """ResNet-20 through ONNX: the float network, exported by PyTorch, on the same pictures."""
    from networks import convolutional, shared

    from sparqsim.networks.onnx.evaluate import OnnxNetwork
    from sparqsim.networks.onnx.network import calibrated

    images, labels = shared.cifar10()
    with tempfile.TemporaryDirectory() as folder:
        model, arrays = Path(folder) / "resnet20.onnx", Path(folder) / "pictures.npz"
        convolutional.export_resnet20(model, images[:1])
        np.savez(arrays, images=images.numpy())
        pictures = Pictures.open(arrays)
        network = OnnxNetwork(calibrated(str(model), pictures.first(200), "mean-max"))
        _answers(
            network,
            pictures,
            labels.numpy(),
            known,
            each,
            data=CIFAR,
            calibration="the first 200 of them",
        )


def _answers(
    network: AnsweringNetwork,
    pictures: Pictures,
    labels: Any,
    known: Known,
    each: Each,
    **words: str,
) -> None:
    accuracy(network, pictures, labels, DESIGNS, known=known, each=each, **words)


SUBJECTS: dict[str, Callable[[Known, Each], None]] = {
    "resnet20": resnet20,
    "squeezenet": lambda known, each: imagenet(
        "squeezenet", "caffe", "SqueezeNet 1.1", known, each
    ),
    # Its norms come without statistics (mean 0, variance 1 are folded into weights), so none are
    # recalibrated.
    "resnet18": lambda known, each: imagenet("resnet18", "torch", "ResNet-18", known, each),
    "mobilenet_v2": mobilenet_v2,
    "resnet20_onnx": resnet20_onnx,
}


def measure(name: str, resume: bool) -> None:
    """Measure one network; its JSON file grows row by row.

    With `resume`, rows it has already are kept, if their cycles are counted as now.
    """
    target = FILES / f"{name}.json"
    earlier = AccuracyReport.load(target) if resume and target.exists() else None
    known = earlier.rows if earlier is not None and earlier.kept == HONEST else ()
    target.parent.mkdir(parents=True, exist_ok=True)

    def each(report: AccuracyReport) -> None:
        write_text(target, report.to_json())
        done = {
            (row.pe, row.calibrator): f"{row.hits.top1}/{report.pictures}" for row in report.rows
        }
        print(f"{name}: {len(report.rows)} rows; {done}", file=sys.stderr, flush=True)

    torch.set_num_threads(1)  # one order of additions in float: equal runs give equal figures
    SUBJECTS[name](known, each)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", choices=[*SUBJECTS, []], help=", ".join(SUBJECTS))
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep the rows that an earlier, unfinished run measured",
    )
    options = parser.parse_args()
    for name in options.networks or SUBJECTS:
        measure(name, options.resume)
    write_tables()


if __name__ == "__main__":
    main()
