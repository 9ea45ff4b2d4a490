"""Gate netlists: cells of the library only, the area of the table, the same text again."""

from __future__ import annotations

import re
import shutil
from collections import Counter

import pytest

from sparqsim.base.errors import InputError
from sparqsim.pe import get_pe
from sparqsim.rtl.designs import circuit_of
from sparqsim.rtl.netlist import netlist
from sparqsim.rtl.synthesis import DEBIAN_LIBERTY, Library, synthesised

pytestmark = pytest.mark.no_simulator


@pytest.fixture
def library():
    if shutil.which("yosys") is None:
        pytest.skip("yosys is not installed (apt install yosys)")
    if not DEBIAN_LIBERTY.is_file():
        pytest.skip("Debian's library is not installed (apt install qflow-tech-osu018)")
    return Library(DEBIAN_LIBERTY)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("spec", "top"), [("sparq-2opt", "area_edge"), ("mac-4b4b", "area_pe")])
def test_a_netlist_is_made_of_the_cells_whose_areas_are_measured(spec, top, library):
    circuit = circuit_of(get_pe(spec))
    made = netlist(library, "default", top, circuit)
    assert made == netlist(library, "default", top, circuit)
    assert made.verilog.count(f"\nmodule {top}(") == made.verilog.count("\nendmodule") == 1
    areas = {
        name: float(area)
        for name, area in re.findall(
            r"\bcell *\((\w+)\) *\{.*?\barea *: *([0-9.]+)", library.liberty.read_text(), re.DOTALL
        )
    }
    cells = Counter(re.findall(r"^  (\w+) _\d+_ \($", made.verilog, re.MULTILINE))
    measured = synthesised(library, "default", top, circuit.parameters, circuit.defines)
    assert sum(areas[name] * count for name, count in cells.items()) == made.area == measured


def test_an_estimate_of_transistors_has_no_cells():
    with pytest.raises(InputError, match="transistor estimate: has no cells; expected a liberty"):
        netlist(Library(), "default", "area_pe", circuit_of(get_pe("mac-4b4b")))
