"""Window placement: against the fingerprints of the method, and the two forms against each other.

The sums and digests are facts of the published rule: SHA-256 (first 12 hex digits) of the 256
values used for x = 0..255, the dropped bits cut (trim) or rounded (nearest-even).
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from sparqsim.pe.registry import designs
from sparqsim.pe.sparq import Sparq
from sparqsim.pe.windows import WindowSet, window_tables

MODES = {
    "4b 5opt": WindowSet(4, (0, 1, 2, 3, 4)),
    "4b 3opt": WindowSet(4, (0, 2, 4)),
    "4b 2opt": WindowSet(4, (0, 4)),
    "3b 6opt": WindowSet(3, (0, 1, 2, 3, 4, 5)),
    "2b 7opt": WindowSet(2, (0, 1, 2, 3, 4, 5, 6)),
    "6b 3opt": WindowSet(6, (0, 1, 2)),
}
# mode, rounding, sum, digest, largest error
FINGERPRINTS = [
    ("4b 5opt", "trim", 31400, "fa4dc70104c5", 15),
    ("4b 5opt", "nearest-even", 32470, "06b47b50063d", 15),
    ("4b 3opt", "trim", 31128, "af662f4a3a3b", 15),
    ("4b 3opt", "nearest-even", 32504, "d63939702202", 15),
    ("4b 2opt", "trim", 30840, "2de1de1be83a", 15),
    ("4b 2opt", "nearest-even", 32520, "3e66268ca5ed", 15),
    ("3b 6opt", "trim", 30036, "40ca04b9ccef", 31),
    ("3b 6opt", "nearest-even", 31958, "3319e0603756", 31),
    ("2b 7opt", "trim", 27306, "3506ea2fae32", 63),
    ("2b 7opt", "nearest-even", 29910, "29b974a6bef3", 63),
    ("6b 3opt", "trim", 32416, "9996c332ef6c", 3),
    ("6b 3opt", "nearest-even", 32630, "c072c872998e", 3),
]
EXAMPLES = [
    (27, "4b 5opt", 26, 28),
    (27, "4b 3opt", 24, 28),
    (27, "4b 2opt", 16, 32),
    (127, "4b 5opt", 120, 120),
    (127, "4b 3opt", 112, 128),
    (127, "4b 2opt", 112, 128),
    *[(255, mode, 240, 240) for mode in ("4b 5opt", "4b 3opt", "4b 2opt")],
    (255, "3b 6opt", 224, 224),
    (255, "2b 7opt", 192, 192),
]


def used(windows: WindowSet, x: int, rounding: str) -> int:
    q, shift = windows.quantise(x, rounding)
    return q << shift


@pytest.mark.parametrize(("mode", "rounding", "total", "digest", "largest_error"), FINGERPRINTS)
def test_fingerprint_of_all_256_values(mode, rounding, total, digest, largest_error):
    values = [used(MODES[mode], x, rounding) for x in range(256)]
    assert sum(values) == total
    assert hashlib.sha256(bytes(values)).hexdigest()[:12] == digest
    assert max(abs(value - x) for x, value in enumerate(values)) == largest_error


def test_fingerprints_are_those_of_the_reference(shared):
    text = (shared / "reference" / "sparq.md").read_text(encoding="utf-8")
    assert all(f"{total} {digest}" in text for _, _, total, digest, _ in FINGERPRINTS)


@pytest.mark.parametrize("rounding", ["trim", "nearest-even"])
@pytest.mark.parametrize("mode", MODES)
def test_tables_equal_the_plain_form(mode, rounding):
    q, shift = window_tables(MODES[mode], rounding)
    assert list(zip(q.tolist(), shift.tolist(), strict=True)) == [
        MODES[mode].quantise(x, rounding) for x in range(256)
    ]
    assert (q.dtype, shift.dtype) == (np.uint8, np.uint8)


@pytest.mark.parametrize(("x", "mode", "raw", "rounded"), EXAMPLES)
def test_published_examples(x, mode, raw, rounded):
    assert used(MODES[mode], x, "trim") == raw
    assert used(MODES[mode], x, "nearest-even") == rounded


@pytest.mark.parametrize("mode", ["4b 5opt", "4b 3opt", "4b 2opt"])
def test_rounding_saturates_inside_the_top_window(mode):
    assert {used(MODES[mode], x, "nearest-even") for x in range(248, 256)} == {240}


def test_designs_use_the_published_modes():
    sparq = {name: design for name, design in designs().items() if issubclass(design, Sparq)}
    pairs = {name: design.windows_of_pair for name, design in sparq.items()}
    assert pairs == {
        "sparq-5opt": MODES["4b 5opt"],
        "sparq-3opt": MODES["4b 3opt"],
        "sparq-2opt": MODES["4b 2opt"],
        "sparq-6opt": MODES["3b 6opt"],
        "sparq-7opt": MODES["2b 7opt"],
    }
    whole = WindowSet(8, (0,))
    lone = {name: design.windows_of_lone for name, design in sparq.items()}
    assert lone == {
        "sparq-5opt": whole,
        "sparq-3opt": whole,
        "sparq-2opt": whole,
        "sparq-6opt": MODES["6b 3opt"],
        "sparq-7opt": MODES["4b 5opt"],
    }


def test_tables_cannot_be_spoiled():
    q, shift = window_tables(MODES["4b 5opt"], "trim")
    for table in (q, shift):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1
