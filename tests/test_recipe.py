"""Recipes: what a file may say, and what is told of one that says something else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sparqsim import InputError
from sparqsim.quantise.recipe import Recipe

FULL = """
activations = "percentile:99.9"
weights = "lp:2.4:4"
keep_8bit = ["conv1", "fc"]
bias_correction = true
accumulator_bits = 24

[calibration]
pictures = 64
labels = "float-network"

[layers."layer4.1.conv2"]
weights = "nearest:4"
activations = "mse:4"

[layers.conv1]
weights = "nearest:6"
"""


def read(tmp_path: Path, text: str, **keys: bool) -> Recipe:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    return Recipe.read(file, **keys)


def test_everything_that_a_recipe_says(tmp_path: Path) -> None:
    recipe = read(tmp_path, FULL)
    assert recipe.keep_8bit == ("conv1", "fc")
    assert recipe.calibration.pictures == 64
    assert recipe.quantiser("layer4.1.conv2", kept=False).spec == "nearest:4"
    assert recipe.quantiser("other", kept=False).spec == "lp:2.4:4"
    assert recipe.quantiser("fc", kept=True).spec == "nearest:8", "8 bits are kept"
    assert recipe.quantiser("conv1", kept=True).spec == "nearest:6", "unless its table says more"
    assert recipe.calibrator("layer4.1.conv2").spec == "mse:4"
    assert recipe.calibrator("conv1").spec == "percentile:99.9"
    assert recipe.calibrator_title == "percentile:99.9 (1 layer otherwise)"
    assert recipe.title == (
        "weights lp:2.4:4, activations percentile:99.9, 8 bits kept: conv1 fc, bias corrected, "
        "accumulator 24 bits, 64 calibration pictures, labels float-network, 2 layers otherwise"
    )
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_nothing_said_is_what_networks_had_before_recipes(tmp_path: Path) -> None:
    recipe = read(tmp_path, "")
    assert recipe == Recipe()
    assert (recipe.activations, recipe.weights) == ("mean-max", "nearest:8")
    assert (recipe.keep_8bit, recipe.bias_correction) == ("first-last", False)
    assert recipe.accumulator_bits == 32
    assert recipe.calibration.pictures is None
    assert recipe.calibration.labels == "none"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("weights = 4", ["weights", "valid string", "found 4"]),
        ('weights = "nearst:4"', ["weights", "'nearst' is not known (did you mean nearest?)"]),
        ('weights = "nearest:9"', ["weights", "bits='9', expected an integer from 2 to 8"]),
        ('activations = "meen-max"', ["activations", "did you mean mean-max?"]),
        ('activations = "mse:9"', ["activations", "BITS='9', expected 2 to 8"]),
        ("activations = 1979-05-27", ["activations", "1979-05-27"]),
        ('keep_8bit = "first"', ["keep_8bit: expected 'first-last' or 'none', or a list"]),
        ("keep_8bit = [1]", ["keep_8bit: expected 'first-last' or 'none', or a list"]),
        ('bias_correction = "yes"', ["bias_correction", "valid boolean", "'yes'"]),
        ("accumulator_bits = 7", ["accumulator_bits", "greater than or equal to 8", "found 7"]),
        ("accumulator_bits = 65", ["accumulator_bits", "less than or equal to 64", "found 65"]),
        ("[calibration]\npictures = 0", ["calibration.pictures", "greater than or equal to 1"]),
        ('[calibration]\nlabels = "some"', ["calibration.labels", "'float-network'", "'some'"]),
        (
            "[calibration]\nimages = 4",
            ["calibration.images is not known", "expected one of pictures, labels"],
        ),
        ("wights = 4", ["wights is not known (did you mean weights?)", "accumulator_bits"]),
        (
            '[layers.a]\nweight = "nearest:4"',
            ["layers.a.weight is not known (did you mean weights?)"],
        ),
        ('[layers.a]\nweights = "lp:0"', ["layers.a.weights", "p=0"]),
        ("layers = 4", ["layers", "found 4"]),
        ('[layers]\n"" = 5', ["recipe.toml: layers.'': is empty, expected at least one character"]),
        ('[layers."a\\u0007"]', [r"recipe.toml: layers.'a\x07': holds U+0007"]),
        ('"" = 5', ["recipe.toml: '' is not known"]),
        ('[calibration]\n"" = 5', ["recipe.toml: calibration.'' is not known"]),
        ('[layers.a]\n"" = 5', ["recipe.toml: layers.a.'' is not known"]),
        ('[layers.""]\nweight = "max"', ["recipe.toml: layers.''.weight is not known"]),
        ("layers.a = 4", ["layers.a", "found 4"]),
        ('[layers.a.b]\nweights = "nearest:4"', ["stands in quotes", '[layers."a.b..."]']),
        ("weights = ", ["not TOML"]),
        (
            'weights = "own.py:Mine:4"',
            ["weight quantiser 'own.py:Mine:4' is Python code", "--trust"],
        ),
        ('[layers.a]\nactivations = "own.py:Mine"', ["calibrator 'own.py:Mine' is Python code"]),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_the_field(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "recipe.toml"))
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.toml"):
        Recipe.read(tmp_path / "a.toml")


OWN = """
from dataclasses import dataclass, field
from sparqsim.quantise.weights import QuantisedWeights, WeightQuantiser
from sparqsim.quantise.calibrate import Largest

@dataclass(frozen=True)
class Mine(WeightQuantiser):
    name = "mine"
    bits: int = field(default=4, metadata={"least": 2, "most": 8})

    def quantise(self, layer):
        raise AssertionError("never asked")

class Half(Largest):
    def clip(self):
        return self.largest / 2
"""


def test_python_of_the_recipes_folder_runs_where_it_is_trusted(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    text = 'weights = "own.py:Mine:3"\nactivations = "own.py:Half"'
    recipe = read(tmp_path, text, trust=True)
    assert recipe.quantiser("a", kept=False).spec == "mine:3"
    assert recipe.calibrator("a").spec == "own.py:Half"
    assert "mine:3" in recipe.title


def test_fields_by_themselves_are_shorthands_and_stand_alone() -> None:
    assert Recipe.stated(None, activations="max").activations == "max"
    assert Recipe.stated(None, keep_8bit=None) == Recipe()
    given = Recipe(weights="nearest:4")
    assert Recipe.stated(given, activations="mean-max") is given
    with pytest.raises(InputError, match="activations='max' beside a recipe"):
        Recipe.stated(given, activations="max")
    with pytest.raises(InputError, match="calibrator 'mox' is not known"):
        Recipe.stated(None, activations="mox")


def test_layers_and_pictures_are_looked_up_in_the_network() -> None:
    recipe = Recipe.model_validate_json(
        '{"layers": {"conv1": {"weights": "nearest:4"}}, "calibration": {"pictures": 5}}'
    )
    recipe.check_layers(["conv1", "fc"])
    with pytest.raises(InputError, match=r"layers.'conv1' is not in the network .did you mean"):
        recipe.check_layers(["conv2", "fc"])
    recipe.check_pictures(5)
    with pytest.raises(InputError, match=r"calibration.pictures=5, but there are 4"):
        recipe.check_pictures(4)


def test_a_recipe_of_a_file_names_it_and_equals_the_same_one_from_elsewhere(
    tmp_path: Path,
) -> None:
    found = read(tmp_path, 'weights = "nearest:4"\ncalibration.pictures = 5')
    told = re.escape(str(tmp_path / "recipe.toml"))
    with pytest.raises(InputError, match=f"^{told}: calibration.pictures=5, but there are 4"):
        found.check_pictures(4)
    with pytest.raises(InputError, match=f"^{told}: of something"), found.named():
        raise InputError("of something")
    same = Recipe(weights="nearest:4", calibration=found.calibration)
    assert same == found
    assert same.origin == "recipe"
    assert same != Recipe()
    assert same != 4
