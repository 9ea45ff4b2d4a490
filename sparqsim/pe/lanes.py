"""What the bit-scalable designs share: exact arithmetic on as many lanes as a key says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sparqsim.base.errors import InputError
from sparqsim.base.keys import check_keys
from sparqsim.pe.base import Array, LayerFacts, PEDesign
from sparqsim.pe.layout import padded_to

MOST_LANES = 64
#: What a design knows before it is made ready for a layer: operands have 8 bits.
NO_LAYER = LayerFacts(k=1)


@dataclass(frozen=True)
class LanesDesign(PEDesign):
    """An exact design whose PE takes `lanes` adjacent elements of K per step, 1 to 64.

    Raises
    ------
    InputError
        For another number of lanes.
    """

    exact: ClassVar[bool] = True
    lanes: int = field(default=16, metadata={"least": 1, "most": MOST_LANES})  # type: ignore[misc]

    def __post_init__(self) -> None:
        check_keys(self, f"PE design {self.name!r}")
        if not 1 <= self.lanes <= MOST_LANES:
            raise InputError(
                f"{self.name}: lanes={self.lanes}, expected an integer from 1 to {MOST_LANES}"
            )

    def in_steps(self, x: Array) -> Array:
        """Return activations (..., K) as (..., steps, lanes), zeros behind the last."""
        return padded_to(x, self.lanes).reshape(*x.shape[:-1], -1, self.lanes)
