"""Accelerator files: TOML, presets, SCALE-Sim; the command line; timelines; figures' data."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import sparqsim
from sparqsim import ArrayConfig, InputError
from sparqsim.analysis.bandwidth import BandwidthCurves, bandwidth_curves
from sparqsim.analysis.network import outcomes
from sparqsim.analysis.roofline import roofline
from sparqsim.analysis.timeline import TRACKS, layer_events, write_timeline
from sparqsim.cli import main
from sparqsim.memory import (
    DramConfig,
    MemoryConfig,
    ScratchpadConfig,
    load_accelerator,
    preset_names,
)
from sparqsim.memory.accelerator import parse_accelerator
from sparqsim.memory.config import rate
from sparqsim.pe import get_pe
from sparqsim.results.report import Report

CFG = """[general]
run_name = scale_example
[architecture_presets]
ArrayHeight: 32
ArrayWidth: 16
IfmapSramSzkB: 64
FilterSramSzkB: 32
OfmapSramSzkB: 16
IfmapOffset: 0
Bandwidth : 10
Dataflow : ws
[run_presets]
InterfaceBandwidth: {mode}
"""


def small_trace() -> sparqsim.Trace:
    values = np.random.default_rng(3)
    activations = values.integers(0, 256, (1, 8, 8, 6)).astype(np.uint8)
    weights = values.integers(-128, 128, (10, 9, 6)).astype(np.int8)
    layers = [
        sparqsim.Layer.conv2d(
            name, activations, weights, kernel=(3, 3), padding=(1, 1, 1, 1), keep_8bit=kept
        )
        for name, kept in (("first", True), ("second", False))
    ]
    return sparqsim.Trace(layers, network="two layers")


@pytest.fixture
def trace_file(tmp_path: Path) -> str:
    path = tmp_path / "small.safetensors"
    small_trace().save(path)
    return str(path)


def test_every_preset_loads_and_runs_every_dataflow():
    assert preset_names() == ["edge", "eyeriss-like", "tpu-v1-like"]
    for name in preset_names():
        accelerator = load_accelerator(name)
        assert accelerator.memory.name == name
        assert accelerator.array is not None
        for flow in ("os", "ws", "is"):
            array = ArrayConfig(dataflow=flow)
            report = sparqsim.simulate(
                small_trace(), "sparq-5opt", array, memory=accelerator.memory
            )
            assert report.memory.name == name
            assert report.cycles.memory_stall > 0
    assert (
        load_accelerator("tpu-v1-like").array.rows,
        load_accelerator("eyeriss-like").array.pes,
    ) == (256, 168)


def test_a_file_says_everything(tmp_path):
    path = tmp_path / "accel.toml"
    path.write_text(
        'name = "mine"\nstorage = "windowed"\noutput_bits = 16\nloop_order = "mnk"\n'
        "[array]\nrows = 8\ncols = 4\n[dram]\nbandwidth_bytes_per_cycle = 25.6\nlatency_cycles = 7\n"
        "[weights]\nsize_kib = 1.5\nport_bytes_per_cycle = inf\n"
    )
    found = load_accelerator(path)
    assert found.array == ArrayConfig(rows=8, cols=4)
    assert found.memory == MemoryConfig(
        name="mine",
        storage="windowed",
        output_bits=16,
        loop_order="mnk",
        dram=DramConfig(bandwidth_bytes_per_cycle=25.6, latency_cycles=7),
        weights=ScratchpadConfig(size_kib=1.5),
    )
    assert found.memory.weights.half_bytes == 768
    assert rate(25.6) == (128, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[dram]\nlatency_cycles = -1",
            "a.toml: dram.latency_cycles=-1: expected an integer from 0 to 1000000",
        ),
        ("[dram]\nlatency_cycles = 1.5", "a.toml: dram.latency_cycles=1.5: expected an integer"),
        (
            "[dram]\nbandwidth_bytes_per_cycle = 0",
            "dram.bandwidth_bytes_per_cycle=0: expected a number from 0.001",
        ),
        (
            "[dram]\nbandwidth_bytes_per_cycle = nan",
            "dram.bandwidth_bytes_per_cycle=nan: expected a number from 0.001",
        ),
        (
            "[dram]\nbandwidth_bytes_per_cycle = true",
            "dram.bandwidth_bytes_per_cycle=True: expected a number",
        ),
        (
            "[dram]\nbandwith = 4",
            "dram.bandwith=4: unknown key (did you mean bandwidth_bytes_per_cycle?)",
        ),
        (
            "[dram]\narbitration = 'robin'",
            "dram.arbitration='robin': expected one of fifo, round-robin, in-order",
        ),
        (
            "[dram]\nburst_bytes = 48",
            "dram.request_bytes=4096: expected a multiple of burst_bytes=48",
        ),
        ("[dram", "a.toml: not TOML"),
        ("dram = " + "[" * 10_000, "a.toml: not TOML"),
        ("dram = 4", "a.toml: dram=4: expected a table, [dram]"),
        ("[weights]\nsize_kib = 'big'", "weights.size_kib='big': expected a number"),
        (
            "storage = 'window'",
            (
                "storage='window': expected one of raw, windowed, windowed-pair (did you mean "
                "windowed?)"
            ),
        ),
        ("name = 3", "name=3: expected text"),
        ("[array]\nrows = 0", "a.toml: [array] array rows=0: expected an integer from 1"),
        ("[array]\nrow = 4", "array.row=4: unknown key (did you mean rows?)"),
        ("[sram]\nsize = 4", "a.toml: sram={'size': 4}: unknown key"),
    ],
)
def test_faults_name_the_key_the_value_and_what_is_accepted(text, said):
    with pytest.raises(InputError) as caught:
        parse_accelerator(text, "a.toml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scalesim_configurations_import(tmp_path):
    path = tmp_path / "scale.cfg"
    path.write_text(CFG.format(mode="USER"))
    found = load_accelerator(path)
    assert found.array == ArrayConfig(rows=32, cols=16, dataflow="ws")
    assert [
        getattr(found.memory, pad).size_kib for pad in ("activations", "weights", "outputs")
    ] == [64, 32, 16]
    assert found.memory.dram.bandwidth_bytes_per_cycle == 10
    assert found.remarks[0] == "IfmapOffset=0: ignored"
    assert [remark.split(":")[0] for remark in found.remarks] == ["IfmapOffset=0", "Bandwidth"]
    path.write_text(CFG.format(mode="CALC"))
    assert load_accelerator(path).memory.dram.bandwidth_bytes_per_cycle == math.inf


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("ArrayHeight: 32", "ArrayHeight: many"),
            "ArrayHeight='many': expected an integer from 1 to 65536",
        ),
        (
            ("ArrayHeight: 32", "ArrayHeight: 0"),
            "ArrayHeight='0': expected an integer from 1 to 65536",
        ),
        (("ArrayHeight: 32", "ArrayHeight: -4"), "ArrayHeight='-4': expected an integer from 1"),
        (("ArrayHeight: 32", "arrayheight: 3.5"), "ArrayHeight='3.5': expected an integer from 1"),
        (("ArrayHeight: 32", "ArrayHeight:"), "ArrayHeight='': expected an integer from 1"),
        (
            ("ArrayHeight: 32", "ArrayHeight: 65537"),
            "ArrayHeight='65537': expected an integer from 1 to 65536",
        ),
        (
            ("ArrayHeight: 32", "ArrayHeight: 32 # rows"),
            "ArrayHeight='32 # rows': expected an integer",
        ),
        (("ArrayHeight: 32", ""), "ArrayHeight is missing in [architecture_presets]"),
        (
            ("ArrayHeight: 32", "ArrayHeight: 32\narrayheight: 16"),
            "option 'arrayheight' in section",
        ),
        (("[run_presets]", "Dataflow: os\n[run_presets]"), "option 'dataflow' in section"),
        (
            ("IfmapSramSzkB: 64", "IfmapSramSzkB: 0.5"),
            "IfmapSramSzkB='0.5': expected an integer from 1",
        ),
        (
            ("OfmapSramSzkB: 16", "OfmapSramSzkB: 9999999999999"),
            "OfmapSramSzkB='9999999999999': expected",
        ),
        (("FilterSramSzkB", "FilterSramSz"), "FilterSramSzkB is missing"),
        (("Bandwidth : 10", "Bandwidth : ten"), "Bandwidth='ten': expected an integer from 1"),
        (("Bandwidth : 10", ""), "Bandwidth is missing in [architecture_presets]"),
        (
            ("Bandwidth : 10", "Bandwidth : 9999999999999"),
            "Bandwidth='9999999999999': expected an integer from 1 to",
        ),
        (
            ("Dataflow : ws", "Dataflow : rs"),
            "Dataflow='rs': expected one of os, ws, is (did you mean ws?)",
        ),
        (("Dataflow : ws", ""), "Dataflow is missing"),
        (("{mode}", "MAYBE"), "InterfaceBandwidth='MAYBE': expected one of CALC, USER"),
        (("[general]", ""), "not a SCALE-Sim configuration"),
        (("[run_presets]", "[run_presets"), "not a SCALE-Sim configuration"),
        (("[run_presets]", "[general]"), "section 'general' already exists"),
    ],
)
def test_faults_of_scalesim_configurations(tmp_path, change, said):
    path = tmp_path / "scale.cfg"
    assert CFG.count(change[0]) == 1
    path.write_text(CFG.replace(*change).format(mode="USER"))
    with pytest.raises(InputError) as caught:
        load_accelerator(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_scalesim_configuration_means_differently_is_said(tmp_path):
    """A key counts in its own section only, as in SCALE-Sim; of a list of bandwidths the first is
    taken.
    """
    path = tmp_path / "scale.cfg"
    path.write_text(
        CFG.replace("Bandwidth : 10", "Bandwidth : 20, 30").format(mode="USER")
        + "ArrayHeight: 64\n"
    )
    found = load_accelerator(path)
    assert (found.array.rows, found.memory.dram.bandwidth_bytes_per_cycle) == (32, 20)
    assert "ArrayHeight=64: ignored" in found.remarks
    assert "Bandwidth=20, 30: the first of the list is taken" in found.remarks
    path.write_text(CFG.replace("scale_example", '""').format(mode="CALC"))
    found = load_accelerator(path)
    assert found.memory.name == "scale"
    assert found.remarks[-1].startswith("InterfaceBandwidth=CALC")


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return caught.value.code


def test_simulate_with_a_preset_and_a_timeline(trace_file, tmp_path, capsys):
    report, timeline = tmp_path / "report.json", tmp_path / "run.json"
    assert (
        command(
            "simulate",
            trace_file,
            "--pe",
            "sparq-5opt",
            "--config",
            "edge",
            "--array",
            "8x4",
            "-o",
            str(report),
            "--timeline",
            str(timeline),
        )
        == 0
    )
    assert "memory edge" in " ".join(capsys.readouterr().out.split())
    loaded = Report.load(report)
    assert (loaded.array.rows, loaded.array.cols, loaded.array.dataflow) == (8, 4, "os")
    assert loaded.totals.traffic.dram_bytes == sum(
        layer.traffic.dram_bytes for layer in loaded.layers
    )
    events = json.loads(timeline.read_text())["traceEvents"]
    whole = [event for event in events if event.get("tid") == 0 and event["ph"] == "X"]
    assert [event["dur"] for event in whole] == [layer.cycles.total for layer in loaded.layers]


def test_compare_and_bandwidth_take_a_preset(trace_file, tmp_path, capsys):
    result, curves = tmp_path / "c.json", tmp_path / "b.json"
    assert (
        command(
            "compare",
            trace_file,
            "--pe",
            "sparq-5opt",
            "--config",
            "eyeriss-like",
            "-o",
            str(result),
        )
        == 0
    )
    assert sparqsim.Comparison.load(result).reports["mac-8b8b"].array.rows == 12
    assert (
        command(
            "bandwidth",
            trace_file,
            "--pe",
            "sparq-5opt",
            "--config",
            "edge",
            "--bandwidths",
            "1,inf",
            "-o",
            str(curves),
        )
        == 0
    )
    assert BandwidthCurves.load(curves).bandwidths == (1.0, None)
    capsys.readouterr()
    assert command("simulate", trace_file, "--pe", "mac-8b8b", "--config", "egde") == 2
    assert "did you mean edge?" in capsys.readouterr().err
    assert command("simulate", trace_file, "--pe", "mac-8b8b", "--timeline", "t.json") == 2
    assert "expected --config too" in capsys.readouterr().err


def test_timeline_events_neither_overlap_nor_miss(tmp_path):
    memory = load_accelerator("edge").memory
    trace = small_trace()
    array = ArrayConfig(rows=4, cols=4)
    runs = [
        (layer, outcome)
        for layer, _, outcome in outcomes(trace, [get_pe("mac-8b8b")] * 2, array, memory)
    ]
    program, times = runs[0][1].program, runs[0][1].times
    events, missing = layer_events(program, times, 10**6)
    assert missing == 0
    assert max(end for _, end, _, _ in events) == times.total
    for track in range(1, len(TRACKS)):
        mine = sorted((begin, end) for begin, end, on, _ in events if on == track)
        assert all(begin <= end for begin, end in mine)
        assert all(one[1] <= other[0] for one, other in pairwise(mine)), TRACKS[track]
    busy = sum(end - begin for begin, end, track, _ in events if track == 2)
    moved = program.size + -program.size % memory.dram.burst_bytes
    assert busy == int((-(-moved // 8)).sum())
    path = tmp_path / "t.json"
    left_out = write_timeline(path, runs, layers=2, most_events=40)
    shown = [
        event
        for event in json.loads(path.read_text())["traceEvents"]
        if event["ph"] == "X" and event["tid"]
    ]
    assert len(shown) == 40
    assert left_out == 2 * len(events) - 40


def test_roofline_bounds_every_layer():
    report = sparqsim.simulate(small_trace(), "sparq-5opt", memory=load_accelerator("edge").memory)
    roofs = roofline(report)
    assert (roofs.compute_roof, roofs.bandwidth) == (512, 8.0)
    for point, layer in zip(roofs.points, report.layers, strict=True):
        assert point.intensity == layer.macs / layer.traffic.dram_bytes
        assert 0 < point.attained <= roofs.roof(point.intensity)
    with pytest.raises(InputError, match="memory is not modelled"):
        roofline(sparqsim.simulate(small_trace(), "sparq-5opt"))


def test_curves_equal_compare_at_each_bandwidth():
    trace, memory = small_trace(), load_accelerator("edge").memory
    designs = [get_pe(name) for name in ("mac-8b8b", "sparq-5opt", "sparq-exact")]
    curves = bandwidth_curves(
        trace,
        designs,
        ArrayConfig(),
        memory,
        baseline="mac-8b8b",
        kept="honest",
        bandwidths=[2, 8],
    )
    compared = sparqsim.compare(trace, designs, memory=memory)
    alone = sparqsim.compare(trace, designs)
    for pe in designs:
        assert curves.speedup[pe.spec][1] == compared.speedup(pe.spec)
        assert curves.array_speedup[pe.spec] == alone.speedup(pe.spec)
    assert curves.speedup["sparq-5opt"][0] < curves.speedup["sparq-5opt"][1]
