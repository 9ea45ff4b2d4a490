"""`evaluate` of one design over the float network's own time: the same pictures, the same threads.

    SPARQSIM_SHARED=../shared python benchmarks/bench_evaluate.py
        [--networks resnet20,resnet18,linear] [--designs sparq-5opt,mac-4b4b] [--threads 2]
        [--repeats 10] [--profile]

Each network in a process of its own: `resnet20` on 100 CIFAR-10 pictures, `resnet18` on 4 pictures
of 224x224, `linear` (three Linear, 25 million weights) on 512 random rows. `numpy` is the same with
every layer's sums made by `Site.sums`, the definition, as they were before PyTorch multiplied.
Ratios of the least wall times, and of the least processor times, of runs that take turns; other
work on the machine only ever adds to them. `first` is the first run, with all that is made once per
design. Needs the extra `torch`, and the shared data. OMP_WAIT_POLICY=passive keeps processor time
free of threads that wait.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peak import peak_mib
from torch import nn

from sparqsim.networks.torch import QuantisedNetwork, evaluate
from sparqsim.networks.torch.answers import answers
from sparqsim.networks.torch.direct import DirectForms

ROOT = Path(__file__).resolve().parent.parent
#: Functions that a profile shows.
SHOWN = 16
GOAL = 3.0


class Subject(NamedTuple):
    """A network, the batches it answers, and one for calibration."""

    model: nn.Module
    batches: list[torch.Tensor]
    calibration: torch.Tensor


def resnet20() -> Subject:
    """Return ResNet-20 on CIFAR-10."""
    from networks import convolutional, shared

    images = torch.as_tensor(shared.cifar10(0, 200)[0])
    return Subject(convolutional.resnet20(), [images[:50], images[50:100]], images[100:164])


def resnet18() -> Subject:
    """Return ResNet-18 on a few ImageNet pictures."""
    from networks import convolutional, shared

    batches = [images for images, _ in shared.ImagenetSamples("torch", 2, stop=4)]
    return Subject(convolutional.resnet18(), batches, batches[0])


def linear() -> Subject:
    """Return three large Linear, random."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(1024, 4096),
        nn.ReLU(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, 1000),
    )
    rows = torch.rand(512, 1024)
    return Subject(model, [rows[:256], rows[256:]], rows[:64])


NETWORKS: Mapping[str, Callable[[], Subject]] = {
    "resnet20": resnet20,
    "resnet18": resnet18,
    "linear": linear,
}


class ByDefinition(DirectForms):
    """Covers no layer."""

    def output(self, *_: Any) -> None:
        """Leave the layer to `Site.sums`."""
        return


class Clock:
    """The first and the least wall and processor seconds of an action."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self.action = action
        self.runs: list[tuple[float, float]] = []

    def run(self) -> None:
        """Time one run."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.action()
        self.runs.append((time.perf_counter() - wall, time.process_time() - cpu))

    def ratios(self, reference: Clock) -> dict[str, float]:
        """Return times over another's least ones."""
        least, of = (list(map(min, zip(*clock.runs, strict=True))) for clock in (self, reference))
        found = {"wall": least[0] / of[0], "cpu": least[1] / of[1]}
        return found | {"first": self.runs[0][0] / of[0]}


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return a network's ratios, by design and what was computed."""
    sys.path.insert(0, str(ROOT / "tests"))
    torch.set_num_threads(options.threads)
    subject = NETWORKS[name]()
    model = subject.model.eval()
    network = QuantisedNetwork(model, [subject.calibration])
    slow = QuantisedNetwork(model, [subject.calibration])
    slow.direct = ByDefinition()
    in_float = answers(network, subject.batches)

    def of(pe: str, by: QuantisedNetwork, errors: int | None) -> Clock:
        return Clock(
            lambda: evaluate(by, subject.batches, pe, in_float=in_float, error_images=errors)
        )

    clocks = {"float": Clock(lambda: [model(batch) for batch in subject.batches])}
    peaks = {"before": peak_mib()}
    for pe in options.designs.split(","):
        clocks[f"{pe}, with errors"] = of(pe, network, None)
        clocks[f"{pe}, without"] = of(pe, network, 0)
    _take_turns(clocks, options.repeats)
    peaks["pytorch"] = peak_mib()
    for pe in options.designs.split(","):
        clocks[f"{pe}, with errors, numpy"] = of(pe, slow, None)
        clocks[f"{pe}, without, numpy"] = of(pe, slow, 0)
    _take_turns({key: clock for key, clock in clocks.items() if "numpy" in key}, 2)
    peaks["and numpy"] = peak_mib()
    if options.profile:
        _profile(clocks[f"{options.designs.split(',')[0]}, with errors"].action)
    float_clock = clocks.pop("float")
    ratios = {key: clock.ratios(float_clock) for key, clock in clocks.items()}
    return {"ratios": ratios, "peaks": peaks, "load": os.getloadavg()[0]}


def _take_turns(clocks: Mapping[str, Clock], repeats: int) -> None:
    with torch.no_grad():
        for _ in range(repeats):
            for clock in clocks.values():
                clock.run()


def _profile(action: Callable[[], Any]) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(action)
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(SHOWN)


def show(name: str, found: Mapping[str, Any]) -> None:
    """Print a network's ratios."""
    print(f"{name}: over the float network's own time (load average {found['load']:.1f})")
    print(f"  {'':44} {'wall':>7} {'cpu':>7} {'first':>7}")
    for key, ratios in found["ratios"].items():
        above = "  above the goal" if ratios["wall"] > GOAL and "numpy" not in key else ""
        print(f"  {key:44} " + " ".join(f"{ratios[it]:7.2f}" for it in ratios) + above)
    peaks = ", ".join(f"{key} {mib:.0f}" for key, mib in found["peaks"].items())
    print(f"  peak memory so far, MiB: {peaks}\n", flush=True)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--designs", default="sparq-5opt:signed=magnitude,mac-4b4b")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--one", choices=NETWORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one, options)))
        return
    for name in options.networks.split(","):
        command = [sys.executable, __file__, *sys.argv[1:], "--one", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        show(name, json.loads(done.stdout))


if __name__ == "__main__":
    main()
