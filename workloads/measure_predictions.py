"""Predict cycles of real networks before a simulation, simulate them, and write the tables of
docs/rivals/hcm.md.

    SPARQSIM_SHARED=../shared python workloads/measure_predictions.py           # resnet20
    SPARQSIM_SHARED=../shared python workloads/measure_predictions.py resnet18  # longer

Records, as `sparqsim predict -o` writes them, go to docs/rivals/predictions/; `rivals_tables.py`
makes the tables from them, by itself too. Weights and pictures are the shared data's; nothing of
them is copied. Needs the extra `torch`.
"""

from __future__ import annotations

import sys

import torch
from measure_rivals import SUBJECTS
from prediction_tables import DESIGNS, FOLDER, MEMORIES
from rivals_tables import write_tables

from sparqsim.engine.prediction import predict
from sparqsim.memory import load_accelerator
from sparqsim.networks.torch import QuantisedNetwork
from sparqsim.networks.torch.dump import trace_of
from sparqsim.trace import Trace

NAMES = {"resnet20": "ResNet-20", "resnet18": "ResNet-18"}


def traced(name: str) -> Trace:
    """Return the trace of one picture; scales are those of the network's calibration."""
    subject = SUBJECTS[name]()
    batches = subject.batches[: subject.calibration_batches]
    return trace_of(QuantisedNetwork(subject.model, batches), subject.batches, images=1)


def measure(name: str) -> None:
    """Write the records of a network: of one picture, without memory and with each."""
    trace = traced(name)
    for memory in MEMORIES:
        around = None if memory is None else load_accelerator(memory).memory
        found = predict(trace, DESIGNS, memory=around)
        about = found.provenance.model_copy(update={"network": NAMES[name]})
        named = found.model_copy(update={"provenance": about})
        named.save(FOLDER / f"{name}_{memory or 'array'}.json")


def main() -> None:
    """Measure, and write records and tables."""
    torch.set_num_threads(1)  # one order of additions in float: equal runs give equal figures
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or ["resnet20"]:
        measure(name)
    write_tables()


if __name__ == "__main__":
    main()
