"""Traces, tables and reports of energy that several tests use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import sparqsim
from sparqsim.cost.memory import MemoryTable, load_memory
from sparqsim.cost.table import (
    EDGE_COUNTS,
    PE_COUNTS,
    DesignCosts,
    EnergyTable,
    Orders,
    PerCount,
    PerCycle,
    TriedLayer,
)
from sparqsim.trace import Layer, Trace

ARRAY = sparqsim.ArrayConfig(4, 3)
DESIGNS = ("mac-8b8b", "mac-4b4b", "sparq-5opt", "sparq-exact")
TRIED = TriedLayer(
    network="n",
    layer="l",
    signed=False,
    reference_pj_per_mac=1.0,
    standard_error_percent=1.0,
    error_percent=2.0,
    constant_error_percent=9.0,
)


def costs(seed: int) -> DesignCosts:
    """Coefficients that are all different."""
    random = np.random.default_rng(seed)
    names = (*PE_COUNTS, *EDGE_COUNTS)
    values = {name: random.uniform(0.5, 2, 2).tolist() for name in names}
    return DesignCosts(
        counts={
            name: PerCount(switching_pj=one, internal_pj=two) for name, (one, two) in values.items()
        },
        pe_cycle=PerCycle(clock_pj=3.0 + seed, leakage_pj=0.25),
        edge_cycle=PerCycle(clock_pj=1.5, leakage_pj=0.125),
        fitted=(TRIED,),
    )


def table(node_nm: float = 45.0, designs: Sequence[str] = DESIGNS) -> EnergyTable:
    """A table that nobody measured."""
    return EnergyTable(
        name="made-up",
        library="made-up.lib",
        node_nm=node_nm,
        corner="typical",
        voltage_v=1.1,
        clock_ns=2.0,
        slew_ns=0.1,
        flow="default",
        tools=("none",),
        notes=("made up",),
        trace="none",
        trace_sha256="0",
        rows=4,
        cols=3,
        samples=1,
        orders=Orders(pairs=0, separated=0, right=0),
        designs={name: costs(at) for at, name in enumerate(designs)},
    )


def memory(node_nm: float | None) -> MemoryTable:
    """The table that ships, at another node."""
    shipped = load_memory("45nm")
    return shipped.model_copy(update={"sram": shipped.sram.model_copy(update={"node_nm": node_nm})})


def layer(name: str, seed: int, m: int = 8, k: int = 10, n: int = 6, **fields: Any) -> Layer:
    """A layer of drawn operands, half of the activations zeros."""
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (m, k)) * (random.random((m, k)) < 0.5)
    w = random.integers(-128, 128, (k, n), np.int8)
    return Layer.from_gemm(name, x.astype(np.uint8), w, **fields)


def trace(*layers: Layer) -> Trace:
    """A trace of layers."""
    return sparqsim.Trace(list(layers), network="drawn")
