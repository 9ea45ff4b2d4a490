"""What the rows of X tell, step by step, summed over rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit, parallel_jit, prange
from sparqsim.cost.facts import (
    BIT_COUNT,
    BIT_LENGTH,
    BITS,
    BOTH,
    FALL,
    IS,
    RISE,
    STAY,
    WAS,
    Sums,
)
from sparqsim.cost.paths.base import PORT_BITS, PathTables

#: Row facts are added packed in one word, of so many bits each, and taken out in time: a row adds
#: at most 8 for each multiplier, and only where there are two may both add to the same fact.
FIELD_BITS, FIELD_ROWS = 9, 31
#: Steps that a thread takes at once.
CHUNK = 64
#: Places in a packed state, above the ports: lanes, word.
LANES_AT, WORD_AT, LONGEST_WORD = 32, 40, 24

Packed = NDArray[np.uint64]


@dataclass(frozen=True)
class RowTables:
    """States of a PE by the code of a step's activations, and what a multiplier tells.

    `first`, `last`: uint64 (codes,), the state in the step's first and last cycle: ports, lanes
    from `LANES_AT` on, word from `WORD_AT` on. `facts`: uint64, packed, by the activation before
    and now, `port_bits` each.
    """

    first: Packed
    last: Packed
    facts: Packed
    port_bits: int

    @classmethod
    def of(cls, tables: PathTables) -> RowTables:
        """Pack the tables of a path."""
        if int(tables.word.max()) >> LONGEST_WORD:
            raise ValueError(f"an activation's word has more than {LONGEST_WORD} bits")
        word = tables.word.astype(np.uint64) << np.uint64(WORD_AT)
        first, last = (
            word | ports.astype(np.uint64) | lanes.astype(np.uint64) << np.uint64(LANES_AT)
            for ports, lanes in (
                (tables.first, tables.first_lanes),
                (tables.last, tables.last_lanes),
            )
        )
        every = np.concatenate([tables.first, tables.last]).view(np.uint8)
        port_bits = 4 if int(every.max()) < 16 else PORT_BITS
        return cls(first, last, _packed_facts(port_bits), port_bits)


@cache
def _packed_facts(port_bits: int) -> Packed:
    """Return `ROW_FACTS` of every activation before and now, packed."""
    old, new = np.divmod(np.arange(1 << 2 * port_bits), 1 << port_bits)
    facts: dict[int, NDArray[Any]] = {
        STAY: BIT_COUNT[old & new],
        RISE: BIT_COUNT[new & ~old],
        FALL: BIT_COUNT[old & ~new],
        WAS: old != 0,
        IS: new != 0,
        BOTH: (old != 0) & (new != 0),
        BITS: BIT_LENGTH[new],
    }
    packed = np.zeros(len(old), np.uint64)
    for at, fact in facts.items():
        packed |= fact.astype(np.uint64) << np.uint64(FIELD_BITS * at)
    return packed


@parallel_jit
def tell_rows(
    codes: Any,
    tables: tuple[Packed, Packed, Packed],
    port_bits: int,
    multipliers: int,
    number: Sums,
    toggled: tuple[Sums, Sums],
    between: Sums,
    within: Sums,
) -> None:
    """Add what rows tell; codes (groups, rows, steps)."""
    groups, rows, steps = codes.shape
    first, last, facts = tables
    words, raw = toggled
    pairs = between.shape[2]
    mask, width = np.uint64((1 << port_bits) - 1), np.uint64(port_bits)
    chunks = -(-(steps + 1) // CHUNK)
    for job in prange(groups * chunks):
        group, start = job // chunks, job % chunks * CHUNK
        stop = min(steps + 1, start + CHUNK)
        sums = np.zeros((2, CHUNK, pairs), np.uint64)
        for row in range(rows):
            old_code = codes[group, row, start - 1] if start else 0
            old = last[old_code]
            for step in range(start, stop):
                code = codes[group, row, step] if step < steps else 0
                new, then = first[code], last[code]
                words[group, step] += _ones((old ^ new) >> np.uint64(WORD_AT))
                raw[group, step] += _ones(np.uint64(old_code ^ code))
                for at in range(multipliers):
                    place, lane = np.uint64(8 * at), np.uint64(32 + 2 * at)
                    x, y = old >> place & mask, new >> place & mask
                    a, b = old >> lane & np.uint64(3), new >> lane & np.uint64(3)
                    sums[0, step - start, number[a, b]] += facts[x << width | y]
                    if then != new:
                        z, c = then >> place & mask, then >> lane & np.uint64(3)
                        sums[1, step - start, number[b, c]] += facts[y << width | z]
                old, old_code = then, code
            if row % FIELD_ROWS == FIELD_ROWS - 1 or row == rows - 1:
                _take_out(sums[0], between[group, start:stop])
                _take_out(sums[1], within[group, start : min(stop, steps)])


@jit
def _ones(word: np.uint64) -> np.int64:
    """Return the number of ones of a word."""
    pairs = word - (word >> np.uint64(1) & np.uint64(0x5555555555555555))
    nibbles = (pairs & np.uint64(0x3333333333333333)) + (
        pairs >> np.uint64(2) & np.uint64(0x3333333333333333)
    )
    octets = nibbles + (nibbles >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64(octets * np.uint64(0x0101010101010101) >> np.uint64(56))


@jit
def _take_out(sums: Packed, totals: Sums) -> None:
    """Add packed sums (steps, pairs) to totals (steps, pairs, facts), and clear them."""
    steps, pairs, facts = totals.shape
    for step in range(steps):
        for pair in range(pairs):
            packed = sums[step, pair]
            for at in range(facts):
                field = packed >> np.uint64(FIELD_BITS * at) & np.uint64((1 << FIELD_BITS) - 1)
                totals[step, pair, at] += np.int64(field)
            sums[step, pair] = 0
