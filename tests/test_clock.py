"""Clocks of a comparison: each figure against the timing table read plainly, and what is refused."""

from __future__ import annotations

import csv
import html
import io
import json

import pytest

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.results.comparison import Comparison
from sparqsim.results.loading import as_comparison
from sparqsim.rtl.timing import TABLE

PES = ["mac-8b8b", "mac-4b8b", "sparq-5opt", "laconic"]


def shortest_ns(name):
    """Return the longer one of PE and edge, each the shortest of all flows; from the file."""
    rows = json.loads(TABLE.read_text())["rows"]
    parts = [
        min(row[part][name]["period_ns"] for row in rows)
        for part in ("pe", "edge")
        if name in rows[0][part]
    ]
    return max(parts)


@pytest.fixture
def compared(small_trace):
    def run(clock, **setting):
        return sparqsim.compare(
            small_trace, PES, sparqsim.ArrayConfig(4, 5), clock=clock, **setting
        )

    return run


@pytest.mark.parametrize("clock", ["equal", "own"])
def test_periods_and_times(compared, clock):
    both = compared(clock)
    timed = ["mac-8b8b", "mac-4b8b", "sparq-5opt"]
    assert list(both.clock.designs) == timed
    slowest = max(shortest_ns(name) for name in timed)
    assert both.clock.slowest == "sparq-5opt"
    for name, design in both.clock.designs.items():
        assert design.timed_as == name
        assert design.shortest_period_ns == shortest_ns(name)
        assert design.period_ns == (slowest if clock == "equal" else shortest_ns(name))
        cycles = both.reports[name].cycles.total
        assert design.cycles == cycles
        assert design.time_us == cycles * design.period_ns / 1000
        base = both.reports["mac-8b8b"].cycles.total * both.clock.designs["mac-8b8b"].period_ns
        assert design.speedup == pytest.approx(base / (cycles * design.period_ns), rel=1e-12)
        if clock == "equal":
            assert design.speedup == both.speedup(name)
    assert set(both.clock.without_period) == {"laconic"}
    assert "has no 'laconic'" in both.clock.without_period["laconic"]


def test_without_a_clock_nothing_is_told_and_nothing_moves(compared):
    plain, timed = compared(None), compared("own")
    assert plain.clock is None
    told, untold = json.loads(timed.to_json()), json.loads(plain.to_json())
    assert "clock" not in untold
    del told["clock"]
    card, plain_card = told.pop("card"), untold.pop("card")
    assert told == untold
    assert card["numbers"].pop("time") == card["hardware"]["known"].pop("clock") == "read"
    assert plain_card["hardware"]["known"].pop("clock") == "assumed"
    assert card["hardware"].pop("clock") != plain_card["hardware"].pop("clock")
    assert card == plain_card
    assert "period_ns" not in plain.flat_rows()[0]


def test_time_at_equal_area_is_speedup_there_times_the_ratio_of_periods(compared):
    both = compared("own", iso="area")
    for name, design in both.clock.designs.items():
        ratio = shortest_ns("mac-8b8b") / shortest_ns(name)
        iso = both.iso_area.designs[name]
        for end in ("low", "middle", "high"):
            for figure in ("speedup", "speedup_per_area"):
                found = getattr(getattr(design.equal_area, figure), end)
                assert found == getattr(getattr(iso, figure), end) * ratio
    assert compared("own").clock.designs["sparq-5opt"].equal_area is None


def test_it_survives_its_file_and_a_tampered_one_is_refused(compared):
    both = compared("own", iso="area")
    assert Comparison.from_json(both.to_json(), "c.json") == both
    assert as_comparison([both]) == both
    assert as_comparison([both], "sparq-5opt").clock is None
    for spoil in (
        lambda designs: designs["sparq-5opt"].update(cycles=designs["sparq-5opt"]["cycles"] + 1),
        lambda designs: designs["sparq-5opt"].update(period_ns=1.0),
        lambda designs: designs["mac-4b8b"].update(baseline_period_ns=7.0),
        lambda designs: designs["mac-4b8b"]["equal_area"]["speedup"].update(high=99.0),
        lambda designs: designs["mac-4b8b"].pop("equal_area"),
        lambda designs: designs.pop("mac-8b8b"),
    ):
        document = json.loads(both.to_json())
        spoil(document["clock"]["designs"])
        with pytest.raises(InputError, match=r"c\.json"):
            Comparison.from_json(json.dumps(document), "c.json")


def test_columns_of_every_layer_and_the_total(small_path, run):
    shown = run(
        "compare", small_path, "--pe", "sparq-5opt,laconic", "--clock", "own", "--format", "csv"
    )
    assert shown.code == 0
    for row in csv.DictReader(io.StringIO(shown.out)):
        if row["pe"] == "laconic":
            assert row["period_ns"] == row["time_us"] == row["speedup_in_time"] == ""
            continue
        period_ns = shortest_ns(row["pe"])
        assert float(row["period_ns"]) == period_ns
        assert float(row["time_us"]) == int(row["cycles_total"]) * period_ns / 1000
        ratio = shortest_ns("mac-8b8b") / period_ns
        assert float(row["speedup_in_time"]) == pytest.approx(float(row["speedup"]) * ratio)


def test_tables_say_what_was_timed(small_path, run):
    both = ("compare", small_path, "--pe", "sparq-5opt,laconic", "--iso", "area")
    told = " ".join(run(*both, "--clock", "own").out.split())
    for words in (
        "Time at each design's own clock",
        "PEs and edge units of lockstep os arrays",
        "osu018_stdcells.lib",
        "no paper's figures",
        f"Slowest: sparq-5opt, {shortest_ns('sparq-5opt'):.3f} ns",
        "No period: laconic: the timing table has no 'laconic'",
    ):
        assert words in told, words
    told = " ".join(run(*both, "--clock", "equal").out.split())
    assert "Time at one clock for all" in told
    told = " ".join(run(*both).out.split())
    assert (
        f"One clock for all. The slowest, sparq-5opt, needs {shortest_ns('sparq-5opt'):.3f} ns"
        in (told)
    )
    told = " ".join(run(*both, "--clock", "own", "--config", "edge").out.split())
    assert "Memory moves bytes per cycle" in told


@pytest.mark.usefixtures("no_figures")
def test_the_page_has_the_clocks_and_what_each_number_means(compared, tmp_path):
    pytest.importorskip("jinja2")
    from sparqsim.html.page import save_page

    def text(result):
        save_page([result], tmp_path / "page.html")
        return html.unescape((tmp_path / "page.html").read_text())

    timed = text(compared("own", iso="area"))
    assert "Time at each design's own clock, over mac-8b8b" in timed
    assert "The longer one of its PE's and its edge unit's" in timed
    assert "what is gained per area and second" in timed
    assert "Time at" not in text(compared(None))


def _figures_on_the_page(root):
    """Return the rows of the page's checked tables: design, and the figures behind it."""
    text = (root / "docs" / "how-to" / "clock.md").read_text()
    for table in text.split("<!-- checked by tests/test_clock.py -->\n")[1:]:
        lines = table.partition("\n\n")[0].splitlines()[2:]
        yield [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines]


def _told(figure):
    return f"{figure.middle:.2f} ({figure.low:.2f}-{figure.high:.2f})"


def test_the_page_on_clocks_tells_what_is_measured(root, digits):
    for rows in _figures_on_the_page(root):
        names = [row[0] for row in rows]
        iso = "area" if len(rows[0]) > 4 else None
        both = sparqsim.compare(digits, names, baseline=names[0], iso=iso, clock="own")
        for name, *figures in rows:
            design = both.clock.designs[name]
            expected = [
                f"{design.shortest_period_ns:.3f}",
                f"{both.speedup(name):.2f}",
                f"{design.speedup:.2f}",
            ]
            if iso:
                per_area = both.iso_area.designs[name].speedup_per_area
                expected += [_told(per_area), _told(design.equal_area.speedup_per_area)]
            assert figures == expected, name


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--clock", "fast"], "clock='fast': expected one of equal, own"),
        (["--clock", "own", "--coupling", "broadcast"], "coupling='broadcast' has no clock period"),
        (["--clock", "own", "--baseline", "laconic"], "baseline 'laconic' has no clock period"),
    ],
)
def test_what_has_no_clock_is_refused(options, told, small_path, refused):
    assert told in refused("compare", small_path, "--pe", "mac-8b8b", *options)


def test_what_is_no_single_circuit_has_no_period(small_trace, tmp_path):
    file = tmp_path / "mixed.toml"
    file.write_text(
        'name = "mixed"\ndefault = "mac-8b8b"\n[[layers]]\nmatch = "gemm"\npe = "sparq-5opt"\n'
    )
    designs = ["mac-8b8b", f"@{file}", "stripes:lanes=4"]
    both = sparqsim.compare(small_trace, designs, clock="own")
    told = list(both.clock.without_period.values())
    assert "has a circuit for each layer (mac-8b8b, sparq-5opt)" in told[0]
    assert "these make another circuit" in told[1]
