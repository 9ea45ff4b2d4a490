"""Clock periods: the arithmetic on a table, the table that ships, that measuring gives it again,
and what an adder must show.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess

import pytest

from sparqsim.base.errors import InputError
from sparqsim.pe import get_pe
from sparqsim.rtl import timing_run
from sparqsim.rtl.designs import MEASURED_DESIGNS, circuit_of
from sparqsim.rtl.neighbours import edge_behind_skew, pe_among_neighbours
from sparqsim.rtl.netlist import Netlist, netlist
from sparqsim.rtl.runner import tool_version
from sparqsim.rtl.sta import sta_version, timed
from sparqsim.rtl.synthesis import (
    DEBIAN_LIBERTY,
    FLOWS_FOR_SPEED,
    debian_library,
    library_of,
    table_text,
)
from sparqsim.rtl.timing import period, shipped_timing
from sparqsim.rtl.timing_run import LABEL, TIMED_FLOWS, measured_timing

pytestmark = pytest.mark.no_simulator


@pytest.fixture
def tools():
    for tool, package in (("yosys", "yosys"), ("sta", "opensta")):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (apt install {package})")
    if not DEBIAN_LIBERTY.is_file():
        pytest.skip("Debian's library is not installed (apt install qflow-tech-osu018)")


def _part(period_ns, area=10.0):
    path = {"start": "a", "through": ["b", "c"], "end": "d"}
    return {"period_ns": period_ns, "area": area, "cells": 3, **path}


def _row(flow, pe, edge):
    return {
        "library": "x.lib 0",
        "flow": flow,
        "pe": {name: _part(*found) for name, found in pe.items()},
        "edge": {name: _part(found) for name, found in edge.items()},
    }


TABLE = {
    "rows": [
        _row("small", {"mac-8b8b": (3.0, 8), "sparq-5opt": (5.0, 9)}, {"sparq-5opt": 4.5}),
        _row("fast", {"mac-8b8b": (2.0, 12), "sparq-5opt": (4.0, 15)}, {"sparq-5opt": 4.75}),
    ]
}


def test_a_period_is_the_longer_of_pe_and_edge_each_the_shortest_of_all_flows():
    mac, sparq = (period(name, TABLE) for name in ("mac-8b8b", "sparq-5opt"))
    assert (mac.period_ns, mac.where, mac.pe.flow, mac.pe.area) == (2.0, "pe", "fast", 12)
    assert (mac.edge, mac.least_area) == (None, 8)
    assert (sparq.period_ns, sparq.where, sparq.slower.flow) == (4.5, "edge", "small")
    assert (sparq.pe.period_ns, sparq.pe.path) == (4.0, "a > b > c > d")


def test_keys_do_not_matter_but_where_they_make_another_circuit():
    assert period("sparq-5opt:rounding=trim", TABLE) == period("sparq-5opt", TABLE)
    with pytest.raises(InputError, match="stripes:lanes=4: periods are those of default keys"):
        period("stripes:lanes=4")
    with pytest.raises(InputError, match="has no 'mac-4b4b'; expected one of mac-8b8b, sparq-5opt"):
        period("mac-4b4b", TABLE)


def test_two_stages_are_timed_apart():
    one, two = period("sparq-5opt:rounding=trim"), period("sparq-5opt:rounding=trim,stages=2")
    assert (one.timed_as, two.timed_as) == ("sparq-5opt", "sparq-5opt:stages=2")
    for name in ("mac-8b8b", "mac-2x8b8b", "mac-4b8b", "mac-4b4b", "sparq-5opt", "sparq-7opt"):
        assert period(f"{name}:stages=2").period_ns < period(name).period_ns
        assert period(f"{name}:stages=2").edge == period(name).edge
    with pytest.raises(InputError, match="the timing table has no 'mac-8b8b:stages=2'"):
        period("mac-8b8b:stages=2", TABLE)


def test_the_shipped_table_is_complete_and_says_where_it_is_from():
    table = shipped_timing()
    assert table["label"] == LABEL
    assert [row["flow"] for row in table["rows"]] == list(TIMED_FLOWS)
    (library,) = {row["library"] for row in table["rows"]}
    assert library.startswith("osu018_stdcells.lib ")
    for row in table["rows"]:
        assert row["tools"]["yosys"].startswith("Yosys ")
        assert row["tools"]["sta"].startswith("OpenSTA ")
        assert row["corner"]["voltage"] == 1.8
        assert sorted(row["pe"]) == sorted(MEASURED_DESIGNS)
        trimmed = {name for name in MEASURED_DESIGNS if name.startswith("sparq")}
        assert set(row["edge"]) == trimmed | {"olive-4b"}
        for part in (*row["pe"].values(), *row["edge"].values()):
            assert part["period_ns"] > 0
            assert part["start"]
            assert part["end"]


def test_timing_gives_the_shipped_figures_again_and_twice_the_same_bytes(tools, monkeypatch):
    flow = "buffered and sized"
    monkeypatch.setattr(timing_run, "TIMED_FLOWS", (flow,))
    designs = [get_pe(name) for name in ("mac-4b4b", "sparq-2opt")]
    measured = measured_timing(debian_library(), designs)
    (row,) = measured["rows"]
    (again,) = measured_timing(debian_library(), designs[:1])["rows"]
    assert table_text(again["pe"]) == table_text({"mac-4b4b": row["pe"]["mac-4b4b"]})
    shipped = next(row for row in shipped_timing()["rows"] if row["flow"] == flow)
    assert row["library"] == shipped["library"]
    for part, name in (("pe", "mac-4b4b"), ("pe", "sparq-2opt"), ("edge", "sparq-2opt")):
        if row["tools"] == shipped["tools"]:
            assert row[part][name] == shipped[part][name]
        assert 0.7 < row[part][name]["period_ns"] / shipped[part][name]["period_ns"] < 1.4


def test_flows_for_speed_are_faster_than_what_areas_are_measured_on():
    slow, *fast = shipped_timing()["rows"]
    for name, part in slow["pe"].items():
        assert min(row["pe"][name]["period_ns"] for row in fast) < part["period_ns"], name


#: An adder of BITS full adders in a row, between registers.
ADDER = """
module adder #(parameter BITS = 8) (input clk, input [BITS-1:0] a, b, output reg [BITS:0] sum);
  reg [BITS-1:0] x, y;
  wire [BITS:0] carry;
  assign carry[0] = 0;
  genvar k;
  generate for (k = 0; k < BITS; k = k + 1) begin : bits
    assign carry[k+1] = (x[k] & y[k]) | (carry[k] & (x[k] ^ y[k]));
    always @(posedge clk) sum[k] <= x[k] ^ y[k] ^ carry[k];
  end endgenerate
  always @(posedge clk) begin x <= a; y <= b; sum[BITS] <= carry[BITS]; end
endmodule
"""


def _adder(library, bits, folder):
    (folder / "adder.v").write_text(ADDER)
    (folder / "library.lib").write_text(library.text)
    script = (
        f"read_verilog adder.v; hierarchy -top adder -chparam BITS {bits}; synth -flatten -top "
        "adder; dfflibmap -liberty library.lib; abc -liberty library.lib; opt_clean; "
        "write_verilog -noattr -noexpr netlist.v"
    )
    subprocess.run(
        [shutil.which("yosys"), "-q", "-p", script], check=True, cwd=folder, capture_output=True
    )
    return Netlist((folder / "netlist.v").read_text(), "adder", "", 0)


AROUND = """module timed(clk, rst, phase, advance, shift);
  input clk, rst, phase, advance, shift;
  adder here (.clk(clk));
endmodule
"""


def _periods_of_adders(library, folder):
    paths = {bits: timed(library, [_adder(library, bits, folder)], AROUND) for bits in (8, 32)}
    for bits, path in paths.items():
        # Where gates take the inverted output of a flip-flop, its register has no name left.
        assert re.fullmatch(r"[xy]\[[01]\]|_\d+_", path.start.name)
        assert re.fullmatch(rf"sum\[({bits}|{bits - 1})\]", path.end.name)
    return {bits: path.period_ns for bits, path in paths.items()}


def test_a_ripple_adder_of_32_bits_takes_more_than_twice_one_of_8(tools, tmp_path):
    periods = _periods_of_adders(debian_library(), tmp_path)
    assert 2 < periods[32] / periods[8] < 5


#: Files of the other libraries, of one library each.
OTHERS = {
    "sky130hd": ("sky130hd_tt.lib.gz",),
    "asap7": ("asap7_invbuf.lib.gz", "asap7_simple.lib.gz", "asap7_seq.lib.gz"),
}


@pytest.fixture
def other(request, shared, tmp_path):
    names = []
    for file in OTHERS[request.param]:
        path = tmp_path / file.removesuffix(".gz")
        path.write_bytes(gzip.decompress((shared / "data" / "cells" / file).read_bytes()))
        names.append(str(path))
    return library_of(names)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("other", OTHERS, indirect=True)
def test_adders_of_other_libraries_are_timed(other, tools, tmp_path):
    periods = _periods_of_adders(other, tmp_path)
    assert 2 < periods[32] / periods[8] < 5


@pytest.mark.slow
@pytest.mark.parametrize("other", OTHERS, indirect=True)
def test_designs_of_other_libraries_are_timed(other, tools, monkeypatch):
    monkeypatch.setattr(timing_run, "TIMED_FLOWS", (list(FLOWS_FOR_SPEED)[-1],))
    table = measured_timing(other, [get_pe("mac-4b4b"), get_pe("sparq-2opt")])
    assert table["rows"][0]["library"] == other.name
    found = period("sparq-2opt", table)
    assert 0 < found.edge.period_ns < found.pe.period_ns < 20
    assert "partial sum" in found.pe.path


@pytest.mark.parametrize(("spec", "top"), [("mac-4b4b", "area_pe"), ("sparq-2opt", "area_edge")])
def test_everything_that_enters_what_is_timed_is_connected(spec, top, tools):
    made = netlist(debian_library(), "default", top, circuit_of(get_pe(spec)))
    around = (pe_among_neighbours if top == "area_pe" else edge_behind_skew)(made)
    here = re.search(rf"^  {top} here \((.*)\);$", around, re.MULTILINE)[1]
    connected = dict(re.findall(r"\.(\w+)\(([^)]*)\)", here))
    inputs = re.findall(r"^  input (?:\[\d+:0\] )?(\w+);$", made.verilog, re.MULTILINE)
    assert set(inputs) <= set(connected)
    wires = {
        name: int(high or 0) + 1
        for high, name in re.findall(r"^  wire (?:\[(\d+):0\] )?(\w+);$", around, re.MULTILINE)
    }
    assert all(
        wires.get(connected[name], 1) == made.port_bits[name]
        for name in inputs
        if not connected[name].endswith("]")
    )


def test_versions_are_told(tools):
    assert re.fullmatch(r"OpenSTA [\d.]+", sta_version())
    assert tool_version("yosys", "-V").startswith("Yosys ")


def test_what_is_missing_is_named(monkeypatch, tmp_path, refused):
    monkeypatch.setenv("PATH", "/nowhere")
    told = refused("rtl", "timing", "--measure")
    assert "is not installed; expected it on PATH (Debian: apt install yosys)" in told or (
        "expected Debian's package qflow-tech-osu018" in told
    )
    shutil_which = {"yosys": "/bin/true", "sta": None}
    monkeypatch.setattr("sparqsim.rtl.runner.shutil.which", shutil_which.get)
    with pytest.raises(InputError, match=r"sta is not installed.*apt install opensta"):
        sta_version()


def test_the_shipped_table_is_shown_without_any_tool(monkeypatch, run):
    monkeypatch.setenv("PATH", "/nowhere")
    shown = run("rtl", "timing", "mac-8b8b", "sparq-5opt", "--format", "csv")
    assert shown.code == 0
    header, mac, sparq = shown.out.splitlines()
    assert header.startswith("pe,period_ns,limited_by,pe_period_ns,")
    assert mac.startswith("mac-8b8b,")
    assert "multipliers" in sparq
    told = " ".join(run("rtl", "timing").out.split())
    assert "Not a figure of any paper" in told
    assert "OpenSTA" in told
