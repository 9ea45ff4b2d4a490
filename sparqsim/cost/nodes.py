"""Energies brought from one node to another, by a rule that is named and only where it holds."""

from __future__ import annotations

from collections.abc import Mapping

from sparqsim.base.errors import InputError

RULE = (
    "Stillmaker and Baas 2017, polynomials as read in hwcomponents (MIT): energy over that of "
    "45 nm, both at 0.8 V; that a library has another voltage is not corrected"
)
#: Energy over that of 45 nm, by node in nm.
FACTORS: Mapping[float, float] = {
    45.0: 1.0,
    32.0: 0.66,
    28.0: 0.51,
    20.0: 0.22,
    16.0: 0.17,
    14.0: 0.14,
    7.0: 0.094,
}


def factor(from_nm: float, to_nm: float, what: str) -> float:
    """Return what energies at one node are multiplied with to stand for another.

    Parameters
    ----------
    from_nm, to_nm : float
    what : str
        Whose energies, for the message.

    Raises
    ------
    InputError
        For a node that the rule does not cover.
    """
    for node in (from_nm, to_nm):
        if node not in FACTORS:
            covered = ", ".join(f"{each:g}" for each in FACTORS)
            raise InputError(
                f"scale to {to_nm:g} nm: {what} of {from_nm:g} nm, and the rule covers {covered} "
                f"nm alone, not {node:g} ({RULE})"
            )
    return FACTORS[to_nm] / FACTORS[from_nm]
