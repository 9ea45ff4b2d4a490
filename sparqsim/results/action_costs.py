"""What actions cost where somebody has said so: figures with their source, times what was counted.

Energies of PEs are found otherwise, from toggles (`sparqsim.cost`), and never added to these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import Field

from sparqsim.base.record import Name, Record, Text
from sparqsim.results.actions import Action, energy_pj


class ActionCosts(Record):
    """Energies of actions of an engine.

    each_pj: energy of one, pJ, by the action's name. node_nm: of all figures. source: who says so.
    assumed: actions whose figure is not the source's. assumed_how: where it comes from instead.
    left_out: what has no figure, and costs nothing here.
    """

    each_pj: dict[Name, float] = Field(min_length=1)
    node_nm: float = Field(gt=0, allow_inf_nan=False)
    source: Text
    assumed: tuple[Name, ...] = ()
    assumed_how: Text = ""
    left_out: Text

    def energies_pj(self, actions: Mapping[str, Action]) -> dict[str, float]:
        """Return count x energy of one of the actions that have a figure, pJ."""
        known = {name: each for name, each in self.each_pj.items() if name in actions}
        return energy_pj(actions, known)

    def line(self, spec: str, actions: Mapping[str, Action], macs: int) -> str:
        """Return what the actions cost, and what that is and is not, in sentences."""
        energies = self.energies_pj(actions)
        total_pj = math.fsum(energies.values())
        names = [name for name in self.assumed if name in energies]
        assumed = f"; assumed, {self.assumed_how}: {', '.join(names)}" if names else ""
        return (
            f"{spec}: actions with a figure cost {total_pj / 1000:,.4g} nJ, {total_pj / macs:.3g} "
            f"pJ per MAC ({self.node_nm:g} nm, read in {self.source}{assumed}). "
            f"Not in it: {self.left_out}."
        )
