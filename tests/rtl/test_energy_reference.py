"""`sparqsim rtl energy`: what must hold of measured energies, whatever the library."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.cli import main, rtl_energy
from sparqsim.pe import get_pe
from sparqsim.pe.base import LayerFacts
from sparqsim.pe.binding import bound_to
from sparqsim.rtl.check import MismatchError
from sparqsim.rtl.designs import circuit_of
from sparqsim.rtl.gates import running
from sparqsim.rtl.gates.cells import load_cells
from sparqsim.rtl.gates.circuits import design_gates
from sparqsim.rtl.gates.costs import Energies, Operating
from sparqsim.rtl.gates.cycles import measured_cycles
from sparqsim.rtl.gates.record import PARTS, EnergyReference
from sparqsim.rtl.gates.reference import FLOW, Plan, layer_operands, measured_energies
from sparqsim.rtl.gates.running import measure
from sparqsim.rtl.gates.samples import Operands, Position, sampled_positions
from sparqsim.rtl.gates.vectorless import propagated
from sparqsim.rtl.synthesis import DEBIAN_LIBERTY, FLOWS, Library
from sparqsim.trace import load_trace

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "workloads" / "digits_resnet.safetensors"
SHARED = Path(os.environ.get("SPARQSIM_SHARED", ROOT.parent / "shared"))
NO_SHARED = f"shared data not found at {SHARED} (set SPARQSIM_SHARED)"
AT = Operating(10.0, 0.1)
#: One cycle and several, with an edge unit and without, values that decide a step's cycles, a
#: register behind the multipliers.
SPECS = (
    "mac-8b8b",
    "sparq-2opt",
    "sparq-2opt:stages=2",
    "sparq-exact",
    "stripes:precision=dynamic,lanes=4",
    "swis",
    "olive-4b",
    "stc-sparq-2opt",
)


@pytest.fixture(scope="module")
def library():
    if shutil.which("yosys") is None:
        pytest.skip("yosys is not installed (apt install yosys)")
    if not DEBIAN_LIBERTY.is_file():
        pytest.skip("Debian's library is not installed (apt install qflow-tech-osu018)")
    return Library(DEBIAN_LIBERTY)


@pytest.fixture(scope="module")
def gates(library):
    """Return a design's netlists, each made once."""
    made, cells = {}, load_cells([DEBIAN_LIBERTY])

    def netlists(spec, signed=False):
        design = get_pe(spec).for_layer(LayerFacts(144, signed, 8, 8))
        if (spec, signed) not in made:
            circuit = circuit_of(design, signed=signed)
            made[spec, signed] = design_gates(circuit, library, cells, FLOW, AT)
        return design, made[spec, signed]

    return netlists


def drawn(rng, samples, k, signed=False):
    """Return samples of random operands with zeros."""
    x, above = (
        rng.integers(-128 if signed else 0, 128 if signed else 256, (samples, k)).astype(
            np.int8 if signed else np.uint8
        )
        for _ in range(2)
    )
    x[rng.random(x.shape) < 0.5] = 0
    inner = np.arange(samples) % 3 != 0
    above[~inner] = 0
    positions = tuple(Position(0, at, 0) for at in range(samples))
    w = rng.integers(-127, 128, (samples, k)).astype(np.int8)
    return Operands(positions, x, w, above, inner)


def twice(operands):
    both = {
        name: np.concatenate([getattr(operands, name)] * 2)
        for name in ("x", "w", "x_above", "inner")
    }
    return Operands(operands.positions * 2, **both)


def parts_of(energies):
    return np.array([getattr(energies, part) for part in PARTS])


@pytest.mark.sampled(6)
@pytest.mark.parametrize("spec", SPECS)
def test_netlist_rtl_and_simulator_agree_in_every_cycle(spec, gates, rng, compared):
    design, netlists = gates(spec)
    found = measure(design, netlists, drawn(rng, 70, 37), checked=2)
    assert found.checks.sums > 70 * 37 // design.lanes
    assert found.checks.nets > 2 * len(netlists.pe.wiring.instances) * 37 // design.lanes
    assert found.checks.outputs > 0
    compared(found.checks.sums)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("spec", ["mac-8b8b", "pragmatic:lanes=4"])
def test_signed_activations_agree_too(spec, gates, rng):
    design, netlists = gates(spec, signed=True)
    assert measure(design, netlists, drawn(rng, 5, 20, signed=True), checked=1).checks.sums > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "files",
    [("sky130hd_tt.lib.gz",), ("asap7_invbuf.lib.gz", "asap7_simple.lib.gz", "asap7_seq.lib.gz")],
    ids=["sky130", "asap7"],
)
def test_other_libraries_agree_too(files, library, rng, tmp_path):
    """Inverted registers, states of clock pins, grounds beside supplies, tables the other way."""
    if not (SHARED / "data" / "cells").is_dir():
        pytest.skip(NO_SHARED)
    paths = []
    for name in files:
        paths.append(tmp_path / name.removesuffix(".gz"))
        paths[-1].write_bytes(gzip.decompress((SHARED / "data" / "cells" / name).read_bytes()))
    cells, own = load_cells(paths), Library(paths[0], tuple(paths[1:]))
    design = get_pe("sparq-2opt")
    netlists = design_gates(circuit_of(design), own, cells, FLOW, AT)
    operands = drawn(rng, 6, 30)
    found = measure(design, netlists, operands, checked=1)
    assert found.checks.nets > 0
    idle = measured_cycles(design, netlists, operands)[0].idle
    assert idle.switching_pj == idle.internal_pj == 0 < idle.clock_pj
    assert (found.pe.switching > 0).all()
    assert (found.pe.internal > 0).all()


@pytest.mark.sampled(6)
@pytest.mark.parametrize("spec", SPECS)
def test_zero_operands_cost_the_clock_and_leakage_only(spec, gates, rng):
    """Where a step takes several cycles whatever its operands, its sequence changes, too."""
    design, netlists = gates(spec)
    pe, edge = measured_cycles(design, netlists, drawn(rng, 9, 36))
    for cycle in (pe.idle, edge.idle, edge.zero_operands):
        assert cycle.switching_pj == cycle.internal_pj == 0
    sequence = pe.zero_operands.switching_pj
    assert sequence == pe.zero_operands.internal_pj == 0 or (spec == "swis" and sequence > 0)
    assert pe.zero_operands.clock_pj == pe.idle.clock_pj > 0
    assert pe.idle.leakage_pj > 0
    assert pe.drain.total_pj > pe.idle.total_pj
    assert pe.padded_row.total_pj > pe.idle.total_pj
    assert pe.padded_column.total_pj > pe.idle.total_pj
    assert bool(edge.idle.total_pj) == bool(netlists.edge.wiring.instances)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("spec", SPECS)
def test_twice_the_samples_cost_twice_as_much(spec, gates, rng):
    design, netlists = gates(spec)
    operands = drawn(rng, 40, 21)
    once, double = (measure(design, netlists, each) for each in (operands, twice(operands)))
    for of in ("pe", "edge"):
        first, second = parts_of(getattr(double, of))[:, :40], parts_of(getattr(double, of))[:, 40:]
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, parts_of(getattr(once, of)))


@pytest.mark.slow
def test_energy_is_that_of_layers_added_up(library):
    trace = load_trace(DIGITS)
    names = ["layer1.0.conv1", "layer2.0.shortcut", "fc"]
    plan = Plan(library, samples=8, checked=0)

    def total(layers):
        record = measured_energies(trace, "digits", [get_pe("mac-4b4b")], plan, layers)
        return [sum(layer.pe.total_pj) for layer in record.designs[0].layers]

    assert total(names) == [energy for name in names for energy in total([name])]


@pytest.mark.slow
def test_random_operands_cost_more_than_real_ones_for_8_bit_macs(library):
    """The range is that of the same experiment with other cells; it is one of means over layers."""
    trace, plan = load_trace(DIGITS), Plan(library, samples=32, checked=0)
    real, drawn_ = (
        measured_energies(trace, "digits", [get_pe("mac-8b8b")], replace(plan, random=random))
        for random in (False, True)
    )
    means = [
        [layer.pj_per_mac(16) for layer in record.designs[0].layers] for record in (real, drawn_)
    ]
    assert all(random > own for own, random in zip(*means, strict=True))
    assert 1.13 < fmean(means[1]) / fmean(means[0]) < 1.40


@pytest.mark.parametrize(
    ("fault", "message"),
    [("sums", "'below' differs from the simulator"), ("nets", "differs from the gates in Icarus")],
)
def test_a_difference_is_told(fault, message, gates, rng, monkeypatch):
    design, netlists = gates("mac-8b8b")
    if fault == "sums":
        monkeypatch.setattr(running, "sum_bits", lambda sums: running_sum_bits(sums + 1))
    else:
        monkeypatch.setattr(running, "sample_bits", planes_of_next)
    with pytest.raises(MismatchError, match=message):
        measure(design, netlists, drawn(rng, 3, 12), checked=1)


running_sum_bits = running.sum_bits


def planes_of_next(planes, at):
    """A sample's inputs, but another one's nets."""
    wide = planes.shape[1] > 100
    return (planes >> np.uint64(at + wide) & np.uint64(1)) != 0


def test_the_statistical_model_knows_single_gates_exactly(gates, rng):
    """Of the inputs themselves it says what it is told; of constants that they never change."""
    _, netlists = gates("mac-8b8b")
    bits = sum(len(nets) for name, nets in netlists.pe.wiring.inputs.items() if name != "clk")
    still = propagated(netlists.pe, netlists.cells, np.zeros(bits), np.zeros(bits))
    assert still.transitions.max() == 0
    busy = propagated(netlists.pe, netlists.cells, np.full(bits, 0.5), np.full(bits, 0.5))
    assert (busy.transitions <= 2 * np.minimum(busy.ones, 1 - busy.ones) + 1e-9).all()


@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(1, 5)] * 2),
    st.integers(1, 40),
    st.integers(0, 99),
)
@pytest.mark.no_simulator
def test_samples_are_outputs_spread_over_tiles(sizes, shape, count, seed):
    groups, rows, cols = sizes
    array = ArrayConfig(*shape)
    chosen = sampled_positions(sizes, array, count, np.random.default_rng(seed))
    assert len(chosen) == min(count, groups * rows * cols)
    by_tile = sorted(
        (group, n // array.cols, m // array.rows, m, n)
        for group in range(groups)
        for m in range(rows)
        for n in range(cols)
    )
    order = {(group, m, n): at for at, (group, _, _, m, n) in enumerate(by_tile)}
    if len(chosen) == count:
        part = len(order) / count
        for number, position in enumerate(chosen):
            assert number * part - 1 < order[tuple(position)] < (number + 1) * part
    else:
        assert set(map(tuple, chosen)) == set(order)


def ended(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


def test_the_command_writes_a_record_that_is_read_again(library, tmp_path, capsys, monkeypatch):
    target = tmp_path / "energy.json"
    command = [
        *("rtl", "energy", DIGITS, "--pe", "mac-4b4b,sparq-2opt", "--sample", "8"),
        *("--layers", "fc,layer2.0.shortcut", "--vectorless", "-o", target),
    ]
    assert ended(*command) == 0
    told = capsys.readouterr().out
    for words in ("pJ per MAC", "glitches", "osu018_stdcells.lib", "1.8 V", "without a difference"):
        assert words in " ".join(told.split())
    first = target.read_text()
    record = EnergyReference.load(target)
    assert record.to_json() == first
    assert json.loads(first)["schema"] == "sparqsim.energy_reference/1"
    # Shown in another format, not measured again.
    monkeypatch.setattr(rtl_energy, "measured_energies", lambda *_, **__: record)
    assert ended(*command, "--format", "csv") == 0
    assert target.read_text() == first
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    layer = record.designs[1].layers[0]
    assert [row["pe"] for row in rows] == ["mac-4b4b"] * 2 + ["sparq-2opt"] * 2
    assert float(rows[2]["pj_per_mac"]) == layer.pj_per_mac(16)
    assert float(rows[2]["vectorless_pj_per_mac"]) > layer.pj_per_mac(16)
    parts = [float(rows[2][f"pe_{part}_pj_per_mac"]) for part in PARTS]
    assert sum(parts) == pytest.approx(fmean(layer.pe.total_pj) / layer.macs)


@pytest.mark.slow
def test_another_flow_makes_another_netlist_of_the_same_values(library):
    """Without sharing of adders Yosys keeps the multiplier of mac-8b8b apart from its accumulator."""
    trace, flows = load_trace(DIGITS), (FLOW, "no adder sharing")
    records = [
        measured_energies(
            trace, "digits", [get_pe("mac-8b8b")], Plan(library, samples=4, flow=flow), ["fc"]
        )
        for flow in flows
    ]
    assert tuple(record.flow for record in records) == flows
    joined, apart = (record.designs[0] for record in records)
    assert apart.pe_cells < joined.pe_cells
    assert apart.layers[0].compared.sums == joined.layers[0].compared.sums > 0
    assert apart.layers[0].pe.clock_pj == joined.layers[0].pe.clock_pj


def _told_of_flows():
    """Rows of the page's table of netlists: by flow and design, as they stand there."""
    text = (ROOT / "docs" / "how-to" / "energy.md").read_text(encoding="utf-8")
    table = text.partition("### Other netlists")[2].partition("| flow |")[2].partition("\n\n")[0]
    head, _, *rows = (line.strip(" |").split(" | ") for line in table.splitlines())
    names = [cell.split("`")[1] for cell in head]
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("flow", FLOWS)
def test_the_page_tells_the_energies_of_every_flow(flow, library):
    trace, designs = load_trace(DIGITS), [get_pe("mac-8b8b"), get_pe("sparq-5opt")]
    macs = {layer.name: layer.gemm.macs for layer in trace.layers if not layer.record.keep_8bit}
    plan = Plan(library, samples=64, flow=flow)
    record = measured_energies(trace, "digits", designs, plan, macs)
    energies = [
        sum(macs[layer.layer] * layer.pj_per_mac(16) for layer in design.layers)
        for design in record.designs
    ]
    told = _told_of_flows()[flow]
    assert told["mac-8b8b"] == f"{energies[0] / sum(macs.values()):.1f}"
    assert told["sparq-5opt"] == f"{energies[1] / energies[0]:.2f}"


def test_positions_of_the_record_are_those_whose_operands_ran(library):
    trace, plan = load_trace(DIGITS), Plan(library, samples=6, checked=0)
    number, layer = 2, trace.layers[2]
    operands = layer_operands(layer, layer.lower(), number, plan)
    lowered = layer.lower()
    x, w = lowered.rows(), lowered.weights
    for at, (group, m, n) in enumerate(operands.positions):
        np.testing.assert_array_equal(operands.x[at], x[group, m])
        np.testing.assert_array_equal(operands.w[at], w[group, :, n])
        above = x[group, m - 1] if m % 16 else np.zeros_like(x[group, m])
        np.testing.assert_array_equal(operands.x_above[at], above)
    assert bound_to(layer, get_pe("mac-8b8b")) is not None


def test_signed_layers_that_a_design_refuses_are_left_out(library):
    from sparqsim.trace import Layer, Trace

    rng = np.random.default_rng(0)
    layers = [
        Layer.from_gemm(
            "signed", rng.integers(-9, 9, (4, 8)).astype(np.int8), np.ones((8, 4), np.int8)
        ),
        Layer.from_gemm(
            "plain", rng.integers(0, 9, (4, 8)).astype(np.uint8), np.ones((8, 4), np.int8)
        ),
    ]
    trace = Trace(layers, network="two", origin="drawn", calibrator="none", license_note="none")
    plan = Plan(library, samples=4, checked=0)
    design = measured_energies(trace, "two", [get_pe("sparq-2opt")], plan).designs[0]
    assert [layer.layer for layer in design.layers] == ["plain"]
    assert design.left_out[0].layer == "signed"
    assert "takes unsigned activations" in design.left_out[0].reason


@pytest.mark.no_simulator
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pe", "laconic"], "has no RTL"),
        (["--layers", "conv9"], "has no layer 'conv9'"),
        (["--liberty", "none.lib"], "is not a file"),
        (["--clock-ns", "0"], "'--clock-ns'"),
        (["--clock-ns", "nan"], "'--clock-ns'"),
        (["--clock-ns", "inf"], "'--clock-ns'"),
        (["--slew-ns", "inf"], "'--slew-ns'"),
        (["--flow", "no adders"], "'no adders': expected one of default, ripple-carry adders"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, message, library, capsys):
    assert ended("rtl", "energy", DIGITS, *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.no_simulator
def test_parts_add_up():
    parts = [np.full(3, value) for value in (1.0, 2.0, 3.0, 4.0)]
    assert Energies(*parts).total.tolist() == [10.0] * 3


@pytest.mark.no_simulator
def test_the_estimate_of_transistors_has_no_energies():
    with pytest.raises(InputError, match="expected a liberty file"):
        measured_energies(load_trace(DIGITS), "digits", [], Plan(Library()))
