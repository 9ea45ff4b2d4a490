"""Tables of docs/rivals/olive.md: what networks answer under SPARQ and under OliVe.

From the records of recipes (docs/recipes/) and of language models (docs/language/).
`rivals_tables.py` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import language_tables
import recipe_tables
from page_tables import markdown_table

from sparqsim.pe import get_pe

#: Recipe and design, and bits of activations and weights that are multiplied.
PICTURE_ROWS = (
    ("a8w8", "mac-8b8b", "8, 8"),
    ("a8w8", "sparq-5opt", "8 in windows of 4, 8"),
    ("a8w8", "sparq-3opt", "8 in windows of 4, 8"),
    ("a8w8", "sparq-2opt", "8 in windows of 4, 8"),
    ("a4w4", "sparq-5opt", "4, 4"),
    ("a4w4", "mac-4b4b", "4, 4"),
    ("olive", "olive-4b", "4 in pairs, 4 in pairs"),
)
TOKEN_ROWS = ("mac-8b8b", "sparq-5opt:signed=magnitude", "olive-4b", "mac-4b4b")
#: Records by how a table calls them.
CONVOLUTIONAL = {"resnet20": "ResNet-20", "squeezenet": "SqueezeNet 1.1"}
LANGUAGE = {"smollm2": "SmolLM2", "stories260k": "stories260K"}
MISSING = "not measured"


def pictures() -> list[str]:
    """Return right answers, and those that are the float network's, of the convolutional ones."""
    records = {shown: recipe_tables.loaded(name) for name, shown in CONVOLUTIONAL.items()}
    heads = ["recipe", "design", "bits of activations, weights", "products a cycle"]
    for shown, record in records.items():
        count = record["answered_pictures"]
        heads += [f"{shown}: right of {count}", f"as in float of {count}"]
    floats = [record["recipes"]["a8w8"]["float_top1"] for record in records.values()]
    rows = [["-", "float32", "32, 32", "-", *_in_float(records, floats)]]
    for recipe, design, bits in PICTURE_ROWS:
        row = [f"`{recipe}`", f"`{design}`", bits, str(get_pe(design).multipliers)]
        for record in records.values():
            found = recipe_tables.row_of(record, recipe, design)
            row += [str(found["top1"]), str(found["agree"])]
        rows.append(row)
    return markdown_table(heads, rows)


def _in_float(records: dict[str, Any], floats: Sequence[int]) -> list[str]:
    cells = []
    for record, right in zip(records.values(), floats, strict=True):
        cells += [str(right), str(record["answered_pictures"])]
    return cells


def tokens() -> list[str]:
    """Return perplexity, and tokens that are the float network's, of the language models."""
    records = {shown: language_tables.loaded(name) for name, shown in LANGUAGE.items()}
    heads = ["design", "products a cycle"]
    for shown, record in records.items():
        heads += [
            f"{shown}: perplexity",
            f"as in float of {record['answers']['float']['tokens']}",
        ]
    rows = [["float32", "-", *_of_tokens(records, "float")]]
    for design in TOKEN_ROWS:
        label = language_tables.shown(design)
        rows.append([label, str(get_pe(design).multipliers), *_of_tokens(records, design)])
    return markdown_table(heads, rows)


def _of_tokens(records: dict[str, Any], design: str) -> list[str]:
    cells = []
    for record in records.values():
        found = record["answers"].get(design)
        if found is None:
            cells += [MISSING, MISSING]
        else:
            cells += [language_tables.number(found["perplexity"]), str(found["agree"])]
    return cells


TABLES: dict[str, Callable[[], list[str]]] = {"pictures": pictures, "tokens": tokens}
