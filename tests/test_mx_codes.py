"""Tables of MX values: every block as its format says it, nearest by nearest, in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sparqsim.pe.mx_codes import MxCodes, every_code
from sparqsim.quantise.mx import MXFP4, MXINT8

#: Format, its magnitudes in its unit, units of 1, and the largest exponent of an element.
FORMATS = {
    "MXINT8": (MXINT8, list(range(128)), 64, 0),
    "MXFP4": (MXFP4, [0, 1, 2, 3, 4, 6, 8, 12], 2, 2),
}


def plain_block(values, magnitudes, unit, largest_exponent, least):
    """Return a block's values over the least unit: nearest magnitude, the larger of two."""
    most = max(map(abs, values))
    if most == 0:
        return [0] * len(values)
    exponent = max(math.frexp(most)[1] - 1 - largest_exponent, -127)
    found = []
    for value in values:
        wanted = math.ldexp(abs(value) * unit, -exponent)
        nearest = min(magnitudes, key=lambda each: (abs(each - wanted), -each))
        found.append(int(math.copysign(nearest, value)) << (exponent - least))
    return found


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", [np.uint8, np.int8])
@pytest.mark.parametrize(("scale", "zero"), [(1.0, 0), (0.0131, 128), (0.9999999, -3), (3e-39, 1)])
def test_codes_in_blocks(name, kind, scale, zero):
    """Blocks of all sizes of numbers, one of zeros, and one that is cut."""
    format_, magnitudes, unit, largest_exponent = FORMATS[name]
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 256, (24, 70)) >> rng.integers(0, 9, (24, 1))
    x = codes.astype(np.uint8).view(kind)
    x[0, :32] = np.array([zero]).astype(kind)
    least = max(math.frexp(scale)[1] - 1 - largest_exponent, -127)
    tables = MxCodes.of(format_, (every_code(kind) - zero) * scale, least)
    expected = [
        [
            value
            for start in range(0, 70, 32)
            for value in plain_block(
                [(int(code) - zero) * scale for code in row[start : start + 32]],
                magnitudes,
                unit,
                largest_exponent,
                least,
            )
        ]
        for row in x
    ]
    assert tables.of_rows(x).tolist() == expected
