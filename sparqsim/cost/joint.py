"""The same counts without going from PE to PE.

What toggles in PE (m, n) at a step is a sum of products of something that row m tells and something
that column n tells. Every row meets every column in one tile, so

    count = sum over steps of (sum over rows of what they tell) x (sum over columns of the same)

Rows tell of each multiplier, by the lanes of its weight before and now (`pairs`): bits of its
activation that stay 1, rise, fall; whether it was, is, or was and is other than zero; the bits of
its magnitude. Columns tell the same of the weights of two lanes, and of their signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit, parallel_jit, prange
from sparqsim.cost.paths.base import PORT_BITS, DataPath, PathTables
from sparqsim.cost.toggles import Toggles
from sparqsim.pe.base import Array, PEDesign

#: What rows tell, in order: bits that stay 1, rise, fall; other than zero before, now, both; bits
#: of the magnitude.
STAY, RISE, FALL, WAS, IS, BOTH, BITS = range(7)
ROW_FACTS = 7
#: What columns tell beside: negative before, now, both.
NEGATIVE_WAS, NEGATIVE_IS, NEGATIVE_BOTH = range(7, 10)
COLUMN_FACTS = 10
#: Row facts are added packed in one word, of so many bits each, and taken out in time: a row adds
#: at most 8 for each multiplier, and only where there are two may both add to the same fact.
FIELD_BITS, FIELD_ROWS = 9, 31
#: Steps that a thread takes at once.
CHUNK = 64
#: Places in a packed state, above the ports: lanes, word.
LANES_AT, WORD_AT, LONGEST_WORD = 32, 40, 24

BIT_COUNT = np.array([value.bit_count() for value in range(256)], np.uint8)
BIT_LENGTH = np.array([value.bit_length() for value in range(256)], np.uint8)

Sums = NDArray[np.int64]
Packed = NDArray[np.uint64]


@dataclass(frozen=True)
class LanePairs:
    """Pairs of lanes, before and now, that a multiplier's weight can be of.

    `number`: int64 (lanes, lanes), the number of a pair; -1 for none. `count`: how many. `within`:
    whether steps have a second cycle.
    """

    number: NDArray[np.int64]
    count: int
    within: bool

    @classmethod
    def of(cls, tables: PathTables, lanes: int) -> LanePairs:
        """Return those of a design: lane by lane alone where every multiplier has its own."""
        moving = len(np.unique(np.concatenate([tables.first_lanes, tables.last_lanes]))) > 1
        number = np.full((lanes, lanes), -1, np.int64)
        used = [(a, b) for a in range(lanes) for b in range(lanes) if moving or a == b]
        for at, (before, now) in enumerate(used):
            number[before, now] = at
        return cls(number, len(used), bool(tables.two.any()))


@dataclass(frozen=True)
class ColumnSums:
    """What all columns tell.

    `words`: int64 (groups, steps + 1), toggled bits of weight registers. `between`: int64 (groups,
    steps + 1, pairs, facts), from a step to the next. `within`: int64 (groups, steps, pairs,
    facts), from the first to the second cycle of a step; None where steps take one.
    """

    words: Sums
    between: Sums
    within: Sums | None

    @classmethod
    def of(cls, path: DataPath, design: PEDesign, weights: Array, pairs: LanePairs) -> ColumnSums:
        """Return those of the weights of a layer, int8 (groups, K, N)."""
        order = design.k_order(weights.shape[1])
        stored = np.pad(path.weights(design, weights), ((0, 0), (0, 1), (0, 0)))
        in_steps = stored[:, order]  # (groups, steps, lanes, N)
        resting = np.zeros_like(in_steps[:, :1])
        sequence = np.concatenate([resting, in_steps, resting], axis=1)
        mask = (1 << path.weight_bits(design)) - 1
        between = _columns(sequence[:, :-1], sequence[:, 1:], mask, pairs)
        within = _columns(in_steps, in_steps, mask, pairs)[1] if pairs.within else None
        return cls(*between, within)


def _columns(before: Array, now: Array, mask: int, pairs: LanePairs) -> tuple[Sums, Sums]:
    """Return what columns tell from weights (groups, steps, lanes, N) before to those now."""
    groups, steps = before.shape[:2]
    words = np.zeros((groups, steps), np.int64)
    told = np.zeros((groups, steps, pairs.count, COLUMN_FACTS), np.int64)
    _tell_columns(before, now, mask, pairs.number, BIT_COUNT, BIT_LENGTH, words, told)
    return words, told


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


class ToggleCounter:
    """Counts what toggles in the PEs of one design over the row blocks of one layer."""

    def __init__(self, path: DataPath, design: PEDesign, weights: Array) -> None:
        """Start with no rows; `weights` int8 (groups, K, N)."""
        self._path, self._design = path, design
        tables = path.tables(design)
        self._tables, self._multipliers = RowTables.of(tables), tables.multipliers
        self._pairs = LanePairs.of(tables, design.lanes)
        self._weights = weights
        groups, steps = weights.shape[0], design.steps(weights.shape[1])
        self._rows, self._words = 0, np.zeros((groups, steps + 1), np.int64)
        self._between = np.zeros((groups, steps + 1, self._pairs.count, ROW_FACTS), np.int64)
        self._within = np.zeros((groups, steps, self._pairs.count, ROW_FACTS), np.int64)

    def add(self, x: NDArray[np.uint8]) -> None:
        """Count a block of rows, uint8 (groups, rows, K)."""
        codes = np.ascontiguousarray(self._path.codes(self._design, x))
        tables = self._tables
        _tell_rows(
            codes,
            (tables.first, tables.last, tables.facts),
            tables.port_bits,
            self._multipliers,
            self._pairs.number,
            self._words,
            self._between,
            self._within,
        )
        self._rows += x.shape[1]

    @cached_property
    def columns(self) -> ColumnSums:
        """What the columns tell."""
        return ColumnSums.of(self._path, self._design, self._weights, self._pairs)

    def toggles(self, rows: int, cols: int) -> Toggles:
        """Return what toggled in an array of rows x cols PEs."""
        columns = self.columns
        along_rows = -(-self._rows // rows) * rows
        along_cols = -(-self._weights.shape[2] // cols) * cols
        words = Toggles(int(self._words.sum()) * along_cols, int(columns.words.sum()) * along_rows)
        total = words + _of_multipliers(self._between, columns.between)
        if columns.within is not None:
            total += _of_multipliers(self._within, columns.within)
        return total


def _of_multipliers(rows: Sums, cols: Sums) -> Toggles:
    joint = np.einsum("gspi,gspj->ij", rows, cols).tolist()
    changes = joint[RISE][STAY] + joint[FALL][STAY]
    return Toggles(
        products_activation=changes,
        products_weight=joint[STAY][RISE] + joint[STAY][FALL],
        products_both=joint[RISE][RISE] + joint[FALL][FALL],
        signs=joint[WAS][NEGATIVE_WAS] + joint[IS][NEGATIVE_IS] - 2 * joint[BOTH][NEGATIVE_BOTH],
        products=joint[IS][IS],
        kept_products=joint[BOTH][BOTH],
        product_bits=joint[BITS][IS] + joint[IS][BITS],
    )


@parallel_jit
def _tell_rows(
    codes: Any,
    tables: tuple[Packed, Packed, Packed],
    port_bits: int,
    multipliers: int,
    number: Sums,
    words: Sums,
    between: Sums,
    within: Sums,
) -> None:
    """Add what rows tell; codes (groups, rows, steps)."""
    groups, rows, steps = codes.shape
    first, last, facts = tables
    pairs = between.shape[2]
    mask, width = np.uint64((1 << port_bits) - 1), np.uint64(port_bits)
    chunks = -(-(steps + 1) // CHUNK)
    for job in prange(groups * chunks):
        group, start = job // chunks, job % chunks * CHUNK
        stop = min(steps + 1, start + CHUNK)
        sums = np.zeros((2, CHUNK, pairs), np.uint64)
        for row in range(rows):
            old = last[codes[group, row, start - 1] if start else 0]
            for step in range(start, stop):
                code = codes[group, row, step] if step < steps else 0
                new, then = first[code], last[code]
                words[group, step] += _ones((old ^ new) >> np.uint64(WORD_AT))
                for at in range(multipliers):
                    place, lane = np.uint64(8 * at), np.uint64(32 + 2 * at)
                    x, y = old >> place & mask, new >> place & mask
                    a, b = old >> lane & np.uint64(3), new >> lane & np.uint64(3)
                    sums[0, step - start, number[a, b]] += facts[x << width | y]
                    if then != new:
                        z, c = then >> place & mask, then >> lane & np.uint64(3)
                        sums[1, step - start, number[b, c]] += facts[y << width | z]
                old = then
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


@jit
def _tell_columns(
    before: Any,
    now: Any,
    mask: int,
    number: Sums,
    count: Any,
    length: Any,
    words: Sums,
    told: Sums,
) -> None:
    """Add what columns tell; weights (groups, steps, lanes, N)."""
    groups, steps, lanes, _ = before.shape
    for group in range(groups):
        for step in range(steps):
            for a in range(lanes):
                for b in range(lanes):
                    if number[a, b] >= 0:
                        facts = told[group, step, number[a, b]]
                        old, new = before[group, step, a], now[group, step, b]
                        _tell_lanes(old, new, mask, count, length, facts)
                words[group, step] += told[group, step, number[a, a], 1]
                words[group, step] += told[group, step, number[a, a], 2]


@jit
def _tell_lanes(
    before: Any, now: Any, mask: int, count: Any, length: Any, facts: NDArray[np.int64]
) -> None:
    """Set what weights (N,) of a lane before, and of a lane now, tell."""
    stay = rise = fall = was = nonzero = both = bits = np.int64(0)
    negative_was = negative = negative_both = np.int64(0)
    for col in range(len(now)):
        old, new = np.int64(before[col]), np.int64(now[col])
        x, y = old & mask, new & mask
        stay += count[x & y]
        rise += count[y & ~x]
        fall += count[x & ~y]
        was += old != 0
        nonzero += new != 0
        both += (old != 0) & (new != 0)
        bits += length[abs(new)]
        negative_was += old < 0
        negative += new < 0
        negative_both += (old < 0) & (new < 0)
    told = (stay, rise, fall, was, nonzero, both, bits, negative_was, negative, negative_both)
    for at in range(len(told)):
        facts[at] = told[at]
