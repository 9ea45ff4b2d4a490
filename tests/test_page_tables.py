"""Pages of the documentation hold the tables that scripts of `workloads/` make of records."""

from __future__ import annotations

from importlib import import_module

import pytest
from page_tables import TABLE

#: Scripts; of each, a row's beginning that stands in one of its pages, and one that must not.
CHANGES = {
    "accuracy_tables": ("| 455/500 (91.0%) |", "| 456/500 (91.2%) |"),
    "cost_tables": ("| `mac-8b8b` | 257,582 |", "| `mac-8b8b` | 257,583 |"),
    "crossbar_tables": ("| `reram:adc_bits=8` | 8.00", "| `reram:adc_bits=8` | 7.00"),
    "gather_tables": ("| `int4` | 36 |", "| `int4` | 32 |"),
    "language_tables": ("| `mac-8b8b` | 8, 8 |", "| `mac-8b8b` | 7, 8 |"),
    "recipe_tables": ("| `a4w4` | `mac-8b8b` |", "| `a4w4` | `mac-8b9b` |"),
    "rivals_tables": ("| `swis` | 8 |", "| `swis` | 7 |"),
    "search_tables": ("| uniform, 8 | 8.00 |", "| uniform, 8 | 7.00 |"),
    "trainer_tables": ("| `rounded:8` |", "| `rounded:7` |"),
    "weight_method_tables": ("| `nearest:4` |", "| `nearest:5` |"),
}
#: Those whose pages show tables of several networks: `NETWORK` or `KIND_NETWORK`. Tests of their
#: records say of which.
OF_NETWORKS = {"accuracy_tables", "cost_tables", "recipe_tables", "rivals_tables"}
OF_ONE_PAGE = CHANGES.keys() - OF_NETWORKS


@pytest.fixture(params=CHANGES)
def script(request):
    return import_module(request.param)


@pytest.fixture
def pages(script):
    return [path.read_text(encoding="utf-8") for path in script.PAGES.paths()]


def test_pages_hold_the_tables_that_the_script_makes(script, pages):
    """Else run `python workloads/NAME_tables.py`."""
    for page in pages:
        assert script.rendered(page) == page


def test_a_changed_table_is_found(script, pages):
    row, other = CHANGES[script.__name__]
    page = next(page for page in pages if row in page)
    assert script.rendered(page.replace(row, other, 1)) == page


@pytest.mark.parametrize("script", sorted(OF_ONE_PAGE), indirect=True)
def test_the_page_shows_every_table(script, pages):
    shown = {found[2] for page in pages for found in TABLE.finditer(page)}
    assert shown == set(script.TABLES)
