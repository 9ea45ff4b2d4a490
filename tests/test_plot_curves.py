"""Speedup curves: from sweep stores and result files to points (checked number by number), and how
they are drawn.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from test_plot import check_readable

import sparqsim
from sparqsim.analysis.bandwidth import bandwidth_curves
from sparqsim.base.errors import InputError
from sparqsim.memory.config import DramConfig, MemoryConfig
from sparqsim.plot import style
from sparqsim.plot.bandwidth import bandwidth_figure
from sparqsim.plot.bandwidth_points import curves_of_bandwidth
from sparqsim.plot.curves import FLAT_LABEL, curves_figure
from sparqsim.plot.points import speedup_curves, zero_share
from sparqsim.plot.reports import load_reports
from sparqsim.results.report import Report
from sparqsim.sweep import sweep
from sparqsim.sweep.grid import cases_of

PES = ["mac-8b8b", "mac-4b4b", "sparq-5opt", "sparq-3opt", "sparq-exact"]
KINDS = ("array-size", "k", "zero-fraction")
SIZES = [(7, 18, 5), (33, 9, 20), (16, 40, 16), (20, 9, 17)]


def made_trace(zeros: float = 0.4, seed: int = 1, **document: object) -> sparqsim.Trace:
    """Four layers, the first kept at 8 bits, two of them of equal K."""
    rng = np.random.default_rng(seed)
    layers = []
    for at, (m, k, n) in enumerate(SIZES):
        x = rng.integers(1, 256, (m, k)) * (rng.random((m, k)) >= zeros)
        w = rng.integers(-128, 128, (k, n)).astype(np.int8)
        layers.append(
            sparqsim.Layer.from_gemm(f"layer{at}", x.astype(np.uint8), w, keep_8bit=at == 0)
        )
    return sparqsim.Trace(layers, **{"network": "made net", **document})


def reports_of(
    trace: sparqsim.Trace, pes: Sequence[str] = PES, array: str = "16x16", **settings: object
) -> list[Report]:
    compared = sparqsim.compare(trace, list(pes), sparqsim.ArrayConfig.parse(array), **settings)
    return [compared.reports[name] for name in compared.order]


@pytest.fixture(scope="module")
def traces() -> list[sparqsim.Trace]:
    return [made_trace(zeros, seed) for seed, zeros in enumerate((0.1, 0.35, 0.6, 0.85))]


@pytest.fixture(scope="module")
def by_trace(traces) -> list[Report]:
    return [report for trace in traces for report in reports_of(trace)]


@pytest.fixture(scope="module")
def by_array(traces) -> list[Report]:
    return [
        report
        for array in ("4x4", "8x2", "8x8", "16x16", "32x8")
        for report in reports_of(traces[1], array=array)
    ]


@pytest.fixture(scope="module")
def drawn(by_trace, by_array, traces) -> dict[str, list[Report]]:
    return {"array-size": by_array, "k": by_trace, "zero-fraction": by_trace}


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_traces_that_say_different_things_of_themselves_are_told_apart():
    first = made_trace(0.1, 0, network="first", provenance={"coverage": {"inputs": 8}})
    second = made_trace(0.6, 1, network="second", provenance={"coverage": {"inputs": 3}})
    reports = [report for trace in (first, second) for report in reports_of(trace)]
    told = words(curves_figure(speedup_curves(reports, "zero-fraction")))
    assert "first: cycles of 8 inputs" in told
    assert "second: cycles of 3 inputs" in told


def test_the_hint_names_a_setting_as_a_shell_takes_it():
    nets = [made_trace(0.1, at, network=name) for at, name in enumerate(("my net", "b"))]
    reports = [report for trace in nets for report in reports_of(trace)]
    with pytest.raises(InputError, match=r"e\.g\. --only 'trace=my net'"):
        speedup_curves(reports, "array-size")


def test_array_size_has_a_point_for_every_array_in_order(by_array):
    curves = speedup_curves(by_array, "array-size")
    assert [curve.specs for curve in curves.curves] == [
        ("mac-4b4b",),
        ("sparq-5opt", "sparq-3opt"),
        ("sparq-exact",),
    ]
    assert [curve.fixed for curve in curves.curves] == [True, True, False]
    for curve in curves.curves:
        places = [(16, 4, 4), (16, 8, 2), (64, 8, 8), (256, 16, 16), (256, 32, 8)]
        assert [point.place for point in curve.points] == places
        for point in curve.points:
            at = [
                report
                for report in by_array
                if (report.array.rows, report.array.cols) == point.place[1:]
            ]
            cycles = {report.pe.spec: report.cycles.total for report in at}
            assert (
                point.speedup
                == cycles["mac-8b8b"] / cycles[curve.specs[0]]
                == point.low
                == point.high
            )


def test_layers_of_equal_k_are_put_together_and_kept_ones_left_out(traces):
    reports = {report.pe.spec: report for report in reports_of(traces[0])}
    curve = speedup_curves(list(reports.values()), "k").curves[-1]
    assert curve.specs == ("sparq-exact",)
    base, own = (
        [layer.cycles.total for layer in reports[name].layers]
        for name in ("mac-8b8b", "sparq-exact")
    )
    assert [point.place for point in curve.points] == [(9,), (40,)]
    nine, forty = curve.points
    assert nine.speedup == (base[1] + base[3]) / (own[1] + own[3])
    assert (nine.low, nine.high) == tuple(sorted((base[1] / own[1], base[3] / own[3])))
    assert nine.low < nine.speedup < nine.high
    assert forty.speedup == base[2] / own[2]


def test_several_traces_are_whole_networks_one_trace_is_its_layers(by_trace, traces):
    curves = speedup_curves(by_trace, "zero-fraction")
    assert curves.joined
    exact = next(curve for curve in curves.curves if not curve.fixed)
    shares = [
        sum(int((layer.activations == 0).sum()) for layer in trace.layers)
        / sum(m * k for m, k, _ in SIZES)
        for trace in traces
    ]
    assert [point.place for point in exact.points] == [(share,) for share in shares]
    cycles = {
        (report.provenance.trace_sha256, report.pe.spec): report.cycles.total for report in by_trace
    }
    assert [point.speedup for point in exact.points] == [
        cycles[trace.sha256, "mac-8b8b"] / cycles[trace.sha256, "sparq-exact"] for trace in traces
    ]
    layers = speedup_curves(reports_of(traces[0]), "zero-fraction")
    assert not layers.joined
    shares = [float((layer.activations == 0).mean()) for layer in traces[0].layers[1:]]
    assert [point.place[0] for point in layers.curves[0].points] == sorted(shares)


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(0, 2**31)),
        min_size=1,
        max_size=3,
    )
)
def test_zero_share_counts_zeros(shapes):
    """Whatever the shape; odd K brings zeros of its own that are not counted."""
    matrices = [
        np.random.default_rng(seed).integers(0, 3, (m, k)).astype(np.uint8) for m, k, seed in shapes
    ]
    layers = [
        sparqsim.Layer.from_gemm(f"l{at}", x, np.ones((x.shape[1], 1), np.int8))
        for at, x in enumerate(matrices)
    ]
    report = sparqsim.simulate(sparqsim.Trace(layers), "sparq-5opt")
    elements = np.concatenate([x.ravel() for x in matrices])
    assert zero_share(report.layers) == int((elements == 0).sum()) / elements.size


def test_bandwidth_from_reports_is_what_the_bandwidth_command_computes(traces):
    pes = [sparqsim.get_pe(name) for name in PES]
    memory = MemoryConfig(name="m", dram=DramConfig(latency_cycles=7))
    bandwidths = (1.0, 4.0, 16.0, float("inf"))
    reports = []
    for value in bandwidths:
        at = MemoryConfig(
            name=f"m{value}", dram=DramConfig(bandwidth_bytes_per_cycle=value, latency_cycles=7)
        )
        reports += reports_of(traces[0], memory=at)
    expected = bandwidth_curves(
        traces[0],
        pes,
        sparqsim.ArrayConfig(),
        memory,
        baseline="mac-8b8b",
        kept="honest",
        bandwidths=bandwidths,
    )
    found = curves_of_bandwidth(reports[::-1])
    for field in (
        "bandwidths",
        "cycles",
        "array_cycles",
        "baseline",
        "array",
        "trace_sha256",
        "speedup",
    ):
        assert getattr(found, field) == getattr(expected, field)
    check_readable(bandwidth_figure(found))


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_overlaps(drawn, kind, width):
    check_readable(curves_figure(speedup_curves(drawn[kind], kind), width=width))


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("width", ["page", "column"])
def test_no_text_overlaps_with_many_places_and_all_designs(width):
    from sparqsim.pe.registry import designs

    name = (
        "a network with a name that goes on for quite a while and then some more, until it needs "
        "a second line"
    )
    trace = made_trace(network=name, synthetic="uniform, 40 % zeros")
    pes = [*designs(), *(f"sparq-{each}opt:pairing=off" for each in (5, 3, 2))]
    reports = [
        report
        for side in (2, 3, 5, 8, 13, 16, 48, 64, 128)
        for report in reports_of(trace, pes, f"{side}x{side}")
    ]
    check_readable(curves_figure(speedup_curves(reports, "array-size"), width=width))
    check_readable(
        curves_figure(speedup_curves(reports[-len(pes) :], "zero-fraction"), width=width)
    )
    check_readable(curves_figure(speedup_curves(reports[-len(pes) :], "k"), width=width))


def test_all_figures_of_whole_networks_by_zeros_are_readable_at_both_widths(traces):
    from sparqsim.pe.registry import designs

    reports = [report for trace in traces for report in reports_of(trace, list(designs()))]
    for width in style.WIDTHS_INCHES:
        check_readable(curves_figure(speedup_curves(reports, "zero-fraction"), width=width))


def flat_and_labelled(figure: Figure) -> tuple[list[float], list[float]]:
    """The heights of flat lines, the baseline's apart, and those of the words that explain them."""
    (axes,) = figure.axes
    flat = [line.get_ydata()[0] for line in axes.lines[1:] if len(set(line.get_ydata())) == 1]
    return sorted(flat), sorted(text.xy[1] for text in axes.texts if text.get_text() == FLAT_LABEL)


def test_flat_lines_far_apart_are_labelled_each(traces):
    reports = [report for trace in traces[:2] for report in reports_of(trace, array="2x2")]
    flat, labelled = flat_and_labelled(curves_figure(speedup_curves(reports, "zero-fraction")))
    assert len(flat) == 2
    assert flat[1] - flat[0] > 0.5
    assert labelled == flat


def test_flat_lines_say_why_they_are_flat(traces):
    reports = [report for trace in traces for report in reports_of(trace, kept="ideal")]
    figure = curves_figure(speedup_curves(reports, "zero-fraction"))
    flat, labelled = flat_and_labelled(figure)
    assert len(flat) == 2
    assert flat[1] - flat[0] < 0.1
    assert labelled == flat[1:]  # one label, above both
    assert "speedup (x) over mac-8b8b" in words(figure)
    assert "zero activations, all layers (%)" in words(figure)
    assert "sparq-5opt = sparq-3opt" in words(figure)
    assert "sparq-exact ~" in words(figure)


def test_dashes_tell_fixed_designs_from_others(by_trace):
    (axes,) = curves_figure(speedup_curves(by_trace, "zero-fraction")).axes
    baseline, *fixed, varying = axes.lines
    assert all(line.is_dashed() for line in (baseline, *fixed))
    assert not varying.is_dashed()
    assert len({line.get_marker() for line in axes.lines}) == len(axes.lines)


def test_layers_are_marks_without_lines_for_they_differ_in_shape(traces):
    figure = curves_figure(speedup_curves(reports_of(traces[0]), "zero-fraction"))
    assert all(line.get_linestyle() == "None" for line in figure.axes[0].lines[1:])
    assert "one mark a layer; lines join equal shapes alone" in words(figure).replace("\n", " ")
    assert "layers kept at 8 bits are left out" in words(figure)
    assert FLAT_LABEL not in words(figure)


def test_what_cannot_be_compared_is_refused(by_array, by_trace, traces):
    other = reports_of(traces[1], array="4x4", baseline="mac-8b8b")
    ws = sparqsim.simulate(traces[1], "mac-8b8b", sparqsim.ArrayConfig(dataflow="ws"))
    with pytest.raises(InputError, match=r"differ in dataflow \(os, ws\).*--only dataflow=os"):
        speedup_curves([*other, ws], "array-size")
    with pytest.raises(InputError, match=r"differ in array \(4x4, 8x2"):
        speedup_curves(by_array, "k")
    with pytest.raises(InputError, match="differ in trace"):
        speedup_curves(by_trace, "array-size")
    with pytest.raises(InputError, match=r"'mac-9b9b' is not among the results.*mac-8b8b"):
        speedup_curves(by_trace, "k", "mac-9b9b")
    with pytest.raises(InputError, match="no design ran where the baseline"):
        speedup_curves([report for report in by_trace if report.pe.spec == "mac-8b8b"], "k")
    with pytest.raises(InputError, match="no results"):
        speedup_curves([], "k")
    with pytest.raises(InputError, match=r"one DRAM bandwidth or none.*sparqsim\.bandwidth/1"):
        curves_of_bandwidth(by_trace)


def test_results_that_only_look_alike_are_refused(traces):
    """Layers kept at 8 bits or not; memories of one name whose latencies differ."""
    with pytest.raises(InputError, match=r"differ in keep_8bit \(on, off\)"):
        speedup_curves([*reports_of(traces[1]), *reports_of(traces[1], keep_8bit=False)], "k")
    fast, slow = (
        reports_of(
            traces[1],
            memory=MemoryConfig(
                name="m",
                dram=DramConfig(bandwidth_bytes_per_cycle=1 + latency, latency_cycles=latency),
            ),
        )
        for latency in (7, 9)
    )
    with pytest.raises(InputError, match="differ in memory"):
        speedup_curves([*fast, *slow], "k")
    with pytest.raises(InputError, match="differ in memory"):
        curves_of_bandwidth([*fast, *slow])


def test_a_case_that_is_there_twice_must_be_the_same(by_array):
    twice = [*by_array, *by_array]
    assert (
        speedup_curves(twice, "array-size").curves == speedup_curves(by_array, "array-size").curves
    )
    last = by_array[-1]
    cycles = last.layers[0].cycles.model_copy(update={"fill": last.layers[0].cycles.fill + 1})
    layers = (last.layers[0].model_copy(update={"cycles": cycles}), *last.layers[1:])
    with pytest.raises(InputError, match="two different results of sparq-exact on array 32x8"):
        speedup_curves([*by_array, last.model_copy(update={"layers": layers})], "array-size")


# The command line


@pytest.fixture(scope="module")
def made_store(traces, tmp_path_factory) -> Path:
    """A sweep over two traces, two arrays and two dataflows, with its traces, made once."""
    folder = tmp_path_factory.mktemp("space")
    paths = [folder / f"t{at}.safetensors" for at in range(2)]
    for path, trace in zip(paths, traces, strict=False):
        trace.save(path)
    axes = {
        "trace": [str(path) for path in paths],
        "pe": ["sparq-exact", "mac-8b8b", "sparq-5opt"],
        "array": ["8x8", "16x16"],
        "dataflow": ["os", "ws"],
    }
    sweep(cases_of(axes), folder / "space.sqlite", jobs=1)
    return folder / "space.sqlite"


@pytest.fixture
def store(made_store, tmp_path) -> Path:
    """The store and its traces in a folder of this test's own."""
    shutil.copytree(made_store.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / made_store.name


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("kind", "only"),
    [
        ("array-size", ["dataflow=os", "trace=T"]),
        ("k", ["dataflow=ws", "array=8x8"]),
        ("zero-fraction", ["dataflow=os", "array=16x16"]),
    ],
)
@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_a_store_is_drawn_with_its_command_twice_the_same(
    run, store, tmp_path, monkeypatch, kind, only, suffix
):
    monkeypatch.chdir(tmp_path)
    sha256 = sparqsim.load_trace("t0.safetensors").sha256
    reports, _ = load_reports([store])
    assert len(reports) == 24
    if "trace=T" in only:  # both traces are of one network, which no word tells apart
        (tmp_path / "other").mkdir()
        keep = [report for report in reports if report.provenance.trace_sha256 == sha256]
        files = [f"{at}.json" for at in range(len(keep))]
        for name, report in zip(files, keep, strict=True):
            Path(name).write_text(report.to_json())
        inputs, only = files, only[:1]
    else:
        inputs = [store.name]
    conditions = [word for condition in only for word in ("--only", condition)]
    written = []
    for at in range(2):
        (tmp_path / str(at)).mkdir()
        figure = Path(str(at), f"f.{suffix}")
        ended = run("plot", *inputs, "--kind", kind, *conditions, "-o", figure)
        assert (ended.code, ended.err) == (0, "")
        written.append(figure.read_bytes())
    assert written[0] == written[1]
    said = (
        f"made by: sparqsim plot {' '.join(inputs)} --kind {kind} {' '.join(conditions)} -o "
        f"f.{suffix}"
    )
    if suffix == "png":
        assert Image.open("0/f.png").text["Description"] == said
    else:
        assert said.encode() in written[0].replace(b"\\\n", b"")


def test_a_name_without_a_suffix_is_a_vector_figure(run, store, tmp_path):
    ended = run(
        "plot",
        store,
        "--kind",
        "k",
        "--only",
        "dataflow=os",
        "--only",
        "array=8x8",
        "-o",
        tmp_path / "figure",
    )
    assert (ended.code, ended.err) == (0, "")
    assert (tmp_path / "figure.svg").read_bytes().startswith(b"<?xml")
    assert not (tmp_path / "figure").exists()


def test_curves_of_the_current_version_hide_those_of_others(store, monkeypatch):
    import sqlite3

    with sqlite3.connect(store) as connection:
        connection.execute(
            "UPDATE points SET facts = json_set(facts, '$.sources_sha256', 'old') WHERE "
            "json_extract(facts, '$.rows') = 8"
        )
    connection.close()
    reports, _ = load_reports([store])
    assert {report.array.rows for report in reports} == {16}
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE points SET facts = json_set(facts, '$.sources_sha256', 'old')")
    connection.close()
    assert len(load_reports([store])[0]) == 24


def test_wrong_requests_are_told(refused, run, store, tmp_path, small_path):
    figure = tmp_path / "f.svg"
    assert "results differ in" in refused("plot", store, "--kind", "k", "-o", figure)
    assert "did you mean dataflow?" in refused(
        "plot", store, "--kind", "k", "--only", "dataflw=os", "-o", figure
    )
    assert "expected one of os, ws" in refused(
        "plot", store, "--kind", "k", "--only", "dataflow=is", "-o", figure
    )
    assert "expected KEY=VALUE" in refused(
        "plot", store, "--kind", "k", "--only", "os", "-o", figure
    )
    assert "--only" in refused(
        "plot", store, "--kind", "speedup", "--only", "dataflow=os", "-o", figure
    )
    assert "a store of `sparqsim sweep`" in refused(
        "plot", store, "--kind", "speedup", "-o", figure
    )
    assert "no such file" in refused("plot", tmp_path / "none.sqlite", "--kind", "k", "-o", figure)
    (tmp_path / "broken.sqlite").write_bytes(store.read_bytes()[:5000])
    assert "broken.sqlite" in refused(
        "plot", tmp_path / "broken.sqlite", "--kind", "k", "-o", figure
    )
    curves = tmp_path / "curves.json"
    options = ("--pe", "mac-8b8b,sparq-5opt", "--config", "edge", "--bandwidths", "1,2")
    assert run("bandwidth", small_path, *options, "-o", curves).code == 0
    assert "expected neither" in refused(
        "plot", curves, "--kind", "bandwidth", "--only", "pe=x", "-o", figure
    )
    assert not figure.exists()


def test_bandwidth_from_a_store(run, small_path, tmp_path):
    configs = []
    for value in (1, 8):
        configs.append(tmp_path / f"b{value}.toml")
        preset = Path(sparqsim.__file__).parent / "memory" / "presets" / "edge.toml"
        lines = preset.read_text().splitlines()
        configs[-1].write_text(
            "\n".join(
                f"bandwidth_bytes_per_cycle = {value}" if "bandwidth_bytes" in line else line
                for line in lines
            )
        )
    store = tmp_path / "b.sqlite"
    assert (
        run(
            "sweep",
            small_path,
            "--pe",
            "mac-8b8b,sparq-5opt",
            "--config",
            ",".join(map(str, configs)),
            "-o",
            store,
            "--jobs",
            1,
        ).code
        == 0
    )
    assert run("plot", store, "--kind", "bandwidth", "-o", tmp_path / "b.svg").code == 0
    assert b"DRAM bandwidth (bytes per cycle)" in (tmp_path / "b.svg").read_bytes()
