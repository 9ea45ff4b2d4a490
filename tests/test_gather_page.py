"""Gathers on the report page, and their quantization card."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import sparqsim
from sparqsim.cost.memory import load_memory
from sparqsim.engine.behind import Behind
from sparqsim.engine.gather import Asked, gather
from sparqsim.gather.lookups import Lookups, lookups_of
from sparqsim.gather.table import Table
from sparqsim.memory.accelerator import load_accelerator
from sparqsim.results.confounds import card_diff
from sparqsim.results.gather_report import GatherReport

ROWS = 20


def table() -> Table:
    values = np.random.default_rng(4).normal(size=(ROWS, 16)).astype(np.float32)
    return Table(values, "made <b>", "0" * 64, "float32")


def report(**changed) -> GatherReport:
    asked = {
        "table": table(),
        "lookups": lookups_of("zipf:1", ROWS),
        "accelerator": load_accelerator("edge"),
        "formats": ("fp32", "int4"),
        "widths": (8, 16),
        "energy": load_memory("45nm"),
    }
    return gather(Asked(**asked | changed))


@pytest.fixture(scope="module")
def drawn() -> GatherReport:
    return report()


@pytest.fixture
def page(drawn, tmp_path) -> str:
    pytest.importorskip("jinja2", reason="needs Jinja2 (extra `report`)")
    from sparqsim.html import save_page

    save_page([drawn], tmp_path / "p.html")
    return (tmp_path / "p.html").read_text(encoding="utf-8")


def rows_of(page: str, title: str) -> list[list[str]]:
    """Return the cells of the first table with this title."""
    body = page.split(f"<h3>{title}</h3>")[1].partition("</table>")[0].split("<tbody>")[1]
    return [
        [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in body.split("<tr>")[1:]
    ]


def test_the_page_holds_what_the_record_holds(drawn, page):
    shown = rows_of(page, "Bytes, bursts and look-ups")
    for cells, each in zip(shown, drawn.entries, strict=True):
        assert cells[:4] == [each.format, each.layout, str(each.width), str(each.row_bytes)]
        assert cells[-1] == f"{each.cycles:,}"
        assert cells[-2] == f"{1000 * each.lookups_per_cycle:.2f}"
    energies = rows_of(page, "Energy of a look-up, mean")
    assert [row[3] for row in energies] == [
        f"{each.energy_per_lookup_pj():,.1f}" for each in drawn.entries
    ]
    assert len(rows_of(page, r"Error: |row - as read back| / |row|")) == 4  # in no layout another
    actions = rows_of(page, "Actions that cost energy")
    assert actions[0][3:] == [
        f"{drawn.entries[0].actions[name].count:,}" for name in sorted(drawn.entries[0].actions)
    ]
    text = unescape(page)
    assert "The look-ups are SYNTHETIC: Zipf, exponent 1" in text
    assert "timeloop-accelergy-exercises" in text
    assert "<figure>" in page


def test_names_from_files_stay_text(page):
    assert "made <b>" not in page
    assert "made &lt;b&gt;" in page


def test_a_page_of_files_takes_gathers_beside_others(drawn, run, tmp_path, small_path):
    pytest.importorskip("jinja2", reason="needs Jinja2 (extra `report`)")
    drawn.save(tmp_path / "g.json")
    run("simulate", small_path, "--pe", "mac-8b8b", "-o", tmp_path / "r.json")
    given = [tmp_path / name for name in ("r.json", "g.json", "g.json")]
    ended = run("report", *given, "-o", tmp_path / "p.html")
    assert (ended.code, ended.err) == (0, "")
    assert (tmp_path / "p.html").read_text().count("<article") == 2  # twice the same counts once


def test_one_width_needs_no_figure_and_one_format_no_gain(tmp_path):
    pytest.importorskip("jinja2", reason="needs Jinja2 (extra `report`)")
    from sparqsim.html import save_page

    save_page([report(widths=(), formats=("int4",), layouts=("padded",))], tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<figure>" not in page
    assert "is looked up fastest" not in page


def test_the_card_names_formats_look_ups_memory_and_sources(drawn, run, tmp_path):
    card = sparqsim.card(drawn)
    assert card.of == "gathers"
    assert card.specs == ("fp32", "int4")
    assert card.quantisation.values == "SYNTHETIC: Zipf, exponent 1, over 20 rows, seed 0"
    assert (card.quantisation.seeds, card.quantisation.known["seeds"]) == ("0", "read")
    assert card.quantisation.weight_granularity == "per row of the table"
    assert card.quantisation.weight_quantiser is None
    assert card.hardware.clock == "500 MHz"
    assert "LPDDR4" in card.hardware.energy_source
    assert card.origin.trace_sha256 == "0" * 64
    assert card.numbers["cycles"] == "assumed"
    drawn.save(tmp_path / "g.json")
    shown = run("card", "show", tmp_path / "g.json", "--format", "json")
    assert json.loads(shown.out) == json.loads(card.to_json())
    Path(tmp_path / "card.json").write_text(shown.out)
    assert sparqsim.card(tmp_path / "card.json") == card


def test_what_gathers_differ_in_is_named(drawn):
    """Formats are compared; look-ups, channel and source of energies are confounds."""
    one = sparqsim.card(drawn)
    assert not card_diff([one, sparqsim.card(report(formats=("int8",)))]).confounds
    others = {
        "values": report(lookups=Lookups(np.arange(9), np.array([0]), "a file")),
        "memory": report(accelerator=load_accelerator("tpu-v1-like")),
        "energy_source": report(energy=load_memory("28nm")),
    }
    for fact, other in others.items():
        assert fact in {each.fact for each in card_diff([one, sparqsim.card(other)]).confounds}


def test_rows_in_another_order_are_other_look_ups():
    cards = [
        sparqsim.card(report(lookups=Lookups(np.array(rows), np.array(starts), "a file")))
        for rows, starts in (([1, 2, 3], [0]), ([3, 2, 1], [0]), ([1, 2, 3], [0, 1]))
    ]
    assert len({each.quantisation.values for each in cards}) == 3


def test_the_network_behind_is_in_the_card():
    values = np.random.default_rng(2).integers(-9, 9, (2, 16)).astype(np.int8)
    layer = sparqsim.Layer.linear("first", values, values)
    trace = sparqsim.Trace([layer], network="an MLP", provenance={"coverage": {"inputs": 2}})
    asked = Asked(
        table(), Lookups(np.arange(6), np.array([0, 3]), "a file"), load_accelerator("edge")
    )
    found = gather(asked, Behind(trace, sparqsim.ArrayConfig(4, 4)))
    card = sparqsim.card(found)
    assert card.hardware.array == "4x4"
    assert card.hardware.memory.startswith("edge, settings")
    assert card.origin.network == "made <b>, then an MLP, 20 rows of 16"
    assert card.origin.trace_sha256.endswith(trace.sha256)
    assert card.quantisation.traced_inputs == 2
    assert card.numbers["cycles"] == "measured"
