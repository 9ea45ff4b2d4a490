"""What a design makes of operands, in words: what its quantization card says."""

from __future__ import annotations

from dataclasses import dataclass

from sparqsim.base.errors import InputError, shown

#: Of designs that change no value.
EXACT = "none: exact"
#: Metadata of one value, bits, far beyond any design's.
MOST_BITS = 64


@dataclass(frozen=True)
class Trimming:
    """How a design changes operands; None where it does not say.

    Parameters
    ----------
    rounding : str, optional
        How dropped bits are rounded.
    rule : str, optional
        Which values decide together what becomes of them: pairs, groups, threads.
    activation_metadata_bits, weight_metadata_bits : float, optional
        What an operand's value needs beside its kept bits, bits per value: shift codes, muxes.
    """

    rounding: str | None = None
    rule: str | None = None
    activation_metadata_bits: float | None = None
    weight_metadata_bits: float | None = None

    def __post_init__(self) -> None:
        for name in ("rounding", "rule"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise InputError(f"trimming: {name}={shown(value)}, expected text or None")
        for name in ("activation_metadata_bits", "weight_metadata_bits"):
            value = getattr(self, name)
            if value is not None and not _is_bits(value):
                raise InputError(
                    f"trimming: {name}={shown(value)}, expected bits, 0 to {MOST_BITS}, or None"
                )


def _is_bits(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= MOST_BITS  # type: ignore[operator] # a number


#: Of a design that changes no value, and stores operands as they are.
NOTHING = Trimming(EXACT, "none", 0.0, 0.0)
