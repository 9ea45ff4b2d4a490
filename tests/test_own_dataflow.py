"""Dataflows from outside the package: through both engines, the memory model and every front end,
by roles alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from busy_cycles import busy_cycles
from hypothesis import given, settings
from hypothesis import strategies as st
from own_dataflows import TransposedOutputs

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer, MemoryConfig, Trace
from sparqsim.analysis.heatmap import heatmap
from sparqsim.analysis.wave import window_of
from sparqsim.array.registry import dataflow_names, get_dataflow
from sparqsim.array.timing import supports
from sparqsim.cli import main
from sparqsim.memory import ScratchpadConfig
from sparqsim.pe.registry import designs
from sparqsim.sweep.case import Case

HERE = Path(__file__).parent
FILE = HERE / "own_dataflows.py"
OWN = tuple(f"{FILE}:{name}" for name in ("TransposedOutputs", "OtherWeights", "OtherInputs"))
TRANSPOSED = OWN[0]
#: A dataflow of the package with the same roles.
TWIN = {OWN[1]: "ws", OWN[2]: "is"}
SPECS = (*designs(), f"{HERE / 'bit_serial.py'}:BitSerial")
seeds = st.integers(0, 2**32 - 1)


def layer_of(seed: int, most: int = 9, groups: int = 1) -> Layer:
    """Return a layer of random operands, many activations zero."""
    rng = np.random.default_rng(seed)
    m, k, n = (int(size) for size in rng.integers(1, most + 1, 3))
    x = rng.integers(0, 256, (1, 1, m, k * groups)) * (rng.random((1, 1, m, k * groups)) < 0.6)
    w = rng.integers(-128, 128, (n * groups, 1, k), np.int8)
    return Layer.conv2d("drawn", x.astype(np.uint8), w, kernel=(1, 1), groups=groups)


def integer_product(layer: Layer) -> np.ndarray:
    lowered = layer.lower()
    return lowered.rows().astype(np.int64) @ lowered.weights.astype(np.int64)


arrays = st.builds(
    ArrayConfig,
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(OWN),
    st.sampled_from(["lockstep", "elastic:1", "elastic:2", "elastic:3"]),
    st.booleans(),
)
pads = st.builds(ScratchpadConfig, st.sampled_from([0.5, 1, 4, float("inf")]))
memories = st.builds(MemoryConfig, activations=pads, weights=pads, outputs=pads)


@settings(max_examples=30, deadline=None)
@given(arrays, st.sampled_from(SPECS), seeds, st.booleans())
def test_event_engine_gives_the_same_report(array, spec, seed, with_memory):
    design = sparqsim.get_pe(spec)
    if not supports(design, get_dataflow(array.dataflow)):
        array = replace(array, dataflow=TRANSPOSED)
    trace = Trace([layer_of(seed, groups=1 + seed % 2)])
    memory = MemoryConfig() if with_memory else None
    fast, event = (
        sparqsim.simulate(trace, design, array, memory=memory, engine=engine).to_json()
        for engine in ("fast", "event")
    )
    assert fast == event.replace('"engine": "event"', '"engine": "fast"')


@pytest.mark.parametrize("coupling", ["lockstep", "elastic:2"])
@pytest.mark.parametrize("seed", range(4))
def test_event_engine_agrees_where_values_decide_and_n_lies_along_the_rows(seed, coupling):
    """Every row of PEs has the step costs of the activations that come down its columns."""
    rng = np.random.default_rng(seed)
    x, w = rng.integers(0, 256, (6, 10), np.uint8), rng.integers(-128, 128, (10, 7), np.int8)
    trace = Trace([Layer.from_gemm("dense", x, w)])
    array = ArrayConfig(3, 2, TRANSPOSED, coupling=coupling)
    fast, event = (
        sparqsim.simulate(trace, "sparq-exact", array, engine=engine).cycles
        for engine in ("fast", "event")
    )
    assert fast.pe_stall > 0
    assert fast == event


@settings(max_examples=20, deadline=None)
@given(arrays, st.sampled_from(["mac-8b8b", "mac-2x8b8b", "sparq-exact"]), seeds)
def test_an_exact_design_is_exact_through_the_processes(array, spec, seed):
    from sparqsim.event.layer import run_layer

    layer = layer_of(seed)
    done = run_layer(
        layer.lower(), sparqsim.get_pe(spec), array, get_dataflow(array.dataflow), signed=False
    )
    assert np.array_equal(done.outputs, integer_product(layer))
    report = sparqsim.simulate(Trace([layer]), spec, array, engine="event")
    assert report.layers[0].error.noise == 0


@settings(max_examples=8, deadline=None)
@given(arrays, st.sampled_from(["mac-4b8b", "sparq-5opt", "sparq-exact"]), seeds, memories)
def test_the_transpose_is_os_on_the_transposed_problem(array, spec, seed, memory):
    """Shapes alone decide: M and N exchanged, rows hold N. Values enter the same steps."""
    layer = layer_of(seed)
    x, w = layer.lower().rows()[0], layer.lower().weights[0]
    constant = np.full_like(x, 3)
    ours = Trace([Layer.from_gemm("ours", constant, w)])
    turned = Trace([Layer.from_gemm("turned", np.full(w.T.shape, 3, np.uint8), x.T.view(np.int8))])
    ours_array, usual = replace(array, dataflow=TRANSPOSED), replace(array, dataflow="os")
    assert (
        sparqsim.simulate(ours, "mac-8b8b", ours_array).cycles
        == sparqsim.simulate(turned, "mac-8b8b", usual).cycles
    )
    free = sparqsim.simulate(ours, spec, ours_array, memory=MemoryConfig())
    assert free.cycles == sparqsim.simulate(ours, spec, ours_array).cycles
    with_memory = sparqsim.simulate(ours, spec, ours_array, memory=memory)
    assert with_memory.layers[0].traffic.loop_order in {"mnk", "nmk"}
    assert with_memory.cycles.total >= free.cycles.total


@settings(max_examples=15, deadline=None)
@given(arrays, st.sampled_from(["mac-8b8b", "sparq-5opt", "sparq-exact"]), seeds, memories)
def test_a_dataflow_is_its_roles(array, spec, seed, memory):
    """Another name for the roles of `ws` or `is` changes nothing but the name."""
    for own, shipped in TWIN.items():
        reports = [
            sparqsim.simulate(
                Trace([layer_of(seed)]), spec, replace(array, dataflow=flow), memory=memory
            )
            for flow in (own, shipped)
        ]
        assert reports[0].layers == reports[1].layers
        assert reports[0].array.dataflow == get_dataflow(own).name


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), seeds)
def test_smt_sa_transposed_is_smt_sa_on_the_transposed_problem(rows, cols, depth, seed):
    """Only zeros decide its cycles, and which operand is zero does not matter."""
    layer = layer_of(seed)
    x, w = layer.lower().rows()[0], layer.lower().weights[0]
    turned = Layer.from_gemm("turned", w.T.view(np.uint8), x.T.view(np.int8))
    spec = f"smt-sa-2t:queue_depth={depth}"
    ours = sparqsim.simulate(Trace([layer]), spec, ArrayConfig(rows, cols, TRANSPOSED))
    usual = sparqsim.simulate(Trace([turned]), spec, ArrayConfig(rows, cols))
    assert ours.cycles == usual.cycles
    assert ours.layers[0].counts == usual.layers[0].counts


def test_smt_sa_refuses_dataflows_whose_operands_stay():
    with pytest.raises(InputError, match="smt-sa-2t supports os, and others whose outputs stay"):
        sparqsim.simulate(Trace([layer_of(1)]), "smt-sa-2t", ArrayConfig(dataflow=OWN[1]))


@pytest.mark.parametrize("flow", OWN, ids=lambda flow: flow.rpartition(":")[2])
def test_heat_map_counts_the_steps_of_the_processes(flow):
    """Cycles of real steps of each PE, added up from the processes' own record."""
    layer, pe = layer_of(8, most=12), sparqsim.get_pe("sparq-exact")
    trace, array = Trace([layer]), ArrayConfig(3, 4, flow)
    found = heatmap(sparqsim.simulate(trace, pe, array), trace)
    assert found.step_cycles.tolist() == busy_cycles(layer, pe, array)


@pytest.mark.parametrize("flow", OWN, ids=lambda flow: flow.rpartition(":")[2])
@pytest.mark.parametrize("overlap", [False, True])
def test_operands_that_meet_in_a_waveform_are_those_of_the_step(flow, overlap):
    """Every step's value is the product of the operands that the waveform shows."""
    layer, pe = layer_of(5, most=6), sparqsim.get_pe("mac-8b8b")
    array = ArrayConfig(2, 3, flow, overlap=overlap)
    window = window_of(layer, pe, array)
    for done in window.run.steps:
        (x,), (w,) = window.operands(done)
        assert done.value == x * w
    assert window.loads == (get_dataflow(flow).roles[0] != "s")


@pytest.fixture
def trace_path(tmp_path) -> Path:
    Trace([layer_of(3, most=12)], network="one layer").save(tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def run(capsys, *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    said = capsys.readouterr()
    return stopped.value.code or 0, said.out, said.err


def test_command_line_takes_it_everywhere(trace_path, tmp_path, capsys):
    around = ("--dataflow", TRANSPOSED, "--array", "3x4")
    report = tmp_path / "report.json"
    assert run(capsys, "simulate", trace_path, "--pe", "mac-8b8b", *around, "-o", report)[0] == 0
    assert json.loads(report.read_text())["array"]["dataflow"] == "os-transposed"
    for words in (
        ("compare", trace_path, *around, "--plot", tmp_path / "figure.svg"),
        ("simulate", trace_path, "--pe", "sparq-exact", "--config", "edge", *around),
        ("bandwidth", trace_path, "--config", "edge", *around),
        ("report", report, "-o", tmp_path / "page.html"),
    ):
        code, _, error = run(capsys, *words)
        assert (words[0], code, error if code else "") == (words[0], 0, "")


def test_an_array_without_rtl_has_no_equal_area(trace_path, capsys):
    words = ("compare", trace_path, "--dataflow", TRANSPOSED, "--iso", "area")
    code, _, error = run(capsys, *words)
    assert (code, error.count("\n")) == (2, 1)
    assert "there is no RTL of an array with roles='snm'" in error


def test_sweep_takes_it_and_its_source_is_part_of_the_key(trace_path, tmp_path, capsys):
    own, store = tmp_path / "mine.py", tmp_path / "s.sqlite"
    text = FILE.read_text()
    own.write_text(text)
    words = ("sweep", "run", trace_path, "--pe", "mac-8b8b", "--array", "2x2", "--jobs", "1")
    flows = ("--dataflow", f"os,{own}:TransposedOutputs", "-o", store)
    assert run(capsys, *words, *flows)[0] == 0
    rows = sparqsim.sweep.Store(store).rows()
    assert sorted(row["dataflow"] for row in rows) == ["os", "os-transposed"]
    assert {row["state"] for row in rows} == {"done"}
    own.write_text(text + "\n# edited\n")
    assert run(capsys, *words, *flows)[0] == 0
    assert len(sparqsim.sweep.Store(store).rows()) == 3


def test_a_dataflow_of_the_same_second_and_length_is_another(tmp_path):
    file = tmp_path / "mine.py"
    for roles in ("snm", "msn"):
        text = "from sparqsim.array.dataflow import Dataflow\n"
        file.write_text(f'{text}class Mine(Dataflow):\n    name, roles = "mine", "{roles}"\n')
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert get_dataflow(f"{file}:Mine").roles == roles


def test_a_case_finds_it_beside_its_file_and_an_accelerator_file_runs_no_code(tmp_path):
    (tmp_path / "mine.py").write_text(FILE.read_text())
    case = Case(trace="t", dataflow="mine.py:TransposedOutputs").found_from(tmp_path)
    assert get_dataflow(case.accelerator()[0].dataflow).roles == "snm"
    config = tmp_path / "own.toml"
    config.write_text('[array]\ndataflow = "mine.py:TransposedOutputs"\n')
    with pytest.raises(InputError, match="runs no code; expected one of os, ws, is"):
        sparqsim.memory.load_accelerator(config)


def test_a_report_cannot_name_a_file(trace_path):
    trace = sparqsim.load_trace(trace_path)
    report = sparqsim.simulate(trace, "mac-8b8b", ArrayConfig(2, 2))
    foreign = report.model_copy(
        update={"array": report.array.model_copy(update={"dataflow": TRANSPOSED})}
    )
    with pytest.raises(InputError, match=r"expected one of os, ws, is"):
        heatmap(foreign, trace)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("SumsToTheRight", "roles='mns' lays steps of K along the columns"),
        ("UnknownRole", "roles='mkn': expected the letters m, s and n once each"),
        ("WrongLoads", "loads=True with roles='snm': expected False"),
        ("Taken", "name='os' is that of another dataflow"),
        ("Unfinished", "is unfinished: expected `name` and `roles`"),
        ("TransposedOutput", "did you mean TransposedOutputs?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(spec, words, trace_path, capsys):
    code, _, error = run(
        capsys, "simulate", trace_path, "--pe", "mac-8b8b", "--dataflow", f"{FILE}:{spec}"
    )
    assert (code, error.count("\n")) == (2, 1)
    assert words in error


def test_rtl_refuses_what_it_has_no_circuit_for(trace_path, tmp_path, capsys):
    code, _, error = run(
        *(capsys, "rtl", "simulate", trace_path, "--layer", "drawn", "--pe", "mac-8b8b"),
        *("--dataflow", TRANSPOSED, "-o", tmp_path / "wave.vcd"),
    )
    assert (code, error.count("\n")) == (2, 1)
    assert "there is no RTL of an array with roles='snm'" in error


def test_an_installed_package_offers_one_by_entry_point(tmp_path):
    """In a process of its own, with a distribution on its path as pip would leave it."""
    (tmp_path / "outside_flows.py").write_text(FILE.read_text())
    info = tmp_path / "outside_flows-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-flows\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[sparqsim.dataflow]\nos-transposed = outside_flows:TransposedOutputs\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport sparqsim\nfrom "
        "sparqsim.array.registry import get_dataflow\nfrom sparqsim.array.registry import "
        "dataflow_names\nassert 'os-transposed' in dataflow_names()\narray = "
        "sparqsim.ArrayConfig(2, 2, 'os-transposed')\nprint(get_dataflow(array.dataflow).roles)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("snm", "")


def test_names_of_the_package_come_first_those_whose_outputs_stay():
    assert dataflow_names()[:3] == ["os", "ws", "is"]


def test_a_dataflow_needs_no_file():
    assert TransposedOutputs().activations_from_left is False
    assert get_dataflow("os").activations_from_left is True
