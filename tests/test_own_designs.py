"""Designs from outside of every cost, or that follow the layer: both engines, memory, heat maps.

What they should take is said here again, in plain integers, beside what the simulator says.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from busy_cycles import busy_cycles
from every_design import EXHAUSTIVE_CHECKS, QUICK_CHECKS
from hypothesis import given, settings
from hypothesis import strategies as st
from own_designs import FixedSerial, Fused, WeightSerial, WindowedSerial

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer, MemoryConfig, Trace
from sparqsim.analysis.bandwidth import bandwidth_curves
from sparqsim.analysis.heatmap import heatmap
from sparqsim.array.registry import get_dataflow
from sparqsim.array.timing import array_timing
from sparqsim.base.contract import outcomes_of
from sparqsim.cli import main
from sparqsim.pe.arithmetic import layer_sums
from sparqsim.pe.base import LayerFacts
from sparqsim.pe.binding import bound_to
from sparqsim.pe.mac import Mac8b8b

HERE = Path(__file__).parent
FILE = HERE / "own_designs.py"
SPECS = [f"{FILE}:{name}" for name in ("WeightSerial", "Fused", "FixedSerial", "WindowedSerial")]
#: Every roles that a dataflow can have.
FLOWS = ("os", "ws", "is", f"{HERE / 'own_dataflows.py'}:TransposedOutputs")
COUPLINGS = ("lockstep", "elastic:1", "broadcast", "elastic:2", "elastic:3")


def layer_of(seed: int, most: int = 9, groups: int = 1, *, signed: bool = False) -> Layer:
    """Return a layer of random operands, many of them zero."""
    rng = np.random.default_rng(seed)
    m, k, n = (int(size) for size in rng.integers(1, most + 1, 3))
    low, high, dtype = (-128, 128, np.int8) if signed else (0, 256, np.uint8)
    x = rng.integers(low, high, (1, 1, m, k * groups)) * (rng.random((1, 1, m, k * groups)) < 0.6)
    w = rng.integers(-128, 128, (n * groups, 1, k)) * (rng.random((n * groups, 1, k)) < 0.6)
    return Layer.conv2d("drawn", x.astype(dtype), w.astype(np.int8), kernel=(1, 1), groups=groups)


def check_engines_agree(layer: Layer, spec: str, array: ArrayConfig, memory=None) -> None:
    fast, event = (
        sparqsim.simulate(Trace([layer]), spec, array, memory=memory, engine=engine).to_json()
        for engine in ("fast", "event")
    )
    assert fast == event.replace('"engine": "event"', '"engine": "fast"')


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.rpartition(":")[2])
def test_they_keep_the_contract(spec):
    found = outcomes_of(QUICK_CHECKS, sparqsim.get_pe(spec))
    assert [each for each in found if each.failure] == []


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.rpartition(":")[2])
def test_they_keep_the_exhaustive_checks(spec):
    found = outcomes_of(EXHAUSTIVE_CHECKS, sparqsim.get_pe(spec))
    assert [each for each in found if each.failure] == []


@pytest.mark.sampled(4)
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.rpartition(":")[2])
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.rpartition(":")[2])
def test_engines_agree_in_every_setting(spec, flow):
    """Ragged along both sides, more than one tile along each, two groups, int8 activations too."""
    rng = np.random.default_rng(5)
    x, w = rng.integers(-128, 128, (5, 11), np.int8), rng.integers(-128, 128, (11, 7), np.int8)
    for coupling, overlap, signed in itertools.product(COUPLINGS, (False, True), (False, True)):
        array = ArrayConfig(3, 2, flow, coupling, overlap)
        check_engines_agree(
            Layer.from_gemm("ragged", x if signed else x.view(np.uint8), w), spec, array
        )


arrays = st.builds(
    ArrayConfig,
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(FLOWS),
    st.sampled_from(COUPLINGS),
    st.booleans(),
)
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SPECS), arrays, seeds, st.booleans())
def test_engines_agree(spec, array, seed, with_memory):
    layer = layer_of(seed, groups=1 + seed % 2, signed=seed % 3 == 0)
    check_engines_agree(layer, spec, array, MemoryConfig() if with_memory else None)


def stepped_work(layer: Layer, lanes: int, cycles_of_step) -> int:
    """Return the step cycles of all outputs, added up one by one from plain lists."""
    lowered = layer.lower()
    total = 0
    for x, w in zip(lowered.rows().tolist(), lowered.weights.tolist(), strict=True):
        columns = list(zip(*w, strict=True))
        for row, column in itertools.product(x, columns):
            for start in range(0, len(row), lanes):
                total += cycles_of_step(row[start : start + lanes], column[start : start + lanes])
    return total


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.rpartition(":")[2])
@pytest.mark.parametrize(
    ("spec", "lanes", "cycles"),
    [
        (SPECS[0], 2, lambda _, ws: max(1, *(f"{abs(w):b}".count("1") for w in (*ws, 0)))),
        (SPECS[1], 1, lambda *_: 1),
        (SPECS[2], 3, lambda *_: 8),
        (SPECS[3], 2, lambda xs, _: 1 + max(1, *(len(f"{abs(x):b}") for x in (*xs, 0)))),
    ],
    ids=["weights", "bound lanes", "fixed", "activations"],
)
def test_work_is_the_sum_of_plain_step_cycles(spec, lanes, cycles, flow):
    layer = layer_of(21, most=12, groups=2)
    report = sparqsim.simulate(Trace([layer]), spec, ArrayConfig(3, 4, flow)).layers[0]
    array_work = report.bounds.work_cycles * 12
    real = stepped_work(layer, lanes, cycles)
    assert real <= array_work < real + 12


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.rpartition(":")[2])
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.rpartition(":")[2])
def test_heat_map_counts_the_steps_of_the_processes(spec, flow):
    layer, pe = layer_of(8, most=12), sparqsim.get_pe(spec)
    trace, array = Trace([layer]), ArrayConfig(3, 4, flow)
    found = heatmap(sparqsim.simulate(trace, pe, array), trace, known=[pe])
    assert found.step_cycles.tolist() == busy_cycles(layer, pe, array)


def test_weights_alone_decide_what_weights_decide():
    """Other activations, the same cycles; weights of one bit, no stall; weights of seven, much."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (6, 10), np.uint8), np.full((10, 5), 127, np.int8)
    for flow, coupling in itertools.product(FLOWS, COUPLINGS[::2]):
        array = ArrayConfig(3, 2, flow, coupling)
        cycles = [
            sparqsim.simulate(Trace([Layer.from_gemm("g", *operands)]), SPECS[0], array).cycles
            for operands in ((x, w), (x // 3, w), (x, w // 127))
        ]
        assert cycles[0] == cycles[1]
        assert cycles[0].pe_stall > cycles[2].pe_stall == 0


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8])
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.rpartition(":")[2])
def test_one_tile_of_fixed_steps_takes_what_the_formulas_say(bits, flow):
    """c(X + R + C - 2) + e in lockstep; elastic os cX + R + C - 2 + e, others cX + c(R - 1) + C - 1
    + e.

    Broadcast: cX + e.
    """
    rows, cols, stream = 3, 4, 7
    roles = get_dataflow(flow).roles
    size = dict(zip(roles, (stream, rows, cols), strict=True))
    x = np.ones((size["m"], 3 * size["s"]), np.uint8)
    layer = Layer.from_gemm("tile", x, np.ones((3 * size["s"], size["n"]), np.int8))
    # Bits of the layer's record do not exist yet: the design is made ready by hand.
    pe = replace(FixedSerial(), bits=bits)
    total = {
        coupling: array_timing(layer.lower(), pe, ArrayConfig(rows, cols, flow, coupling)).total
        for coupling in ("lockstep", "elastic:2", "broadcast")
    }
    assert total["lockstep"] == bits * (stream + rows + cols - 2) + rows
    assert total["broadcast"] == bits * stream + rows
    down = 1 if roles[0] == "s" else bits
    assert total["elastic:2"] == bits * stream + down * (rows - 1) + cols - 1 + rows


def test_padding_takes_one_cycle_where_values_decide():
    """A step of zeros takes two cycles, but a lone row of X waits for no padded row below it."""
    x, w = np.zeros((1, 4), np.uint8), np.ones((4, 1), np.int8)
    layer = Layer.from_gemm("zeros", x, w)
    for engine in ("fast", "event"):
        report = sparqsim.simulate(Trace([layer]), SPECS[3], ArrayConfig(3, 1), engine=engine)
        # Row 0 works in waves 0 and 1; waves 2 and 3 are padded rows alone.
        assert report.cycles.pe_stall == 2


def test_lanes_of_a_report_are_those_of_the_bound_design():
    layer = layer_of(3, most=12)
    pe = sparqsim.get_pe(SPECS[1])
    assert (pe.lanes, bound_to(layer, pe).lanes) == (4, 1)
    fused, plain = (
        sparqsim.simulate(Trace([layer]), spec, ArrayConfig(3, 2)).layers[0]
        for spec in (pe, "mac-8b8b")
    )
    assert fused.cycles == plain.cycles
    assert fused.counts.lane_cycles == plain.counts.lane_cycles
    assert (fused.run_as, fused.bounds) == ("fused", plain.bounds)
    assert [Fused().for_layer(LayerFacts(9, weight_bits=bits)).lanes for bits in (1, 3, 5)] == [
        *(4, 2, 1)
    ]


def test_sums_and_bandwidth_use_the_bound_design():
    layer = layer_of(4)
    exact = layer_sums(layer, sparqsim.get_pe("mac-8b8b"))
    assert all(
        np.array_equal(layer_sums(layer, pe()), exact)
        for pe in (WeightSerial, Fused, FixedSerial, WindowedSerial)
    )
    trace, array = Trace([layer]), ArrayConfig(2, 2)
    designs = [sparqsim.get_pe(spec) for spec in ("mac-8b8b", *SPECS)]
    curves = bandwidth_curves(trace, designs, array, MemoryConfig(), baseline="mac-8b8b", kept=None)
    for pe in designs:
        assert curves.array_cycles[pe.spec] == sparqsim.simulate(trace, pe, array).cycles.total


class Renamed(Fused):
    def for_layer(self, facts):
        return sparqsim.get_pe("mac-8b8b")


def test_a_design_that_becomes_another_is_refused():
    with pytest.raises(InputError, match="layer 'drawn': for_layer of fused gives mac-8b8b"):
        sparqsim.simulate(Trace([layer_of(1)]), Renamed())


OLD = """
from dataclasses import dataclass
from typing import ClassVar
from sparqsim import PEDesign
from sparqsim.pe import Step

@dataclass(frozen=True)
class Old(PEDesign):
    name: ClassVar[str] = "old"
    lanes: ClassVar[int] = 1

    def step(self, xs, ws, signed=False):
        return Step(xs[0] * ws[0])
"""


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ("used_operands", "expected `used_activations(x)` and `used_weights(w)`"),
        ("step_cycles", "declares no `cost`, so it would never be asked; expected `cost = 'activ"),
        ("pair_step_cycles", "expected `cost = 'pair'`"),
    ],
)
def test_a_design_written_for_former_hooks_is_told_what_to_write(hook, words, tmp_path, capsys):
    file, trace = tmp_path / "old.py", tmp_path / "t.safetensors"
    file.write_text(OLD + f"\n    def {hook}(self, *operands):\n        return operands\n")
    Trace([layer_of(1)]).save(trace)
    for command in (["simulate", trace, "--pe"], ["pe", "check"]):
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in (*command, f"{file}:Old")])
        said = capsys.readouterr().err
        assert (stopped.value.code, said.count("\n")) == (2, 1)
        assert words in said
    in_python = type("Old", (Mac8b8b,), {hook: lambda self, *operands: operands})
    with pytest.raises(InputError, match=re.escape(words)):
        sparqsim.simulate(Trace([layer_of(1)]), in_python())


def test_command_line_runs_them(tmp_path, capsys):
    Trace([layer_of(3, most=12)], network="one layer").save(tmp_path / "net.safetensors")
    words = ["compare", tmp_path / "net.safetensors", "--pe", ",".join(SPECS), "--array", "3x4"]
    for around in ([], ["--config", "edge"], ["--coupling", "elastic", "--overlap", "on"]):
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in (*words, *around)])
        said = capsys.readouterr()
        assert (stopped.value.code or 0, said.err) == (0, "")
        assert "weight-serial" in said.out
