"""docs/costs.md holds the tables of its records, and the records what follows from each other."""

from __future__ import annotations

import pytest
from page_tables import TABLE

import sparqsim


@pytest.fixture(scope="module")
def tables():
    import cost_tables

    return cost_tables


@pytest.fixture(scope="module")
def records(tables):
    return {path.stem: tables.loaded(path.stem) for path in sorted(tables.FOLDER.glob("*.json"))}


def test_the_page_shows_every_record(tables, records):
    tables_shown = TABLE.finditer(tables.PAGE.read_text(encoding="utf-8"))
    shown = {match[2].split("_")[1] for match in tables_shown}
    assert shown == set(records) >= {"digits"}


def test_answers_follow_from_each_other(tables, records):
    """Per area: over the area; own clocks: times the baseline's period over the design's."""
    for record in records.values():
        baseline = tables.row_of(record, tables.BASELINE)
        assert len(record["rows"]) == 7
        for row in record["rows"]:
            speedup = baseline["cycles"] / row["cycles"]
            faster_clock = baseline["shortest_period_ns"] / row["shortest_period_ns"]
            assert row["speedup"] == pytest.approx(speedup)
            assert row["speedup_in_time"] == pytest.approx(speedup * faster_clock)
            assert row["time_us"] == pytest.approx(row["cycles"] * row["shortest_period_ns"] / 1e3)
            per_area = [speedup / area for area in reversed(row["pe_area"])]
            assert row["speedup_per_area"] == pytest.approx(per_area)
            timed = [gain * faster_clock for gain in per_area]
            assert row["speedup_per_area_own_clock"] == pytest.approx(timed)


def test_random_operands_cost_the_exact_array_more(tables, records):
    for record in records.values():
        row = tables.row_of(record, "mac-8b8b")
        assert tables.energy(row, "random") > tables.energy(row, "real")


def test_random_operands_are_kinder_to_sparq(tables, records):
    """Zeros of real operands silence an 8-bit multiplier already: what `sparq-5opt` saves over it
    is no more on them; on the shipped trace less.
    """
    saved = {}
    for name, record in records.items():
        row = tables.row_of(record, "sparq-5opt")
        saved[name] = [tables.saving(record, row, each) for each in ("real", "random")]
        assert 0 < saved[name][0] <= saved[name][1] + 1
    assert saved["digits"][0] < saved["digits"][1] - 1


def test_energies_that_are_not_known_say_why(tables, records):
    for record in records.values():
        absent = {row["pe"] for row in record["rows"] if not tables.has_energy(row)}
        assert absent == set(record["energies"]["absent"])
    assert not records["digits"]["energies"]["absent"]


def test_the_record_is_of_the_shipped_trace(tables, records, digits):
    """Cycles, areas, clocks and the energy of two designs, measured again."""
    pes = ["mac-8b8b", "sparq-5opt"]
    found = sparqsim.compare(digits, pes, iso="area", clock="own", energy="osu018")
    for pe in pes:
        row, iso = tables.row_of(records["digits"], pe), found.iso_area.designs[pe]
        area = iso.relative_pe_area["mac-8b8b"]
        assert row["cycles"] == found.reports[pe].cycles.total
        assert row["pe_area"] == [area.low, area.middle, area.high]
        assert row["shortest_period_ns"] == found.clock.designs[pe].shortest_period_ns
        energy = found.reports[pe].totals.energy_pj
        assert tables.energy(row, "real") == pytest.approx(energy.array_per_mac)
