"""The page of ResNet-20's bits holds the tables of its record, and the record what the page says."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def tables():
    import search_tables

    return search_tables


@pytest.fixture(scope="module")
def record(tables) -> dict[str, Any]:
    return tables.loaded()


@pytest.fixture(scope="module")
def searches(record) -> list[dict[str, Any]]:
    return list(record["searches"].values())


def test_no_picture_both_finds_scales_and_answers(record):
    about = record["about"]
    answering = about["pictures"] + record["unseen_pictures"]
    assert about["calibration_pictures"] + answering <= 500


def dominates(one: dict[str, Any], other: dict[str, Any]) -> bool:
    pair = [(each["agree"], -each["cost"]) for each in (one, other)]
    return pair[0] != pair[1] and all(a >= b for a, b in zip(*pair, strict=True))


def test_no_front_is_dominated_by_uniform_bits(searches):
    for found in searches:
        assert len(found["uniform"]) == 5
        for point in found["front"]:
            assert not any(dominates(uniform, point) for uniform in found["uniform"])


def test_budgets_are_kept_and_no_uniform_bits_within_them_answer_better(searches):
    for found in searches:
        if found["budget"] is None:
            assert found["method"] == "hago-greedy"
            continue
        assert found["chosen"]["cost"] <= found["budget"]
        within = [each for each in found["uniform"] if each["cost"] <= found["budget"]]
        assert all(found["chosen"]["agree"] >= each["agree"] for each in within)


def test_trials_of_single_edges_are_among_those_of_methods_that_look_at_edges(record):
    for method in ("separable", "by-sensitivity"):
        assert record["searches"][method]["trials"] > 36 * 4


def test_the_figures_that_the_page_names(record):
    searches, pictures = record["searches"], record["about"]["pictures"]
    assert pictures == 100
    five = next(each for each in searches["separable"]["uniform"] if set(each["bits"]) == {5})
    assert searches["separable"]["chosen"] == five
    assert five["agree"] == 98
    limit = searches["separable"]["uniform"][0]["cycles"]
    assert round(100 * five["cycles"] / limit) == 43
    mixed = [each for each in searches["separable"]["front"] if len(set(each["bits"])) > 1]
    assert max(each["agree"] for each in mixed) == 96
    chosen = searches["by-sensitivity"]["chosen"]
    assert chosen["agree"] == 99
    assert round(100 * chosen["cycles"] / limit) == 50
    assert abs(chosen["unseen_agree"] - five["unseen_agree"]) == 1


def test_what_the_page_says_of_the_other_two_methods(record):
    searches = record["searches"]
    eight, seven, _, five, _ = searches["separable"]["uniform"]
    limit, names = eight["cycles"], ("agree", "unseen_agree")
    greedy, drawn = (searches[name]["chosen"] for name in ("hago-greedy", "tpe:trials=100"))
    assert [greedy[name] for name in names] == [100, 193]
    assert greedy["bits"].count(8) == 22
    assert len(greedy["bits"]) == 36
    assert [seven[name] for name in names] == [100, 197]
    assert [round(100 * each["cycles"] / limit) for each in (greedy, seven)] == [80, 78]
    assert searches["tpe:trials=100"]["seed"] == 0
    assert searches["tpe:trials=100"]["measured_here"] == 104
    assert [drawn[name] for name in names] == [100, 195]
    assert five["unseen_agree"] == 194
    assert searches["by-sensitivity"]["chosen"]["unseen_agree"] == 195
    assert round(100 * drawn["cycles"] / limit) == 40
    assert round(100 - 100 * drawn["cycles"] / five["cycles"]) == 7


def test_the_front_of_all_is_beaten_by_none_of_them(record, tables):
    front = tables.front_of_all(record)
    points = [each for found in record["searches"].values() for each in found["front"]]
    assert not any(dominates(one, other) for one in points for other in front)
