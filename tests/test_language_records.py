"""The page of language models holds the tables of its records, and the records what it says."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def tables():
    import language_tables

    return language_tables


@pytest.fixture(scope="module")
def record(tables):
    return tables.loaded("smollm2")


def test_what_is_measured_is_known_and_has_its_baseline(tables, record):
    """A record of a run that was stopped has some of the designs."""
    stories = tables.loaded("stories260k")
    for answers in (record["answers"], stories["answers"]):
        assert {"float", tables.BASELINE} <= set(answers) <= {"float", *tables.DESIGNS}
    assert set(stories["told"]) == set(tables.DESIGNS)
    for phase in record["phases"].values():
        assert set(phase["designs"]) == set(tables.DESIGNS)


def test_narrow_activations_alone_keep_twenty_decibels_more_than_both(record):
    """What the page says of a prefill: two products a cycle, and four."""
    designs = record["phases"]["prefill:64"]["designs"]
    whole = designs["mac-8b8b"]["cycles"]
    two = ("mac-w4a8", "sparq-5opt:signed=magnitude")
    four = ("mac-mxfp4", "olive-4b", "mac-4b4b")
    for name in two:
        assert round(whole / designs[name]["cycles"], 2) == 1.86
        assert 34 < designs[name]["sqnr_db"] < 36
    for name in four:
        assert whole / designs[name]["cycles"] > 3.2
        assert 6 < designs[name]["sqnr_db"] < 15
    assert designs["mac-4b4b"]["sqnr_db"] + 8 < designs["olive-4b"]["sqnr_db"]


def test_the_harder_a_design_cuts_the_less_sure_a_small_model_is(tables):
    answers = tables.loaded("stories260k")["answers"]
    order = ["float", "mac-8b8b", "sparq-5opt:signed=magnitude", "mac-w4a8", "mac-mxfp4",
             "olive-4b", "mac-4b4b"]  # fmt: skip
    found = [answers[design]["perplexity"] for design in order]
    assert found == sorted(found)


def test_windows_of_activations_cost_a_language_model_next_to_nothing_beside_8_bits(record):
    found = {name: each["perplexity"] for name, each in record["answers"].items()}
    assert found["float"] < found["mac-8b8b"] < found["sparq-5opt:signed=magnitude"]
    assert found["sparq-5opt:signed=magnitude"] < 1.05 * found["mac-8b8b"]
    assert found["mac-w4a8"] > 1.2 * found["mac-8b8b"]
