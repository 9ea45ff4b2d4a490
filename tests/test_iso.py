"""Equal area: which array a design gets, that its cycles are those of a simulation there, and how
it is told.
"""

from __future__ import annotations

import csv
import json
import math
from statistics import median

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.container import BarContainer, ErrorbarContainer
from test_plot import check_readable, words

import sparqsim
from sparqsim import plot
from sparqsim.cli.show_iso import iso_area_table
from sparqsim.engine.iso_area import scaled_array
from sparqsim.html import save_page
from sparqsim.results.comparison import Comparison
from sparqsim.results.iso_area import Range
from sparqsim.results.loading import as_comparison, load_result
from sparqsim.results.schemas import schema_text
from sparqsim.rtl.area import ArrayAreas, relative_pe_area, shipped_table

LEAST_WIDTH = "accumulators of the least width that holds sums over K = 4608"
PES = ["mac-2x8b8b", "sparq-5opt", "sparq-exact", "sparq-2opt:rounding=trim", "smt-sa-2t"]


@pytest.fixture(scope="module")
def digits_iso(digits):
    return sparqsim.compare(digits, PES, iso="area")


@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from(["os", "ws", "is"]), st.floats(0.1, 90)
)
def test_an_array_is_scaled_to_the_nearest_number_of_lines(rows, cols, dataflow, fit):
    asked = sparqsim.ArrayConfig(rows, cols, dataflow, coupling="elastic:3", overlap=True)
    scaled = scaled_array(asked, fit)
    kept, free = ("rows", "cols") if dataflow == "is" else ("cols", "rows")
    assert getattr(scaled, kept) == getattr(asked, kept)
    assert (scaled.dataflow, scaled.coupling, scaled.overlap) == (dataflow, "elastic:3", True)
    lines = getattr(scaled, free)
    assert lines >= 1
    assert abs(lines - fit) <= abs(lines + 1 - fit)
    assert lines == 1 or abs(lines - fit) <= abs(lines - 1 - fit)


@pytest.mark.parametrize(
    "setting",
    [
        {"array": sparqsim.ArrayConfig(4, 5)},
        {"array": sparqsim.ArrayConfig(6, 3, "ws")},
        {"array": sparqsim.ArrayConfig(5, 4, "is", overlap=True)},
        {"array": sparqsim.ArrayConfig(5, 7, overlap=True)},
        {"array": sparqsim.ArrayConfig(4, 6), "coupling": "elastic:2"},
        {"array": sparqsim.ArrayConfig(7, 4), "keep_8bit": False},
        {"array": sparqsim.ArrayConfig(4, 4), "engine": "event"},
        {"array": sparqsim.ArrayConfig(4, 4), "memory": sparqsim.load_accelerator("edge").memory},
    ],
    ids=["os", "ws", "is overlapped", "os overlapped", "elastic", "all layers", "event", "memory"],
)
def test_cycles_are_those_of_a_simulation_of_the_scaled_array(setting, small_trace):
    pes = ["mac-8b8b", "mac-4b4b", "sparq-3opt", "sparq-exact"]
    if setting.get("engine") == "event":  # the processes take seconds for each array
        pes, small_trace = pes[::3], sparqsim.Trace(small_trace.layers[1:])
    both = sparqsim.compare(small_trace, pes, iso="area", **setting)
    assert sparqsim.compare(small_trace, pes, **setting).reports == both.reports
    for name in pes:
        design = both.iso_area.designs[name]
        for scaled in design.arrays.all:
            here = {**setting, "array": _resized(setting["array"], scaled)}
            report = sparqsim.simulate(small_trace, name, **here)
            assert scaled.layer_cycles == tuple(layer.cycles.total for layer in report.layers)
            assert scaled.cycles == report.cycles.total


def _resized(asked, scaled):
    return sparqsim.ArrayConfig(
        scaled.rows, scaled.cols, asked.dataflow, asked.coupling, asked.overlap
    )


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize(("coupling", "overlap"), [("lockstep", True), ("elastic:2", False)])
def test_areas_arrays_and_residues_of_every_design(dataflow, coupling, overlap, small_trace):
    asked = sparqsim.ArrayConfig(5, 12, dataflow, coupling, overlap)
    staged = "sparq-5opt:rounding=trim,stages=2"
    both = sparqsim.compare(small_trace, [*PES[:-1], staged], asked, iso="area")
    assert both.iso_area.designs[staged].area_of == "sparq-5opt:stages=2"
    areas = ArrayAreas.of(asked)
    length = 5 if dataflow == "is" else 12
    for name, design in both.iso_area.designs.items():
        assert design.area_of.partition(":")[0] == name.partition(":")[0]
        assert design.acc_bits == 32
        for base in ("mac-8b8b", "mac-2x8b8b"):
            area = relative_pe_area(name, base, asked)
            assert design.relative_pe_area[base] == Range(
                low=area.low, middle=area.middle, high=area.high
            )
        pairs = zip(areas.parts(name), areas.parts("mac-8b8b"), strict=True)
        fit = sorted(bisected(asked, *pair) for pair in pairs)
        told = [scaled.pes_that_fit / length for scaled in design.arrays.all]
        assert told == pytest.approx([fit[-1], median(fit), fit[0]])
        for scaled in design.arrays.all:
            assert scaled.residue_percent == pytest.approx(
                100 * (scaled.rows * scaled.cols / scaled.pes_that_fit - 1), abs=1e-8
            )
    baseline = both.iso_area.designs["mac-8b8b"]
    assert {
        (scaled.rows, scaled.cols, scaled.residue_percent) for scaled in baseline.arrays.all
    } == {(5, 12, 0)}
    assert baseline.speedup == baseline.speedup_per_area == Range(low=1, middle=1, high=1)


def bisected(asked, parts, base):
    """The lines at which the array's area is the baseline's, found by halving."""
    low, high = 0.0, 1000.0
    for _ in range(100):
        half = (low + high) / 2
        sides = (asked.rows, half) if asked.dataflow == "is" else (half, asked.cols)
        larger = area_of(parts, *sides) > area_of(base, asked.rows, asked.cols)
        low, high = (low, half) if larger else (half, high)
    return low


def area_of(parts, rows, cols):
    """The area of an array, of parts of lines, too."""
    stages = [(parts.skew_row_bits, rows), (parts.skew_column_bits, cols)]
    skew = sum(bits * lines * (lines - 1) / 2 for bits, lines in stages) * parts.skew_bit
    return rows * (cols * parts.pe + parts.row) + cols * parts.column + skew + parts.array


@pytest.mark.parametrize("asked", ["os", "ws elastic overlapped", "least"])
@pytest.mark.usefixtures("no_figures")
def test_it_says_which_areas_it_took(asked, small_trace, small_path, tmp_path, run):
    array, acc_bits, words = {
        "os": ([], "32", "os, lockstep, without overlap, 32-bit accumulators"),
        "ws elastic overlapped": (
            ["--dataflow", "ws", "--coupling", "elastic:2", "--overlap", "on"],
            "32",
            "ws, elastic:2, with overlap, 32-bit accumulators",
        ),
        "least": (
            [],
            "least",
            "os, lockstep, without overlap, " + LEAST_WIDTH,
        ),
    }[asked]
    out = tmp_path / "both.json"
    command = ["compare", small_path, "--pe", "mac-4b4b,serial-w", "--array", "4x4", *array]
    command += ["--iso", "area", "--acc-bits", acc_bits]
    table = run(*command, "-o", out)
    assert (table.code, table.err) == (0, "")
    assert f"Areas: {words};" in " ".join(table.out.split())
    block = json.loads(out.read_text())["iso_area"]
    assert block["areas_of"]["acc_bits"] == (acc_bits if asked == "least" else 32)
    assert block["designs"]["mac-4b4b"]["acc_bits"] == (21 if asked == "least" else 32)
    assert "a fifth bit" in block["kept_without_area"]["mac-4b4b"]
    rows = list(csv.DictReader(run(*command, "--format", "csv").out.splitlines()))
    assert {row["equal_area_of"] for row in rows} == {words}
    total = next(row for row in rows if (row["pe"], row["row"]) == ("mac-4b4b", "total"))
    speedup = Comparison.load(out).iso_area.designs["mac-4b4b"].speedup
    assert float(total["equal_area_speedup_median"]) == speedup.middle
    assert float(total["equal_area_speedup_min"]) == speedup.low
    assert {row["equal_area_speedup_max"] for row in rows if row["pe"] == "serial-w"} == {""}
    save_page([Comparison.load(out)], tmp_path / "page.html")
    assert words in (tmp_path / "page.html").read_text()


def test_files_from_before_say_what_their_areas_were_of(digits_iso):
    document = json.loads(digits_iso.to_json())
    del document["iso_area"]["areas_of"], document["iso_area"]["kept_without_area"]
    for design in document["iso_area"]["designs"].values():
        del design["acc_bits"]
    for part in (document, *document["reports"].values()):
        del part["card"]  # which came later
    old = Comparison.from_json(json.dumps(document))
    assert old.iso_area.taken_from == "PEs of lockstep os arrays without overlap"


def test_a_layer_that_can_overflow_is_refused(refused, tmp_path):
    k = 65_900  # 255 * 128 * k is beyond 2^31
    x, w = np.zeros((2, k), np.uint8), np.zeros((k, 2), np.int8)
    long = sparqsim.Trace([sparqsim.Layer.from_gemm("long", x, w)])
    with pytest.raises(sparqsim.InputError, match=r"layer 'long': sums over 65900 .* 33 bits"):
        sparqsim.compare(long, ["mac-4b4b"], iso="area")
    folded = sparqsim.ArrayConfig(16, 16, "ws")  # adds up 16 rows in the array, the rest outside
    assert sparqsim.compare(long, ["mac-4b4b"], folded, iso="area").iso_area is not None
    assert sparqsim.compare(long, ["mac-4b4b"]).iso_area is None


def test_areas_from_a_table_of_ones_own(small_trace, tmp_path):
    table = json.loads(json.dumps(shipped_table()))
    table["rows"] = table["rows"][:1]
    for parts in table["rows"][0]["designs"].values():
        parts.update(pe=100.0, row=0.0, column=0.0, array=0.0, skew_bit=0.0)
    table["rows"][0]["designs"]["mac-4b4b"]["pe"] = 50.0
    file = tmp_path / "areas.json"
    file.write_text(json.dumps(table))
    for areas in (table, file):
        both = sparqsim.compare(small_trace, ["mac-4b4b"], iso="area", areas=areas)
        assert both.iso_area.combinations == 1
        assert both.iso_area.designs["mac-4b4b"].arrays.middle.rows == 32


@pytest.mark.parametrize("asked", [{"acc_bits": 24}, {"acc_bits": "least"}, {"areas": "a.json"}])
def test_what_only_areas_have_is_refused_where_none_are_asked_for(small_trace, asked):
    (key,) = asked
    with pytest.raises(sparqsim.InputError, match=rf"^{key}: .* expected iso='area' too"):
        sparqsim.compare(small_trace, ["mac-4b4b"], **asked)


def test_speedups_and_their_ranges(digits_iso):
    total = {name: report.cycles.total for name, report in digits_iso.reports.items()}
    for name, design in digits_iso.iso_area.designs.items():
        each = [total["mac-8b8b"] / scaled.cycles for scaled in design.arrays.all]
        assert design.speedup == Range(low=min(each), middle=each[1], high=max(each))
        area, gained = design.relative_pe_area["mac-8b8b"], digits_iso.speedup(name)
        assert design.speedup_per_area == Range(
            low=gained / area.high, middle=gained / area.middle, high=gained / area.low
        )
        base = digits_iso.reports["mac-8b8b"].layers[3].cycles.total
        by_layer = [base / scaled.layer_cycles[3] for scaled in design.arrays.all]
        assert digits_iso.iso_area_layer_speedup(name, 3) == Range(
            low=min(by_layer), middle=by_layer[1], high=max(by_layer)
        )
    assert digits_iso.iso_area_layer_speedup("smt-sa-2t", 3) is None
    five = digits_iso.iso_area.designs["sparq-5opt"]
    assert five.speedup.low < five.speedup.high < digits_iso.speedup("sparq-5opt")


def test_another_baseline_sets_the_area(digits):
    both = sparqsim.compare(digits, ["sparq-5opt"], baseline="mac-2x8b8b", iso="area")
    design = both.iso_area.designs["sparq-5opt"]
    assert design.baseline == "mac-2x8b8b"
    assert set(design.relative_pe_area) == {"mac-8b8b", "mac-2x8b8b"}
    assert design.arrays.low.rows > 16
    assert (
        design.speedup_per_area.middle
        == both.speedup("sparq-5opt") / design.relative_pe_area["mac-2x8b8b"].middle
    )


def test_json_holds_the_block_only_where_it_was_asked_for(digits_iso, tmp_path):
    text = digits_iso.to_json()
    jsonschema.validate(
        json.loads(text), json.loads(schema_text(Comparison)), jsonschema.Draft202012Validator
    )
    assert Comparison.from_json(text) == digits_iso
    block = json.loads(text)["iso_area"]
    assert block["source"] == "our open-tool synthesis"
    assert list(block["without_area"]) == ["smt-sa-2t"]
    plain = Comparison(
        baseline=digits_iso.baseline, order=digits_iso.order, reports=digits_iso.reports
    )
    assert "iso_area" not in json.loads(plain.to_json())
    (tmp_path / "both.json").write_text(text)
    assert as_comparison([load_result(tmp_path / "both.json")]).iso_area == digits_iso.iso_area
    assert as_comparison([digits_iso], "sparq-5opt").iso_area is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda block: block["designs"]["sparq-5opt"].update(baseline_cycles=1),
        lambda block: block["designs"]["sparq-5opt"].update(equal_pe_cycles=2),
        lambda block: block["designs"]["sparq-5opt"].update(baseline="mac-2x8b8b"),
        lambda block: block["designs"].update(other=block["designs"]["sparq-5opt"]),
        lambda block: block["designs"]["sparq-5opt"]["arrays"]["low"]["layer_cycles"].pop(),
        lambda block: block["designs"]["sparq-5opt"]["arrays"]["low"]["layer_cycles"].__setitem__(
            0, 0
        ),
        lambda block: block["designs"]["sparq-5opt"]["arrays"]["high"].update(rows=3),
        lambda block: block["designs"]["sparq-5opt"]["relative_pe_area"].pop("mac-8b8b"),
        lambda block: block["designs"]["sparq-5opt"]["relative_pe_area"]["mac-8b8b"].update(
            low=math.nan
        ),
        lambda block: block["designs"]["sparq-5opt"]["relative_pe_area"]["mac-8b8b"].update(low=0),
        lambda block: block["designs"]["sparq-5opt"]["speedup"].update(middle=9.0),
        lambda block: block.update(more=1),
    ],
)
def test_a_block_that_does_not_belong_to_its_reports_is_refused(
    spoil, digits_iso, tmp_path, refused
):
    document = json.loads(digits_iso.to_json())
    spoil(document["iso_area"])
    path = tmp_path / "spoilt.json"
    path.write_text(json.dumps(document))
    told = refused("plot", path, "--kind", "speedup", "-o", tmp_path / "out.svg")
    assert "spoilt.json" in told
    assert "iso_area" in told or "belong together" in told or "NaN is no JSON number" in told


def test_what_is_refused(small_trace, small_path, refused):
    with pytest.raises(sparqsim.InputError, match="iso='volume': expected 'area'"):
        sparqsim.compare(small_trace, iso="volume")
    assert "expected 'area'" in refused("compare", small_path, "--iso", "pes")
    assert "baseline 'sysmt-4t' has no area to scale others to: sysmt-4t: has no RTL" in refused(
        "compare", small_path, "--iso", "area", "--baseline", "sysmt-4t"
    )


def test_a_design_of_ones_own_has_no_area(small_trace, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\nfrom sparqsim.pe.mac import Mac8b8b\n\n"
        "@dataclass(frozen=True)\nclass Mine(Mac8b8b):\n    name = 'mine'\n"
    )
    both = sparqsim.compare(small_trace, [f"{file}:Mine"], iso="area")
    mine = next(name for name in both.order if name != "mac-8b8b")
    assert list(both.iso_area.without_area) == [mine]
    assert "has no RTL" in both.iso_area.without_area[mine]


def test_the_table_shows_areas_arrays_and_reasons(run, small_path, tmp_path):
    ended = run(
        "compare",
        small_path,
        "--array",
        "8x4",
        "--pe",
        ",".join(PES),
        "--iso",
        "area",
        "-o",
        tmp_path / "a.json",
        "--plot",
        tmp_path / "a.svg",
    )
    assert (ended.code, ended.err) == (0, "")
    told = " ".join(ended.out.split())
    assert "Equal area (our open-tool synthesis): speedup over mac-8b8b" in told
    assert "No area: smt-sa-2t: has no RTL" in told
    assert "sparq-2opt:rounding=trim: area of sparq-2opt." in told
    assert "as many rows of 4 PEs as come nearest to the area of 8x4 PEs of mac-8b8b" in told
    design = Comparison.load(tmp_path / "a.json").iso_area.designs["sparq-5opt"]
    assert f"{design.arrays.middle.rows}x4" in told
    assert f"{design.arrays.middle.residue_percent:+.1f}" in told
    assert f"{design.speedup_per_area.low:.2f}-{design.speedup_per_area.high:.2f}" in told
    assert f"{design.speedup.middle:.2f}" in told
    assert "--iso area" in (tmp_path / "a.svg").read_text()
    assert "Equal area" not in run("compare", small_path, "--pe", "sparq-5opt").out


def test_cells_of_the_table_stand_under_their_headings(digits_iso):
    design = digits_iso.iso_area.designs["sparq-5opt"]
    table = iso_area_table(digits_iso, digits_iso.iso_area)
    cells = next(row for row in table.rows if row[0] == "sparq-5opt")
    areas = [design.relative_pe_area[base] for base in ("mac-8b8b", "mac-2x8b8b")]
    arrays = design.arrays

    def ranged(each):
        return f"{each.middle:.2f}\n{each.low:.2f}-{each.high:.2f}"

    assert list(cells) == [
        "sparq-5opt",
        *map(ranged, areas),
        f"{arrays.middle.rows}x16\n{arrays.high.rows}x16-{arrays.low.rows}x16",
        f"{arrays.middle.residue_percent:+.1f}",
        f"{digits_iso.speedup('sparq-5opt'):.2f}",
        ranged(design.speedup_per_area),
        ranged(design.speedup),
    ]


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("make", [plot.speedup_figure, plot.pareto_figure])
def test_figures_show_the_range_as_error_bars(make, width, digits_iso):
    figure = make(digits_iso, width=width)
    check_readable(figure)
    text = words(figure)
    assert "equal area" in text
    assert "our open-tool synthesis" in text.replace("\n", " ")
    assert "no area: smt-sa-2t" in text.replace("\n", " ")


def test_error_bars_reach_from_least_to_greatest(digits_iso):
    pareto = _segments(plot.pareto_figure(digits_iso).axes[0], 0)
    designs = digits_iso.iso_area.designs
    expected = [(design.speedup.low, design.speedup.high) for design in designs.values()]
    assert np.allclose(sorted(pareto), sorted(expected))
    bars = [
        axes
        for axes in plot.speedup_figure(digits_iso, width="page").axes
        if any(isinstance(part, ErrorbarContainer) for part in axes.containers)
    ]
    drawn = [pair for axes in bars for pair in _segments(axes, 1)]
    shown = [name for name in designs if name != "mac-8b8b"]
    by_layer = [digits_iso.iso_area_layer_speedup(name, at) for name in shown for at in range(16)]
    expected = [
        (each.low, each.high) for each in (*by_layer, *(designs[name].speedup for name in shown))
    ]
    assert np.allclose(sorted(drawn), sorted(expected))
    heights = [
        bar.get_height()
        for axes in bars
        for part in axes.containers
        if isinstance(part, BarContainer)
        for bar in part
    ]
    assert designs["sparq-5opt"].speedup.middle in heights


def _segments(axes, along):
    """Ends of all error bars along one axis."""
    parts = [part for part in axes.containers if isinstance(part, ErrorbarContainer)]
    return [
        tuple(segment[:, along].tolist())
        for part in parts
        for line in part[2]
        for segment in line.get_segments()
    ]


def test_a_figure_without_the_block_is_as_before(digits_iso):
    plain = Comparison(
        baseline=digits_iso.baseline, order=digits_iso.order, reports=digits_iso.reports
    )
    figure = plot.speedup_figure(plain)
    assert len(figure.axes) == 2
    assert "equal area" not in words(figure)
    assert "equal PEs" in words(plot.pareto_figure(plain))
