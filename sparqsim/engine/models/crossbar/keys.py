"""Keys of crossbars: what a text may say, and bounds of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sparqsim.base.errors import InputError, shown
from sparqsim.base.keys import check_keys, key_choices, keys_of
from sparqsim.base.parse import real_number, whole_number
from sparqsim.engine.models.crossbar.resolution import Bits

#: Of a converter.
MOST_BITS = 16
AUTO: Final = "auto"
LOSSLESS: Final = "lossless"
MOST_DB = 200
CELL_BITS = (1, 2, 4, 8)
#: Between the numbers of a list: a comma is between keys.
SEPARATOR = "/"

#: Metadata of keys, as `sparqsim.base.keys` takes it.
SIDE = {"least": 1, "most": 4096}
CROSSBARS = {"least": 1, "most": 1_000_000}
CYCLES = {"least": 1, "most": 1_000_000}
DIGIT_BITS = {"least": 1, "most": 8}


def read_cell_bits(text: str) -> int | None:
    """Return the bits of a cell that a text says, None where they do not divide 8."""
    bits = whole_number(text, 1, CELL_BITS[-1])
    return bits if bits in CELL_BITS else None


def read_adc_bits(text: str) -> str | None:
    """Return 'auto' or a list of bits, None where a text is neither."""
    return text if text == AUTO or listed(text) else None


def read_sqnr(text: str) -> str | None:
    """Return 'lossless' or a number of dB as it is written shortest; None for anything else."""
    if text == LOSSLESS:
        return text
    value = real_number(text)
    return f"{value:g}" if value is not None and 0 <= value <= MOST_DB else None


CELL: Final[dict[str, Any]] = {"read": read_cell_bits, "accepts": "1, 2, 4 or 8"}
CONVERTER: Final[dict[str, Any]] = {
    "read": read_adc_bits,
    "accepts": f"auto, or bits from 1 to {MOST_BITS}, one for all slices or one for each: 6/8/8/8",
}
BOUND: Final[dict[str, Any]] = {
    "read": read_sqnr,
    "accepts": f"lossless, or a number of dB from 0 to {MOST_DB}",
}


def listed(text: str) -> Bits:
    """Return the bits of a list, none where it is no list of bits."""
    bits = [whole_number(each, 1, MOST_BITS) for each in text.split(SEPARATOR)]
    found = tuple(each for each in bits if each is not None)
    return found if len(found) == len(bits) else ()


def joined(bits: Sequence[int]) -> str:
    """Return the text of bits by slice, one number where all are equal."""
    return SEPARATOR.join(map(str, bits[:1] if len(set(bits)) == 1 else bits))


def as_text(value: Any) -> Any:
    """Return the text of a number, or of several; anything else as it is."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return SEPARATOR.join(map(str, value))
    return f"{value:g}" if type(value) in {int, float} else value


def check(keyed: Any) -> None:
    """Raise InputError for keys that no text could have set, naming key, value and what is
    accepted.
    """
    named = f"engine model {keyed.name!r}"
    check_keys(keyed, named)
    for key in keys_of(keyed):
        value, about = getattr(keyed, key.name), key.metadata
        if "read" in about:
            taken = about["read"](str(value)) is not None
        else:
            taken = about["least"] <= value <= about["most"]
        if not taken:
            accepted = key_choices(type(keyed))[key.name][1]
            raise InputError(f"{named}: {key.name}={shown(value)}, expected {accepted}")
