"""Figures: what they say, that their text can be read, that equal input gives equal bytes, and what
is refused.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import sparqsim
from sparqsim import plot
from sparqsim.analysis.heatmap import heatmap
from sparqsim.base.errors import InputError
from sparqsim.cli import main
from sparqsim.plot import pareto, slots, style
from sparqsim.plot.labels import text_points, wrapped
from sparqsim.plot.pareto_points import ParetoPoint
from sparqsim.results.comparison import Comparison
from sparqsim.results.loading import as_comparison, load_result


def made_trace(layers: int, network: str = "made net", **document: object) -> sparqsim.Trace:
    rng = np.random.default_rng(layers)
    sizes = [(7, 18, 5), (33, 9, 20), (16, 40, 16)]
    made = []
    for at in range(layers):
        m, k, n = sizes[at % len(sizes)]
        x = rng.integers(0, 256, (m, k), np.uint8) * (rng.random((m, k)) < 0.6)
        w = rng.integers(-128, 128, (k, n), np.int8)
        name = f"layer{1 + at // 3}.{at}.bottleneck.conv{at}"
        made.append(
            sparqsim.Layer.from_gemm(name, x.astype(np.uint8), w, keep_8bit=at in (0, layers - 1))
        )
    return sparqsim.Trace(made, network=network, **document)


@pytest.fixture(scope="module")
def trace() -> sparqsim.Trace:
    return made_trace(16)


@pytest.fixture(scope="module")
def compared(trace: sparqsim.Trace) -> Comparison:
    return sparqsim.compare(trace)


@pytest.fixture(scope="module")
def small() -> Comparison:
    return sparqsim.compare(made_trace(3), ["sparq-3opt", "sparq-exact"])


@pytest.fixture(scope="module")
def deep() -> Comparison:
    name = (
        "a network of fifty-four layers, with a name that goes on for quite a while and then some"
    )
    return sparqsim.compare(made_trace(54, network=name, synthetic="uniform, 40 % zeros"))


@pytest.fixture(scope="module")
def drawn(compared: Comparison) -> Figure:
    """The speedups of sixteen layers and seven designs, a page wide; nobody changes it."""
    return plot.speedup_figure(compared)


def shown_texts(figure: Figure) -> Iterator[Text]:
    """Every text that is drawn: tick labels beyond an axis's limits are not."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    hidden |= {tick.label1, tick.label2}
    for text in figure.findobj(Text):
        if text not in hidden and text.get_visible() and text.get_text().strip():
            yield text


def check_readable(figure: Figure) -> None:
    """No two texts overlap, and none leaves the page."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    with style.house_style():
        figure.draw_without_rendering()
        boxes = [
            # Of a text with a leader, the text alone: a leader may cross what it likes.
            (text.get_text(), Text.get_window_extent(text, renderer))
            for text in shown_texts(figure)
        ]
    assert len(boxes) > 5
    width, height = figure.bbox.width, figure.bbox.height
    for name, box in boxes:
        assert box.x0 >= 0, name
        assert box.y0 >= 0, name
        assert box.x1 <= width, name
        assert box.y1 <= height, name
    for (name, box), (other_name, other) in combinations(boxes, 2):
        apart = box.x1 <= other.x0 or other.x1 <= box.x0 or box.y1 <= other.y0 or other.y1 <= box.y0
        assert apart, f"{name!r} lies over {other_name!r}"


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("make", [plot.speedup_figure, plot.layers_figure, plot.pareto_figure])
def test_no_text_overlaps_with_16_layers_and_7_designs(compared, make, width):
    check_readable(make(compared, width=width))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("make", [plot.speedup_figure, plot.layers_figure])
def test_no_text_overlaps_with_54_layers_and_7_designs(deep, make, width):
    check_readable(make(deep, width=width))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("width", ["page", "column"])
def test_no_text_overlaps_in_figures_of_one_design(deep, trace, width):
    check_readable(plot.layers_figure(deep.reports["sparq-exact"], width=width))
    report = sparqsim.simulate(trace, "sparq-exact")
    check_readable(plot.utilization_figure(heatmap(report, trace), width=width))


def test_no_text_overlaps_with_one_layer_and_two_designs():
    one = sparqsim.compare(made_trace(1), ["sparq-5opt"], keep_8bit=False)
    for width in style.WIDTHS_INCHES:
        check_readable(plot.speedup_figure(one, width=width))
        check_readable(plot.layers_figure(one, width=width))


def test_a_heat_map_says_whole_network_only_where_the_trace_is_known_to_be_one():
    left_out = {"name": "attention", "reason": "no layer", "macs": 1000}
    stated = {
        "whole network": {"coverage": {"inputs": 2}},
        "simulated part of the network": {"coverage": {"inputs": 2, "left_out": [left_out]}},
        "all layers of the trace": {},
    }
    for scope, provenance in stated.items():
        trace = made_trace(2, provenance=provenance)
        report = sparqsim.simulate(trace, "sparq-exact")
        assert f"sparq-exact, {scope}, " in words(plot.utilization_figure(heatmap(report, trace)))


def test_no_line_is_wider_than_the_figure_whatever_its_letters():
    with style.house_style():
        figure = style.new_figure("column", 2)
    for text in ("W" * 20 + " " + "i l " * 60, "i " * 90 + "WWW MMM " * 30, "WM @ " * 80):
        for line in wrapped(figure, text, 7).splitlines():
            assert text_points(line, 7) <= figure.get_figwidth() * style.POINTS_PER_INCH


def test_layer_names_have_room_where_bars_are_few():
    few = sparqsim.compare(made_trace(40), ["sparq-5opt"])
    check_readable(plot.speedup_figure(few, width="column"))


def test_the_overlap_check_finds_an_overlap(compared):
    figure = plot.speedup_figure(compared)
    figure.axes[0].text(0.5, 1.0, "over the tick labels", transform=figure.axes[0].transAxes)
    figure.axes[0].text(0.5, 1.0, "and once more", transform=figure.axes[0].transAxes)
    with pytest.raises(AssertionError, match="lies over"):
        check_readable(figure)


def test_speedup_figure_says_what_it_shows(drawn):
    text = words(drawn)
    for expected in (
        "speedup (x) over\nmac-8b8b, equal PEs",
        "output SQNR (dB)",
        "layer",
        "mac-8b8b = 1",
        "sparq-exact ~",
        "made net",
        "array 16x16, dataflow os, lockstep, overlap off",
        "total",
        "exact",
        "~ cycles depend on values; those of the other designs are set by shapes alone",
        "kept at 8 bits",
        "conv0*",
        "memory not modelled",
    ):
        assert expected in text
    assert "conv1*" not in text
    assert "SYNTHETIC" not in text


def test_speedup_figure_draws_the_numbers_of_the_comparison(compared, drawn):
    upper, lower = drawn.axes[:2]
    shown = [name for name in compared.order if name != "mac-8b8b"]
    expected = [compared.layer_speedup(name, at) for at in range(16) for name in shown]
    expected += [compared.speedup(name) for name in shown]
    assert [bar.get_height() for bar in upper.patches if bar.get_linewidth() > 0] == expected
    marks = [line.get_ydata()[0] for line in lower.lines if len(line.get_xdata()) == 1]
    assert len(marks) == len(expected)
    total = compared.reports["sparq-5opt"].totals.error.sqnr_db
    assert marks[-len(shown) :][shown.index("sparq-5opt")] == total
    exact = marks[-len(shown) :][shown.index("sparq-exact")]
    assert exact == lower.get_yticks()[-1] > max(mark for mark in marks if mark != exact)


def test_a_baseline_with_error_is_drawn_too(trace):
    lossy = sparqsim.compare(trace, ["sparq-5opt"], baseline="mac-4b4b")
    assert "mac-4b4b" in [
        text.get_text() for text in plot.speedup_figure(lossy).legends[0].get_texts()
    ]


def test_synthetic_values_are_named_in_every_title():
    trace = made_trace(2, synthetic="uniform, 40 % zeros")
    both = sparqsim.compare(trace, ["sparq-5opt"])
    report = both.reports["sparq-5opt"]
    for figure in (
        plot.speedup_figure(both),
        plot.layers_figure(both),
        plot.layers_figure(report),
        plot.pareto_figure(both),
        plot.utilization_figure(heatmap(report, trace)),
    ):
        assert "SYNTHETIC values: uniform, 40 % zeros" in words(figure).replace("\n", " ")


def test_fixed_designs_say_that_values_cannot_change_cycles(trace):
    fixed = sparqsim.compare(trace, ["sparq-5opt"])
    assert "values cannot change these cycles: only shapes can" in words(plot.speedup_figure(fixed))
    assert "~" not in words(plot.speedup_figure(fixed))


def test_layers_figure_stacks_to_the_total(compared):
    report = compared.reports["sparq-exact"]
    upper, lower = plot.layers_figure(report).axes
    bars = [bar for bar in upper.patches if bar.get_width() < 1]
    tops = {}
    for bar in bars:
        tops[bar.get_x()] = max(tops.get(bar.get_x(), 0), bar.get_y() + bar.get_height())
    assert list(tops.values()) == pytest.approx([layer.cycles.total for layer in report.layers])
    of_total = [bar for bar in lower.patches if bar.get_width() > 1]
    assert max(bar.get_y() + bar.get_height() for bar in of_total) == pytest.approx(100)
    assert f"{report.cycles.total:,} cycles" in words(upper.figure)
    assert "pe stall" in words(upper.figure)


def test_layers_figure_of_a_comparison_has_one_panel_for_equal_designs(compared):
    titles = [axes.get_title(loc="left") for axes in plot.layers_figure(compared).axes]
    assert titles == [
        "mac-8b8b",
        "mac-4b8b",
        "mac-4b4b",
        "sparq-5opt = sparq-3opt = sparq-2opt",
        "sparq-exact ~",
    ]


def test_layers_figure_leaves_out_stalls_that_nobody_has(compared):
    assert "stall" not in words(plot.layers_figure(compared.reports["sparq-5opt"]))


def test_pareto_front():
    points = [
        ParetoPoint("a", 1.0, math.inf),
        ParetoPoint("b", 0.9, math.inf),
        ParetoPoint("c", 2.0, 30.0),
        ParetoPoint("d", 2.0, 20.0),
        ParetoPoint("e", 3.0, 10.0),
        ParetoPoint("f", 2.5, 9.0),
    ]
    assert [point.spec for point in pareto.front_of(points)] == ["a", "c", "e"]


@pytest.mark.parametrize(
    "qualities", [[math.inf, math.inf], [30.0, 30.0], [0.91, 0.97], [math.inf, 12.0]]
)
def test_pareto_scales_to_what_it_is_given(qualities):
    points = [ParetoPoint(f"design-{at}", 1 + at, quality) for at, quality in enumerate(qualities)]
    figure = plot.pareto_figure(points, quality="accuracy loss (points)", baseline="mac-8b8b")
    check_readable(figure)
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert all(low < line.get_ydata()[0] < high for line in axes.lines[2:])
    assert ("exact" in words(figure)) == (math.inf in qualities)
    assert "accuracy loss (points)" in words(figure)


@pytest.mark.parametrize(
    ("speedup", "quality"), [(0, 1), (math.nan, 1), (math.inf, 1), (1, math.nan), (1, -math.inf)]
)
def test_pareto_points_are_checked(speedup, quality):
    with pytest.raises(InputError, match="pareto point 'x'"):
        ParetoPoint("x", speedup, quality)


def test_no_points_no_pareto(tmp_path):
    with pytest.raises(InputError, match="at least one"):
        plot.plot_pareto([], tmp_path / "p.svg")


def test_slots_hold_every_layer_once_and_the_total_last():
    for layers in range(1, 120):
        for width in style.WIDTHS_INCHES:
            for bars in (1, 2, 6, 20):
                rows = slots.slot_rows(layers, width, bars, 3.2)
                places = [slot.index for row in rows for slot in row.slots]
                assert places == [*range(layers), None]
                assert all(
                    slot.center + slot.width / 2 <= row.width for row in rows for slot in row.slots
                )


def test_every_known_design_has_a_look_of_its_own_in_colour_and_in_grey():
    from sparqsim.pe.registry import designs

    looks = style.looks_of([*designs(), "sparq-5opt:rounding=trim", "mine", "yours"])
    assert len({(look.marker, look.color) for look in looks.values()}) == len(looks)
    greys = {
        name: np.dot(to_rgb(look.color), (0.299, 0.587, 0.114)) for name, look in looks.items()
    }
    for one, other in combinations(designs(), 2):
        assert looks[one].hatch != looks[other].hatch or abs(greys[one] - greys[other]) > 0.03, (
            one,
            other,
        )
        assert looks[one].marker != looks[other].marker


def test_more_designs_than_looks_still_get_one():
    specs = [f"mine-{at}" for at in range(200)]
    assert list(style.looks_of(specs)) == specs


@pytest.mark.sampled(3)
@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_equal_input_gives_equal_bytes(small, tmp_path, suffix):
    hot = heatmap(small.reports["sparq-exact"], made_trace(3))
    drawings = (  # speedups are compared with another process's below
        (plot.plot_utilization, hot),
        (plot.plot_layers, small),
        (plot.plot_pareto, small),
    )
    for draw, what in drawings if suffix == "svg" else drawings[:1]:
        files = [tmp_path / f"{at}.{suffix}" for at in range(2)]
        for file in files:
            draw(what, file, command="sparqsim plot comparison.json")
        assert files[0].read_bytes() == files[1].read_bytes()
        assert b"sparqsim plot comparison.json" in files[0].read_bytes() or suffix == "pdf"


ROOT = str(Path(sparqsim.__file__).parents[1])
DRAW = """
import sys
from sparqsim.plot import plot_speedup
from sparqsim.results.loading import load_result
for path in sys.argv[2:]:
    plot_speedup(load_result(sys.argv[1]), path)
"""


def test_another_process_another_day_another_configuration_gives_the_same_bytes(small, tmp_path):
    """Nor is pyplot ever loaded there, which would choose a backend and keep every figure."""
    (tmp_path / "c.json").write_text(small.to_json())
    here = [tmp_path / f"here.{suffix}" for suffix in style.FORMATS]
    for path in here:
        plot.plot_speedup(small, path)
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsavefig.dpi: 50\naxes.facecolor: red\n")
    there = [tmp_path / f"there.{suffix}" for suffix in style.FORMATS]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
        "SOURCE_DATE_EPOCH": "1000000000",
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
        "PYTHONPATH": ROOT,
    }
    check = DRAW + "assert 'matplotlib.pyplot' not in sys.modules\n"
    run = [sys.executable, "-c", check, str(tmp_path / "c.json"), *map(str, there)]
    subprocess.run(run, check=True, env=environment)
    for one, other in zip(here, there, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.suffix


def test_the_command_is_in_the_metadata(small, tmp_path):
    command = "sparqsim plot c.json --kind speedup -o f.svg"
    plot.plot_speedup(small, tmp_path / "f.svg", command=command)
    plot.plot_speedup(small, tmp_path / "f.png", command=command)
    plot.plot_speedup(small, tmp_path / "f.pdf", command=command)
    assert (
        f"<dc:description>made by: {command}</dc:description>" in (tmp_path / "f.svg").read_text()
    )
    assert Image.open(tmp_path / "f.png").text["Description"] == f"made by: {command}"
    assert f"/Subject (made by: {command})".encode() in (tmp_path / "f.pdf").read_bytes()


def test_svg_holds_outlines_and_names_its_texts(small, tmp_path):
    plot.plot_speedup(small, tmp_path / "f.svg")
    text = (tmp_path / "f.svg").read_text()
    assert "<text" not in text
    for expected in ("output SQNR (dB)", "equal PEs", "layer", "sparq-exact ~", "total"):
        assert f"<!-- {expected}" in text or f"{expected} -->" in text
    assert "<dc:date>" not in text


def test_drawing_leaves_the_users_settings_alone(small, tmp_path):
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 31.0}):
        plot.plot_speedup(small, tmp_path / "f.svg")
        assert mpl.rcParams["font.size"] == 31.0


@pytest.mark.parametrize(
    ("name", "found"), [("f.gif", "suffix '.gif'"), ("f", "no suffix"), ("f.svg.txt", "'.txt'")]
)
def test_unknown_suffixes_are_refused(compared, tmp_path, name, found):
    with pytest.raises(InputError, match=found):
        plot.plot_speedup(compared, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_lost(compared, tmp_path):
    (tmp_path / "taken.svg").mkdir()
    for path in (tmp_path / "no" / "f.svg", tmp_path / "taken.svg"):
        with pytest.raises(InputError, match="cannot be written"):
            plot.plot_speedup(compared, path)
    with pytest.raises(InputError, match=r"width='narrow'.*column, page"):
        plot.plot_speedup(compared, tmp_path / "f.svg", width="narrow")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.svg"]


# The command line


@pytest.fixture(scope="module")
def results(compared, trace, tmp_path_factory) -> Path:
    """A folder with results, written once."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "c.json").write_text(compared.to_json())
    for name in ("mac-8b8b", "sparq-5opt"):
        (folder / f"{name}.json").write_text(compared.reports[name].to_json())
    trace.save(folder / "t.safetensors")
    return folder


@pytest.fixture
def files(results, tmp_path) -> Path:
    """The results in a folder of this test's own."""
    return shutil.copytree(results, tmp_path, dirs_exist_ok=True)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main(["plot", *arguments])
    return int(end.value.code or 0), capsys.readouterr().err


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "arguments",
    [
        ["c.json"],
        ["c.json", "--kind", "speedup", "--baseline", "mac-4b8b", "--width", "column"],
        ["mac-8b8b.json", "sparq-5opt.json", "--kind", "speedup"],
        ["c.json", "--kind", "layers"],
        ["c.json", "--kind", "layers", "--pe", "sparq-exact"],
        ["sparq-5opt.json", "--kind", "layers"],
        ["c.json", "--kind", "pareto"],
        ["sparq-5opt.json", "--kind", "utilization", "--trace", "t.safetensors"],
        [
            "c.json",
            "--kind",
            "utilization",
            "--pe",
            "sparq-exact",
            "--trace",
            "t.safetensors",
            "--layer",
            "layer1.1.bottleneck.conv1",
        ],
    ],
)
def test_command_writes_a_figure_that_names_the_command(files, monkeypatch, capsys, arguments):
    monkeypatch.chdir(files)
    assert run(capsys, *arguments, "-o", "f.svg") == (0, "")
    text = (files / "f.svg").read_text()
    assert text.startswith("<?xml")
    assert f"sparqsim plot {arguments[0]}" in text


@pytest.fixture(scope="module")
def wrong_results(results, tmp_path_factory) -> Path:
    """Beside the results, files that are none, and results of another trace."""
    folder = shutil.copytree(results, tmp_path_factory.mktemp("wrong"), dirs_exist_ok=True)
    other = made_trace(3)
    other.save(folder / "other.safetensors")
    document = json.loads((folder / "sparq-5opt.json").read_text())
    both = json.loads((folder / "c.json").read_text())
    del both["layers"], both["speedup"], both["card"]
    renamed = {"mac-8b8b": both["reports"]["mac-8b8b"], "sparq": both["reports"]["sparq-5opt"]}
    texts = {
        "other": sparqsim.simulate(other, "mac-8b8b").to_json(),
        "broken": '{"schema": ',
        "list": "[]",
        "foreign": '{"schema": "sparqsim.report/9"}',
        "empty": json.dumps({**document, "layers": [], "totals": {}}),
        "none": json.dumps({**both, "baseline": "mac-9b9b"}),
        "renamed": json.dumps({**both, "reports": renamed, "order": [*renamed]}),
    }
    for name, text in texts.items():
        (folder / f"{name}.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["c.json", "--kind", "speedups"], "did you mean speedup?"),
        (["c.json", "-o", "f.bmp"], "'.bmp'"),
        (["c.json", "--width", "wide"], "expected one of column, page"),
        (
            ["sparq-5opt.json"],
            (
                "the results hold one design, sparq-5opt; expected a comparison or at least two "
                "reports"
            ),
        ),
        (["sparq-5opt.json", "--kind", "pareto"], "expected a comparison or at least two reports"),
        (["sparq-5opt.json", "sparq-5opt.json"], "design 'sparq-5opt' is in two of the results"),
        (["c.json", "--baseline", "mac-9b9b"], "baseline 'mac-9b9b' is not among the results"),
        (
            ["c.json", "--kind", "utilization", "--trace", "t.safetensors"],
            "7 designs, expected --pe",
        ),
        (["c.json", "--kind", "utilization", "--pe", "sparq-5opt"], "expected --trace"),
        (["c.json", "--kind", "layers", "--pe", "sparq-4opt"], "did you mean sparq-5opt?"),
        (["c.json", "--trace", "t.safetensors"], "expected --kind utilization"),
        (["c.json", "--pe", "sparq-5opt"], "expected --kind layers, utilization"),
        (
            [
                "sparq-5opt.json",
                "--kind",
                "utilization",
                "--trace",
                "t.safetensors",
                "--layer",
                "layer1.1.bottleneck.conv",
            ],
            "did you mean layer1.1.bottleneck.conv1?",
        ),
        (
            ["sparq-5opt.json", "--kind", "utilization", "--trace", "other.safetensors"],
            "expected that trace",
        ),
        (["sparq-5opt.json", "other.json"], "trace sha256 of mac-8b8b"),
        (["missing.json"], "missing.json: no such file"),
        (["broken.json"], "not JSON"),
        (["list.json"], "schema=None"),
        (["foreign.json"], "schema='sparqsim.report/9'"),
        (["empty.json"], "empty.json: layers: Tuple should have at least 1 item"),
        (
            ["none.json"],
            (
                "none.json: fields that do not belong together: design 'mac-9b9b' is not in this "
                "comparison"
            ),
        ),
        (["renamed.json"], "renamed.json: reports.sparq.pe.spec: found 'sparq-5opt'"),
        (["c.json", "-o", "no/f.svg"], "cannot be written"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    wrong_results, monkeypatch, capsys, arguments, said
):
    monkeypatch.chdir(wrong_results)
    end = [] if "-o" in arguments else ["-o", "f.svg"]
    code, text = run(capsys, *arguments, *end)
    assert (code, text.count("\n")) == (2, 1)
    assert said in text
    assert "Traceback" not in text
    assert not Path("f.svg").exists()


def test_reports_put_together_are_the_comparison(compared):
    apart = as_comparison([compared.reports[name] for name in compared.order])
    assert apart == compared


def test_a_result_is_known_by_its_schema(files, compared):
    assert load_result(files / "c.json") == compared
    assert load_result(files / "sparq-5opt.json") == compared.reports["sparq-5opt"]
