"""Transitions and energies of netlists: by hand, against Icarus' waveform, and with faults in the counting."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace

import cells_by_hand as hand
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqsim.base.errors import InputError
from sparqsim.pe import get_pe
from sparqsim.rtl.designs import circuit_of
from sparqsim.rtl.gates import costs as costs_module
from sparqsim.rtl.gates.cells import load_cells
from sparqsim.rtl.gates.costs import Operating, costs_of, energies
from sparqsim.rtl.gates.driving import packed_samples, sample_bits
from sparqsim.rtl.gates.functions import parse_function
from sparqsim.rtl.gates.icarus import driven_nets, gate_bench, models
from sparqsim.rtl.gates.program import program_of
from sparqsim.rtl.gates.tables import EnergyTable
from sparqsim.rtl.gates.toggles import LANES, input_nets, simulated
from sparqsim.rtl.gates.wiring import read_wiring
from sparqsim.rtl.netlist import netlist
from sparqsim.rtl.synthesis import DEBIAN_LIBERTY, Library

EVERYBODY = ~np.uint64(0)
AT = Operating(hand.CLOCK_NS, hand.SLEW_NS)


@pytest.fixture
def cells(tmp_path):
    file = tmp_path / "by_hand.lib"
    file.write_text(hand.LIBRARY)
    return load_cells([file])


@pytest.fixture
def by_hand(cells):
    return program_of(read_wiring(hand.NETLIST), cells)


@pytest.fixture
def mac(debian):
    """The netlist of a small PE."""
    verilog = netlist(debian, "default", "area_pe", circuit_of(get_pe("mac-4b4b"))).verilog
    found = load_cells([DEBIAN_LIBERTY])
    return verilog, found, program_of(read_wiring(verilog), found)


@pytest.fixture
def debian():
    if shutil.which("yosys") is None:
        pytest.skip("yosys is not installed (apt install yosys)")
    if not DEBIAN_LIBERTY.is_file():
        pytest.skip("Debian's library is not installed (apt install qflow-tech-osu018)")
    return Library(DEBIAN_LIBERTY)


def hand_stimulus():
    """Every sample the same, ports in the order of the netlist: a, b."""
    return np.where(np.array(hand.INPUTS) == 1, EVERYBODY, np.uint64(0)).astype(np.uint64)


def check_by_hand(program, library):
    """Compare transitions and energies with those that were counted and added up by hand."""
    toggles = simulated(program, hand_stimulus(), 1, np.full(len(hand.INPUTS), EVERYBODY))
    counted = {
        name: (int(rises), int(falls))
        for name, rises, falls in zip(
            program.wiring.names, toggles.rises[:, 7], toggles.falls[:, 7], strict=True
        )
        if rises or falls
    }
    assert counted == hand.TRANSITIONS
    found = energies(
        toggles, costs_module.costs_of(program, library, AT), np.full(LANES, hand.CYCLES)
    )
    told = [found.switching, found.internal, found.clock, found.leakage]
    expected = [hand.SWITCHING_FJ, hand.INTERNAL_FJ, hand.CLOCK_FJ, hand.LEAKAGE_FJ]
    for ours, by_hand in zip(told, expected, strict=True):
        assert ours == pytest.approx(np.full(LANES, by_hand / 1000), rel=1e-12)


@pytest.mark.no_simulator
def test_transitions_and_energies_are_those_counted_by_hand(by_hand, cells):
    check_by_hand(by_hand, cells)


def one_edge(count):
    def counted(*given):
        found = count(*given)
        return replace(found, falls=np.zeros_like(found.falls))

    return counted


def late(count):
    return lambda program, stimulus, start, working: count(program, stimulus, start + 1, working)


def short(count):
    return lambda program, stimulus, start, working: count(program, stimulus[:-1], start, working)


def first_sample_only(count):
    return lambda program, stimulus, start, working: count(
        program, stimulus & np.uint64(1), start, working
    )


FAULTS_IN_COUNTING = {
    "one edge only": one_edge,
    "misses the first cycle": late,
    "misses the last cycle": short,
    "counts one sample only": first_sample_only,
}


@pytest.mark.no_simulator
@pytest.mark.parametrize("fault", FAULTS_IN_COUNTING)
def test_a_fault_in_the_counting_is_seen(fault, by_hand, cells, monkeypatch):
    monkeypatch.setitem(globals(), "simulated", FAULTS_IN_COUNTING[fault](simulated))
    with pytest.raises(AssertionError):
        check_by_hand(by_hand, cells)


FAULTS_IN_COSTS = {
    "forgets the clock pins": lambda costs: replace(costs, clock_cycle=0.0),
    "forgets the clock's states": lambda costs: replace(costs, clock_states=0 * costs.clock_states),
    "exchanges rise and fall": lambda costs: replace(costs, rise=costs.fall, fall=costs.rise),
    "CV^2 instead of half": lambda costs: replace(costs, switching=2 * costs.switching),
    "forgets the leakage": lambda costs: replace(costs, leakage_cycle=0.0),
    "one net's load is another's": lambda costs: replace(
        costs, switching=np.roll(costs.switching, 1)
    ),
}


@pytest.mark.no_simulator
@pytest.mark.parametrize("fault", FAULTS_IN_COSTS)
def test_a_fault_in_the_costs_is_seen(fault, by_hand, cells, monkeypatch):
    monkeypatch.setattr(
        costs_module, "costs_of", lambda *given: FAULTS_IN_COSTS[fault](costs_of(*given))
    )
    with pytest.raises(AssertionError):
        check_by_hand(by_hand, cells)


@pytest.mark.no_simulator
def test_a_load_of_outputs_beyond_the_netlist_slows_cells_and_is_not_charged(by_hand, cells):
    alone, loaded = (costs_of(by_hand, cells, AT, beyond) for beyond in ({}, {"q": [100.0, 0.0]}))
    np.testing.assert_array_equal(alone.switching, loaded.switching)
    assert alone.rise.sum() == loaded.rise.sum()  # the register's table is a scalar


def test_icarus_says_the_same_of_the_netlist_by_hand(by_hand, cells):
    settled = np.zeros((len(hand.INPUTS), by_hand.wiring.nets), np.uint64)
    simulated(by_hand, hand_stimulus(), 1, np.zeros(len(hand.INPUTS), np.uint64), settled=settled)
    bench = gate_bench(hand.NETLIST, by_hand.wiring, cells)
    theirs = bench.run(np.array(hand.INPUTS) == 1, 1)
    ours = sample_bits(settled, 3)[1:, driven_nets(by_hand.wiring, cells)]
    np.testing.assert_array_equal(ours, theirs)


def test_a_waveform_of_icarus_has_as_many_changes_of_every_net(mac, rng, tmp_path):
    verilog, library, program = mac
    bits = rng.random((3, 120, len(input_nets(program)))) < rng.random((3, 1, 1))
    ports = [name for name, nets in program.wiring.inputs.items() for _ in nets if name != "clk"]
    for name in ("rst", "advance"):  # registers are known before anything is counted
        bits[:, :2, ports.index(name)] = True
    toggles = simulated(program, packed_samples(bits), 3, np.zeros(120, np.uint64))
    transitions = toggles.rises + toggles.falls
    for sample in range(3):
        changes = changes_in_waveform(
            verilog, models(program.wiring, library), program, bits[sample], tmp_path
        )
        for net in driven_nets(program.wiring, library):
            name = program.wiring.names[net]
            if name != "clk":
                assert transitions[net, sample] == changes[name.replace(" ", "")], name
    assert transitions.sum() > 10_000


def changes_in_waveform(verilog, cell_models, program, bits, folder):
    """Count each net's changes after the third clock in a VCD: another test bench, another parser."""
    ports, at = ["clk"], 0
    for name, nets in program.wiring.inputs.items():
        if name != "clk":
            ports.append(f"{name}=i[{at + len(nets) - 1}:{at}]")
            at += len(nets)
    pairs = (port.split("=") if "=" in port else (port, port) for port in ports)
    connected = ", ".join(f".{name}({net})" for name, net in pairs)
    lines = "\n".join("".join("01"[int(bit)] for bit in reversed(line)) for line in bits)
    (folder / "lines").write_text(lines + "\n")
    bench = f"""
    module bench; reg clk = 0; reg [{at - 1}:0] i; reg [{at - 1}:0] lines[0:{len(bits) - 1}]; integer k;
      {program.wiring.module} dut({connected});
      always @(posedge clk) i <= lines[k];
      initial begin
        $readmemb("{folder}/lines", lines);
        for (k = 0; k < {len(bits)}; k = k + 1) begin
          if (k == 3) begin $dumpfile("{folder}/wave.vcd"); $dumpvars(1, dut); end
          #5 clk = 1; #5 clk = 0;
        end
        $finish;
      end
    endmodule"""
    source = folder / "all.v"
    source.write_text(cell_models + verilog + bench)
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", folder / "p", source], check=True)
    subprocess.run(["vvp", "-n", folder / "p"], check=True, capture_output=True)
    return changes_of_vcd((folder / "wave.vcd").read_text())


def changes_of_vcd(text):
    head, body = text.split("$enddefinitions $end")
    variables = {}
    for width, code, name, first in re.findall(
        r"\$var \w+ (\d+) (\S+) (\S+)(?: \[(\d+)(?::\d+)?\])? \$end", head
    ):
        variables.setdefault(code, []).append((int(width), name, first))
    values, changes = {}, Counter()
    for line in body.split("$end", 1)[0].splitlines() + body.split("$end", 1)[1].splitlines():
        vector = re.fullmatch(r"b([01xz]+) (\S+)|([01xz])(\S+)", line)
        if vector is None:
            continue
        value, code = (vector[1], vector[2]) if vector[1] else (vector[3], vector[4])
        for width, name, first in variables.get(code, ()):
            full = value.rjust(width, "0" if value[0] == "1" else value[0])
            before = values.get((code, name))
            values[code, name] = full
            if before is not None:
                for place, pair in enumerate(zip(before, full, strict=True)):
                    if pair[0] != pair[1]:
                        changes[bit_name(name, width, first, place)] += 1
    return changes


def bit_name(name, width, first, place):
    name = name.lstrip("\\")
    escaped = name if re.fullmatch(r"[A-Za-z_][\w$]*", name) else f"\\{name}"
    return f"{escaped}[{width - 1 - place}]" if first or width > 1 else escaped


@st.composite
def expressions(draw, depth=3):
    """Return a liberty expression beside the same in Python."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([("A", "A"), ("B", "B"), ("C1", "C1"), ("1", "1"), ("0", "0")]))
    left, right = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    liberty, python = draw(
        st.sampled_from(
            [(" ", "&"), ("*", "&"), (" & ", "&"), ("+", "|"), (" | ", "|"), (" ^ ", "^")]
        )
    )
    inverted = draw(st.integers(0, 2))
    text = f"({left[0]}{liberty}{right[0]})"
    value = f"({left[1]}{python}{right[1]})"
    return [(text, value), (f"!{text}", f"(1-{value})"), (f"{text}'", f"(1-{value})")][inverted]


@pytest.mark.no_simulator
@given(expressions(), st.tuples(*[st.integers(0, 1)] * 3))
def test_functions_are_read_as_liberty_means_them(pair, values):
    pins = dict(zip(("A", "B", "C1"), values, strict=True))
    function = parse_function(pair[0], "here")
    assert function.value(pins) == eval(pair[1], {}, pins)  # noqa: S307 - own text
    verilog = function.verilog().replace("1'b", "")
    assert eval(verilog, {}, pins) & 1 == function.value(pins)  # noqa: S307 - own text


@pytest.mark.no_simulator
def test_and_binds_closer_than_xor_and_xor_than_or():
    pins = {"A": 1, "B": 1, "C": 1}
    assert parse_function("A + B ^ C", "here").value(pins) == 1
    assert parse_function("A ^ B C", "here").value({**pins, "C": 0}) == 1
    assert parse_function("!A B'", "here").value({"A": 0, "B": 0}) == 1


@pytest.mark.no_simulator
@pytest.mark.parametrize("text", ["", "A +", "(A", "A)", "A $ B", "+A"])
def test_what_is_no_function_is_refused(text):
    with pytest.raises(
        InputError, match=r"here: has the function .* expected a Boolean expression"
    ):
        parse_function(text, "here")


@pytest.mark.no_simulator
def test_tables_are_linear_between_points_and_beyond_them():
    table = EnergyTable((1.0, 3.0), (0.0, 10.0), ((1.0, 11.0), (3.0, 13.0)))
    assert table.at(1, 0) == 1
    assert table.at(2, 5) == 7
    assert table.at(5, 20) == 25
    assert table.at(0, -1) == pytest.approx(-1)


@pytest.mark.no_simulator
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("library (x) {", "the end, within 'library'"),
        ("}", "a brace that closes nothing"),
        ("cell (x) { }", "has 0 groups 'library'"),
        ("library (x) { nom_voltage : 1; cell (c) { timing () { } ", "within"),
        ("library (x) { @ }", "line 1 has '@ }'"),
        ("library (x) { cell (c) { } }", "has no voltage"),
        ('library (x) { nom_voltage : 1; time_unit : "1 parsec"; cell (c) { } }', "unit"),
    ],
)
def test_what_is_no_library_is_refused(text, message, tmp_path):
    file = tmp_path / "some.lib"
    file.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        load_cells([file])


@pytest.mark.no_simulator
def test_cells_that_cannot_be_simulated_are_refused(cells):
    with pytest.raises(InputError, match="cell 'LATCH' has a 'latch'; expected gates"):
        cells.cell("LATCH")
    with pytest.raises(InputError, match="has no cell 'AND9'"):
        cells.cell("AND9")


@pytest.mark.no_simulator
def test_a_loop_of_gates_is_refused(cells):
    loop = "module m(a);\n input a;\n wire x, y;\n wire x;\n wire y;\n".replace(" wire x, y;\n", "")
    loop += " INV u1(.A(x), .Y(y));\n INV u2(.A(y), .Y(x));\nendmodule\n"
    with pytest.raises(InputError, match="'u1' waits for its own output"):
        program_of(read_wiring(loop), cells)
