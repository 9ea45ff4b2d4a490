"""How the circuit of a design runs layers of more bits than it has: those marked keep_8bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Design = TypeVar("Design")  # a PEDesign, which says by this module how it runs such layers


@dataclass(frozen=True)
class KeptMode(Generic[Design]):
    """How a circuit runs an 8-bit layer exactly.

    Parameters
    ----------
    passes : tuple of PEDesign
        What its PEs do in each pass over the layer. A pass is a run of its own, with its own steps,
        fill and drain; the sums of all passes are added outside the array, and are x @ w.
    words : str
        What the circuit does, in a few words; '' where it runs the layer as any other.
    """

    passes: tuple[Design, ...]
    words: str = ""
