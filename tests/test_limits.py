"""What a small file may ask for: bounds, the line that names them, and how they are raised."""

from __future__ import annotations

import json

import pytest

import sparqsim
from sparqsim.base import limits
from sparqsim.base.limits import Limit
from sparqsim.sweep.grid import cases_of, load_grid
from sparqsim.trace.drawn import save_synthetic
from sparqsim.trace.synthetic import Distribution, LayerShape

SIDES = ", ".join(f'"{side}x{side}"' for side in range(1, 400))
TOPOLOGY = "Layer,M,N,K,\n"


def test_cases_of_a_grid_are_counted_before_they_are_made(tmp_path, refused):
    """399^4 cases: making them would take all memory."""
    path = tmp_path / "grid.toml"
    axes = ("array", "dataflow", "coupling", "memory")
    path.write_text('trace = "t"\npe = "p"\n' + "".join(f"{axis} = [{SIDES}]\n" for axis in axes))
    line = refused("sweep", path, "-o", tmp_path / "s.sqlite")
    assert "grid.toml: 25,344,958,401 cases" in line
    assert "SPARQSIM_MAX_GRID_CASES=25344958401" in line
    assert not (tmp_path / "s.sqlite").exists()


def test_a_grid_of_the_command_line_and_tables_count_too(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARQSIM_MAX_GRID_CASES", "5")
    with pytest.raises(sparqsim.InputError, match="grid: 6 cases"):
        cases_of({"trace": ["t"], "pe": ["a", "b"], "array": ["1x1", "2x2", "3x3"]})
    path = tmp_path / "grid.toml"
    path.write_text('trace = "t"\npe = "p"\n' + '[[grid]]\narray = ["1x1", "2x2"]\n' * 3)
    with pytest.raises(sparqsim.InputError, match=r"grid\.toml: 6 cases"):
        load_grid(path)
    monkeypatch.setenv("SPARQSIM_MAX_GRID_CASES", "6")
    assert len(load_grid(path)) == 6


@pytest.mark.parametrize("suffix", [".toml", ".cfg"])
def test_bytes_of_an_accelerator_file(suffix, tmp_path, small_path, refused, monkeypatch):
    monkeypatch.setenv("SPARQSIM_MAX_TEXT_BYTES", "1000")
    path = tmp_path / f"large{suffix}"
    path.write_text("# comment\n" * 101)
    line = refused("simulate", small_path, "--pe", "mac-8b8b", "--config", path)
    assert f"large{suffix}: 1,010 bytes, expected at most 1,000" in line
    assert "SPARQSIM_MAX_TEXT_BYTES=1010" in line


def test_bytes_of_topologies_and_results(tmp_path, refused, monkeypatch):
    monkeypatch.setenv("SPARQSIM_MAX_TEXT_BYTES", "20")
    monkeypatch.setenv("SPARQSIM_MAX_RESULT_BYTES", "30")
    topology, result = tmp_path / "net.csv", tmp_path / "r.json"
    topology.write_text(TOPOLOGY + "g,1,2,3,\n" * 3)
    result.write_text(json.dumps({"schema": "sparqsim.report/1"}) + " " * 30)
    assert "net.csv: 40 bytes" in refused("trace", "import", topology, "-o", tmp_path / "t")
    assert "SPARQSIM_MAX_RESULT_BYTES=" in refused("report", result, "-o", tmp_path / "p.html")


def test_a_file_without_end_is_not_read_to_its_end(refused, small_path, tmp_path):
    zeros = tmp_path / "zero.toml"
    zeros.symlink_to("/dev/zero")
    line = refused("simulate", small_path, "--pe", "mac-8b8b", "--config", zeros)
    assert "zero.toml: 16,777,217 bytes" in line


def test_layers(tmp_path, small_path, refused, monkeypatch):
    monkeypatch.setenv("SPARQSIM_MAX_LAYERS", "2")
    topology = tmp_path / "net.csv"
    topology.write_text(TOPOLOGY + "".join(f"g{at},1,2,3,\n" for at in range(3)))
    for command in (("trace", "info", small_path), ("trace", "import", topology, "-o", "t")):
        assert "3 layers, expected at most 2; to allow them set SPARQSIM_MAX_LAYERS=3" in refused(
            *command
        )


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 70 + "]" * 70, "[" + ".".join("a" * 70) + "]", "a." * 2_000 + "a = 1"]
)
def test_tables_within_tables(text, tmp_path, refused, monkeypatch):
    path = tmp_path / "deep.toml"
    path.write_text(text)
    assert "SPARQSIM_MAX_NESTING=65" in refused("sweep", path, "-o", tmp_path / "s")
    monkeypatch.setenv("SPARQSIM_MAX_NESTING", "5000")
    assert "SPARQSIM_MAX_NESTING" not in refused("sweep", path, "-o", tmp_path / "s")


@pytest.mark.parametrize("form", ['{{"a": {}}}', "[{}]"])
def test_objects_and_lists_within_each_other(form, tmp_path, refused, monkeypatch):
    text = "1"
    for _ in range(70):
        text = form.format(text)
    path = tmp_path / "deep.json"
    path.write_text(text)
    line = refused("report", path, "-o", tmp_path / "page.html")
    assert "deep.json: nested: 70 levels, expected at most 64" in line
    assert "SPARQSIM_MAX_JSON_NESTING=70" in line
    monkeypatch.setenv("SPARQSIM_MAX_JSON_NESTING", "70")
    assert "no result of sparqsim" in refused("report", path, "-o", tmp_path / "page.html")


@pytest.mark.parametrize(
    ("row", "size"),
    [
        ("g, 1000000, 4096, 4096,", "4,112,777,216"),
        ("g, 16777216, 1, 16777216,", "281,474,993,487,872"),
    ],
)
def test_the_size_of_a_drawn_trace_is_told_before_it_is_drawn(row, size, tmp_path, refused):
    topology, target = tmp_path / "net.csv", tmp_path / "t.safetensors"
    topology.write_text(TOPOLOGY + row + "\n")
    line = refused("trace", "import", topology, "-o", target, "--values", "stored")
    assert f"t.safetensors: size of the trace: {size} bytes, expected at most 2,147,483,648" in line
    assert f"SPARQSIM_MAX_SYNTHETIC_BYTES={size.replace(',', '')}" in line
    assert not target.exists()


def test_a_disk_without_room_is_told_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARQSIM_MAX_SYNTHETIC_BYTES", str(10**17))
    shapes = [LayerShape.gemm("g", 2**24, 2**24, 1)]
    with pytest.raises(sparqsim.InputError, match=r"281,474,993,487,872 bytes, and the disk has"):
        save_synthetic(tmp_path / "t", shapes, Distribution(), values="stored")


def test_elements_to_draw_are_counted_before_any_is_drawn(tmp_path, refused, monkeypatch):
    topology, target = tmp_path / "net.csv", tmp_path / "t.safetensors"
    topology.write_text(TOPOLOGY + "g, 16777216, 1, 16777216,\n")
    line = refused("trace", "import", topology, "-o", target)
    assert "t.safetensors: values to draw: 281,474,993,487,872 elements" in line
    assert "SPARQSIM_MAX_DRAWN_ELEMENTS=281474993487872" in line
    assert not target.exists()
    save_synthetic(target, [LayerShape.gemm("g", 3, 4, 5)], Distribution())
    monkeypatch.setenv("SPARQSIM_MAX_DRAWN_ELEMENTS", "31")
    for command in (("trace", "check"), ("trace", "info"), ("simulate", "--pe", "mac-8b8b")):
        assert "t.safetensors: values to draw: 32 elements" in refused(*command, target)


def test_a_few_bytes_do_not_ask_for_hours(tmp_path, refused, monkeypatch, run):
    """A product of 1.7e13 multiply-accumulates: what needs no value of it is quick, the rest is
    told at once.
    """
    topology, target = tmp_path / "net.csv", tmp_path / "t.safetensors"
    topology.write_text(TOPOLOGY + "g, 1000000, 4096, 4096,\n")
    for command in (("trace", "import", topology, "-o"), ("trace", "info"), ("trace", "check")):
        assert run(*command, target).code == 0
    line = refused("compare", target)
    assert "16,777,216,000,000 multiply-accumulates, expected at most 4,398,046,511,104" in line
    line = refused("bandwidth", target, "--config", "edge", "--pe", "mac-8b8b")
    assert "layer 'g' in tiles of array 16x16 with a memory system: 16,000,000 tiles" in line
    save_synthetic(target, [LayerShape.gemm("g", 30, 4, 50)], Distribution())
    for variable, most in (("SPARQSIM_MAX_DRAWN_MACS", 6000), ("SPARQSIM_MAX_MEMORY_TILES", 8)):
        command = ("simulate", target, "--pe", "mac-8b8b", "--config", "edge")
        monkeypatch.setenv(variable, str(most))
        assert run(*command).code == 0
        monkeypatch.setenv(variable, str(most - 1))
        assert f"{variable}={most}" in refused(*command)
        monkeypatch.delenv(variable)


@pytest.mark.parametrize("text", ["", "many", "-1", "0", "1e9", "٣", "9" * 5_000])
def test_the_variable_itself(text, monkeypatch):
    monkeypatch.setenv("SPARQSIM_MAX_X", text)
    limit = Limit("SPARQSIM_MAX_X", 7, "things", "things of a file")
    if text:
        with pytest.raises(sparqsim.InputError, match=r"SPARQSIM_MAX_X=.*whole number of things"):
            limit.check(1, "file")
    else:
        limit.check(7, "file")


def test_the_docs_list_every_limit_with_its_default(root):
    text = (root / "docs" / "reference" / "files.md").read_text()
    known = [value for value in vars(limits).values() if isinstance(value, Limit)]
    rows = [line for line in text.splitlines() if line.startswith("| `SPARQSIM_MAX_")]
    assert rows == [f"| `{limit.variable}` | {limit.bounds} | {limit.default} |" for limit in known]
    assert len(rows) >= 13
