"""What a trace's provenance says for its quantization card that its codes cannot show.

Two entries are read. `card` has the fields of `Stated`, and is checked when the trace is read;
sparqsim's front ends write it. `recipe` says how a network became integers; whoever made it has
checked it, so an entry of another kind than expected here is left out: what it says is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from sparqsim.base.errors import InputError, printable
from sparqsim.base.record import Record, Text, faults_of

#: Where a trace's provenance keeps them.
KEY = "card"
RECIPE = "recipe"
#: What weight quantisers of a recipe say of themselves: phases that ran, figures.
QUANTISERS = "weight_quantisers"
#: How weights are called that a network's file brings as integers: no recipe chose them.
OWN = "the network's own codes"
#: Settings of a recipe that a card does not have a field for, at most, and their characters.
MOST_SETTINGS, LONGEST_SETTING = 64, 400
#: Names in a recipe for what a card says under another one; '.' goes into a table.
RECIPE_TEXTS = {
    "activation_observer": "activations",
    "weight_quantiser": "weights",
    "calibration_labels": "calibration.labels",
    "calibration_sha256": "calibration.sha256",
    "training": "training",
}
RECIPE_COUNTS = {
    "accumulator_bits": "accumulator_bits",
    "calibration_inputs": "calibration.pictures",
}
#: Seeds are numbers or texts.
RECIPE_SEEDS = ("seed", "seeds", "calibration.seed")
BIAS_CORRECTION = "bias_correction"
#: Which layers stay at 8 bits: the trace's marks say it.
KEPT = "keep_8bit"
#: Names in a recipe that a card tells elsewhere.
OF_OTHER_FIELDS = frozenset(
    {*RECIPE_TEXTS.values(), *RECIPE_COUNTS.values(), *RECIPE_SEEDS, BIAS_CORRECTION, KEPT}
)
SWITCH = {True: "on", False: "off"}


class Stated(Record):
    """The entry `card` of a trace's provenance; whatever is absent is unknown.

    Fields mean what they mean in `sparqsim.trace.quantisation.Quantisation`.
    """

    activation_observer: Text | None = None
    weight_quantiser: Text | None = None
    calibration_inputs: Annotated[int, Field(ge=1)] | None = None
    calibration_labels: Text | None = None
    calibration_sha256: Text | None = None
    bias_correction: Text | None = None
    residual: Text | None = None
    stays_float: Text | None = None
    seeds: Text | None = None
    training: Text | None = None
    accumulator_bits: Annotated[int, Field(ge=1)] | None = None

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Stated:
        """Return what a trace's provenance states; traces that state nothing give `Stated()`.

        Raises
        ------
        InputError
            For an entry that is none.
        """
        if KEY not in provenance:
            return cls()
        try:
            return cls.model_validate(provenance[KEY])
        except ValidationError as error:
            raise InputError(f"provenance.{KEY}: {faults_of(error)[0]}") from None

    @property
    def told(self) -> dict[str, Any]:
        """What is stated, by field."""
        return self.model_dump(exclude_none=True)

    def entry(self) -> dict[str, Any]:
        """Return what a trace's provenance gets."""
        return {KEY: self.told}


def stated_facts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a trace's provenance states, by field of `Stated`.

    What was stated goes before what the recipe asked for, which says nothing of codes that a
    network brought.

    Raises
    ------
    InputError
        For an entry `card` that is none.
    """
    stated, asked = Stated.of(provenance).told, recipe_told(provenance)
    if stated.get("weight_quantiser") == OWN:
        asked = {name: asked[name] for name in ("accumulator_bits",) if name in asked}
    return asked | stated


def recipe_told(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the recipe in a trace's provenance says, by field of `Stated`."""
    recipe = _recipe(provenance)
    told: dict[str, Any] = {}
    for field, name in RECIPE_TEXTS.items():
        value = recipe.get(name)
        if isinstance(value, str) and value:
            told[field] = value
    for field, name in RECIPE_COUNTS.items():
        value = recipe.get(name)
        if type(value) is int and value >= 1:
            told[field] = value
    if isinstance(recipe.get(BIAS_CORRECTION), bool):
        told[BIAS_CORRECTION] = SWITCH[recipe[BIAS_CORRECTION]]
    seeds = [recipe[name] for name in RECIPE_SEEDS if name in recipe]
    if seeds:
        told["seeds"] = ", ".join(map(_setting, seeds))
    return told


def recipe_settings(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return the other settings of the recipe, by name, as texts: layers of their own, phases."""
    others = _recipe(provenance)
    for name in OF_OTHER_FIELDS & others.keys():
        del others[name]
    others |= _flat(provenance.get(QUANTISERS))
    told = sorted(name for name, value in others.items() if value not in ({}, []))
    return {printable(name): _setting(others[name]) for name in told[:MOST_SETTINGS]}


def _recipe(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe with the entries of its tables as 'TABLE.NAME'; {} for none."""
    return _flat(provenance.get(RECIPE))


def _flat(table: Any) -> dict[str, Any]:
    """Return the entries of a table, those of tables in it as 'TABLE.NAME'; {} for anything
    else.
    """
    flat: dict[str, Any] = {}
    for name, value in table.items() if isinstance(table, Mapping) else ():
        if isinstance(value, Mapping) and value:
            flat |= {f"{name}.{key}": part for key, part in value.items()}
        else:
            flat[str(name)] = value
    return flat


def _setting(value: Any) -> str:
    """Return a setting as a text of bounded length."""
    text = printable(value if isinstance(value, str) else json.dumps(value, sort_keys=True))
    return text if len(text) <= LONGEST_SETTING else text[: LONGEST_SETTING - 3] + "..."
