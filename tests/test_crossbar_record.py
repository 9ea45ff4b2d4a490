"""The page of crossbars holds the tables of its record, and the record what the page says."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median

import pytest


@pytest.fixture(scope="module")
def tables():
    import crossbar_tables

    return crossbar_tables


@pytest.fixture(scope="module")
def record(tables):
    return tables.loaded()


def uniform(tables, record):
    return [tables.row_of(record, f"reram:adc_bits={bits}") for bits in range(3, 9)]


def test_sqnr_never_falls_with_bits_in_any_layer(tables, record):
    for fewer, more in pairwise(uniform(tables, record)):
        levels = zip(tables.levels(fewer), tables.levels(more), strict=True)
        assert all(one <= other for one, other in levels)


def test_more_bits_of_one_slice_alone_can_lose_more(tables, record):
    """Not a law, but what happened: else the page says too much."""
    first_of_one, all_of_three = (
        tables.levels(tables.row_of(record, f"reram:adc_bits={bits}")) for bits in ("1/3/3/3", 3)
    )
    assert median(all_of_three) < median(first_of_one)


def test_bits_found_on_some_pictures_lose_little_on_others(tables, record):
    exact, found = (tables.row_of(record, pe) for pe in ("mac-8b8b", "reram"))
    assert min(tables.levels(found)) > 40
    assert (found["top1"], found["agree"]) == (exact["top1"], exact["agree"])


def test_cycles_follow_bits(tables, record):
    """Layers of 16 columns and more convert longer than they read, from 1 bit on."""
    rows = uniform(tables, record)
    cycles = [row["cycles"] for row in rows]
    assert cycles == sorted(cycles)
    assert cycles[-1] == pytest.approx(cycles[0] * 8 / 3, rel=0.01)
    headline = tables.row_of(record, "reram:adc_bits=1/3/3/3")
    # The slowest slice of a block decides, so one bit less for the first one saves no cycle.
    assert headline["cycles"] == cycles[0]
    assert headline["nj"] < rows[0]["nj"]


def test_the_headline_needs_its_training(tables, record):
    exact = tables.row_of(record, "mac-8b8b")
    headline = tables.row_of(record, "reram:adc_bits=1/3/3/3")
    assert headline["top1"] < exact["top1"] / 2
    assert max(tables.levels(headline)) < 15


def test_eight_bits_lose_nothing(tables, record):
    exact, eight = (tables.row_of(record, pe) for pe in ("mac-8b8b", "reram:adc_bits=8"))
    assert min(tables.levels(eight)) == math.inf
    assert (eight["top1"], eight["agree"]) == (exact["top1"], exact["agree"])


def test_lossless_bits_are_no_more_than_those_of_any_input(tables, record):
    """K is cut into tiles in another order here, channel innermost, so a bit more may be needed."""
    found = tables.row_of(record, "reram")["found"]
    assert list(found) == record["layers"]
    for keys in found.values():
        bits = [int(each) for each in keys.removeprefix("adc_bits=").split("/")]
        bits = bits * 4 if len(bits) == 1 else bits
        of_any_input = record["column_sums"][1]["bits"]
        assert all(one <= most + 1 for one, most in zip(bits, of_any_input, strict=True))


def test_a_bound_is_kept_where_bits_were_found_and_nearly_elsewhere(tables, record):
    for bound in (20, 30):
        levels = tables.levels(tables.row_of(record, f"reram:sqnr_db={bound}"))
        assert min(levels) > bound - 3


def test_fewer_decibels_take_fewer_bits(tables, record):
    rows = [
        tables.row_of(record, spec) for spec in ("reram:sqnr_db=20", "reram:sqnr_db=30", "reram")
    ]
    for less, more in pairwise(rows):
        assert less["mean_bits"] < more["mean_bits"]
        assert less["nj"] < more["nj"]
        assert less["cycles"] <= more["cycles"]


def test_column_sums_are_the_reference(record):
    of_source, of_trace = record["column_sums"]
    assert of_source["largest"] == [35, 135, 163, 161]
    assert of_source["bits"] == [6, 8, 8, 8]
    assert of_source["zeros_percent"] == pytest.approx([91.7, 47.7, 31.6, 27.2], abs=0.05)
    assert of_source["percentile99"] == pytest.approx([22, 103, 127, 134], abs=1)
    assert of_trace["largest"] == [8, 95, 147, 154]


@pytest.fixture(scope="module")
def trained(tables):
    return tables.loaded(tables.TRAINING)


WITHOUT, WITH = "without the penalty", "with bit-slice L1"


def test_training_makes_sums_smaller_and_lossless_converters_faster(tables, trained):
    needs = trained["column_sums"]
    for less, more in zip(
        needs[WITH]["mean_adc_bits"], needs[WITHOUT]["mean_adc_bits"], strict=True
    ):
        assert less < more
    small, large = (tables.row_of(trained, "reram", weights) for weights in (WITH, WITHOUT))
    assert small["cycles"] < 0.9 * large["cycles"]
    assert small["mean_bits"] < large["mean_bits"]
    for bits in range(3, 7):
        spec = f"reram:adc_bits={bits}"
        found, plain = (tables.levels(tables.row_of(trained, spec, w)) for w in (WITH, WITHOUT))
        assert median(found) > median(plain)


def test_the_headline_s_bits_lose_the_trained_network_too(tables, trained):
    """Else the page says too little."""
    right = {row["pe"]: row["top1"] for row in trained["rows"] if row["weights"] == WITH}
    assert right["reram:adc_bits=1/3/3/3"] < 0.2 * right["mac-8b8b"]
    assert right["reram:adc_bits=5"] >= right["mac-8b8b"] - 1
    assert right["reram"] == right["mac-8b8b"]


def test_a_bit_more_of_all_slices_never_has_a_lower_sqnr_in_trained_layers(tables, trained):
    for weights in (WITH, WITHOUT):
        rows = [tables.row_of(trained, f"reram:adc_bits={bits}", weights) for bits in range(3, 7)]
        for fewer, more in pairwise(rows):
            levels = zip(tables.levels(fewer), tables.levels(more), strict=True)
            assert all(one <= other for one, other in levels)
