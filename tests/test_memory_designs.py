"""Every kind of design through the memory system: slow by activations, by both operands, or timed
by its own queues.
"""

from __future__ import annotations

import numpy as np
import pytest
from bit_serial import BitSerial
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer
from sparqsim.analysis.bandwidth import bandwidth_curves
from sparqsim.analysis.network import outcomes
from sparqsim.engine.models.queue_array import QueueArray
from sparqsim.memory import DramConfig, MemoryConfig, ScratchpadConfig, load_accelerator
from sparqsim.pe import get_pe

DESIGNS = (
    "mac-8b8b",
    "sparq-5opt",
    "sparq-exact",
    "sysmt-2t",
    "smt-sa-2t",
    "smt-sa-4t:queue_depth=3",
)


def sparse_conv(groups: int = 1) -> Layer:
    values = np.random.default_rng(4)
    x = values.integers(0, 256, (1, 6, 6, 4 * groups)) * (
        values.random((1, 6, 6, 4 * groups)) < 0.6
    )
    w = values.integers(-128, 128, (6 * groups, 9, 4)) * (values.random((6 * groups, 9, 4)) < 0.7)
    return Layer.conv2d(
        "conv",
        x.astype(np.uint8),
        w.astype(np.int8),
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
        groups=groups,
    )


def sparse_gemm(m: int, k: int, n: int, seed: int) -> Layer:
    values = np.random.default_rng(seed)
    x = values.integers(0, 256, (m, k)) * (values.random((m, k)) < 0.6)
    w = values.integers(-128, 128, (k, n)) * (values.random((k, n)) < 0.7)
    return Layer.from_gemm("gemm", x.astype(np.uint8), w.astype(np.int8))


def small_memory(**dram: object) -> MemoryConfig:
    pad = ScratchpadConfig(size_kib=0.5)
    return MemoryConfig(
        dram=DramConfig(burst_bytes=8, request_bytes=64, **dram),
        activations=pad,
        weights=pad,
        outputs=pad,
    )


@pytest.mark.parametrize("design", [*DESIGNS, BitSerial()], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_curves_and_timelines_time_every_design_as_simulate_does(design, groups):
    """Found the hard way: they once had a timing of their own, which knew only steps that
    activations slow down.
    """
    trace, pe, array = (
        sparqsim.Trace([sparse_conv(groups)]),
        get_pe(design),
        ArrayConfig(rows=4, cols=4),
    )
    memory = small_memory(bandwidth_bytes_per_cycle=2)
    report = sparqsim.simulate(trace, pe, array, memory=memory)
    curves = bandwidth_curves(
        trace, [pe], array, memory, baseline=pe.spec, kept=None, bandwidths=[2]
    )
    assert curves.cycles[pe.spec] == (report.cycles.total,)
    assert curves.array_cycles[pe.spec] == sparqsim.simulate(trace, pe, array).cycles.total
    ((_, timing, outcome),) = outcomes(trace, [pe], array, memory)
    assert outcome.times.total == report.cycles.total == timing.total + outcome.memory_stall
    assert outcome.memory_stall == report.cycles.memory_stall > 0


@settings(deadline=None, max_examples=60)
@given(
    m=st.integers(1, 14),
    k=st.integers(1, 90),
    n=st.integers(1, 14),
    seed=st.integers(0, 999),
    threads=st.sampled_from([2, 4]),
    depth=st.sampled_from([1, 3, 4096]),
    bandwidth=st.sampled_from([0.5, 3, 20]),
    latency=st.integers(0, 30),
)
def test_self_timed_tiles_wait_and_still_add_up(m, k, n, seed, threads, depth, bandwidth, latency):
    """Both engines agree on every field, and what each tile takes alone is what the array takes
    without memory.
    """
    trace = sparqsim.Trace([sparse_gemm(m, k, n, seed)])
    pe, array = get_pe(f"smt-sa-{threads}t:queue_depth={depth}"), ArrayConfig(rows=4, cols=3)
    memory = small_memory(bandwidth_bytes_per_cycle=bandwidth, latency_cycles=latency)
    try:
        fast = sparqsim.simulate(trace, pe, array, memory=memory)
    except InputError:
        assume(False)
    defined = sparqsim.simulate(trace, pe, array, memory=memory, engine="event")
    assert fast.layers == defined.layers
    alone = sparqsim.simulate(trace, pe, array).layers[0].cycles
    cycles = fast.layers[0].cycles
    assert (cycles.compute, cycles.fill, cycles.drain, cycles.pe_stall) == (
        alone.compute,
        alone.fill,
        alone.drain,
        alone.pe_stall,
    )
    ((_, _, outcome),) = outcomes(trace, [pe], array, memory)
    lowered = trace.layers[0].lower()
    ends = QueueArray(pe).group_timing(lowered.rows()[0], lowered.weights[0], array).tile_ends
    own = np.diff(ends.ravel(), prepend=0).reshape(ends.shape)
    index, lengths = outcome.plan.nest.index, np.zeros_like(ends)
    np.add.at(lengths, (index["m"], index["n"]), outcome.program.lengths)
    assert lengths.tolist() == own.tolist()
    assert outcome.program.lengths.min() >= 0


def test_bandwidth_refuses_what_simulate_refuses():
    signed = Layer.from_gemm("signed one", np.full((4, 4), -1, np.int8), np.ones((4, 4), np.int8))
    trace, memory, pe = (
        sparqsim.Trace([signed]),
        load_accelerator("edge").memory,
        get_pe("mac-8b8b"),
    )

    def curves(design: str, array: ArrayConfig) -> None:
        bandwidth_curves(trace, [pe, get_pe(design)], array, memory, baseline=pe.spec, kept=None)

    with pytest.raises(InputError, match=r"dataflow='ws': smt-sa-2t supports os"):
        curves("smt-sa-2t", ArrayConfig(dataflow="ws"))
    with pytest.raises(InputError, match=r"layer 'signed one': .*sysmt-2t"):
        curves("sysmt-2t", ArrayConfig())
