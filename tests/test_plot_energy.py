"""Energy in figures and on the page: the parts of a report's energy, of which cells, and what is
refused.
"""

from __future__ import annotations

import pytest
from test_plot import check_readable, words

import sparqsim
from sparqsim import plot
from sparqsim.base.errors import InputError
from sparqsim.plot.energy import parts_of
from sparqsim.results.comparison import Comparison
from sparqsim.results.report import Report

PES = ["mac-8b8b", "mac-4b4b", "sparq-5opt"]


@pytest.fixture(scope="module")
def metered(digits) -> Comparison:
    layers = sparqsim.Trace(digits.layers[:3], network="three layers")
    memory = sparqsim.load_accelerator("edge").memory
    return sparqsim.compare(layers, PES, memory=memory, energy="osu018")


def changed(comparison: Comparison, change) -> Comparison:
    """Return a comparison with every layer's energy and what it is of changed."""
    reports = {}
    for name, report in comparison.reports.items():
        info, layers = change(report.energy, [layer.energy_pj for layer in report.layers], name)
        new = [
            layer.model_copy(update={"energy_pj": energy})
            for layer, energy in zip(report.layers, layers, strict=True)
        ]
        reports[name] = report.model_copy(update={"energy": info, "layers": tuple(new)})
    return comparison.model_copy(update={"reports": reports})


def of_one_node(comparison: Comparison) -> Comparison:
    """As if scratchpads were of the node of the cells."""
    return changed(
        comparison,
        lambda info, energies, _: (
            info,
            [each.model_copy(update={"nodes_nm": (180.0,)}) for each in energies],
        ),
    )


def bars(figure):
    """Return the heights of the bars of each colour, from the bottom up."""
    (axes,) = figure.axes
    return [[patch.get_height() for patch in container] for container in axes.containers]


def test_parts_are_those_of_the_layers(metered):
    """Each part of every layer, added up by hand, over all products."""
    whole = of_one_node(metered)
    found = parts_of({name: r.totals.energy_pj for name, r in whole.reports.items()})
    for name, report in whole.reports.items():
        energies = [layer.energy_pj for layer in report.layers]
        macs = sum(layer.macs for layer in report.layers)
        hand = {
            part: sum(getattr(each.pe, part) for each in energies) / macs
            for part in ("switching", "internal", "clock", "leakage")
        }
        edges = [e.edge for e in energies]
        hand["edge"] = sum(e.switching + e.internal + e.clock + e.leakage for e in edges) / macs
        srams = [e.sram for e in energies]
        hand["sram"] = sum(e.activations + e.weights + e.outputs for e in srams) / macs
        hand["dram"] = sum(each.dram for each in energies) / macs
        assert found[name] == pytest.approx({part: pj for part, pj in hand.items() if pj})


def test_bars_stack_to_the_energy_of_a_mac(metered):
    for result, of_memory in ((metered, False), (of_one_node(metered), True)):
        figure = plot.plot_energy(result)
        heights = [sum(parts) for parts in zip(*bars(figure), strict=True)]
        energies = [report.totals.energy_pj for report in result.reports.values()]
        wanted = [each.per_mac if of_memory else each.array_per_mac for each in energies]
        assert heights == pytest.approx(wanted)
        assert all(f"{each:.3g}" in words(figure) for each in wanted)
        legend = {text.get_text() for text in figure.legends[0].get_texts()}
        assert ({"scratchpads", "DRAM"} <= legend) == of_memory


@pytest.mark.parametrize("width", ["column", "page"])
def test_it_says_of_what_the_figures_are(metered, width):
    figure = plot.plot_energy(metered, width=width)
    check_readable(figure)
    said = " ".join(words(figure).split())
    cells = metered.reports["mac-8b8b"].energy.cells
    for told in (cells.library, "180 nm", cells.corner, "1.8 V", "clock 10 ns", "three layers"):
        assert told in said
    assert "different nodes are not added" in said
    assert "not counted" in said.lower()


def test_designs_without_energy_are_named(metered):
    """Their reports say why: so does the figure."""
    absent = {"energy": None, "energy_absent": "it was never measured"}
    report = metered.reports["mac-4b4b"]
    layers = [each.model_copy(update={"energy_pj": None}) for each in report.layers]
    without = report.model_copy(update=absent | {"layers": tuple(layers)})
    some = metered.model_copy(update={"reports": {**metered.reports, "mac-4b4b": without}})
    figure = plot.plot_energy(some)
    assert len(bars(figure)[0]) == 2
    assert "no energy: mac-4b4b: it was never measured" in " ".join(words(figure).split())


def test_results_without_energy_are_refused(run, refused, small_path, tmp_path):
    path = tmp_path / "plain.json"
    assert run("compare", small_path, "--pe", "mac-8b8b", "-o", path).code == 0
    line = refused("plot", path, "--kind", "energy", "-o", tmp_path / "f.svg")
    assert "has no energy; expected a run with --energy" in line


def test_energies_of_different_tables_are_refused(metered):
    def other(info, energies, name):
        cells = info.cells.model_copy(update={"voltage_v": 1.1})
        return (info.model_copy(update={"cells": cells}) if name == "mac-4b4b" else info), energies

    with pytest.raises(InputError, match="different tables"):
        plot.plot_energy(changed(metered, other))


def test_the_command_draws_equal_bytes(run, metered, tmp_path):
    metered.save(tmp_path / "e.json")
    drawn = []
    for name in "ab":
        target = tmp_path / name / "f.svg"
        target.parent.mkdir()
        ended = run("plot", tmp_path / "e.json", "--kind", "energy", "-o", target)
        assert (ended.code, ended.err) == (0, "")
        drawn.append(target.read_bytes())
    assert drawn[0] == drawn[1]
    one = Report.from_json(metered.reports["mac-8b8b"].to_json())
    assert len(bars(plot.plot_energy(one))[0]) == 1


def test_the_page_has_the_table_and_the_figure(metered):
    pytest.importorskip("jinja2", reason="needs Jinja2 (extra `report`)")
    from sparqsim.html import Gathered, page_text
    from sparqsim.html.energy import energy_tables

    (table,) = energy_tables(metered)
    assert [row[0].text for row in table.rows] == PES
    for row, report in zip(table.rows, metered.reports.values(), strict=True):
        energy = report.totals.energy_pj
        assert row[1].value == energy.array_per_mac
        assert sum(cell.value for cell in row[2:7]) == pytest.approx(energy.array_per_mac)
        assert row[9].text == "\N{EN DASH}", "no total of two nodes"
    text = page_text(Gathered.of([metered]))
    assert "Energy by part" in text
    assert table.title in text
    assert "osu018" in text
    plain = sparqsim.compare(sparqsim.Trace([sparqsim.Layer.from_gemm("g", *_operands())]), PES)
    assert not list(energy_tables(plain))
    assert "Energy by part" not in page_text(Gathered.of([plain]))


def _operands():
    import numpy as np

    return np.ones((4, 8), np.uint8), np.ones((8, 4), np.int8)
