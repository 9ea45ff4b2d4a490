"""One class is found by name without loading all: for every name it must be the same class."""

from __future__ import annotations

import os

import pytest

from sparqsim.base.plugins import SourceClass
from sparqsim.engine.models.registry import REGISTRY as ENGINES
from sparqsim.pe.registry import REGISTRY as DESIGNS
from sparqsim.quantise.rows.registry import REGISTRY as ROWS
from sparqsim.quantise.weights.registry import REGISTRY as WEIGHTS
from sparqsim.search.strategies.registry import REGISTRY as STRATEGIES
from sparqsim.trace.transforms.registry import REGISTRY as TRANSFORMS


@pytest.mark.parametrize(
    "registry", [DESIGNS, ENGINES, ROWS, STRATEGIES, TRANSFORMS, WEIGHTS], ids=lambda r: r.what
)
def test_every_name_leads_to_the_class_that_loading_all_gives(registry):
    shipped = registry.shipped()
    assert shipped
    assert {name: registry.shipped_named(name) for name in shipped} == shipped
    assert registry.shipped_named("none-of-that-name") is None
    assert registry.shipped_named("") is None


def test_a_file_that_changes_is_run_as_it_is_now(tmp_path):
    """Also to a version of the same second and the same length; nothing is left beside it."""
    file = tmp_path / "mine.py"
    for number in (1, 2):
        file.write_text(f"class Mine:\n    number = {number}\n")
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert SourceClass(str(file), "Mine", "", "class").load(object).number == number
    assert list(tmp_path.iterdir()) == [file]
