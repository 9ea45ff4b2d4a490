"""The contract of row formats, as checks that anyone can run: `check_row_format(...)`.

Each check has a few drawn rows of several widths stored and read back, among them rows of zeros,
constant, tiny and large ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from sparqsim.base.contract import Check, Outcome, expect, expect_frozen, outcomes_of
from sparqsim.base.errors import InputError
from sparqsim.quantise.rows.base import RowFormat, Rows
from sparqsim.quantise.rows.registry import get_row_format

SEED = 11
WIDTHS = (1, 2, 7, 64)
ROWS = 12


def check_row_format(each: RowFormat) -> Iterator[Outcome]:
    """Run every check on a format."""
    return outcomes_of(CHECKS, each)


def trial_rows(width: int) -> Rows:
    """Return rows of many kinds, float32 (ROWS, width); fp16 holds all of them."""
    random = np.random.default_rng(SEED)
    rows = random.normal(size=(ROWS, width)).astype(np.float32)
    rows[1] = 0
    rows[2] = np.float32(0.1)
    rows[3] *= np.float32(1e-9)
    rows[4] *= np.float32(1e4)
    rows[5] += 1000
    rows[6, 0] = 60_000
    return rows


def check_name(each: RowFormat) -> None:
    """Expect the name and the keys to make the same format again."""
    expect(bool(each.name) and not set(":,") & set(each.name), f"name={each.name!r}")
    expect_frozen(each, "row formats")
    again = type(each)() if ":" not in each.spec else get_row_format(each.spec)
    expect(again == each, f"spec {each.spec!r} makes {again!r}, expected {each!r}")


def check_bytes(each: RowFormat) -> None:
    """Expect as many bytes a row as `row_bytes` says, never fewer of a wider row."""
    before = 0
    for width in WIDTHS:
        stored, asked = each.encode(trial_rows(width)), each.row_bytes(width)
        form = f"width {width}: encode gives {stored.dtype} {stored.shape}"
        expect(stored.dtype == np.uint8, f"{form}, expected uint8")
        expect(stored.shape == (ROWS, asked), f"{form}, expected {(ROWS, asked)}")
        expect(asked >= max(1, before), f"width {width}: {asked} bytes, {before} of fewer elements")
        before = asked


def check_values(each: RowFormat) -> None:
    """Expect finite float32 of the rows' shape, and rows of zeros to stay zeros."""
    for width in WIDTHS:
        rows = trial_rows(width)
        read = each.decode(each.encode(rows), width)
        form = f"width {width}: decode gives {read.dtype} {read.shape}"
        expect(read.dtype == np.float32 and read.shape == rows.shape, f"{form}, not {rows.shape}")
        expect(bool(np.isfinite(read).all()), f"width {width}: decode gives NaN or infinity")
        expect(not read[1].any(), f"width {width}: a row of zeros is read back as {read[1]}")


def check_rows_alone(each: RowFormat) -> None:
    """Expect a row's bytes not to depend on the other rows."""
    for width in WIDTHS:
        rows = trial_rows(width)
        together = each.encode(rows)
        for at in range(ROWS):
            alone = each.encode(rows[at : at + 1])
            same = np.array_equal(alone[0], together[at])
            expect(same, f"width {width}: row {at} alone differs from the same among others")


def check_input_untouched(each: RowFormat) -> None:
    """Expect rows and bytes to stay as they were."""
    for width in WIDTHS:
        rows = trial_rows(width)
        stored = each.encode(rows)
        same = np.array_equal(rows, trial_rows(width))
        expect(same, f"width {width}: encode writes to the rows it was given")
        before = stored.copy()
        each.decode(stored, width)
        expect(np.array_equal(stored, before), f"width {width}: decode writes to the bytes")


def check_refusal(each: RowFormat) -> None:
    """Expect NaN and infinity to be refused, naming the row."""
    for bad in (np.nan, np.inf, -np.inf):
        rows = trial_rows(7)
        rows[4, 6] = bad
        try:
            each.encode(rows)
        except InputError as error:
            expect("row 4" in str(error), f"{error}: expected 'row 4' in it")
            continue
        expect(False, f"{bad} in row 4 is not refused")


CHECKS: Mapping[str, Check[RowFormat]] = {
    "name and keys": check_name,
    "bytes": check_bytes,
    "values": check_values,
    "rows do not know of each other": check_rows_alone,
    "what is given is not written to": check_input_untouched,
    "NaN and infinity are refused": check_refusal,
}
