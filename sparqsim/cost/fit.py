"""Coefficients of a design, found on gate-level runs of sampled outputs.

Energies that switching and cells' insides cost are fitted by counts, with coefficients that are not
negative. A sample weighs by the inverse of its energy, so that errors are relative ones. The mean
of a layer's samples stands among them, too, with `LAYER_WEIGHT` times their weight: what is asked
of the model is layers, and samples of one layer err alike. Clock and leakage per cycle are those
of an idle cycle, the energy of a draining sum is that of a draining cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.cost.joint import ToggleCounter
from sparqsim.cost.nonnegative import nonnegative_least_squares
from sparqsim.cost.paths.registry import path_of
from sparqsim.cost.table import EDGE_COUNTS, PE_COUNTS, PerCount, PerCycle
from sparqsim.cost.toggles import Toggles
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.binding import bound_to
from sparqsim.rtl.gates.record import CycleKinds, DesignSamples, LayerSamples, PartEnergies
from sparqsim.trace import Layer, Trace

Floats = NDArray[np.float64]

#: How much a layer's mean weighs, in its samples. Chosen on the trace that ships, leaving out one
#: of its layers at a time.
LAYER_WEIGHT = 10
#: Counts that samples tell nothing of: their sums are not drained.
NOT_SAMPLED = ("drain_moves",)
#: Digits of a coefficient.
DIGITS = 6
#: Samples that are counted at once.
SAMPLES = 64


@dataclass(frozen=True)
class LayerPoints:
    """Samples of a layer: what toggled in each, and what it cost.

    `counts`: (samples, counts of `Toggles`). `pe`, `edge`: (samples, 2), switching and internal
    energy, pJ. `pe_total`, `edge_total`: (samples,), with clock and leakage, pJ.
    """

    counts: Floats
    pe: Floats
    edge: Floats
    pe_total: Floats
    edge_total: Floats


def layer_points(design: PEDesign, layer: Layer, samples: LayerSamples) -> LayerPoints:
    """Return the samples of a layer with their counts; `design` as the user names it."""
    group, row, column = np.array(samples.positions).T
    lowered = layer.lower()
    x = lowered.rows()[group, row]
    toggles = sample_toggles(bound_to(layer, design), x, lowered.weights[group, :, column])
    return LayerPoints(
        np.array([each.all for each in toggles], float),
        _moving(samples.pe),
        _moving(samples.edge),
        np.array(samples.pe.total_pj),
        np.array(samples.edge.total_pj),
    )


def _moving(energies: PartEnergies) -> Floats:
    return np.stack([energies.switching_pj, energies.internal_pj], axis=1)


def sample_toggles(design: PEDesign, x: Array, w: Array) -> list[Toggles]:
    """Return what toggles in a PE of its own for each sample; x, w (samples, K)."""
    path = path_of(design)
    if path is None:
        raise InputError(f"{design.spec}: what its PEs hold is not known, so nothing can be fitted")
    toggles: list[Toggles] = []
    for start in range(0, len(x), SAMPLES):
        some = slice(start, start + SAMPLES)
        # A sample is a group of one row and one column.
        counter = ToggleCounter(path, design, np.ascontiguousarray(w[some, :, None]))
        counter.add(np.ascontiguousarray(x[some, None]))
        toggles += counter.by_group(1, 1)
    return toggles


def fitted_counts(points: Sequence[LayerPoints], cycles: CycleKinds) -> dict[str, PerCount]:
    """Return the energy of each count.

    Parameters
    ----------
    points : sequence of LayerPoints
    cycles : CycleKinds
        Of a PE: draining cycles are in it.
    """
    pe = _fitted(points, PE_COUNTS, [each.pe for each in points], [p.pe_total for p in points])
    edge = _fitted(
        points, EDGE_COUNTS, [each.edge for each in points], [p.edge_total for p in points]
    )
    if cycles.drain is None:
        raise InputError("the record has no draining cycles of a PE")
    drain = PerCount(switching_pj=cycles.drain.switching_pj, internal_pj=cycles.drain.internal_pj)
    return pe | edge | {"drain_moves": drain}


def _fitted(
    points: Sequence[LayerPoints],
    names: Iterable[str],
    energies: Sequence[Floats],
    totals: Sequence[Floats],
) -> dict[str, PerCount]:
    every = [each.name for each in fields(Toggles)]
    chosen = [name for name in names if name not in NOT_SAMPLED]
    at = [every.index(name) for name in chosen]
    if not any(total.any() for total in totals):
        return {name: PerCount(switching_pj=0.0, internal_pj=0.0) for name in chosen}
    pairs = [
        _weighted(each.counts[:, at], energy, total)
        for each, energy, total in zip(points, energies, totals, strict=True)
    ]
    counts, moving = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    switching, internal = (nonnegative_least_squares(counts, part) for part in moving.T)
    return {
        name: PerCount(switching_pj=_stored(one), internal_pj=_stored(two))
        for name, one, two in zip(chosen, switching, internal, strict=True)
    }


def _weighted(counts: Floats, energies: Floats, totals: Floats) -> tuple[Floats, Floats]:
    """Return a layer's samples and their mean, over their energies, by their weights."""
    weight = np.sqrt(LAYER_WEIGHT * len(totals)) / totals.mean()
    return tuple(  # type: ignore[return-value]
        np.concatenate([each / totals[:, None], weight * each.mean(axis=0, keepdims=True)])
        for each in (counts, energies)
    )


def _stored(value: Any) -> float:
    return float(f"{float(value):.{DIGITS}g}")


def per_cycle(cycles: CycleKinds) -> PerCycle:
    """Return what a cycle costs in which nothing moves."""
    return PerCycle(clock_pj=cycles.idle.clock_pj, leakage_pj=cycles.idle.leakage_pj)


def points_of(
    design: PEDesign, samples: DesignSamples, trace: Trace, where: str
) -> list[LayerPoints]:
    """Return the samples of a design's unsigned layers.

    Raises InputError where there are none, or a layer is not in the trace.
    """
    layers = layers_of(samples, trace, where)
    unsigned = [each for each in samples.layers if not each.signed]
    if not unsigned:
        raise InputError(
            f"{where}: {samples.design}: all layers have int8 activations; expected some with "
            "unsigned ones to fit coefficients on"
        )
    return [layer_points(design, layers[each.layer], each) for each in unsigned]


def layers_of(samples: DesignSamples, trace: Trace, where: str) -> dict[str, Layer]:
    """Return the trace's layers by name.

    Raises InputError for a layer of the record that it lacks, or that the samples cannot be of.
    """
    layers = {layer.name: layer for layer in trace.layers}
    for each in samples.layers:
        if each.layer not in layers:
            raise InputError(
                f"{where}: layer {each.layer!r} is not in the trace; expected the record's own"
            )
        _check_samples(each, layers[each.layer], f"{where}: {samples.design}")
    return layers


def _check_samples(samples: LayerSamples, layer: Layer, where: str) -> None:
    """Raise InputError where samples cannot be of the layer, or an energy per MAC not be real."""
    what, shape = f"{where}, layer {layer.name!r}", layer.gemm
    if samples.signed != layer.signed:
        dtypes = [("uint8", "int8")[signed] for signed in (samples.signed, layer.signed)]
        raise InputError(f"{what}: of {dtypes[0]} activations; expected {dtypes[1]}, the trace's")
    sizes = (shape.groups, shape.m, shape.n)
    for position in samples.positions:
        if any(at >= size for at, size in zip(position, sizes, strict=True)):
            raise InputError(
                f"{what}: position {list(position)} of group, row and column; expected less than "
                f"{list(sizes)}"
            )
    totals = samples.pe.total_pj
    if not min(totals) > 0:
        raise InputError(f"{what}: a PE's sample of {min(totals)} pJ; expected more than 0")
