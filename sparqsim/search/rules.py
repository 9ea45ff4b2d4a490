"""How a search makes integers of layers, given their bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.recipe_fields import ALL_ACTIVATION_BITS, LayerChoice
from sparqsim.search.space import LayerBits


@dataclass(frozen=True)
class Rules:
    """How layers become integers of some bits.

    calibrator, weights: names that BITS are added to (`mse` and `lp:P` of calibrators; others have
    none). kept: as a recipe's keep_8bit. pictures: calibration pictures.
    """

    calibrator: str
    weights: str
    kept: str | tuple[str, ...]
    accumulator_bits: int
    pictures: int

    def recipe(self, bits: Mapping[str, LayerBits]) -> Recipe:
        """Return the recipe of some layers' bits; the others have 8."""
        return Recipe.model_validate(
            {
                "activations": self._calibrator(ALL_ACTIVATION_BITS),
                "weights": f"{self.weights}:{ALL_ACTIVATION_BITS}",
                "keep_8bit": self.kept,
                "accumulator_bits": self.accumulator_bits,
                "calibration": {"pictures": self.pictures},
                "layers": {name: self._layer(each) for name, each in bits.items()},
            }
        )

    def _layer(self, bits: LayerBits) -> LayerChoice:
        return LayerChoice(
            weights=f"{self.weights}:{bits.weights}",
            activations=self._calibrator(bits.activations),
            activation_bits=bits.activations,
        )

    def _calibrator(self, bits: int) -> str:
        takes_bits = self.calibrator == "mse" or self.calibrator.startswith("lp:")
        return f"{self.calibrator}:{bits}" if takes_bits else self.calibrator
