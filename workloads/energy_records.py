"""Measure the gate-level records that models of energy are fitted to and tested on.

    SPARQSIM_SHARED=../shared python workloads/energy_records.py FOLDER [--networks A ...]
        [--pe A,B] [--sample N] [--liberty FILE ...] [--clock-ns P] [--slew-ns S] [--suffix TEXT]

For each network a record `FOLDER/NETWORK_LIBRARY.json` (`sparqsim rtl energy` writes the same):
`digits` is the trace that ships; `resnet20`, `resnet18` and `squeezenet` are dumped first into
FOLDER/traces, from the shared weights and pictures, all their convolutions and classifiers.
A record that is there is kept. Needs Yosys, Icarus Verilog, and for dumps the extra `torch`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sparqsim.cli.options import split_designs
from sparqsim.engine.simulation import DEFAULT_PES
from sparqsim.pe import get_pe
from sparqsim.rtl.gates.costs import Operating
from sparqsim.rtl.gates.reference import CLOCK_NS, SLEW_NS, Plan, measured_energies
from sparqsim.rtl.synthesis import debian_library, library_of
from sparqsim.trace import load_trace

ROOT = Path(__file__).resolve().parent
#: Those of the energy table that ships.
DESIGNS = (*DEFAULT_PES, "mac-2x8b8b")
#: Further designs of the area table.
OTHERS = (
    "sparq-6opt",
    "sparq-7opt",
    "sysmt-2t",
    "stripes",
    "pragmatic",
    "loom",
    "bitfusion",
    "swis",
)


def _networks() -> None:
    """Let the networks of the tests be imported."""
    sys.path.insert(0, str(ROOT.parent / "tests"))


def dump_resnet20(trace: Path) -> None:
    """Dump ResNet-20 for two CIFAR-10 pictures; 200 set the scales."""
    _networks()
    from networks import convolutional, shared

    from sparqsim.networks.torch import dump

    images, labels = shared.cifar10(0, 200)
    pictures = list(zip(images.split(50), labels.split(50), strict=True))
    dump(convolutional.resnet20(), pictures, trace, images=2)


def dump_resnet18(trace: Path) -> None:
    """Dump ResNet-18 for one picture; eight set the scales."""
    _imagenet("resnet18", "torch", trace)


def dump_squeezenet(trace: Path) -> None:
    """Dump SqueezeNet 1.1 for one picture; eight set the scales."""
    _imagenet("squeezenet", "caffe", trace)


def _imagenet(make: str, style: str, trace: Path) -> None:
    _networks()
    from networks import convolutional, shared

    from sparqsim.networks.torch import dump

    pictures = list(shared.ImagenetSamples(style, 4, stop=8))
    dump(getattr(convolutional, make)(), pictures, trace, images=1)


DUMPS: dict[str, Callable[[Path], None]] = {
    "resnet20": dump_resnet20,
    "resnet18": dump_resnet18,
    "squeezenet": dump_squeezenet,
}


def trace_of(network: str, folder: Path) -> Path:
    """Return a network's trace, dumped where it is not there."""
    if network == "digits":
        return ROOT / "digits_resnet.safetensors"
    trace = folder / "traces" / f"{network}.safetensors"
    if not trace.exists():
        trace.parent.mkdir(parents=True, exist_ok=True)
        DUMPS[network](trace)
    return trace


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", nargs="+", default=["digits", *DUMPS])
    parser.add_argument("--pe", default=",".join(DESIGNS), help="designs; 'others': OTHERS")
    parser.add_argument("--sample", type=int, default=256)
    parser.add_argument("--liberty", nargs="+", help="default: Debian's osu018")
    parser.add_argument("--clock-ns", type=float, default=CLOCK_NS)
    parser.add_argument("--slew-ns", type=float, default=SLEW_NS)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--vectorless", action="store_true")
    parser.add_argument("--suffix", default="osu018", help="of the records' names")
    options = parser.parse_args()
    names = OTHERS if options.pe == "others" else split_designs(options.pe)
    plan = Plan(
        library_of(options.liberty) if options.liberty else debian_library(),
        operating=Operating(options.clock_ns, options.slew_ns),
        samples=options.sample,
        random=options.random,
        vectorless=options.vectorless,
    )
    for network in options.networks:
        target = options.folder / f"{network}_{options.suffix}.json"
        if target.exists():
            continue
        start, trace = time.perf_counter(), trace_of(network, options.folder)
        designs = [get_pe(name) for name in names]
        record = measured_energies(load_trace(trace), trace.name, designs, plan, report=print)
        record.save(target)
        print(f"{target}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
