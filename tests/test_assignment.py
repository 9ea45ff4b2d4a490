"""Assignments: which design runs which layer, in Python, from a file, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import sparqsim
from sparqsim import ArrayConfig, Assignment, InputError, Layer
from sparqsim.engine.assignment import Rule, load_assignment
from sparqsim.engine.models import get_model
from sparqsim.memory import load_accelerator
from sparqsim.networks.computing import designs_by_name
from sparqsim.pe.base import LayerFacts

NAMES = ("stem", "layer4.0", "layer4.1", "fc")


def network() -> sparqsim.Trace:
    """Return four products, the first and the last marked keep_8bit."""
    rng = np.random.default_rng(3)
    return sparqsim.Trace(
        [
            Layer.from_gemm(
                name,
                (rng.integers(0, 256, (5, 9)) * (rng.random((5, 9)) < 0.6)).astype(np.uint8),
                rng.integers(-128, 128, (9, 6)).astype(np.int8),
                keep_8bit=name in ("stem", "fc"),
            )
            for name in NAMES
        ]
    )


MIXED = Assignment("mac-4b8b", [("layer4.1", "sparq-exact"), ("layer4.*", "sparq-5opt")], "mixed")


def test_the_first_rule_that_takes_a_layer_decides():
    designs = [MIXED.design(layer).spec for layer in network().layers]
    assert designs == ["mac-4b8b", "sparq-5opt", "sparq-exact", "mac-4b8b"]
    assert [model.spec for model in MIXED.models] == ["mac-4b8b", "sparq-exact", "sparq-5opt"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("memory", [None, "edge"])
@pytest.mark.parametrize(("keep", "kept"), [(True, "honest"), (True, "ideal"), (False, "honest")])
@pytest.mark.parametrize("engine", ["fast", "event"])
def test_every_layer_is_that_of_its_design_alone(memory, keep, kept, engine):
    around = load_accelerator(memory).memory if memory else None
    how = {"memory": around, "keep_8bit": keep, "kept": kept, "engine": engine}
    trace, array = network(), ArrayConfig(3, 2)
    found = sparqsim.simulate(trace, MIXED, array, **how)
    of_layers = ("mac-8b8b" if kept == "ideal" else "mac-4b8b", "sparq-5opt", "sparq-exact")
    expected = [
        sparqsim.simulate(trace, design, array, **how).layers[at]
        for at, design in enumerate((*of_layers, of_layers[0]))
    ]
    assert list(found.layers) == expected
    assert [layer.kept_8bit for layer in found.layers] == [keep, False, False, keep]
    assert found.keep_8bit == keep


def test_a_rule_of_ones_own_comes_before_keep_8bit():
    run = Assignment("sparq-5opt", [("fc", "mac-4b4b")], "classifier in four bits")
    report = sparqsim.simulate(network(), run)
    assert [layer.run_as for layer in report.layers] == [*["sparq-5opt"] * 3, "mac-4b4b"]
    assert "lone path" in report.layers[0].kept_mode
    assert not report.layers[3].kept_mode
    assert [layer.kept_8bit for layer in report.layers] == [True, False, False, False]


def test_a_comparison_and_its_file_show_the_name():
    compared = sparqsim.compare(network(), [MIXED, "sparq-5opt"], ArrayConfig(3, 2))
    assert compared.order == ("mac-8b8b", "mixed", "sparq-5opt")
    report = compared.reports["mixed"]
    assert (report.pe.name, report.pe.spec, report.pe.lanes) == ("mixed", "mixed", 2)
    assert report.pe.assignment.model_dump() == {
        "default": "mac-4b8b",
        "layers": (
            {"match": "layer4.1", "pe": "sparq-exact"},
            {"match": "layer4.*", "pe": "sparq-5opt"},
        ),
    }
    assert report.pe.cycles_depend_on_values
    assert compared.from_json(compared.to_json()) == compared
    assert "layer4.*: sparq-5opt, others: mac-4b8b" in compared.timing_notes["mixed"]
    assert "mac-8b8b" not in compared.timing_notes


def test_an_assignment_is_a_baseline_too():
    compared = sparqsim.compare(network(), ["sparq-5opt"], baseline=MIXED)
    assert compared.speedup("mixed") == 1


def test_one_design_for_all_layers_is_that_design():
    trace = network()
    plain = sparqsim.simulate(trace, "sparq-5opt").to_json()
    assert sparqsim.simulate(trace, Assignment("sparq-5opt", name="any")).to_json() == plain


def test_an_engine_of_its_own_runs_some_layers():
    vector = f"{Path(__file__).parent.parent / 'docs/examples/vector_unit.py'}:VectorUnit"
    unit = get_model(vector)
    run = Assignment("mac-8b8b", [Rule("layer4.?", unit)], "two engines")
    report = sparqsim.simulate(network(), run, ArrayConfig(3, 2))
    assert [layer.run_as for layer in report.layers] == ["mac-8b8b", "vector", "vector", "mac-8b8b"]
    assert [layer.cycles.total for layer in report.layers[1:3]] == [-(-5 * 9 * 6 // 16)] * 2


@pytest.mark.parametrize("name", ["WeightSerial", "Fused", "FixedSerial", "WindowedSerial"])
def test_designs_that_follow_the_layer_are_ready_for_each(name):
    design = sparqsim.get_pe(f"{Path(__file__).parent / 'own_designs.py'}:{name}")
    trace, array = network(), ArrayConfig(3, 2)
    for layer in trace.layers:
        bound = Assignment(design).bound(layer)
        assert bound.pe == design.for_layer(LayerFacts(k=9)) == bound.bound_to(layer).pe
    mixed = sparqsim.simulate(trace, Assignment("mac-8b8b", [("layer4.0", design)]), array)
    alone = sparqsim.simulate(trace, design, array)
    assert mixed.layers[1] == alone.layers[1]


def test_layers_that_stay_at_8_bits_by_name():
    narrow, wide = sparqsim.get_pe("mac-4b8b"), sparqsim.get_pe("mac-8b8b")
    layers = [SimpleNamespace(name=name, keep_8bit=name == "a") for name in ("a", "b")]
    chosen = designs_by_name(narrow, layers, keep_8bit=True)
    assert chosen == {"a": wide, "b": narrow}
    chosen = designs_by_name(narrow, layers, keep_8bit=False)
    assert chosen == {"a": narrow, "b": narrow}
    mixed = Assignment("sparq-5opt", [("b", narrow)], "mixed")
    chosen = designs_by_name(mixed, layers, keep_8bit=True)
    assert chosen == {"a": wide, "b": narrow}


def test_equal_area_needs_one_circuit():
    with pytest.raises(
        InputError, match=r"assignment 'mixed' has a circuit for each layer \(mac-4b8b,"
    ):
        sparqsim.compare(network(), [MIXED], iso="area")
    with pytest.raises(InputError, match="baseline 'mixed' is an assignment"):
        sparqsim.compare(network(), ["mac-4b8b"], baseline=MIXED, iso="area")
    unit = f"{Path(__file__).parent.parent / 'docs/examples/vector_unit.py'}:VectorUnit"
    with pytest.raises(InputError, match="vector is an engine of its own"):
        sparqsim.compare(network(), [Assignment("mac-8b8b", [("fc", unit)], "two")], iso="area")


def test_modes_of_one_circuit_have_its_area():
    modes = Assignment("mac-4b8b", [("layer4.1", "mac-4b8b:rounding=trim")], "modes")
    area = sparqsim.compare(network(), [modes, "mac-4b8b"], iso="area").iso_area.designs
    assert area["modes"].relative_pe_area == area["mac-4b8b"].relative_pe_area
    assert area["modes"].area_of == "mac-4b8b"
    one = get_model("swis").pe.circuit
    assert get_model("swis:consecutive=on,alpha=2").pe.circuit == one
    for key in ("shifts=2", "shifts=target:3", "group=2", "per_cycle=2"):
        assert get_model(f"swis:{key}").pe.circuit != one
    shifts = Assignment("swis", [("layer4.1", "swis:shifts=5")], "shifts")
    with pytest.raises(InputError, match=r"a circuit for each layer \(swis, swis:shifts=5\)"):
        sparqsim.compare(network(), [shifts], iso="area")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: sparqsim.simulate(
                network(), Assignment("mac-8b8b", [("layer5.0", "mac-4b8b")])
            ),
            r"assignment 'assignment': match='layer5.0' is of no layer .*did you mean layer4.0\?",
        ),
        (lambda: Assignment("mac-8b9b"), r"'mac-8b9b' is not known .*did you mean mac-8b8b"),
        (lambda: Assignment("mac-8b8b", [("a", "mac-8b9b")]), "'mac-8b9b' is not known"),
        (
            lambda: Assignment("mac-8b8b", [("a", "mac-4b8b")], "sparq-5opt"),
            "name='sparq-5opt': a PE design is called so",
        ),
        (
            lambda: Assignment("mac-8b8b", [("a", "mac-4b8b")], "sparq-5opt:rounding=trim"),
            "name='sparq-5opt:rounding=trim': a PE design is called so",
        ),
        (lambda: Assignment("mac-8b8b", name="two\nlines"), "assignment name="),
        (lambda: Assignment("mac-8b8b", name="@x"), "name='@x': names of files begin with '@'"),
        (
            lambda: Assignment("mac-8b8b", [("a", "mac-4b8b")], "a,b"),
            "name='a,b': commas separate names",
        ),
        (lambda: Assignment("mac-8b8b", name=""), "assignment name=''"),
        (lambda: sparqsim.compare(network(), [MIXED, MIXED]), "a design is named twice"),
    ],
)
def test_what_no_assignment_can_be(make, message):
    with pytest.raises(InputError, match=message):
        make()


FILE = """
name = "mixed"
default = "mac-4b8b"
[[layers]]
match = "layer4.1"
pe = "sparq-exact"
[[layers]]
match = "layer4.*"
pe = "sparq-5opt"
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    network().save("net.safetensors")
    Path("mixed.toml").write_text(FILE)
    return tmp_path


def test_a_file_is_the_same_assignment(files):
    assert load_assignment("mixed.toml") == MIXED
    found = sparqsim.simulate("net.safetensors", "@mixed.toml")
    assert found.layers == sparqsim.simulate("net.safetensors", MIXED).layers


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("default", "defalt", "mixed.toml: default: Field required|defalt"),
        ("pe = ", "design = ", r"mixed.toml: layers\[0\]"),
        ('"layer4.1"', "4", r"mixed.toml: layers\[0\].match"),
        ("mac-4b8b", "mac-4b9b", "mixed.toml: PE design 'mac-4b9b' is not known"),
        ('"mixed"', '"mac-8b8b"', "mixed.toml: assignment name='mac-8b8b'"),
        ("[[layers]]", "[layers", "mixed.toml"),
    ],
)
def test_a_file_that_is_none_is_refused(files, old, new, message):
    Path("mixed.toml").write_text(FILE.replace(old, new))
    with pytest.raises(InputError, match=message):
        load_assignment("mixed.toml")


@pytest.mark.usefixtures("no_figures")
def test_the_command_line(files, run, refused):
    words = ("compare", "net.safetensors", "--pe", "@mixed.toml,sparq-5opt", "--config", "edge")
    for form in ("table", "csv", "markdown", "json"):
        ended = run(*words, "--format", form, "-o", "c.json")
        assert ended.code == 0, ended.err
        assert "mixed" in ended.out
    assert json.loads(Path("c.json").read_text())["order"][1] == "mixed"
    assert run("report", "c.json", "-o", "page.html").code == 0
    assert run("plot", "c.json", "--kind", "layers", "-o", "f.svg").code == 0
    timeline = ("--config", "edge", "--timeline", "t.json", "-o", "r.json")
    assert run("simulate", "net.safetensors", "--pe", "@mixed.toml", *timeline).code == 0
    map_ = ("--kind", "utilization", "--trace", "net.safetensors", "-o", "u.svg")
    assert run("plot", "r.json", *map_).code == 0
    for kind in (("--kind", "layers", "-o", "l.svg"), map_):
        drawn = run("plot", "c.json", "--pe", "@mixed.toml", *kind)
        assert drawn.code == 0, drawn.err
    assert "no such file" in refused("plot", "c.json", "--pe", "@gone.toml", *map_)
    over = ("--pe", "@mixed.toml", *map_[:-1], "mixed.toml")
    assert "mixed.toml" in refused("plot", "c.json", *over)
    Path("other.toml").write_text(FILE.replace("mixed", "unmixed"))
    said = refused("plot", "c.json", "--pe", "@other.toml", *map_)
    assert "'unmixed' is not in the results (did you mean mixed?)" in said
    assert Path("mixed.toml").read_text() == FILE
    wave = ("--pe", "@mixed.toml", "--wave", "w.vcd")
    assert "'mixed' runs several designs" in refused("simulate", "net.safetensors", *wave)
    assert "circuit for each layer" in refused(*words[:4], "--iso", "area")
    assert "no such file" in refused("simulate", "net.safetensors", "--pe", "@none.toml")
    assert "expected @FILE.toml" in refused("simulate", "net.safetensors", "--pe", "@")
    around = ("net.safetensors", "--config", "edge", "--bandwidths", "1,8", "-o", "b.json")
    assert run("bandwidth", *around, "--pe", "@mixed.toml").code == 0
    assert json.loads(Path("b.json").read_text())["order"] == ["mac-8b8b", "mixed"]
    Path("other.toml").write_text(FILE.replace("sparq-exact", "mac-4b4b"))
    told = refused("bandwidth", *around, "--pe", "@mixed.toml,@other.toml")
    assert "pes=mac-8b8b, mixed, mixed: a design is named twice" in told
    assert "one design is asked for" in refused("pe", "check", "@mixed.toml")
    over = ("--pe", "@mixed.toml", "-o", "mixed.toml")
    assert "mixed.toml" in refused("simulate", "net.safetensors", *over)
    assert Path("mixed.toml").read_text() == FILE


#: A design that leaves a file behind where its own is run.
MINE = """
from pathlib import Path
from dataclasses import dataclass
from sparqsim.pe.mac import Mac8b8b
Path(__file__).with_name('RAN').touch()
@dataclass(frozen=True)
class Mine(Mac8b8b):
    name = 'mine'
"""


def test_a_file_runs_python_only_if_it_is_trusted(files, run, refused):
    (files / "in").mkdir()
    Path("in/mine.py").write_text(MINE)
    Path("in/a.toml").write_text(FILE.replace("sparq-exact", "mine.py:Mine"))
    words = ("simulate", "net.safetensors", "--pe", "@in/a.toml", "-o", "r.json")
    assert "--trust" in refused(*words)
    with pytest.raises(InputError, match="is not run because another file names it"):
        sparqsim.simulate("net.safetensors", "@in/a.toml")
    assert not Path("in/RAN").exists()
    assert run(*words, "--trust").code == 0
    assert Path("in/RAN").exists()
    figure = ("plot", "r.json", "--kind", "utilization", "--trace", "net.safetensors")
    assert "--trust" in refused(*figure, "--pe", "@in/a.toml", "-o", "u.svg")
    drawn = run(*figure, "--pe", "@in/a.toml", "--trust", "-o", "u.svg")
    assert drawn.code == 0, drawn.err
    assert [layer["run_as"] for layer in json.loads(Path("r.json").read_text())["layers"]] == [
        "mac-4b8b",
        "sparq-5opt",
        "mine",
        "mac-4b8b",
    ]


def test_sweeps_and_regressions_take_assignments(files, run, refused):
    """From the folder of the file that names them, with the result that a simulation has."""
    (files / "in").mkdir()
    for name in ("net.safetensors", "mixed.toml"):
        (files / name).rename(files / "in" / name)
    Path("in/grid.toml").write_text(
        'trace = "net.safetensors"\npe = ["@mixed.toml", "mac-8b8b"]\nkept = ["honest", "ideal"]\n'
    )
    ended = run("sweep", "in/grid.toml", "-o", "s.sqlite", "--jobs", "1")
    assert "4 points: 0 known, 4 computed" in ended.out
    assert run("sweep", "export", "s.sqlite", "-o", "s.csv", "--baseline", "mixed").code == 0
    with Path("s.csv").open() as table:
        rows = {(row["pe"], row["kept"]): row for row in csv.DictReader(table)}
    for (pe, kept), row in rows.items():
        asked = MIXED if pe == "mixed" else pe
        report = sparqsim.simulate("in/net.safetensors", asked, kept=kept)
        assert row["cycles_total"] == str(report.cycles.total)
    assert rows["mixed", "honest"]["cycles_total"] != rows["mixed", "ideal"]["cycles_total"]
    Path("in/cases.toml").write_text(
        '[[case]]\nname = "mixed"\ntrace = "net.safetensors"\npe = "@mixed.toml"\n'
    )
    assert run("regress", "update", "in/cases.toml").code == 0
    assert run("regress", "check", "in/cases.toml").code == 0
    Path("in/cases.toml").write_text(Path("in/cases.toml").read_text() + 'kept = "ideal"\n')
    ended = run("regress", "check", "in/cases.toml")
    assert (ended.code, "kept is not that of the golden report" in ended.out) == (1, True)


def test_a_changed_assignment_is_another_point(files, run, refused):
    words = ("sweep", "net.safetensors", "--pe", "@mixed.toml", "-o", "s.sqlite", "--jobs", "1")
    assert "1 computed" in run(*words).out
    assert "1 known, 0 computed" in run(*words).out
    Path("mixed.toml").write_text(FILE.replace("sparq-exact", "mac-4b4b"))
    assert "1 computed" in run(*words).out
    Path("other.toml").write_text(FILE)
    both = (*words[:3], "@mixed.toml,@other.toml", *words[4:])
    assert "another assignment is called 'mixed', too" in refused(*both)
    Path("mixed.toml").write_text(FILE.replace("layer4.1", "layer5.*"))
    assert "match='layer5.*' is of no layer" in run(*words).out


def test_a_sweep_runs_python_in_an_assignment_only_if_it_is_trusted(files, run, refused):
    Path("mine.py").write_text(MINE)
    Path("mixed.toml").write_text(FILE.replace("sparq-exact", "mine.py:Mine"))
    Path("cases.toml").write_text(
        '[[case]]\nname = "mixed"\ntrace = "net.safetensors"\npe = "@mixed.toml"\n'
    )
    sweep = ("sweep", "net.safetensors", "--pe", "@mixed.toml", "-o", "s.sqlite", "--jobs", "1")
    for words in (sweep, ("regress", "update", "cases.toml")):
        assert "--trust" in refused(*words)
        assert not Path("RAN").exists()
        assert run(*words, "--trust").code == 0
        Path("RAN").unlink()
