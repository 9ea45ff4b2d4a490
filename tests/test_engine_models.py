"""Engine models: their contract, broken ones that fail it, and one from a file through every front
end.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer
from sparqsim.analysis.bandwidth import bandwidth_curves
from sparqsim.analysis.heatmap import heatmap
from sparqsim.array.dataflow import Timing
from sparqsim.base import plugins
from sparqsim.base.contract import failure_of
from sparqsim.base.plugins import SourceClass
from sparqsim.engine.models import Capacity, Defined, EngineModel, get_model
from sparqsim.engine.models.contract import CHECKS, check_model
from sparqsim.engine.models.queue_array import QueueArray, tile_ends
from sparqsim.engine.models.registry import made_of, resolve
from sparqsim.engine.models.systolic_array import SystolicArray
from sparqsim.memory import load_accelerator
from sparqsim.pe.mac import Mac8b8b
from sparqsim.pe.smt_sa import SmtSa2t
from sparqsim.results.bounds import Bounds
from sparqsim.sweep import Store

ROOT = Path(__file__).parent.parent
VECTOR = f"{ROOT / 'docs/examples/vector_unit.py'}:VectorUnit"
VectorUnit = SourceClass.parse(VECTOR, "engine model").load(EngineModel)


def small() -> sparqsim.Trace:
    """Return a convolution, a grouped one and a classifier, which is kept at 8 bits."""
    rng = np.random.default_rng(7)
    x = rng.integers(0, 256, (2, 5, 5, 4)) * (rng.random((2, 5, 5, 4)) < 0.5)
    w = rng.integers(-128, 128, (3, 9, 4))
    grouped = rng.integers(-128, 128, (6, 1, 2))
    return sparqsim.Trace(
        [
            Layer.conv2d("conv", x.astype(np.uint8), w.astype(np.int8), kernel=(3, 3)),
            Layer.conv2d(
                "grouped", x.astype(np.uint8), grouped.astype(np.int8), kernel=(1, 1), groups=2
            ),
            Layer.linear(
                "fc",
                rng.integers(0, 256, (2, 9)).astype(np.uint8),
                rng.integers(-128, 128, (4, 9)).astype(np.int8),
                keep_8bit=True,
            ),
        ]
    )


#: Designs of every cost, and those that follow the layer.
OWN = [
    f"{ROOT / 'tests/own_designs.py'}:{name}"
    for name in ("WeightSerial", "Fused", "FixedSerial", "WindowedSerial")
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "model",
    ["mac-8b8b", "sparq-exact", "smt-sa-2t:queue_depth=2", VECTOR, *OWN],
    ids=lambda name: name.rpartition(":")[2],
)
def test_engines_keep_their_contract(model):
    failed = [outcome for outcome in check_model(get_model(model)) if outcome.failure]
    assert failed == []


@dataclass(frozen=True)
class Late(VectorUnit):
    def time(self, task, measured=None):
        return replace(super().time(task, measured), pe_stall=1)


@dataclass(frozen=True)
class LateOnceMeasured(VectorUnit):
    def time(self, task, measured=None):
        return replace(super().time(task, measured), pe_stall=int(measured is not None))


@dataclass(frozen=True)
class ForgetsAnOutput(VectorUnit):
    def outputs(self, lowered, x):
        sums = super().outputs(lowered, x)
        sums[:, 0] = 0
        return sums


@dataclass(frozen=True)
class LosesItsSums(VectorUnit):
    def define(self, task):
        done = super().define(task)
        return replace(done, outputs=done.outputs + 1)


@dataclass(frozen=True)
class SpoilsWeights(VectorUnit):
    def outputs(self, lowered, x):
        sums = super().outputs(lowered, x)
        lowered.weights[...] = 0
        return sums


@dataclass(frozen=True)
class Overworked(VectorUnit):
    def _timing(self, task, cycles):
        return replace(super()._timing(task, cycles), used_pe_cycles=cycles + 1)


@dataclass(frozen=True)
class BusierThanItIs(VectorUnit):
    def _timing(self, task, cycles):
        return replace(super()._timing(task, cycles), busiest_pe=cycles + 1)


@dataclass(frozen=True)
class LooksAtValues(VectorUnit):
    def _timing(self, task, cycles):
        nonzero = int(np.count_nonzero(task.lowered.rows()))
        return replace(super()._timing(task, cycles), pe_stall=nonzero)


@dataclass(frozen=True)
class LeavesABlockOut(VectorUnit):
    def loops(self, task, timing):
        loops = super().loops(task, timing)
        return replace(loops, tiles=replace(loops.tiles, stalls=loops.tiles.stalls + 1))


@dataclass(frozen=True)
class WaitsWithMoreUnits(VectorUnit):
    def loops(self, task, timing):
        loops = super().loops(task, timing)
        return replace(loops, used_units=loops.used_units + 1)


@dataclass(frozen=True)
class NoUnits(VectorUnit):
    def capacity(self, array):
        return Capacity(units=0, lanes=1)


@dataclass(frozen=True)
class ForgetsItsKey(VectorUnit):
    @property
    def spec(self):
        return "vector"


class TilesEndLate(QueueArray):
    def group_timing(self, x, w, array, ends=None):
        timing = super().group_timing(x, w, array, ends)
        late = ends is tile_ends
        return replace(timing, tile_ends=timing.tile_ends + late)


@pytest.mark.parametrize(
    ("model", "check", "message"),
    [
        (Late(), "time = its definition", r"layer '1x1x1.*: time gives .*, define gives"),
        (LateOnceMeasured(), "time = its definition", "time of a measured layer gives"),
        (
            ForgetsAnOutput(),
            "values = its definition",
            "values row by row give|squared error of define",
        ),
        (
            LosesItsSums(),
            "values = its definition",
            r"squared error of define is \d+, of the fast form 0",
        ),
        (SpoilsWeights(), "values = its definition", "values row by row|operands were changed"),
        (Overworked(), "add up", "used_pe_cycles=2, expected at most 1 units x 1 cycles"),
        (BusierThanItIs(), "add up", "no unit busier than the engine"),
        (LooksAtValues(), "add up", "expected cycles_depend_on_values, or one number"),
        (LeavesABlockOut(), "loops take", r"the tiles of loops take \d+ cycles, time says"),
        (WaitsWithMoreUnits(), "loops take", r"used_pe_cycles=\d+, expected at most"),
        (NoUnits(), "declares", "capacity.units=0 on .*, expected an integer of at least 1"),
        (ForgetsItsKey(lanes=3), "makes it again", r"expected .*ForgetsItsKey\(lanes=3\)"),
        (TilesEndLate(SmtSa2t()), "time = its definition", "time gives .*, define gives"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EngineModel) else "",
)
def test_a_broken_engine_fails_its_check(model, check, message):
    failures = [failure_of(CHECKS[name], model) for name in CHECKS if re.search(check, name)]
    assert any(re.search(message, failure) for failure in failures), failures


def test_an_engine_that_can_be_changed_is_found():
    thawed = type("Thawed", (VectorUnit,), {"__setattr__": object.__setattr__})
    frozen = next(check for name, check in CHECKS.items() if "frozen" in name)
    assert "attributes can be set" in failure_of(frozen, thawed())


@pytest.mark.parametrize("lanes", [1, 7, 64])
@pytest.mark.parametrize("memory", [None, "edge"])
def test_both_ways_of_asking_give_the_same_layers(lanes, memory):
    around = load_accelerator(memory).memory if memory else None
    trace, model = small(), VectorUnit(lanes=lanes)
    fast, event = (
        sparqsim.simulate(trace, model, memory=around, engine=engine)
        for engine in ("fast", "event")
    )
    assert fast.layers == event.layers
    macs = (2 * 9 * 36 * 3, 2 * 50 * 2 * 3, 2 * 9 * 4)
    own = [layer.cycles.total - layer.cycles.memory_stall for layer in fast.layers]
    assert own == [-(-count // lanes) for count in macs]
    assert (fast.cycles.memory_stall > 0) == (memory is not None)
    assert fast.totals.error.noise == 0
    assert {layer.run_as for layer in fast.layers} == {model.spec}
    assert not any(layer.kept_8bit for layer in fast.layers)
    assert fast.from_json(fast.to_json()) == fast


def test_the_definition_finds_an_error_of_its_own():
    @dataclass(frozen=True)
    class Rounds(VectorUnit):
        def outputs(self, lowered, x):
            return super().outputs(lowered, x) & ~1

        def define(self, task):
            done = super().define(task)
            return replace(done, outputs=done.outputs & ~1)

    fast, event = (
        sparqsim.simulate(small(), Rounds(), engine=engine) for engine in ("fast", "event")
    )
    assert fast.layers == event.layers
    assert fast.totals.error.noise > 0


def test_speedup_against_an_array():
    trace = small()
    compared = sparqsim.compare(trace, [VectorUnit(lanes=8), "sparq-5opt"], ArrayConfig(4, 4))
    alone = sparqsim.simulate(trace, VectorUnit(lanes=8))
    array = sparqsim.simulate(trace, "mac-8b8b", ArrayConfig(4, 4))
    assert compared.speedup("vector:lanes=8") == array.cycles.total / alone.cycles.total
    assert "not one at equal PE count" in compared.timing_notes["vector:lanes=8"]
    reversed_ = sparqsim.compare(trace, ["mac-8b8b"], baseline=VectorUnit())
    assert reversed_.baseline == "vector"


def test_capacity_of_the_engine_is_what_utilization_is_of():
    report = sparqsim.simulate(small(), VectorUnit(lanes=8))
    counts = report.totals.counts
    assert report.units == 1
    assert counts.pe_cycles == report.cycles.total
    assert counts.lane_cycles == counts.multiplier_cycles == 8 * report.cycles.total
    assert report.totals.utilization.used_pes == 1


def test_what_makes_no_sense_is_refused_by_name(tmp_path):
    trace, model = small(), VectorUnit()
    why = "vector is an engine of its own, no array of PEs"
    with pytest.raises(InputError, match=f"iso='area': {why}; expected PE designs"):
        sparqsim.compare(trace, [model], iso="area")
    report = sparqsim.simulate(trace, model)
    with pytest.raises(InputError, match="vector: no heat map, it is an engine of its own"):
        heatmap(report, trace)
    from sparqsim.analysis.wave import write_wave

    with pytest.raises(InputError, match=f"wave: {why}, which a waveform cannot show"):
        write_wave(tmp_path / "t.vcd", trace, model, ArrayConfig(4, 4))


def test_an_engine_without_loops_runs_without_memory_only():
    @dataclass(frozen=True)
    class Unmoved(VectorUnit):
        loops = EngineModel.loops

    assert sparqsim.simulate(small(), Unmoved()).cycles.total > 0
    with pytest.raises(InputError, match=r"vector is an engine .*; expected no memory"):
        sparqsim.simulate(small(), Unmoved(), memory=load_accelerator("edge").memory)


def test_bandwidth_curves_and_timelines_take_an_engine():
    trace, memory = small(), load_accelerator("edge").memory
    curves = bandwidth_curves(
        trace,
        [get_model("mac-8b8b"), VectorUnit()],
        ArrayConfig(4, 4),
        memory,
        baseline="mac-8b8b",
        kept="ideal",
        bandwidths=[memory.dram.bandwidth_bytes_per_cycle],
    )
    report = sparqsim.simulate(trace, VectorUnit(), memory=memory)
    assert curves.cycles["vector"] == (report.cycles.total,)


@pytest.fixture
def trace_file(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    small().save(tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.mark.usefixtures("no_figures")
def test_an_engine_from_a_file_through_the_command_line(trace_file, run, refused):
    spec = f"{VECTOR}:lanes=4"
    for way in ("fast", "event"):
        words = ("--pe", spec, "--config", "edge", "--engine", way, "-o", f"{way}.json")
        assert run("simulate", trace_file, *words, "--timeline", "t.json").code == 0
    fast, event = (json.loads(Path(f"{way}.json").read_text()) for way in ("fast", "event"))
    assert fast["layers"] == event["layers"]
    assert fast["pe"]["engine_model"] == {
        "kind": "is an engine of its own, no array of PEs",
        "units": 1,
        "remark": "",
    }
    words = ("--pe", f"sparq-5opt,{spec}", "-o", "c.json", "--plot", "c.svg")
    for form in ("table", "json", "csv", "markdown"):
        ended = run("compare", trace_file, *words, "--format", form)
        assert ended.code == 0, ended.err
        assert "vector:lanes=4" in ended.out
    for kind in ("layers", "speedup", "pareto"):
        assert run("plot", "c.json", "--kind", kind, "-o", "p.svg").code == 0
    assert run("plot", "fast.json", "--kind", "roofline", "-o", "p.svg").code == 0
    assert run("report", "c.json", "fast.json", "-o", "page.html").code == 0
    assert "vector:lanes=4" in Path("page.html").read_text()
    drawn = ("--kind", "utilization", "--trace", trace_file, "--pe", spec, "-o", "u.svg")
    assert "no heat map" in refused("plot", "fast.json", *drawn)
    assert "cannot show" in refused("simulate", trace_file, "--pe", spec, "--wave", "w.vcd")
    assert "iso='area': vector" in refused("compare", trace_file, "--pe", spec, "--iso", "area")
    checked = run("pe", "check", spec)
    assert (checked.code, checked.out.count("  ok  ")) == (0, 7)
    assert "ceil(MACs / lanes)" in run("pe", "show", VECTOR).out


def test_an_engine_in_a_sweep(trace_file, run, refused):
    Path("grid.toml").write_text(f'trace = "{trace_file.name}"\npe = ["mac-8b8b", "{VECTOR}"]\n')
    words = ("sweep", "grid.toml", "-o", "s.sqlite", "--jobs", "1")
    assert "--trust" in refused(*words)
    swept = run(*words, "--trust")
    assert swept.code == 0, swept.err
    assert run("sweep", "export", "s.sqlite", "-o", "s.csv").code == 0
    report = sparqsim.simulate(trace_file, VectorUnit())
    with Path("s.csv").open() as file:
        rows = {row["pe"]: row for row in csv.DictReader(file)}
    assert rows["vector"]["cycles_total"] == f"{report.cycles.total}"
    reference = sparqsim.simulate(trace_file, "mac-8b8b").totals.actions["pe.steps"]
    assert rows["mac-8b8b"]["actions_pe_steps"] == f"{reference.count}"
    with Store("s.sqlite") as store:
        facts = {point.facts["pe"]: point.facts for point in store.recorded()}
    assert len(facts["vector"]["pe_source_sha256"]) == 64
    assert facts["mac-8b8b"]["pe_source_sha256"] == ""


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (f"{VECTOR}:lanes=0", r"lanes='0', expected an integer of at least 1"),
        (f"{VECTOR}:lane=4", r"engine model .*: key 'lane=4' is not known.*did you mean lanes\?"),
        (f"{VECTOR}s", "no class 'VectorUnits'.*did you mean VectorUnit"),
        (
            f"{ROOT / 'docs/examples/vector_unit.py'}:BLOCK",
            "expected a subclass of sparqsim.PEDesign or",
        ),
        ("vectr", "PE design 'vectr' is not known"),
        ("systolic-array", "PE design 'systolic-array' is not known"),
    ],
)
def test_names_that_lead_to_no_engine(spec, message):
    with pytest.raises(InputError, match=message):
        get_model(spec)


def test_an_unfinished_engine_and_a_host_are_refused(tmp_path):
    file = tmp_path / "unfinished.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from sparqsim.engine.models import EngineModel\n"
        "from sparqsim.engine.models.systolic_array import SystolicArray\n"
        "@dataclass(frozen=True)\n"
        "class Half(EngineModel):\n"
        "    pass\n"
        "class Mine(SystolicArray):\n"
        "    name = 'mine'\n"
    )
    with pytest.raises(InputError, match="expected `capacity`, `define`, `time`, `name` too"):
        get_model(f"{file}:Half")
    with pytest.raises(InputError, match=r"made of PEs .*expected a PE design that runs on it"):
        get_model(f"{file}:Mine")


def test_a_name_in_a_file_runs_nothing():
    with pytest.raises(InputError, match="is not run because another file names it"):
        resolve(VECTOR)
    unit = get_model(VECTOR)
    assert resolve("vector", known=[unit]) is unit


@dataclass(frozen=True)
class Stranded(Mac8b8b):
    name: ClassVar[str] = "stranded"
    runs_on: ClassVar[str] = "systolic-aray"


@dataclass(frozen=True)
class Queued(Mac8b8b):
    name: ClassVar[str] = "queued"
    runs_on: ClassVar[str] = "queue-array"


def test_a_design_names_the_engine_of_its_pes():
    assert made_of(Mac8b8b()) == SystolicArray(Mac8b8b())
    assert made_of(SmtSa2t()) == QueueArray(SmtSa2t())
    with pytest.raises(
        InputError, match=r"'systolic-aray' is no known engine.*did you mean systolic-array"
    ):
        made_of(Stranded())
    with pytest.raises(InputError, match="takes designs derived from"):
        made_of(Queued())


@dataclass(frozen=True)
class ByHand(EngineModel):
    """Two units and an error of one in every output: what a report says of it is counted below."""

    name: ClassVar[str] = "by-hand"
    extra: int = field(default=0)

    def capacity(self, array):
        return Capacity(units=2, lanes=3, multipliers=1)

    def time(self, task, measured=None):
        return Timing(4, 30, 5, 6, 7, 90, 11, 21, 40)

    def define(self, task):
        return Defined(self.time(task))

    def outputs(self, lowered, x):
        return super().outputs(lowered, x) + 1


def test_a_report_holds_what_the_engine_gives():
    x, w = np.ones((2, 3), np.uint8), np.ones((3, 5), np.int8)
    (layer,) = sparqsim.simulate(sparqsim.Trace([Layer.from_gemm("g", x, w)]), ByHand()).layers
    cycles = layer.cycles
    assert (cycles.compute, cycles.fill, cycles.drain, cycles.pe_stall) == (30, 5, 6, 7)
    assert (layer.tiles, layer.partial_sums, layer.counts.used_pe_cycles) == (4, 11, 90)
    assert (layer.counts.pe_cycles, layer.counts.lane_cycles) == (2 * 48, 6 * 48)
    assert layer.counts.multiplier_cycles == 2 * 48
    assert (layer.error.noise, layer.error.max_abs, layer.error.outputs) == (10, 1, 10)
    # 30 MACs at 3 a step are 10 steps, 5 for each of two units; 40 of work are 20 for each.
    assert (layer.bounds.work_cycles, layer.bounds.busiest_pe_cycles) == (20, 21)
    assert layer.bounds.gap_cycles.ragged_tiles == 30 - 5
    assert layer.bounds == Bounds.of(Timing(4, 30, 5, 6, 7, 90, 11, 21, 40), 10, 2)


def test_what_is_installed_is_not_looked_through_for_every_layer(monkeypatch):
    """It takes 20 ms each time: longer than a small layer."""
    looked = []
    monkeypatch.setattr(plugins, "entry_points", lambda group: looked.append(group) or ())
    x, w = np.ones((2, 3), np.uint8), np.ones((3, 2), np.int8)
    layers = [Layer.from_gemm(f"layer{number}", x, w) for number in range(9)]
    sparqsim.compare(sparqsim.Trace(layers), ["sparq-5opt", "smt-sa-2t"])
    assert len(looked) < 9


def test_an_engine_that_skips_steps_says_so():
    """One that takes no time for zeros, and does not count its steps itself, is refused in words."""
    vector = type(get_model(VECTOR))

    class Skips(vector):
        name = "skips"
        cycles_depend_on_values = True

        def time(self, task, measured=None):
            return self._timing(task, max(1, int((task.lowered.rows() != 0).sum())))

    class Counts(Skips):
        def unit_steps(self, task):
            return self.time(task).compute

    x = np.array([[0, 1, 0, 2], [0, 0, 0, 3]], np.uint8)
    trace = sparqsim.Trace([sparqsim.Layer.from_gemm("half", x, np.ones((4, 3), np.int8))])
    with pytest.raises(
        InputError, match=r"layer 'half': skips.*compute=3 .* at least 24.*unit_steps"
    ):
        sparqsim.simulate(trace, Skips(lanes=1))
    report = sparqsim.simulate(trace, Counts(lanes=1))
    assert report.cycles.total == report.totals.bounds.work_cycles == 3
