"""What a front end states for the quantization card of its traces."""

from __future__ import annotations

from sparqsim.quantise.recipe import Recipe
from sparqsim.trace.quantisation import BY_A_LIST
from sparqsim.trace.stated import OWN, SWITCH, Stated

#: A network whose file holds integers: how it came to them is not in it.
OWN_CODES = Stated(weight_quantiser=OWN, residual="as the network's file has it")


def beside_own_codes(recipe: Recipe) -> Stated:
    """Return what is stated of a network that has codes of its own for some tensors."""
    return Stated(
        weight_quantiser=f"{recipe.weights}, where the network has no codes of its own",
        residual=OWN_CODES.residual,
    )


def calibrated_here(
    recipe: Recipe, *, inputs: int, sha256: str, by_recipe: bool, bits: str = ""
) -> Stated:
    """Return what is stated of a float network that was calibrated.

    Parameters
    ----------
    recipe : Recipe
    inputs : int
        Inputs of the network that scales were found on.
    sha256 : str
        Of what the first layer took of them.
    by_recipe : bool
        Whether the user gave the recipe: its weight quantisers may draw, and say so themselves.
    bits : str
        The list that took bits from the weights; '' for none.
    """
    return Stated(
        weight_quantiser=recipe.weights,
        calibration_inputs=inputs,
        calibration_labels=recipe.calibration.labels,
        calibration_sha256=sha256,
        bias_correction=SWITCH[recipe.bias_correction],
        residual="inputs of matrix products only",
        stays_float="bias, sums brought back to real numbers, all other operations of the network",
        seeds=None if by_recipe else "none, nothing is drawn",
        training=f"{BY_A_LIST}{bits}" if bits else "none",
    )
