"""Relative areas: the arithmetic on a table, the table that ships, and that synthesis gives it
again.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import product
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.pe import get_pe
from sparqsim.pe.base import LayerFacts
from sparqsim.rtl import measure
from sparqsim.rtl.accumulator import least_bits
from sparqsim.rtl.area import TABLE as TABLE_FILE
from sparqsim.rtl.area import (
    AreaRange,
    ArrayAreas,
    load_table,
    relative_area_per_mac,
    relative_pe_area,
    shipped_table,
)
from sparqsim.rtl.designs import MEASURED_DESIGNS, STAGED_DESIGNS
from sparqsim.rtl.measure import COUPLINGS, FLOWS_OF_ALL, LABEL, area_text, measured_table, runs_of
from sparqsim.rtl.parts import Bench, DesignArea, design_area
from sparqsim.rtl.runner import tool_version
from sparqsim.rtl.structure import LEAST, Structure
from sparqsim.rtl.synthesis import DEBIAN_LIBERTY, FLOWS, Library, area_in, libraries

pytestmark = pytest.mark.no_simulator


def parts(pe, row=0.0, **others):
    """Parts of a design, nothing but PEs and rows where no more is said."""
    zeros = dict.fromkeys(("column", "array", "edge", "skew_bit"), 0.0)
    bits = {"acc_bits": 32, "skew_row_bits": 0, "skew_column_bits": 0}
    return {"pe": pe, "row": row, **zeros, **bits, **others}


def table_of(*rows, **key):
    """A table of one structure, a row for each dict of designs."""
    head = {**Structure().__dict__, **key}
    return {
        "schema": measure.SCHEMA,
        "label": LABEL,
        "kept": {name: "" for row in rows for name in row},
        "rows": [
            {**head, "library": f"{at}", "flow": "", "tool": "", "unit": "", "designs": row}
            for at, row in enumerate(rows)
        ],
    }


TABLE = table_of(
    *(
        {
            "mac-8b8b": parts(base),
            "mac-2x8b8b": parts(two),
            "sparq-5opt": parts(sparq, trim, edge=trim),
        }
        for base, two, sparq, trim in ((100, 160, 120, 32), (10, 18, 9, 4), (10, 15, 14, 4))
    )
)
FOUR, ONE = ArrayConfig(3, 4), ArrayConfig(5, 1)


def test_range_of_pe_areas_with_their_share_of_a_trim_unit():
    assert relative_pe_area("sparq-5opt", array=FOUR, table=TABLE) == AreaRange(1.0, 1.28, 1.5)
    assert relative_pe_area("sparq-5opt", array=ONE, table=TABLE) == AreaRange(1.3, 1.52, 1.8)
    areas = ArrayAreas.of(FOUR, table=TABLE)
    assert areas.trim_unit_share("sparq-5opt") == AreaRange(8 / 128, 1 / 15, 1 / 10)


def test_area_per_mac_counts_lanes():
    assert relative_area_per_mac("sparq-5opt", array=FOUR, table=TABLE) == AreaRange(
        0.5, 0.64, 0.75
    )
    assert relative_area_per_mac("mac-2x8b8b", table=TABLE) == AreaRange(0.75, 0.8, 0.9)
    assert relative_area_per_mac("sparq-5opt", "mac-2x8b8b", FOUR, TABLE) == AreaRange(
        10 / 18, 128 / 160, 1.0
    )


areas_of_parts = st.floats(0.5, 1000)


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.tuples(*[areas_of_parts] * 5),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_the_area_of_an_array_is_that_of_its_places(rows, cols, areas, row_bits, column_bits):
    """Counted place by place, register by register."""
    pe, row, column, array, bit = areas
    told = DesignArea(32, pe, row, column, array, 0, bit, row_bits, column_bits)
    total = array
    for i in range(rows):
        total += row + sum(pe for _ in range(cols))
        total += sum(bit for _ in range(i) for _ in range(row_bits))
    for j in range(cols):
        total += column + sum(bit for _ in range(j) for _ in range(column_bits))
    assert told.of_array(rows, cols) == pytest.approx(total, rel=1e-12)


def test_keys_do_not_matter_and_unknown_designs_are_refused():
    assert relative_pe_area("sparq-5opt:rounding=trim", table=TABLE) == relative_pe_area(
        "sparq-5opt", table=TABLE
    )
    with pytest.raises(
        InputError, match="no 'sparq-2opt'; expected one of mac-2x8b8b, mac-8b8b, sparq-5opt"
    ):
        relative_pe_area("sparq-2opt", table=TABLE)


def test_a_step_of_many_cycles_is_no_mac_per_cycle():
    table = table_of({"mac-8b8b": parts(100), "stripes": parts(400)})
    assert relative_area_per_mac("stripes", table=table).middle == 4 * 8 / 16


@pytest.mark.parametrize(
    "spec",
    [
        "stripes:lanes=4",
        "stripes:precision=dynamic",
        "swis:shifts=4",
        "pragmatic:stage=3",
    ],
)
def test_keys_that_make_another_circuit_are_refused(spec):
    with pytest.raises(
        InputError, match=f"these make another circuit; expected {spec.split(':')[0]}"
    ):
        relative_pe_area(spec)


def test_two_stages_have_an_area_of_their_own():
    two = parts(60)
    designs = {"mac-8b8b": parts(10), "sparq-5opt": parts(40), "sparq-5opt:stages=2": two}
    table = table_of(designs)
    for spec in ("sparq-5opt:stages=2", "sparq-5opt:rounding=trim,stages=2"):
        assert relative_pe_area(spec, table=table).middle == 6
    assert relative_pe_area("sparq-5opt:stages=1", table=table).middle == 4
    with pytest.raises(InputError, match="the area table has no 'mac-8b8b:stages=2'; expected"):
        relative_pe_area("mac-8b8b:stages=2", table=table)


def test_two_stages_differ_in_pes_alone():
    """Edges and skew are those of one stage. Of a column's end only stationary arrays with elastic
    links know of stages: what its last PE does not tell one below.
    """
    for row in shipped_table()["rows"]:
        for staged in STAGED_DESIGNS:
            one, two = (DesignArea.of_row(row, name) for name in (staged.partition(":")[0], staged))
            same = {"pe": one.pe, "column": one.column}
            assert replace(two, **same) == one
            promised = row["dataflow"] != "os" and row["coupling"] != "lockstep"
            assert (two.column < one.column) if promised else (two.column == one.column)


def test_the_bits_of_a_layer_are_modes_of_one_circuit():
    bound = get_pe("bitfusion").for_layer(LayerFacts(9, False, 2, 4))
    table = table_of({"mac-8b8b": parts(10), "bitfusion": parts(25)})
    assert relative_pe_area(bound, table=table).middle == 2.5


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (
            ArrayConfig(4, 4, coupling="elastic:3"),
            r"elastic:2.* --coupling elastic:3 --overlap off",
        ),
        (ArrayConfig(4, 4, coupling="broadcast"), "no RTL of an array that broadcasts"),
        (ArrayConfig(257, 4, "ws", "elastic:2", True), "no area of 257 rows"),
    ],
)
def test_arrays_without_areas_are_refused(array, told):
    with pytest.raises(InputError, match=told):
        relative_pe_area("sparq-5opt", array=array)


def test_accumulators_that_were_not_measured_are_refused():
    with pytest.raises(InputError, match=r"acc_bits 20.*--measure .* --acc-bits 20 -o FILE"):
        relative_pe_area("sparq-5opt", acc_bits=20)
    with pytest.raises(InputError, match=r"acc_bits='few': expected a number of bits, or 'least'"):
        relative_pe_area("sparq-5opt", acc_bits="few")


def test_a_dataflow_of_ones_own_has_the_area_of_the_circuit_that_runs_it():
    own = ArrayConfig(4, 4, "tests/own_dataflows.py:OtherWeights")
    assert Structure.of(own) == Structure("ws")


def _structures():
    arrays = product(("os", "ws", "is"), COUPLINGS, (False, True))
    return [Structure(acc_bits=LEAST), *(Structure(*array) for array in arrays)]


def test_the_shipped_table_is_complete_and_says_where_it_is_from():
    table = shipped_table()
    assert table["label"] == LABEL
    assert table["kept"] == measure.kept_modes()
    keys = [(Structure.of_row(row), row["library"], row["flow"]) for row in table["rows"]]
    names = dict.fromkeys(row["library"] for row in table["rows"])
    two = ["default", "no adder sharing"]
    flows = dict.fromkeys(_structures(), two) | {Structure(): list(FLOWS)}
    expected = {
        (structure, name, flow)
        for structure in flows
        for flow in flows[structure]
        for name in names
    }
    assert set(keys) == expected
    assert len(keys) == len(expected)
    assert len(names) == 2
    for row in table["rows"]:
        assert row["tool"].startswith("Yosys ")
        assert list(row["designs"]) == sorted(MEASURED_DESIGNS)
        for name in MEASURED_DESIGNS:
            told = DesignArea.of_row(row, name)
            assert told.pe > 0 < told.skew_bit
            assert (told.edge > 0) == (name.startswith("sparq") or name == "olive-4b")
            assert told.acc_bits == (
                least_bits(get_pe(name)) if row["acc_bits"] == LEAST else row["acc_bits"]
            )


def test_the_text_of_the_shipped_table_is_what_measuring_writes():
    text = TABLE_FILE.read_text(encoding="utf-8")
    assert text == area_text(shipped_table())


def test_a_table_is_read_as_it_was_written_and_others_are_refused(tmp_path):
    path = tmp_path / "areas.json"
    path.write_text(area_text(TABLE))
    assert load_table(path) == json.loads(json.dumps(TABLE))
    for spoilt in (
        "",
        "[]",
        "{}",
        path.read_text().replace("area/2", "area/1"),
        path.read_text().replace('"pe"', '"pes"'),
    ):
        path.write_text(spoilt)
        with pytest.raises(InputError, match="expected an area table, which"):
            load_table(path)


def _areas(structure, flow):
    """Return the area of a 16x16 array, by (library, design), in one flow."""
    rows = [
        row
        for row in shipped_table()["rows"]
        if Structure.of_row(row) == structure and row["flow"] == flow
    ]
    return {
        (row["library"], name): DesignArea.of_row(row, name).of_array(16, 16)
        for row in rows
        for name in MEASURED_DESIGNS
    }


#: `abc` gives a PE with three bits fewer up to so much more area: what a larger part may cost less.
NOISE = 0.012

each_flow = pytest.mark.parametrize("flow", FLOWS_OF_ALL)


def _cost(dear, cheap):
    """Return how much larger arrays are, each over its own without the part; in order."""
    assert len(cheap) == 2 * len(MEASURED_DESIGNS)
    return sorted(dear[key] / cheap[key] - 1 for key in cheap)


@each_flow
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_overlap_costs_area(dataflow, coupling, flow):
    """One array of 600 is smaller with it, by 0.4 %: `sysmt-2t` on elastic `is`."""
    overlapped = _areas(Structure(dataflow, coupling, overlap=True), flow)
    lowest, next_lowest, *_ = _cost(overlapped, _areas(Structure(dataflow, coupling), flow))
    assert lowest > (-NOISE if (dataflow, coupling) == ("is", "elastic:2") else 0)
    assert next_lowest > 0


@each_flow
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("overlap", [False, True])
def test_fifos_cost_area(dataflow, overlap, flow):
    """Two arrays of 600 are smaller with them, by at most 0.8 %: `pragmatic`, mostly digits."""
    elastic = _areas(Structure(dataflow, "elastic:2", overlap), flow)
    lowest, next_lowest, *_ = _cost(elastic, _areas(Structure(dataflow, overlap=overlap), flow))
    assert lowest > -NOISE
    assert next_lowest > 0


@each_flow
def test_wider_accumulators_cost_area(flow):
    """Three bits of 32 are within the noise for a few designs; eleven are not.

    Without adder sharing, `bitfusion` and `stripes` get other adders at 29 bits than at 32.
    """
    wide, least = _areas(Structure(), flow), _areas(Structure(acc_bits=LEAST), flow)
    costs = _cost(wide, least)
    mapped_otherwise = 2 if flow == "no adder sharing" else 0
    assert costs[mapped_otherwise] > -NOISE
    assert costs[0] > -0.07
    assert median(costs) > 0.01
    assert sum(cost <= 0 for cost in costs) <= 6
    for library in {library for library, _ in wide}:
        assert wide[library, "mac-4b4b"] > 1.1 * least[library, "mac-4b4b"]


def test_order_of_area_per_mac_holds_in_every_row():
    order = ("mac-4b8b", "sparq-2opt", "sparq-3opt", "sparq-5opt", "mac-2x8b8b", "mac-8b8b")
    for row in ArrayAreas.of(ArrayConfig(16, 16)).rows:
        alone = {**shipped_table(), "rows": [row]}
        areas = [relative_area_per_mac(name, table=alone).middle for name in order]
        assert areas == sorted(areas), (row["library"], row["flow"])


def test_statistics_that_leave_cells_out_are_refused():
    assert area_in("\n   Chip area for module '\\area_pe': 40754.000000\n", "x.lib") == 40754
    assert area_in("\n   Chip area for top module '\\area_pe': 12.5\n", "x.lib") == 12.5
    assert area_in("\n   Estimated number of transistors:      10020\n", "x") == 10020
    for incomplete in (
        "",
        "   Estimated number of transistors:      10020+\n",
        "   Area for cell type $_DFF_P_ is unknown!\n Chip area for module '\\area_pe': 12.5\n",
    ):
        with pytest.raises(InputError, match="do not give the area of every cell"):
            area_in(incomplete, "x.lib")


def test_a_liberty_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a file"):
        libraries(str(tmp_path / "none.lib"))
    assert [library.name for library in libraries(str(_liberty(tmp_path)))] == [
        "my.lib 2cf24dba5fb0"
    ]


def _liberty(folder):
    path = folder / "my.lib"
    path.write_bytes(b"hello")
    return path


@pytest.fixture
def yosys():
    if shutil.which("yosys") is None:
        pytest.skip("yosys is not installed (apt install yosys)")
    return tool_version("yosys", "-V")


@pytest.fixture
def debian():
    if not DEBIAN_LIBERTY.is_file():
        pytest.skip("Debian's library is not installed (apt install qflow-tech-osu018)")
    return Library(DEBIAN_LIBERTY)


def _compare_with_shipped(library, flow, structure, name, yosys):
    row = next(
        row
        for row in shipped_table()["rows"]
        if (Structure.of_row(row), row["library"], row["flow"]) == (structure, library.name, flow)
    )
    found = design_area(Bench(library, flow), structure, name).document
    if yosys == row["tool"]:
        assert found == row["designs"][name]
    assert 0.7 < found["pe"] / row["designs"][name]["pe"] < 1.4


@pytest.mark.sampled(2)
@pytest.mark.parametrize("flow", ["default", "ripple-carry adders"])
def test_synthesis_gives_the_shipped_figures_again(flow, yosys):
    _compare_with_shipped(Library(), flow, Structure(), "sparq-2opt", yosys)


@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    ("structure", "name"),
    [
        (Structure("os", "elastic:2", True), "sparq-exact"),
        (Structure("ws", "elastic:2", True), "sparq-6opt"),
        (Structure("ws", "elastic:2"), "mac-4b4b:stages=2"),
        (Structure("is", "lockstep", True), "sparq-5opt"),
        (Structure(acc_bits=LEAST), "mac-4b4b"),
        (Structure(), "mac-8b8b"),
    ],
    ids=str,
)
def test_synthesis_for_debians_library_gives_the_shipped_figures_again(
    structure, name, yosys, debian
):
    _compare_with_shipped(debian, "default", structure, name, yosys)


def test_areas_are_in_proportion_to_those_of_the_cells_of_ones_own_library(
    tmp_path, monkeypatch, yosys
):
    monkeypatch.setattr(measure, "MEASURED_DESIGNS", ("mac-4b4b", "sparq-2opt"))
    monkeypatch.setattr(measure, "FLOWS", {"fast mapping": FLOWS["fast mapping"]})
    path = tmp_path / "tiny.lib"
    path.write_text(TINY_LIBERTY)

    def measured():
        return measured_table(runs_of(Structure(), libraries(str(path))))

    once = measured()
    (row,) = once["rows"]
    assert row["library"].startswith("tiny.lib ")
    sparq, mac = row["designs"]["sparq-2opt"], row["designs"]["mac-4b4b"]
    assert mac["edge"] == 0 < sparq["edge"] < sparq["pe"]
    areas = ("pe", "row", "column", "array", "edge", "skew_bit")
    twice_as_large = re.sub(
        r"area : (\d+)", lambda area: f"area : {2 * int(area[1])}", TINY_LIBERTY
    )
    path.write_text(twice_as_large)
    monkeypatch.setattr(measure, "MEASURED_DESIGNS", ("sparq-2opt",))
    (twice,) = measured()["rows"]
    assert twice["library"] != row["library"]
    assert twice["designs"] == {"sparq-2opt": sparq | {part: 2 * sparq[part] for part in areas}}


#: Three gates and a flip-flop.
TINY_LIBERTY = """library(tiny) {
  cell(INV) { area : 2; pin(A) { direction : input; } pin(Y) { direction : output; function : "A'"; } }
  cell(NAND2) { area : 4; pin(A) { direction : input; } pin(B) { direction : input; }
                pin(Y) { direction : output; function : "(A B)'"; } }
  cell(NOR2) { area : 4; pin(A) { direction : input; } pin(B) { direction : input; }
               pin(Y) { direction : output; function : "(A+B)'"; } }
  cell(DFF) { area : 20; ff(IQ, IQN) { clocked_on : "CLK"; next_state : "D"; }
              pin(CLK) { direction : input; clock : true; } pin(D) { direction : input; }
              pin(Q) { direction : output; function : "IQ"; } }
}
"""
