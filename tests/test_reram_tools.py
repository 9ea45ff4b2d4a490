"""Crossbars through every command, as a user would use them: reports, memory, sweeps, figures,
cards, actions counted again.
"""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from test_plot import check_readable
from test_reram import ARRAY, Case, drawn

import sparqsim
from sparqsim import InputError
from sparqsim.engine.models import Task
from sparqsim.engine.models.crossbar.definition import run_layer
from sparqsim.engine.models.crossbar.plan import Converters
from sparqsim.engine.models.reram import Reram
from sparqsim.html import save_page
from sparqsim.memory import load_accelerator
from sparqsim.plot import converter_points, pareto_figure, plot_adc, speedup_figure
from sparqsim.plot.labels import subject_of
from sparqsim.results.engine_notes import cost_lines
from sparqsim.results.schemas import schema_files

SPECS = "reram:rows=8,cols=4,adc_bits=2/3/3/3", "reram:rows=8,cols=4,sqnr_db=20"


@pytest.mark.parametrize("seed", range(12))
def test_actions_are_those_of_the_processes(seed):
    case = drawn(random.Random(seed))  # noqa: S311 - nothing secret
    model, layer = case.model, case.layer
    converters = Converters(model.adcs, model.conv, model.converter_bits)
    layout, lowered = model.layout(layer.gemm), layer.lower()
    run = run_layer(lowered, layout, converters, model.cell_bits, model.phases, model.read)
    task = Task(layer, ARRAY)
    actions = model.actions(task, model.time(task), None, 0)
    counts = {name: action.count for name, action in actions.items()}
    converted = Counter(
        {
            int(name.split("_")[1].removesuffix("bit.conversions")): count
            for name, count in counts.items()
            if name.endswith("conversions")
        }
    )
    assert converted == run.conversions
    assert counts["crossbar.shift_adds"] == run.conversions.total()
    assert counts["crossbar.row_drives"] == run.driven
    assert counts["crossbar.cell_reads"] == run.read
    assert counts["crossbar.cell_writes"] * lowered.m * len(model.phases) == run.read


@pytest.mark.sampled(2)
@pytest.mark.parametrize("spec", SPECS)
def test_both_engines_give_the_same_report_with_memory(small_trace, spec):
    memory = load_accelerator("edge").memory
    fast, event = (
        sparqsim.simulate(small_trace, spec, memory=memory, engine=engine)
        for engine in ("fast", "event")
    )
    assert fast.layers == event.layers
    assert fast.cycles.memory_stall > 0
    assert fast.from_json(fast.to_json()) == fast
    (schema,) = (
        json.loads(text)
        for name, text in schema_files().items()
        if Path(name).stem == "report.schema"
    )
    jsonschema.validate(json.loads(fast.to_json()), schema)
    for layer in fast.layers:
        assert layer.run_as == spec
        assert layer.found_keys.startswith("adc_bits=") == ("sqnr_db" in spec)


def test_memory_fetches_each_block_of_weights_once(small_trace):
    memory = load_accelerator("edge").memory
    report = sparqsim.simulate(small_trace, SPECS[0], memory=memory)
    for layer in report.layers:
        gemm = layer.gemm
        weights = layer.actions["memory.weights.dram_read"].count
        assert weights == gemm.k * gemm.n * gemm.groups


def test_energies_are_counts_times_figures_that_were_read(small_trace):
    report = sparqsim.simulate(small_trace, SPECS[0])
    actions = report.totals.actions
    costs = report.pe.engine_model.costs
    energies = costs.energies_pj(actions)
    assert energies["crossbar.row_drives"] == pytest.approx(
        0.417 * actions["crossbar.row_drives"].count
    )
    assert set(energies) == set(actions) - {"crossbar.cell_reads", "crossbar.cell_writes"}
    (line,) = cost_lines([report])
    assert "assumed, 0.2 pJ less per bit" in line
    assert "crossbar.adc_2bit.conversions" in line
    assert "cells (no figure with a node was read)" in line
    of_eight = sparqsim.simulate(small_trace, "reram:adc_bits=8")
    assert "assumed" not in cost_lines([of_eight])[0]
    wide = sparqsim.simulate(small_trace, "reram:dac_bits=2")
    assert "crossbar.row_drives" not in wide.pe.engine_model.costs.each_pj
    assert cost_lines([sparqsim.simulate(small_trace, "mac-8b8b")]) == []


def test_more_bits_take_more_cycles_and_lose_less(small_trace):
    specs = [f"reram:rows=8,cols=4,adc_bits={bits}" for bits in range(1, 9)]
    reports = list(sparqsim.compare(small_trace, specs).reports.values())
    points = converter_points(reports)
    (series,) = points.series.values()
    assert [each.bits for each in series] == [*range(1, 9)]
    assert all(each.uniform for each in series)
    cycles = [each.cycles for each in series]
    assert cycles == sorted(cycles)
    assert series[-1].sqnr_db is None
    assert [each.cycles for each in series] == [
        report.cycles.total for report in reports if report.pe.name == "reram"
    ]


@pytest.fixture
def compared(small_path, run, monkeypatch, tmp_path) -> Path:
    monkeypatch.chdir(tmp_path)
    ended = run("compare", small_path, "--pe", f"mac-8b8b,{','.join(SPECS)}", "-o", "c.json")
    assert ended.code == 0, ended.err
    return tmp_path / "c.json"


@pytest.mark.usefixtures("no_figures")
def test_comparison_page_and_figures(compared, small_path, run, refused):
    shown = run("compare", small_path, "--pe", ",".join(SPECS), "--actions").out
    assert f"{SPECS[1]} found adc_bits=" in " ".join(shown.split())
    assert "crossbar.cell_reads" in shown
    rows = list(
        csv.DictReader(
            run("simulate", small_path, "--pe", SPECS[1], "--format", "csv").out.splitlines()
        )
    )
    assert rows[0]["found_keys"].startswith("adc_bits=")
    assert run("report", compared, "-o", "page.html").code == 0
    text = Path("page.html").read_text()
    assert "found adc_bits=" in text
    assert "Cells in use in rows that were driven" in text
    assert "Sums of columns that were turned into codes" in text
    for kind in ("adc", "layers", "speedup", "pareto"):
        assert run("plot", compared, "--kind", kind, "-o", f"{kind}.svg").code == 0
    assert "--baseline" in refused("plot", compared, "--kind", "adc", "--baseline", "a", "-o", "x")


@pytest.mark.usefixtures("no_figures")
def test_no_clock_or_pe_count_is_said_to_be_shared_with_arrays(compared, small_path, run):
    shown = run("compare", small_path, "--pe", f"mac-8b8b,{','.join(SPECS)}").out
    told = " ".join(shown.split())
    assert f"One clock for all but {', '.join(SPECS)}, which has none here." in told
    assert "PE count being equal" not in told
    assert "20 dB, none of which alone can be one less, on each layer" in told
    assert run("report", compared, "-o", "page.html").code == 0
    text = Path("page.html").read_text()
    assert "Designs are compared at equal PE count" not in text
    assert "no array of PEs, so a speedup compares cycles alone" in text


def test_a_figure_of_designs_without_converters_is_refused(small_path, run, refused, tmp_path):
    result = tmp_path / "mac.json"
    assert run("simulate", small_path, "--pe", "mac-8b8b", "-o", result).code == 0
    line = refused("plot", result, "--kind", "adc", "-o", tmp_path / "x.svg")
    assert "no design of the results (mac-8b8b) converts sums" in line


def test_the_figure_says_which_designs_are_exact(small_trace):
    specs = ["reram:rows=8,adc_bits=1", "reram:rows=8,adc_bits=3", "reram:rows=8", *SPECS]
    reports = sparqsim.compare(small_trace, specs).reports.values()
    figure = plot_adc(converter_points(list(reports)))
    check_readable(figure)
    above, below = figure.axes
    assert "exact" in [tick.get_text() for tick in above.get_yticklabels()]
    assert above.get_ylabel() == "SQNR (dB)"
    assert below.get_ylabel() == "cycles\n(thousands)"
    (legend,) = figure.legends
    labels = " ".join(text.get_text().replace("\n", " ") for text in legend.get_texts())
    assert "reram:rows=8, all converters alike" in labels
    assert "~" in labels


def test_a_sweep_and_its_store(small_path, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = json.dumps(["mac-8b8b", *SPECS])
    Path("grid.toml").write_text(f'trace = "{small_path.name}"\npe = {names}\n')
    ended = run("sweep", "grid.toml", "-o", "s.sqlite", "--jobs", "1")
    assert ended.code == 0, ended.err
    assert run("sweep", "export", "s.sqlite", "-o", "s.csv").code == 0
    with Path("s.csv").open() as file:
        rows = {row["pe"]: row for row in csv.DictReader(file)}
    for spec in SPECS:
        report = sparqsim.simulate(small_path, spec)
        assert rows[spec]["cycles_total"] == f"{report.cycles.total}"
        count = report.totals.actions["crossbar.cell_reads"].count
        assert rows[spec]["actions_crossbar_cell_reads"] == f"{count}"
    assert run("plot", "s.sqlite", "--kind", "adc", "-o", "adc.svg").code == 0


def test_goldens_hold_crossbars(small_path, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    cases = [
        f'[[case]]\nname = "{name}"\ntrace = "{small_path.name}"\npe = "{spec}"\n'
        for name, spec in zip("ab", SPECS, strict=True)
    ]
    Path("cases.toml").write_text("".join(cases))
    ended = run("regress", "update", "cases.toml")
    assert ended.code == 0, ended.err
    assert run("regress", "check", "cases.toml").code == 0


def test_the_card_says_what_converters_do(compared, run):
    shown = " ".join(run("card", "show", compared).out.split())
    assert "sums of columns above 2^R - 1 are clipped" in shown
    assert "R = 2/3/3/3" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("compare", "--iso", "area"), "is crossbars of ReRAM cells, no array of PEs"),
        (("predict",), "is crossbars of ReRAM cells, no array of PEs"),
        (("simulate", "--energy", "osu018"), "no array of PEs: only PEs were measured"),
        (("simulate", "--wave", "w.vcd"), "is crossbars of ReRAM cells, no array of PEs"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_refused(small_path, refused, words, message):
    command, *options = words
    assert message in refused(command, small_path, "--pe", SPECS[0], *options)


def test_a_layer_that_no_converter_holds_is_refused_in_a_line(small_path, refused):
    """Small K: rows alone do not make sums large, so cells and drivers of 8 bits are asked for."""
    words = ("--pe", "reram:cell_bits=8,dac_bits=8")
    assert "layer 'first': reram" in refused("simulate", small_path, *words)


def test_bits_are_found_once(small_trace, monkeypatch):
    from sparqsim.engine.models import reram

    asked = []
    real = reram.lossless_bits
    monkeypatch.setattr(
        reram, "lossless_bits", lambda *layer: asked.append(layer[0].name) or real(*layer)
    )
    sparqsim.simulate(small_trace, "reram:rows=7")
    assert asked == [layer.name for layer in small_trace.layers]


def test_a_layer_of_few_bits_takes_fewer_phases(small_trace):
    layer = small_trace.layers[2]
    narrow = sparqsim.Layer.from_gemm(
        "narrow", layer.activations[0] >> 4, layer.weights[:, 0].T, activation_bits=4
    )
    wide = sparqsim.Layer.from_gemm("wide", layer.activations[0], layer.weights[:, 0].T)
    four, eight = (Case(each, {"adc_bits": 9}) for each in (narrow, wide))
    cycles = [each.model.time(Task(each.layer, ARRAY)).total for each in (four, eight)]
    assert 2 * cycles[0] == cycles[1]


def test_unbound_crossbars_have_no_bits():
    with pytest.raises(InputError, match="found for a layer"):
        Reram().converter_bits  # noqa: B018


def test_figures_do_not_call_crossbars_equal_pes(small_trace):
    arrays = sparqsim.compare(small_trace, ["mac-8b8b", "sparq-5opt"])
    beside = sparqsim.compare(small_trace, ["mac-8b8b", "reram"])
    for comparison, terms in ((arrays, "equal PEs"), (beside, "in cycles alone")):
        assert comparison.html_caption().endswith(f"Speedup over mac-8b8b, {terms}.")
        assert speedup_figure(comparison).axes[0].get_ylabel().endswith(f"mac-8b8b, {terms}")
        assert pareto_figure(comparison).axes[0].get_xlabel().endswith(f"mac-8b8b, {terms}")


@pytest.mark.usefixtures("no_figures")
def test_what_crossbars_alone_ran_on_is_no_array(small_trace, small_path, run, tmp_path):
    """Beside an array of PEs the array is named, and the note says that it is not theirs."""
    alone = sparqsim.compare(small_trace, SPECS, baseline=SPECS[0])
    beside = sparqsim.compare(small_trace, ["mac-8b8b", SPECS[0]])
    words = "crossbars of ReRAM cells, no array of PEs, 8 units"
    for told in (
        alone.heading(),
        alone.summary(),
        alone.reports[SPECS[0]].heading(),
        subject_of([alone.reports[name] for name in SPECS]),
    ):
        assert words in told
        assert "array 16x16" not in told
    for told in (beside.heading(), beside.summary(), subject_of([*beside.reports.values()])):
        assert words not in told
        assert "16x16" in told
    ended = run("compare", small_path, "--pe", ",".join(SPECS), "--baseline", SPECS[0])
    shown = " ".join(ended.out.split())
    assert words in shown
    assert "fill = skew" not in shown
    save_page([alone], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert words in page
    assert "array of 16x16 PEs" not in page
