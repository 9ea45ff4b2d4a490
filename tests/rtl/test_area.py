"""Relative areas: the arithmetic on a table, the table that ships, and that synthesis gives it
again.
"""

from __future__ import annotations

import re
import shutil

import pytest

from sparqsim.base.errors import InputError
from sparqsim.pe import get_pe
from sparqsim.pe.base import LayerFacts
from sparqsim.rtl import synthesis
from sparqsim.rtl.area import (
    AreaRange,
    relative_area_per_mac,
    relative_pe_area,
    shipped_table,
    trim_unit_share,
)
from sparqsim.rtl.designs import circuit_of
from sparqsim.rtl.runner import tool_version
from sparqsim.rtl.synthesis import (
    DEBIAN_LIBERTY,
    DESIGNS,
    FLOWS,
    LABEL,
    Library,
    area_in,
    libraries,
    measured_table,
    synthesised,
)

pytestmark = pytest.mark.no_simulator

TABLE = {
    "rows": [
        {
            "pe": {"mac-8b8b": base, "mac-2x8b8b": two, "sparq-5opt": sparq},
            "edge": {"mac-8b8b": 0, "mac-2x8b8b": 0, "sparq-5opt": trim},
        }
        for base, two, sparq, trim in ((100, 160, 120, 32), (10, 18, 9, 4), (10, 15, 14, 4))
    ]
}


def test_range_of_pe_areas_with_their_share_of_a_trim_unit():
    assert relative_pe_area("sparq-5opt", cols=4, table=TABLE) == AreaRange(1.0, 1.28, 1.5)
    assert relative_pe_area("sparq-5opt", cols=1, table=TABLE) == AreaRange(1.3, 1.52, 1.8)
    assert trim_unit_share("sparq-5opt", cols=4, table=TABLE) == AreaRange(8 / 128, 1 / 15, 1 / 10)


def test_area_per_mac_counts_lanes():
    assert relative_area_per_mac("sparq-5opt", cols=4, table=TABLE) == AreaRange(0.5, 0.64, 0.75)
    assert relative_area_per_mac("mac-2x8b8b", table=TABLE) == AreaRange(0.75, 0.8, 0.9)
    assert relative_area_per_mac("sparq-5opt", "mac-2x8b8b", cols=4, table=TABLE) == AreaRange(
        10 / 18, 128 / 160, 1.0
    )


def test_keys_do_not_matter_and_unknown_designs_are_refused():
    assert relative_pe_area("sparq-5opt:rounding=trim", table=TABLE) == relative_pe_area(
        "sparq-5opt", table=TABLE
    )
    with pytest.raises(
        InputError, match="no 'sparq-2opt'; expected one of mac-2x8b8b, mac-8b8b, sparq-5opt"
    ):
        relative_pe_area("sparq-2opt", table=TABLE)


def test_a_step_of_many_cycles_is_no_mac_per_cycle():
    rows = [{"pe": {"mac-8b8b": 100, "stripes": 400}, "edge": {"mac-8b8b": 0, "stripes": 0}}]
    assert relative_area_per_mac("stripes", table={"rows": rows}).middle == 4 * 8 / 16


@pytest.mark.parametrize(
    "spec", ["stripes:lanes=4", "stripes:precision=dynamic", "swis:shifts=4", "pragmatic:stage=3"]
)
def test_keys_that_make_another_circuit_are_refused(spec):
    with pytest.raises(
        InputError, match=f"these make another circuit; expected {spec.split(':')[0]}"
    ):
        relative_pe_area(spec)


def test_the_bits_of_a_layer_are_modes_of_one_circuit():
    bound = get_pe("bitfusion").for_layer(LayerFacts(9, False, 2, 4))
    rows = [{"pe": {"mac-8b8b": 10, "bitfusion": 25}, "edge": {"mac-8b8b": 0, "bitfusion": 0}}]
    assert relative_pe_area(bound, table={"rows": rows}).middle == 2.5


def test_the_shipped_table_is_complete_and_says_where_it_is_from():
    table = shipped_table()
    assert table["label"] == LABEL
    assert (
        len({(row["library"], row["flow"]) for row in table["rows"]})
        == len(table["rows"])
        == 2 * len(FLOWS)
    )
    for row in table["rows"]:
        assert row["tool"].startswith("Yosys ")
        assert list(row["pe"]) == list(row["edge"]) == sorted(DESIGNS)
        assert all(area > 0 for area in row["pe"].values())
        assert {name for name, area in row["edge"].items() if area} == {
            name for name in DESIGNS if "sparq" in name
        }


def test_order_of_area_per_mac_holds_in_every_row():
    for row in shipped_table()["rows"]:
        alone = {"rows": [row]}
        areas = [
            relative_area_per_mac(name, table=alone).middle
            for name in (
                "mac-4b8b",
                "sparq-2opt",
                "sparq-3opt",
                "sparq-5opt",
                "mac-2x8b8b",
                "mac-8b8b",
            )
        ]
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


def _compare_with_shipped(library, flow, yosys):
    row = next(
        row
        for row in shipped_table()["rows"]
        if row["library"] == library.name and row["flow"] == flow
    )
    for part, top, name in (("pe", "area_pe", "mac-8b8b"), ("edge", "area_edge", "sparq-2opt")):
        found = synthesised(library, flow, top, circuit_of(get_pe(name)).parameters)
        if yosys == row["tool"]:
            assert found == row[part][name]
        assert 0.7 < found / row[part][name] < 1.4


@pytest.mark.parametrize("flow", ["default", "ripple-carry adders"])
def test_synthesis_gives_the_shipped_figures_again(flow, yosys):
    _compare_with_shipped(Library(), flow, yosys)


def test_synthesis_for_debians_library_gives_the_shipped_figures_again(yosys):
    if not DEBIAN_LIBERTY.is_file():
        pytest.skip("Debian's library is not installed (apt install qflow-tech-osu018)")
    _compare_with_shipped(Library(DEBIAN_LIBERTY), "default", yosys)


def test_a_library_of_ones_own_is_used_and_two_runs_give_the_same(tmp_path, monkeypatch, yosys):
    monkeypatch.setattr(synthesis, "DESIGNS", ("mac-4b4b", "sparq-2opt"))
    monkeypatch.setattr(synthesis, "FLOWS", {"fast mapping": FLOWS["fast mapping"]})
    path = tmp_path / "tiny.lib"
    path.write_text(TINY_LIBERTY)
    (row,) = measured_table(libraries(str(path)))["rows"]
    assert row["library"].startswith("tiny.lib ")
    assert row["edge"]["mac-4b4b"] == 0 < row["edge"]["sparq-2opt"] < row["pe"]["sparq-2opt"]
    twice_as_large = re.sub(
        r"area : (\d+)", lambda area: f"area : {2 * int(area[1])}", TINY_LIBERTY
    )
    path.write_text(twice_as_large)
    (twice,) = measured_table(libraries(str(path)))["rows"]
    assert twice["library"] != row["library"]
    assert {**twice, "library": ""} == {
        **row,
        "library": "",
        "pe": _doubled(row["pe"]),
        "edge": _doubled(row["edge"]),
    }


def _doubled(areas):
    return {name: 2 * area for name, area in areas.items()}


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
