"""Short names of layers: different names stay different, within their width, and what is left out
is said once.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib", reason="needs matplotlib (extra `plot`)")

from sparqsim.plot.layer_names import LayerNames, common_prefix, shortened

BERT = [
    f"bert.encoder.layer.{at}.{part}"
    for at in range(12)
    for part in ("attention.self.query", "attention.output.dense", "intermediate.dense")
]
PARTS = st.sampled_from(["layer", "0", "1", "10", "attention", "conv", "é", "#1", "total", "*", ""])
COMPONENTS = st.lists(PARTS, min_size=1, max_size=9)
DOTTED = st.builds(
    lambda parts, separator: separator.join(parts), COMPONENTS, st.sampled_from("./")
)
NAMES = st.lists(
    st.one_of(DOTTED, st.text(min_size=1, max_size=60)), min_size=1, max_size=30, unique=True
)


@given(NAMES, st.integers(12, 40), st.data())
def test_different_names_give_different_labels_within_the_width(names, longest, data):
    marks = [data.draw(st.sampled_from(["", "*"])) for _ in names]
    short = LayerNames.of(names, longest, marks=marks, taken=["total"])
    assert len({*short.labels, "total"}) == len(names) + 1
    for label, mark in zip(short.labels, marks, strict=True):
        assert label.endswith(mark)
        assert len(label) <= longest + len(mark)
    assert all(name.startswith(short.prefix) for name in names)


@given(st.text("ab漢字レ", min_size=1, max_size=12), st.integers(12, 24))
def test_an_escape_is_not_cut(name, longest):
    escaped = "".join(c if c.isascii() else ascii(c)[1:-1] for c in name)
    short = shortened(escaped, longest)
    assert len(short) <= longest
    for part in short.split("…"):
        assert re.fullmatch(r"(?:[ab]|\\u[0-9a-f]{4})*", part)


@given(NAMES)
def test_without_a_width_a_label_is_its_name_but_for_what_all_share(names):
    short = LayerNames.of(names)
    assert [short.prefix + label for label in short.labels] == names


def test_the_common_prefix_is_whole_components_and_leaves_each_name_something():
    assert common_prefix(["a.b.c", "a.b.d"]) == "a.b."
    assert common_prefix(["layer1.0", "layer10.0"]) == ""
    assert common_prefix(["a.", "a.b"]) == ""
    assert common_prefix(["/features/0/Conv", "/features/10/Conv"]) == "/features/"
    assert common_prefix(["alone.in.the.network"]) == ""


def test_numbers_stay_whole_where_long_words_are_cut():
    short = LayerNames.of(BERT, 18)
    assert short.prefix == "bert.encoder.layer."
    for name, label in zip(BERT, short.labels, strict=True):
        assert label.split(".")[0] == name.split(".")[3]
    assert short.left_out_text() == (
        f"names begin with bert.encoder.layer.; words cut after {short.letters} letters"
    )
    assert "0.attent.self.query" not in short.labels  # 19 letters
    assert LayerNames.of(["a", "b"]).left_out_text() == ""


def test_names_that_no_cut_tells_apart_get_their_number():
    same = "x" * 40
    names = [f"{same}{letter}{same}" for letter in "abc"]
    assert [label[:3] for label in LayerNames.of(names, 20).labels] == ["#1 ", "#2 ", "#3 "]
