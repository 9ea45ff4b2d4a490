"""Layers marked keep_8bit on each design's own circuit: values, cycles, traffic, words.

Oracles are written down here: sums by numpy's int64 product, cycles of a tile as fill + steps +
drain by hand, bytes by counting elements.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer, MemoryConfig, get_pe
from sparqsim.base.contract import Violation, variants
from sparqsim.engine.models import get_model
from sparqsim.engine.models.kept import adds_up, kept_run
from sparqsim.memory import DramConfig, load_accelerator
from sparqsim.pe.base import LayerFacts, PEDesign
from sparqsim.pe.contract_kept import check_kept
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.mac import Mac4b8b, Mac8b8b, MacPass
from sparqsim.pe.registry import designs
from sparqsim.pe.sparq_exact import SparqExact

NARROW = ("mac-4b8b", "mac-4b4b", "sparq-5opt", "sparq-6opt", "sparq-7opt", "sysmt-2t", "swis")
OTHERS = ("sparq-exact", "bitfusion", "stripes", "pragmatic", "mac-2x8b8b", "sysmt-4t")


def layer(
    m: int, k: int, n: int, *, signed: bool = False, seed: int = 0, density: float = 0.6, **fields
) -> Layer:
    """A random product, marked to stay at 8 bits."""
    rng = np.random.default_rng(seed)
    low, high = (-128, 128) if signed else (0, 256)
    x = rng.integers(low, high, (m, k)) * (rng.random((m, k)) < density)
    w = rng.integers(-128, 128, (k, n)).astype(np.int8)
    x = x.astype(np.int8 if signed else np.uint8)
    return Layer.from_gemm("fc", x, w, keep_8bit=True, **fields)


def alone(design: str | PEDesign, of: Layer, array: ArrayConfig, **how):
    """The report of one layer."""
    return sparqsim.simulate(sparqsim.Trace([of]), design, array, **how).layers[0]


#: Designs whose circuit does not run such layers.
WITHOUT = {"mac-mxfp4"}


@pytest.mark.parametrize("name", designs())
@pytest.mark.parametrize("signed", [False, True])
def test_every_product_of_8_bits_is_exact(name, signed):
    codes = np.arange(256).astype(np.uint8)
    x, w = codes.view(np.int8 if signed else np.uint8)[:, None], codes.view(np.int8)[None]
    exact = np.outer(x.astype(int), w.astype(int))
    for design in variants(designs()[name]):
        mode = design.kept_8bit(LayerFacts(1, signed))
        if name in WITHOUT:
            assert mode is None
            continue
        bound = [each.for_layer(LayerFacts(1, signed)) for each in mode.passes]
        assert np.array_equal(sum(each.matmul(x, w) for each in bound), exact), design.spec


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("signed", [False, True])
def test_step_of_a_pass_defines_it(name, signed):
    """Sums of plain steps of all passes, element by element, for every activation."""
    rng = np.random.default_rng(1)
    for value in range(-128 if signed else 0, 128 if signed else 256):
        w = int(rng.integers(-128, 128))
        total = 0
        for each in sparqsim.get_pe(name).kept_8bit(LayerFacts(1, signed)).passes:
            rest = [0] * (each.lanes - 1)
            total += each.step([value, *rest], [w, *rest], signed).value
        assert total == value * w


@pytest.mark.parametrize(
    ("design", "passes", "lanes", "edge"),
    [
        ("mac-8b8b", 1, 1, 0),
        ("mac-4b8b", 2, 2, 0),
        ("mac-4b4b", 4, 4, 0),
        ("sparq-5opt", 1, 1, 1),
        ("sparq-5opt:pairing=off", 1, 1, 1),
        ("sparq-6opt", 2, 1, 1),
        ("sparq-7opt", 2, 1, 1),
        ("sysmt-4t", 1, 1, 0),
        ("mac-2x8b8b", 1, 2, 0),
    ],
)
@pytest.mark.parametrize("k", [1, 13, 16])
def test_cycles_are_those_of_passes_with_fill_and_drain(design, passes, lanes, edge, k):
    """Of os: tiles of 3x2 PEs, each ceil(K / lanes) steps, skew 3 + 2 - 2, edge, drain 3."""
    found = alone(design, layer(7, k, 5), ArrayConfig(3, 2))
    tiles = passes * 3 * 3
    assert found.cycles.compute == tiles * -(-k // lanes)
    assert found.cycles.fill == tiles * (3 + edge)
    assert found.cycles.drain == tiles * 3
    assert found.cycles.pe_stall == 0
    assert (found.tiles, found.partial_sums) == (tiles, passes * 7 * 5)


def test_swis_takes_all_its_positions():
    found = alone("swis:shifts=2,per_cycle=3", layer(3, 8, 2), ArrayConfig(3, 2))
    assert found.cycles.compute + found.cycles.pe_stall == 3 * 2 + 2 * 3  # 2 steps, 3 of skew
    assert found.error.noise == 0


ARRAYS = st.builds(
    ArrayConfig,
    st.integers(1, 4),
    st.integers(1, 4),
    dataflow=st.sampled_from(["os", "ws", "is"]),
    coupling=st.sampled_from(["lockstep", "elastic:1", "elastic:3", "broadcast"]),
    overlap=st.booleans(),
)
LAYERS = st.builds(
    layer,
    st.integers(1, 9),
    st.integers(1, 11),
    st.integers(1, 7),
    signed=st.booleans(),
    seed=st.integers(0, 99),
)
MEMORY = MemoryConfig(dram=DramConfig(bandwidth_bytes_per_cycle=3, latency_cycles=2))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([*NARROW, *OTHERS]), ARRAYS, LAYERS, st.sampled_from([None, MEMORY]))
def test_fast_form_is_the_definition(design, array, of, memory):
    fast, event = (
        alone(design, of, array, memory=memory, engine=engine) for engine in ("fast", "event")
    )
    assert fast == event
    assert fast.error.noise == 0
    assert fast.kept_8bit


@pytest.mark.parametrize("design", NARROW)
def test_zero_points_and_groups_are_corrected_once(design):
    rng = np.random.default_rng(5)
    convolution = Layer.conv2d(
        "stem",
        rng.integers(0, 256, (1, 4, 4, 4)).astype(np.uint8),
        rng.integers(-128, 128, (6, 9, 2)).astype(np.int8),
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
        groups=2,
        activation_zero_point=7,
        weight_zero_points=(1, -2, 3, 0, 5, -6),
        zero_point_corrected=True,
        keep_8bit=True,
    )
    for engine in ("fast", "event"):
        found = alone(design, convolution, ArrayConfig(4, 3, dataflow="ws"), engine=engine)
        assert (found.error.noise, found.error.max_abs) == (0, 0)


def test_ideal_is_the_8_bit_array_under_every_design():
    of = layer(7, 13, 5)
    trace, array = sparqsim.Trace([of]), ArrayConfig(3, 2, overlap=True)
    wide = alone("mac-8b8b", of, array)
    for name in designs():
        report = sparqsim.simulate(trace, name, array, kept="ideal")
        assert report.layers[0] == wide
        assert "kept" not in json.loads(report.to_json())
    assert json.loads(sparqsim.simulate(trace, "mac-4b8b", array).to_json())["kept"] == "honest"


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize(("design", "x_bits", "w_bits"), [("mac-4b8b", 4, 8), ("mac-4b4b", 4, 4)])
def test_every_pass_fetches_its_nibbles_and_sums_go_and_come(design, x_bits, w_bits, dataflow):
    """One block holds all: nothing is fetched twice in a pass."""
    m, k, n, passes = 6, 8, 4, 2 if design == "mac-4b8b" else 4
    array = ArrayConfig(8, 8, dataflow=dataflow)
    found = alone(design, layer(m, k, n, density=1.0), array, memory=MemoryConfig()).traffic
    assert found.activations.dram_read_bytes == passes * m * k * x_bits // 8
    assert found.weights.dram_read_bytes == passes * k * n * w_bits // 8
    psum, output = MEMORY.psum_bits // 8, MEMORY.output_bits // 8
    assert found.outputs.dram_write_bytes == m * n * ((passes - 1) * psum + output)
    assert found.psum_spill_bytes == found.psum_reload_bytes == (passes - 1) * m * n * psum
    assert found.outputs.dram_read_bytes == found.psum_reload_bytes
    used = (found.activations.used_bytes, found.weights.used_bytes, found.outputs.used_bytes)
    assert used == (m * k, k * n, m * n * output)


def test_one_pass_moves_no_partial_sums():
    array = ArrayConfig(3, 2)
    found = alone("sparq-5opt", layer(7, 13, 5), array, memory=load_accelerator("edge").memory)
    assert found.traffic.psum_spill_bytes == 0
    assert found.traffic.activation_pair_bits == 16


@pytest.mark.parametrize("memory", [None, load_accelerator("edge").memory])
@pytest.mark.parametrize(("design", "passes", "lanes"), [("mac-4b8b", 2, 2), ("mac-4b4b", 4, 4)])
def test_steps_and_sums_are_those_of_all_passes_and_waiting_counts_once(
    design, passes, lanes, memory
):
    """Every cycle of every PE is one of a step or idle."""
    m, k, n, array = 7, 13, 5, ArrayConfig(3, 2)
    found = alone(design, layer(m, k, n), array, memory=memory)
    count = {name: action.count for name, action in found.actions.items()}
    steps = passes * m * n * -(-k // lanes)
    assert (count["pe.steps"], count["pe.step_cycles"]) == (steps, steps)
    assert count["pe.idle_cycles"] == 3 * 2 * found.cycles.total - steps
    assert count["array.partial_sums"] == passes * m * n


def test_int8_layers_that_stay_run_and_others_are_refused():
    kept = layer(3, 4, 2, signed=True)
    found = alone("sparq-5opt", kept, ArrayConfig(2, 2))
    assert "int8 by sign and magnitude, not in the paper" in found.kept_mode
    assert found.error.noise == 0
    with pytest.raises(InputError, match="signed=magnitude"):
        alone("sparq-5opt", kept, ArrayConfig(2, 2), keep_8bit=False, signed="refuse")


class Silent(Mac4b8b):
    """Does not say how it runs 8-bit layers."""

    name = "silent"

    def kept_8bit(self, facts):
        return None


@dataclass(frozen=True)
class Without(Mac8b8b):
    """Takes weights of one value as zeros."""

    name: ClassVar[str] = "without"
    lost: int = 0

    def used_weights(self, w):
        return np.where(w == self.lost, 0, w).astype(np.int8)


class Second(Mac8b8b):
    """Takes the second weight of each row of W as a zero."""

    name = "second"

    def used_weights(self, w):
        return np.where(np.arange(w.shape[-1]) == 1, 0, w).astype(np.int8)


class Half(Mac4b8b):
    """Leaves the low nibbles out."""

    name = "half"

    def kept_8bit(self, facts):
        return KeptMode((MacPass(self, "high"),))


class Losing(Mac4b8b):
    """Loses weights above 0."""

    name = "losing"

    def kept_8bit(self, facts):
        return KeptMode((Positive(signed="magnitude"),))


@dataclass(frozen=True)
class Positive(SparqExact):
    """Looks at pairs of activations; takes weights above 0 as zeros."""

    def used_weights(self, w):
        return np.minimum(w, 0)


def test_a_design_that_does_not_say_leaves_them_to_the_8_bit_array(run, tmp_path):
    trace = sparqsim.Trace([layer(3, 4, 2)])
    report = sparqsim.simulate(trace, Silent(), ArrayConfig(2, 2))
    assert report.layers[0].run_as == "mac-8b8b"
    from sparqsim.results.kept import kept_modes

    assert kept_modes([report]) == {
        "silent": "as mac-8b8b, since silent does not say how its circuit runs 8-bit layers"
    }


def test_passes_that_lose_bits_break_the_contract():
    with pytest.raises(Violation, match="x @ w gives"):
        check_kept(Half())
    check_kept(Mac4b8b())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("design", ["mac-4b8b", "mac-4b4b", "sparq-5opt", "sparq-6opt"])
def test_passes_are_proved_to_add_up_where_they_do(design, signed):
    """Without one of them, or with one of them twice, they do not."""
    of = layer(2, 5, 3, signed=signed, seed=5)
    passes, w = kept_run(get_model(design), of).pass_designs, of.lower().weights
    assert adds_up(passes, w, signed)
    for at in range(len(passes)):
        assert not adds_up([*passes[:at], *passes[at + 1 :]] or [Mac4b8b()], w, signed)
        assert not adds_up([*passes, passes[at]], w, signed)
    assert adds_up(passes, np.zeros_like(w), signed)
    assert not adds_up([get_pe("sparq-exact")], w, signed)  # exact, but not one by one


@pytest.mark.parametrize(("weights", "lost"), [((1, 2), 2), ((-4, -8), -8), ((0, 5), 5)])
def test_a_weight_that_passes_lose_is_not_taken_for_another(weights, lost):
    """Not for one whose stored and used values add up to the same, as 1 + 1 and 2 + 0 do, and not
    for one that is used as the same.
    """
    w = np.array(weights, np.int8).reshape(1, 1, 2)
    assert not adds_up([Without(lost=lost)], w, False)
    assert adds_up([Without(lost=99)], w, False)


@pytest.mark.parametrize("block", [1, 2, 1 << 20])
@pytest.mark.parametrize("weights", [(3, 3, 3), (3, 0, 3), (0, 3, 3), (5, 3, 4)])
def test_a_weight_that_is_lost_at_one_place_is_found(weights, block, monkeypatch):
    """Where the code stands before or behind it too, and is not lost there."""
    monkeypatch.setattr("sparqsim.engine.models.kept.BLOCK_WEIGHTS", block)
    w = np.array(weights, np.int8).reshape(1, 1, -1)
    assert adds_up([Second()], w, False) == (weights[1] == 0)
    assert adds_up([Mac8b8b()], w, False)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("design", [*NARROW, "sparq-exact", Half(), Losing()])
def test_kept_layers_of_many_rows_are_reported_alike(design, signed, monkeypatch):
    """Whether their passes are multiplied, or proved to add up, alone or in a shared pass."""
    of = layer(9, 7, 3, signed=signed, seed=6)
    reports = []
    for many, shared_from in ((1 << 60, 1 << 60), (0, 1 << 60), (0, 0)):
        monkeypatch.setattr("sparqsim.engine.models.kept.MANY_ROWS", many)
        monkeypatch.setattr("sparqsim.engine.measure.SHARED_FROM", shared_from)
        reports.append(alone(design, of, ArrayConfig(4, 4)))
    assert reports[0] == reports[1] == reports[2]


def test_layers_of_fewer_bits_need_fewer_passes():
    for bits, passes in ((8, 2), (5, 2), (4, 1)):
        assert len(Mac4b8b().kept_8bit(LayerFacts(9, False, bits)).passes) == passes
    seven = sparqsim.get_pe("sparq-7opt")
    assert len(seven.kept_8bit(LayerFacts(9, False, 4)).passes) == 1


def test_an_engine_bound_once_more_is_the_same():
    of = layer(3, 4, 2)
    running = kept_run(get_model("mac-4b4b"), of)
    assert running.bound_to(of) == running
    assert running.spec == "mac-4b4b"


def test_what_kept_may_be():
    with pytest.raises(InputError, match=r"kept='free': expected 'honest' or 'ideal'"):
        alone("mac-4b8b", layer(3, 4, 2), ArrayConfig(2, 2), kept="free")


@pytest.mark.usefixtures("no_figures")
def test_tables_pages_and_timelines_tell_and_show_it(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mid = Layer.from_gemm("mid", np.ones((4, 6), np.uint8), np.ones((6, 3), np.int8))
    sparqsim.Trace([layer(5, 6, 3), mid]).save("net.safetensors")
    words = ("compare", "net.safetensors", "--pe", "mac-4b8b,sparq-5opt", "--array", "2x2")
    around = ("--config", "edge", "-o", "c.json")
    told = " ".join(run(*words, *around).out.split())
    assert "run on each design's own circuit: fc" in told
    assert "mac-4b8b: two passes over K (nibbles of activations)" in told
    ideal = " ".join(run(*words, "--kept", "ideal").out.split())
    assert "run as mac-8b8b under every design: fc" in ideal
    assert run("report", "c.json", "-o", "page.html").code == 0
    assert "two passes over K" in (tmp_path / "page.html").read_text()
    one = ("simulate", "net.safetensors", "--pe", "mac-4b8b", "--array", "2x2", "--config", "edge")
    assert run(*one, "-o", "r.json", "--timeline", "t.json").code == 0
    report = json.loads((tmp_path / "r.json").read_text())
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    spent = {
        event["name"]: event["dur"] for event in events if event.get("tid") == 0 and "dur" in event
    }
    assert spent == {each["name"]: each["cycles"]["total"] for each in report["layers"]}
    shown = ("--kind", "utilization", "--trace", "net.safetensors", "-o", "u.svg")
    assert run("plot", "r.json", *shown).code == 0
    wave = ("--array", "2x2", "--wave", "w.vcd", "--wave-layer", "fc")
    assert run("simulate", "net.safetensors", "--pe", "mac-4b8b", *wave).code == 0
    assert "two passes" in (tmp_path / "w.vcd").read_text()


def test_bandwidth_curves_are_simulations():
    of, array = layer(5, 6, 3), ArrayConfig(2, 2)
    trace = sparqsim.Trace([of])
    from sparqsim.analysis.bandwidth import bandwidth_curves

    curves = bandwidth_curves(
        trace, ["mac-4b4b"], array, MEMORY, baseline="mac-4b4b", kept="honest", bandwidths=[3]
    )
    expected = sparqsim.simulate(trace, "mac-4b4b", array, memory=MEMORY).cycles.total
    assert curves.cycles["mac-4b4b"] == (expected,)
    with pytest.raises(InputError, match="baseline='mac-8b8b': expected one of mac-4b4b"):
        bandwidth_curves(trace, ["mac-4b4b"], array, MEMORY, baseline="mac-8b8b", kept=None)
