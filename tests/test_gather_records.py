"""The page of gathers holds the tables of its records, and the records what the page says."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest

import sparqsim
from sparqsim.gather.lookups import lookups_of
from sparqsim.results.gather_report import GatherReport


@pytest.fixture(scope="module")
def tables():
    import gather_tables

    return gather_tables


@pytest.fixture(scope="module")
def text(tables):
    return GatherReport.load(tables.TEXT)


@pytest.fixture(scope="module")
def behind(tables):
    return GatherReport.load(tables.BEHIND)


def test_64_elements_take_4_2_and_1_bursts(text):
    """4 times fewer, where bytes are 7.1 times fewer."""
    found = {name: text.entry(name, "padded", 64) for name in ("fp32", "int8", "int4")}
    assert {name: each.bursts_per_lookup for name, each in found.items()} == {
        "fp32": 4, "int8": 2, "int4": 1,
    }  # fmt: skip
    assert round(found["fp32"].row_bytes / found["int4"].row_bytes, 1) == 7.1
    assert text.entry("fp32", "padded", 16).bursts_per_lookup == 1


def test_tables_of_4_bits_are_an_eighth_and_one_over_d(text, tables):
    for width in tables.WIDTHS:
        packed = text.entry("int4", "packed", width)
        assert text.share_of_reference(packed) == 0.125 + 1 / width


def test_no_rate_is_above_its_bound_and_the_channel_is_nearly_full(text, tables):
    for name, width in product(tables.FORMATS, tables.WIDTHS):
        each = text.entry(name, "padded", width)
        assert 0.99 < each.lookups_per_cycle / each.bounds.tightest[1] <= 1


def test_formats_lose_in_their_order_at_every_width(text, tables):
    order = ("fp16", "int8", "codebook4", "int4", "int4:search=none")
    for width in tables.WIDTHS:
        errors = [text.entry(name, "padded", width).errors for name in order]
        assert [each.mean for each in errors] == sorted(each.mean for each in errors)
        assert errors[3].worst <= errors[4].worst
    assert text.lookups.synthetic == ""
    assert (text.table.rows, text.table.name) == (32_000, "wordllama")


def test_drawn_lookups_are_ten_million_and_say_that_they_are_drawn(tables):
    drawn = GatherReport.load(tables.ZIPF)
    assert drawn.lookups.lookups == 10_000_000
    assert drawn.lookups.synthetic.startswith("Zipf, exponent 1.05")
    # What misses cost is hidden where a row has many bursts, and less where it has few.
    kept = [
        each.lookups_per_cycle / each.bounds.tightest[1]
        for name in ("fp32", "fp16", "int8", "int4")
        if (each := drawn.entry(name, "padded"))
    ]
    assert kept == sorted(kept, reverse=True)


def test_4_bits_keep_the_answers_and_gain_what_bursts_allow(tables, behind):
    record = tables.answers()
    right = {name: told["right"] for name, told in record["answers"].items()}
    assert all(abs(right[name] - right["fp32"]) <= 0.01 * record["unseen"] for name in right)
    assert record["answers"]["int4"]["agree"] > record["answers"]["int4:search=none"]["agree"]
    whole, small = (behind.entry(name, "padded") for name in ("fp32", "int4"))
    gain = whole.cycles / small.cycles
    assert 5.2 < gain < 16 / 3 < whole.row_bytes / small.row_bytes
    assert tables.both(behind, whole) / tables.both(behind, small) < gain


def test_the_network_behind_is_the_one_that_ships(behind, root):
    trace = sparqsim.load_trace(root / "workloads" / "pages_mlp.safetensors")
    assert behind.mlp.trace_sha256 == trace.sha256
    assert (behind.mlp.inputs, behind.mlp.bags_per_input) == (64, 1)


def test_records_are_of_the_text_and_the_lines_that_are_pinned(tables, text, behind):
    """Pages change; what was looked up for the records does not."""
    bags, page, pages = tables.pinned_lines()
    record = tables.answers()
    assert record["lookups_sha256"] == tables.lookups(bags, "lines").sha256
    assert (record["lines"], record["pages"]) == (len(bags), len(pages))
    assert set(page.tolist()) == set(range(len(pages)))
    unseen = np.arange(len(bags)) % 4 == 0
    assert record["unseen"] == unseen.sum()
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(unseen))[:64]
    assert tables.lookups([bags[at] for at in chosen], "").sha256 == behind.lookups.sha256
    pytest.importorskip("tokenizers", reason="extra 'gather' is not installed")
    if find_spec("wordllama") is None:
        pytest.skip("extra 'gather' is not installed")
    assert lookups_of(f"text:{tables.PINNED_TEXT}", 32_000).sha256 == text.lookups.sha256
