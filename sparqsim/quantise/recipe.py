"""Recipes: how a network becomes integers, in one place for PyTorch, ONNX and TFLite.

    activations = "mean-max"          # a calibrator: sparqsim.quantise.calibrate
    weights = "nearest:8"             # a weight quantiser: sparqsim.quantise.weights
    keep_8bit = "first-last"          # or "none", or names of layers
    bias_correction = false
    accumulator_bits = 32
    activation_bits = 8               # of the codes that the array multiplies
    kv = "nearest:8"                  # keys and values of attention

    [calibration]
    pictures = 64                     # the first ones; all where it is not said
    labels = "none"                   # or "true", or "float-network"

    [layers."layer4.1.conv2"]         # a layer of its own kind
    weights = "nearest:4"
    activations = "mse:4"
    activation_bits = 4

What is not said is as in this example, but for the calibration pictures. A layer that stays at 8
bits under every design (`keep_8bit`) has `nearest:8` weights and 8 bits of activations unless
a table of its own says otherwise.

*bias_correction*: the mean of each output channel's error on the calibration pictures is added to
its bias, `sparqsim.quantise.bias`. *accumulator_bits*: sums wrap around at so many bits, as two's
complement does: the same whatever the order of additions. Accumulators that saturate are not
simulated: their result depends on that order. *activation_bits*: activations are the top ones of
their 8-bit codes, rounded half to even and saturated, so the step is 2^(8 - bits) times as large.
*kv*: bits of what a cache of keys and values would hold: the second operand of every product of two
activations (keys in queries x keys, values in weights x values), symmetric, one scale for the
tensor, its clip found by the layer's calibrator; `nearest:B` alone, B from 2 to 8.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError

from sparqsim.base.errors import InputError, nearest, shown
from sparqsim.base.plugins import names_a_file, refuse_code
from sparqsim.base.record import Name, Record, faults_of, key_shown
from sparqsim.base.textfile import read_text, toml_of
from sparqsim.base.wording import counted
from sparqsim.quantise.calibrate import Calibrator, calibrator
from sparqsim.quantise.recipe_fields import (
    ALL_ACTIVATION_BITS,
    Activations,
    CalibrationChoice,
    Kept,
    KeysAndValues,
    LayerChoice,
    Weights,
)
from sparqsim.quantise.weights import WeightQuantiser, get_weight_quantiser

KEPT_WEIGHTS = "nearest:8"
#: Bits of the accumulator where a recipe does not say otherwise.
ACCUMULATOR_BITS = 32
REMEDY = "--trust, for recipes that you have read"


class Recipe(Record):
    """How a network becomes integers; the module's docstring says what each field means."""

    activations: Activations = "mean-max"
    weights: Weights = "nearest:8"
    keep_8bit: Kept = "first-last"
    bias_correction: bool = False
    accumulator_bits: int = Field(default=ACCUMULATOR_BITS, ge=8, le=64)
    activation_bits: int = Field(default=ALL_ACTIVATION_BITS, ge=2, le=ALL_ACTIVATION_BITS)
    kv: KeysAndValues = Field(default=KEPT_WEIGHTS, exclude_if=lambda kv: kv == KEPT_WEIGHTS)
    calibration: CalibrationChoice = CalibrationChoice()
    layers: dict[Name, LayerChoice] = Field(default_factory=dict)
    _origin: str = PrivateAttr(default="recipe")

    def __eq__(self, other: object) -> bool:
        """Whether they say the same, wherever they come from."""
        if not isinstance(other, Recipe):
            return NotImplemented
        return self.model_dump() == other.model_dump()

    #: As before: a record with a table of layers has no hash.
    __hash__ = None  # type: ignore[assignment]

    @property
    def origin(self) -> str:
        """The file that it was read from, 'recipe' where there is none: errors begin with it."""
        return self._origin

    @contextmanager
    def named(self) -> Iterator[None]:
        """Put the file's name before an InputError of what the recipe asks for."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{self.origin}: {error}") from None

    @classmethod
    def read(cls, path: str | PathLike[str], *, trust: bool = False) -> Recipe:
        """Return the recipe of a TOML file.

        Parameters
        ----------
        path : str or path
        trust : bool
            Whether the file may name Python source (FILE.py:CLASS), taken from its own folder,
            which is then run.

        Raises
        ------
        InputError
            Naming the file, the field and the value.
        """
        document = toml_of(read_text(Path(path), "a .toml file with a recipe"), path)
        _check_keys(document, path)
        for table, field, spec in _specs(document):
            table[field] = _named_in(spec, field, Path(path), trust=trust)
        try:
            # As JSON, whose lists are tuples to a strict record; a date is no field's value.
            recipe = cls.model_validate_json(json.dumps(document, default=str))
        except ValidationError as error:
            raise InputError(f"{path}: {faults_of(error)[0]}") from None
        recipe._origin = str(path)  # noqa: SLF001 - of its own class
        return recipe

    @classmethod
    def of(cls, recipe: Recipe | str | PathLike[str], *, trust: bool = False) -> Recipe:
        """Return a recipe, or that of a file."""
        return recipe if isinstance(recipe, Recipe) else cls.read(recipe, trust=trust)

    @classmethod
    def stated(
        cls, recipe: Recipe | str | PathLike[str] | None, *, trust: bool = False, **shorthands: Any
    ) -> Recipe:
        """Return a recipe, or the one that fields given one by one are a shorthand for.

        Parameters
        ----------
        recipe : Recipe, path of a file, or None
        trust : bool
            As in `read`.
        **shorthands
            Fields; None, or what a recipe has anyway: not given.

        Raises
        ------
        InputError
            For a recipe and a field beside it, and for a value that no recipe takes.
        """
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        given = {
            name: value
            for name, value in shorthands.items()
            if value is not None and value != defaults[name]
        }
        if recipe is None:
            try:
                return cls(**given)
            except ValidationError as error:
                raise InputError(faults_of(error)[0]) from None
        if given:
            name, value = next(iter(given.items()))
            raise InputError(
                f"{name}={shown(value)} beside a recipe, which says it; expected one of the two"
            )
        return cls.of(recipe, trust=trust)

    def quantiser(self, layer: str, *, kept: bool) -> WeightQuantiser:
        """Return how a layer's real weights are quantised; `kept`: whether it stays at 8 bits."""
        own = self.layers.get(layer, LayerChoice()).weights
        of_network = KEPT_WEIGHTS if kept else self.weights
        return get_weight_quantiser(own or of_network)

    def calibrator(self, layer: str) -> Calibrator:
        """Return how a layer's activation scales are found."""
        return calibrator(self.layers.get(layer, LayerChoice()).activations or self.activations)

    def bits_of_activations(self, layer: str, *, kept: bool) -> int:
        """Return the bits of a layer's activations; `kept`: whether it stays at 8 bits."""
        own = self.layers.get(layer, LayerChoice()).activation_bits
        if own is not None:
            return own
        return ALL_ACTIVATION_BITS if kept else self.activation_bits

    @property
    def kv_bits(self) -> int:
        """Bits of keys and values."""
        return int(self.kv.rpartition(":")[2])

    @property
    def narrows_activations(self) -> bool:
        """Whether some layer's activations may have fewer bits than all."""
        stated = [self.activation_bits, *(each.activation_bits for each in self.layers.values())]
        return any(bits is not None and bits < ALL_ACTIVATION_BITS for bits in stated)

    def check_layers(self, names: Iterable[str]) -> None:
        """Raise InputError for a layer that is not in the network, with the nearest that is."""
        known = list(names)
        for layer in self.layers:
            if layer not in known:
                raise InputError(
                    f"{self.origin}: layers.{shown(layer)} is not in the network"
                    f"{nearest(layer, known)}; expected some of {', '.join(known)}"
                )

    def check_pictures(self, count: int) -> None:
        """Raise InputError where there are fewer calibration pictures than the recipe says."""
        asked = self.calibration.pictures
        if asked is not None and count < asked:
            raise InputError(
                f"{self.origin}: calibration.pictures={asked}, but there are {count}; expected at "
                f"most {count}"
            )

    @property
    def calibrator_title(self) -> str:
        """How activation scales are found, for records: one name where all layers share it."""
        base = calibrator(self.activations).spec
        others = [name for name in self.layers if self.calibrator(name).spec != base]
        return f"{base} ({counted(len(others), 'layer')} otherwise)" if others else base

    @property
    def title(self) -> str:
        """All of it in a line."""
        parts = [
            f"weights {get_weight_quantiser(self.weights).spec}",
            f"activations {calibrator(self.activations).spec}",
            f"8 bits kept: {_kept_words(self.keep_8bit)}",
            "bias corrected" if self.bias_correction else "bias not corrected",
            f"accumulator {self.accumulator_bits} bits",
            _calibration_words(self.calibration),
        ]
        if self.activation_bits < ALL_ACTIVATION_BITS:
            parts.insert(2, f"activations of {self.activation_bits} bits")
        if self.kv != KEPT_WEIGHTS:
            parts.insert(2, f"keys and values {self.kv}")
        if self.layers:
            parts.append(f"{counted(len(self.layers), 'layer')} otherwise")
        return ", ".join(parts)


def _kept_words(kept: str | tuple[str, ...]) -> str:
    return kept if isinstance(kept, str) else " ".join(kept) or "none"


def _calibration_words(choice: CalibrationChoice) -> str:
    pictures = (
        "all calibration pictures"
        if choice.pictures is None
        else counted(choice.pictures, "calibration picture")
    )
    return pictures if choice.labels == "none" else f"{pictures}, labels {choice.labels}"


def _specs(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield every text that names a calibrator or a weight quantiser: its table, its key, it."""
    layers = document.get("layers", {})
    tables = [document, *(layers.values() if isinstance(layers, dict) else ())]
    for table in tables:
        if not isinstance(table, dict):
            continue
        for field in ("activations", "weights"):
            if isinstance(table.get(field), str):
                yield table, field, table[field]


def _named_in(spec: str, field: str, path: Path, *, trust: bool) -> str:
    """Return a name as it stands in a recipe's file; a file of Python is taken from its folder."""
    if not names_a_file(spec):
        return spec
    if not trust:
        what = "calibrator" if field == "activations" else "weight quantiser"
        refuse_code(spec, what, str(path), REMEDY)
    return str(path.parent / spec)


def _check_keys(document: Mapping[str, Any], path: object) -> None:
    """Raise InputError for a key that no table has, with the nearest that it has."""
    layers, calibration = document.get("layers", {}), document.get("calibration", {})
    tables: list[tuple[str, object, type[Record]]] = [
        ("", document, Recipe),
        ("calibration.", calibration, CalibrationChoice),
    ]
    if isinstance(layers, dict):
        tables += [
            (f"layers.{key_shown(name)}.", table, LayerChoice) for name, table in layers.items()
        ]
    for place, table, record in tables:
        for key, value in table.items() if isinstance(table, dict) else ():
            known = record.model_fields
            if key in known:
                continue
            if record is LayerChoice and isinstance(value, dict):
                raise InputError(
                    f"{path}: {place}{key} is a table in a layer's table; a name with dots stands "
                    f'in quotes: [layers."{place.removeprefix("layers.")}{key}..."]'
                )
            raise InputError(
                f"{path}: {place}{key_shown(key)} is not known{nearest(key, known)}; expected one "
                f"of {', '.join(known)}"
            )
