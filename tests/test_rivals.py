"""The pages of docs/rivals hold the tables of their records, and the records what the pages say."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise, product
from statistics import median

import pytest
from page_tables import TABLE

from sparqsim.results.accuracy_report import AccuracyReport, Trial


@pytest.fixture(scope="module")
def tables():
    import rivals_tables

    return rivals_tables


@pytest.fixture(scope="module", params=["resnet20", "resnet18"])
def record(request, tables):
    return tables.loaded(request.param)


def of(tables, record, pe, key, bits):
    return [tables.row_of(record, pe, each)[key] for each in bits]


def never_above(lower, higher):
    return all(one <= other for one, other in zip(lower, higher, strict=True))


def test_pages_show_every_record(tables):
    pages = [page.read_text(encoding="utf-8") for page in tables.pages()]
    found = defaultdict(set)
    for page in pages:
        for match in TABLE.finditer(page):
            kind, of_what = match[2].split("_")
            found[kind].add(of_what)
    assert found.pop("olive") == set(tables.olive_tables.TABLES)
    assert set().union(*found.values()) == {path.stem for path in tables.FOLDER.glob("*.json")}


def test_fewer_bits_lose_more(tables, record):
    rows = [tables.levels(tables.row_of(record, "bitfusion", bits)) for bits in tables.BITS]
    assert all(level == math.inf for level in rows[0])
    for more, fewer in pairwise(rows):
        assert never_above(fewer, more)


def test_answers_at_eight_bits_are_those_of_the_exact_array(tables, record):
    exact = tables.row_of(record, "mac-8b8b")
    for pe in tables.BIT_DESIGNS:
        row = tables.row_of(record, pe, 8)
        assert (row["top1"], row["agree"]) == (exact["top1"], exact["agree"])


def test_answers_are_those_of_the_accuracy_record(tables, record, root):
    stem = record["network"].lower().replace("-", "")
    report = AccuracyReport.load(root / "docs" / "accuracy" / f"{stem}.json")
    rows = {row.trial: row.hits for row in report.rows}
    for pe in tables.YARDSTICKS:
        row, hits = tables.row_of(record, pe), rows[Trial(pe)]
        assert (row["top1"], row["agree"]) == (hits.top1, hits.agree)


def test_a_bit_less_saves_the_same_cycles(tables, record):
    """`serial-w`: a cycle per streamed step and bit, in every layer; `stripes` saves none."""
    cycles = of(tables, record, "serial-w", "cycles_of_layers", tables.BITS)
    saved = [[more - fewer for more, fewer in zip(*pair, strict=True)] for pair in pairwise(cycles)]
    assert all(each == saved[0] and min(each) > 0 for each in saved)
    assert len(set(of(tables, record, "stripes", "cycles", tables.BITS))) == 1
    assert len(set(of(tables, record, "bitfusion", "cycles", (8, 7, 6, 5)))) == 1
    assert len(set(of(tables, record, "bitfusion", "cycles", (4, 3)))) == 1
    # 8, 4 and 2 bits of weights, activations of 8: 1, 2 and 4 lanes.
    assert sorted(of(tables, record, "bitfusion", "cycles", (8, 4, 2)), reverse=True) == of(
        tables, record, "bitfusion", "cycles", (8, 4, 2)
    )


def test_fused_bits_never_gain_more_than_serial_ones(tables, record):
    """What streams halves from 8 to 4 and from 4 to 2 bits, in every layer; what does not, stays."""
    layers = of(tables, record, "bitfusion", "cycles_of_layers", (8, 4, 2))
    for eight, four, two in zip(*layers, strict=True):
        assert eight - four == 2 * (four - two) > 0
    assert tables.gap(record, 8) == 1
    assert all(tables.gap(record, bits) > 1 for bits in tables.BITS[1:])
    for bits in (7, 6, 5):  # still 8 to the fused lanes
        assert tables.gap(record, bits) == pytest.approx(8 / bits, rel=0.05)


def test_more_shifts_lose_less_and_cost_the_same_cycles(tables, record):
    """One cycle per streamed step and shift; positions cost none."""
    rows = [tables.row_of(record, pe) for pe in tables.SHIFTS[:3]]
    for fewer, more in pairwise(map(tables.levels, rows)):
        assert all(one < other for one, other in zip(fewer, more, strict=True))
    two, three, four = (row["cycles_of_layers"] for row in rows)
    for least, middle, most in zip(two, three, four, strict=True):
        assert middle - least == most - middle > 0
    consecutive = tables.row_of(record, "swis:consecutive=on")
    free, bound = tables.levels(rows[1]), tables.levels(consecutive)
    assert median(free) > median(bound)
    assert sum(one > other for one, other in zip(free, bound, strict=True)) >= 0.9 * len(free)
    assert consecutive["cycles"] == rows[1]["cycles"]
    narrow = tables.levels(tables.row_of(record, "mac-4b4b"))
    assert never_above(narrow, tables.levels(rows[2]))


def test_equal_area_is_that_of_circuits_that_were_synthesised(tables, record):
    """No circuit, no figure: `-`."""
    without = {"serial-w", "swis:shifts=2", "swis:shifts=4"}
    for row in record["rows"]:
        found = row.get("equal_area")
        if row["pe"] in without:
            assert found is None
        elif found is not None:
            least, middle, greatest = found["speedup"]
            assert 0 < least <= middle <= greatest
            exact = tables.row_of(record, "mac-8b8b")["cycles"]
            assert middle == pytest.approx(exact / found["cycles"])
    with_area = {row["pe"] for row in record["rows"] if "equal_area" in row}
    assert with_area >= {*tables.YARDSTICKS, "swis", "bitfusion", "stripes", "loom"}


def test_sparq_answers_better_than_olive_after_relu():
    """What docs/rivals/olive.md says: with weights of 8 bits and with those of 4."""
    import recipe_tables

    for network in ("resnet20", "squeezenet"):
        record = recipe_tables.loaded(network)
        olive = recipe_tables.row_of(record, "olive", "olive-4b")
        for recipe, pe in product(("a8w8", "a4w4"), ("sparq-5opt", "sparq-3opt", "sparq-2opt")):
            sparq = recipe_tables.row_of(record, recipe, pe)
            assert sparq["top1"] > olive["top1"]
            assert sparq["agree"] > olive["agree"]


def test_sparq_is_as_sure_as_8_bits_on_language_models_and_olive_is_not():
    import language_tables

    found = language_tables.loaded("stories260k")["answers"]
    exact, sparq, olive, plain = (
        found[name]["perplexity"]
        for name in ("mac-8b8b", "sparq-5opt:signed=magnitude", "olive-4b", "mac-4b4b")
    )
    assert sparq < 1.05 * exact
    assert 7 * sparq < olive < plain
