"""A search made ready: its network opened, its space and its hardware known.

A `Plan` can be sent to another process; whoever has it makes the same of it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.base.version import VERSION
from sparqsim.engine.assignment import assigned
from sparqsim.networks.images import Pictures
from sparqsim.results.setting import ArrayInfo
from sparqsim.search.asked import Search, split
from sparqsim.search.hardware import HardwareSpec
from sparqsim.search.measuring import Measuring
from sparqsim.search.networks import opened
from sparqsim.search.space import LayerBits, Space
from sparqsim.sweep.point import assignment_digest, dataflow_facts, package_digest


@dataclass(frozen=True)
class Plan:
    """What is searched, where, on which pictures.

    model: .onnx, or 'FILE.py:FUNCTION'. labels: of all pictures.
    """

    model: str
    pictures: Pictures
    labels: NDArray[np.int64] | None
    asked: Search
    array: ArrayConfig

    def ready(self) -> Ready:
        """Open the network and find what can be searched.

        Raises
        ------
        InputError
            For what cannot be searched, naming it.
        """
        asked = self.asked
        asked.check(self.model, self.labels)
        computing = asked.computing
        shown, calibration = split(self.pictures, asked)
        rules = asked.rules(len(calibration))
        measuring = Measuring(
            network=opened(self.model, rules, calibration, asked.batch),
            pictures=shown,
            labels=None if self.labels is None else self.labels[len(calibration) :],
            traced=shown.first(asked.traced),
            pe=computing,
            array=self.array,
            energy=asked.energy,
        )
        hardware = HardwareSpec.of(asked.design, asked.accumulator_bits)
        measuring.check_signed()
        space = measuring.space(min(asked.most_bits, hardware.limit()), asked.least_bits)
        bits = space.layer_bits(space.default)
        sites = measuring.network.sites
        hardware.check((site.name, bits.get(site.name, LayerBits())) for site in sites)
        return Ready(measuring, space, hardware, _setting(measuring, asked, space))


@dataclass(frozen=True)
class Ready:
    """A search that can be run. setting: digest of all that decides what a point gives."""

    measuring: Measuring
    space: Space
    hardware: HardwareSpec
    setting: str


def _setting(measuring: Measuring, asked: Search, space: Space) -> str:
    labels, network = measuring.labels, measuring.network
    told: dict[str, Any] = {
        "version": VERSION,
        "sources": _sources(measuring, asked),
        "network": network.sha256,
        "design": measuring.pe.spec,
        "signed": asked.signed,
        "array": ArrayInfo.of(measuring.array).model_dump(mode="json"),
        "rules": repr(network.rules),
        "batch": asked.batch,
        "preprocess": measuring.pictures.preprocess.spec,
        "calibration": network.calibration.digests(),
        "pictures": measuring.pictures.digests(),
        "labels": None if labels is None else labels.tolist(),
        "traced": len(measuring.traced),
        "energy": None if asked.energy is None else repr(asked.energy),
        "edges": repr(space.edges),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _sources(measuring: Measuring, asked: Search) -> dict[str, Any]:
    """Return the digests of all code that decides results: the package's, and of files of one's
    own, whose names stay the same when they are changed.
    """
    return {
        "package": package_digest(),
        "design": assignment_digest(assigned(asked.pe)),
        "dataflow": dataflow_facts(measuring.array),
    }
