"""Libraries in several files: cells and templates of all, one of what all share, no contradiction."""

from __future__ import annotations

import pytest

from sparqsim.base.errors import InputError
from sparqsim.rtl.liberty import corner, merged, output_pins
from sparqsim.rtl.synthesis import library_of

pytestmark = pytest.mark.no_simulator

HEAD = """/* {brace in a comment} */
library ({name}) {{
  date : "today; {name} }}";
  time_unit : "{unit}";
  capacitive_load_unit (1,{farad});
  nom_process : 1;
  nom_voltage : 0.7;
  nom_temperature : 25;
  operating_conditions (typical) {{ process : 1; voltage : {voltage}; }}
  default_operating_conditions : typical;
  lu_table_template ({template}) {{ variable_1 : x; index_1 ("{index}"); }}
  cell ({cell}) {{ area : 2; pin(A) {{ direction : input; }}
    pin("Y") {{ capacitance : 1; direction : "output"; timing() {{ related_pin : "A"; }} }} }}
  // a closing } in a comment
}}
"""
#: Literal braces in comments and strings are not groups.
HEAD = HEAD.replace("{brace in a comment}", "{{ brace").replace("closing } in", "closing }} in")
DEFAULTS = {
    "name": "one",
    "unit": "1ps",
    "farad": "ff",
    "voltage": "0.7",
    "template": "t1",
    "index": "1, 2",
    "cell": "INV",
}


@pytest.fixture
def file(tmp_path):
    def write(file_name, **changed):
        path = tmp_path / file_name
        path.write_text(HEAD.format(**DEFAULTS | changed))
        return path

    return write


def test_one_file_is_taken_as_it_is(file):
    path = file("a.lib")
    assert merged([path]) == path.read_text()


def test_cells_and_templates_of_all_files_and_one_of_what_they_share(file):
    paths = [file("a.lib"), file("b.lib", name="two", template="t2", cell="NAND2")]
    text = merged(paths)
    for once in (
        "cell (INV)",
        "cell (NAND2)",
        "lu_table_template (t1)",
        "lu_table_template (t2)",
        "operating_conditions (typical)",
        "time_unit :",
        "capacitive_load_unit (1,ff)",
        "library (one)",
    ):
        assert text.count(once) == 1, once
    # OpenSTA reads on: templates stand before the cells that use them.
    assert text.index("lu_table_template (t2)") < text.index("cell (INV)")
    code = text.replace('"today; one }"', "").replace("/* { brace */", "")
    code = code.replace("// a closing } in a comment", "")
    assert code.count("{") == code.count("}")
    again = paths[0].with_name("merged.lib")
    again.write_text(text)
    assert merged([again, again]).count("cell (INV)") == 1


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"unit": "1ns"}, "its time_unit differs"),
        ({"farad": "pf"}, "its capacitive_load_unit 1,pf differs"),
        ({"voltage": "0.8"}, "its operating_conditions typical differs"),
        ({"index": "1, 3"}, "its lu_table_template t1 differs"),
    ],
)
def test_files_of_two_libraries_or_corners_are_refused(changed, told, file):
    with pytest.raises(InputError, match=told):
        merged([file("a.lib"), file("b.lib", **{"cell": "NAND2"} | changed)])


@pytest.mark.parametrize(
    ("text", "told"), [("hello", "holds no library"), ("library (a) { cell (b) {", "ends within")]
)
def test_what_is_no_library_is_refused(text, told, file, tmp_path):
    bad = tmp_path / "bad.lib"
    bad.write_text(text)
    with pytest.raises(InputError, match=told):
        merged([file("a.lib"), bad])


def test_the_corner_is_read(file):
    assert corner(file("a.lib").read_text()) == {
        "name": "typical",
        "process": 1.0,
        "voltage": 0.7,
        "temperature": 25.0,
    }
    assert set(corner("library (bare) { cell (a) { nom_voltage : 3; } }").values()) == {None}


def test_pins_that_a_cell_drives(file):
    text = merged([file("a.lib"), file("b.lib", cell="NAND2", name="two")])
    assert output_pins(text, "INV") == output_pins(text, "NAND2") == {"Y"}
    assert output_pins(text, "NAND") == set()


def test_the_name_tells_all_files_and_a_digest_of_the_whole(file):
    paths = [str(file("a.lib")), str(file("b.lib", cell="NAND2"))]
    name = library_of(paths).name
    assert name.startswith("a.lib+b.lib ")
    assert library_of(paths[:1]).name != name
    file("b.lib", cell="NAND3")
    assert library_of(paths).name != name
