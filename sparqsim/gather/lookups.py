"""Which rows are looked up, in bags that are pooled to one vector each.

`FILE`: a text file with a line for each bag, row numbers between spaces or commas; or an .npy file
of integers, (bags, look-ups of a bag), or (look-ups,) to be cut into bags. `text:FILE`: a text,
whose words become rows by a tokenizer, a bag for each line. `zipf:S`: drawn: the row of rank r is
asked for with a probability in proportion to r^-S (0: all alike), ranks are dealt to rows at
random. What is drawn is synthetic, and says so.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, shown
from sparqsim.base.limits import INDEX_BYTES, LOOKUPS
from sparqsim.base.parse import real_number
from sparqsim.base.textfile import read_text
from sparqsim.trace.arrayfile import read_npy

Indices = NDArray[np.int64]

#: Largest exponent that is drawn by: beyond it there is one row in all.
STEEPEST = 10.0
EXPECTED = "FILE (text or .npy), zipf:S or text:FILE"


@dataclass(frozen=True, eq=False)
class Lookups:
    """Rows in the order in which they are asked for.

    Parameters
    ----------
    rows : int64 (look-ups,)
    starts : int64 (bags,)
        The first look-up of each bag; a bag ends where the next begins.
    source : str
        Where they come from, in words.
    synthetic : str
        How they were drawn; '' where they were not.
    seed : int or None
        That they were drawn with.
    """

    rows: Indices
    starts: Indices
    source: str
    synthetic: str = ""
    seed: int | None = None

    @property
    def bags(self) -> int:
        """How many vectors they are pooled to."""
        return len(self.starts)

    @cached_property
    def counts(self) -> Indices:
        """How often each row is asked for, up to the last one that is: int64."""
        return np.bincount(self.rows)

    @cached_property
    def sha256(self) -> str:
        """Digest of rows and starts of bags, int64 of eight bytes each, the lowest first."""
        digest = hashlib.sha256(self.rows.astype("<i8").tobytes())
        digest.update(self.starts.astype("<i8").tobytes())
        return digest.hexdigest()

    @property
    def distinct_rows(self) -> int:
        """How many rows are asked for at all."""
        return int(np.count_nonzero(self.counts))


@dataclass(frozen=True)
class Draw:
    """How drawn look-ups are made: how many, how many a bag, and the seed.

    `bag` also cuts look-ups of a file that has none.
    """

    lookups: int = 1_000_000
    bag: int = 32
    seed: int = 0


def draw_of(
    indices: str,
    lookups: int | None = None,
    bag: int | None = None,
    seed: int | None = None,
    tokenizer: str | None = None,
    *,
    sign: str = "",
) -> Draw:
    """Return what is drawn of look-ups.

    Parameters
    ----------
    indices : str
    lookups, bag, seed : int, optional
    tokenizer : str, optional
    sign : str
        What stands before names in messages: '--' of options.

    Raises
    ------
    InputError
        For what would change nothing.
    """
    drawn, text = indices.startswith("zipf:"), indices.startswith("text:")
    pooled = drawn or indices.endswith(".npy")
    for name, value, used, where in (
        ("lookups", lookups, drawn, "zipf:S"),
        ("seed", seed, drawn, "zipf:S"),
        ("bag", bag, pooled, "zipf:S or a .npy file; each line is a bag here"),
        ("tokenizer", tokenizer, text, "text:FILE"),
    ):
        if value is not None and not used:
            raise InputError(
                f"{sign}{name} {value}: changes nothing with {sign}indices {indices}, expected "
                f"{where}"
            )
    chosen = {"lookups": lookups, "bag": bag, "seed": seed}
    return Draw(**{name: value for name, value in chosen.items() if value is not None})


def lookups_of(
    spec: str, height: int, draw: Draw | None = None, tokenizer: str | None = None
) -> Lookups:
    """Return what `--indices` names.

    Parameters
    ----------
    spec : str
        As the module says.
    height : int
        Rows of the table.
    draw : Draw, optional
        What the text itself does not say.
    tokenizer : str, optional
        File of the tokenizer of `text:FILE`; default: that of the package `wordllama`.

    Raises
    ------
    InputError
        For a row that the table does not have, naming its line, and whatever else cannot be read.
    """
    kind, colon, rest = spec.partition(":")
    draw = draw or Draw()
    if kind == "zipf" and colon:
        return drawn(rest, height, draw)
    if kind == "text" and colon:
        return of_text(rest, height, tokenizer)
    if spec.endswith(".npy"):
        return of_array(Path(spec), height, draw.bag)
    return of_lines(spec, height)


def drawn(text: str, height: int, draw: Draw) -> Lookups:
    """Return look-ups drawn by Zipf's law with the exponent that `text` is."""
    exponent = real_number(text)
    if exponent is None or not 0 <= exponent <= STEEPEST:
        raise InputError(
            f"--indices zipf:{text}: the exponent is {shown(text)}, expected a number from 0 (all "
            f"rows alike) to {STEEPEST:g}"
        )
    LOOKUPS.check(draw.lookups, f"--indices zipf:{text}")
    random = np.random.default_rng(draw.seed)
    odds = np.arange(1, height + 1, dtype=np.float64) ** -exponent
    reach = np.cumsum(odds)
    ranks = np.searchsorted(reach, random.random(draw.lookups) * reach[-1], side="right")
    rows = random.permutation(height)[np.minimum(ranks, height - 1)]
    starts = np.arange(0, draw.lookups, draw.bag)
    words = f"Zipf, exponent {exponent:g}, over {height:,} rows, seed {draw.seed}"
    return Lookups(rows, starts, f"zipf:{exponent:g}", words, draw.seed)


def of_lines(path: str, height: int) -> Lookups:
    """Return the look-ups of a text file: a line of row numbers for each bag."""
    expected = f"row numbers, a line for each bag; or {EXPECTED}"
    rows: list[Indices] = []
    lines = read_text(path, expected, INDEX_BYTES).split("\n")
    for number, line in enumerate(lines, 1):
        words = line.replace(",", " ").split()
        if words:
            rows.append(_rows_of_line(words, height, f"{path}: line {number}"))
    if not rows:
        raise InputError(f"{path}: holds no row numbers, expected a line of them for each bag")
    return _of_bags(rows, Path(path).name)


def _rows_of_line(words: list[str], height: int, place: str) -> Indices:
    plain = all(word.isascii() and word.isdigit() and len(word) < 19 for word in words)
    rows = np.array(list(map(int, words)), np.int64) if plain else None
    if rows is not None and rows.max() < height:
        return rows
    odd = next(
        word
        for word in words
        if not (word.isascii() and word.isdigit() and len(word) < 19 and int(word) < height)
    )
    raise InputError(f"{place}: {shown(odd)}, expected row numbers from 0 to {height - 1}")


def of_array(path: Path, height: int, bag: int) -> Lookups:
    """Return the look-ups of an .npy file: integers, (bags, look-ups of a bag), or (look-ups,) to
    be cut into bags of `bag`.
    """
    array = read_npy(path)
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2):
        raise InputError(
            f"{path}: {array.dtype} {array.shape}, expected integers, (look-ups,) or (bags, "
            "look-ups of a bag)"
        )
    LOOKUPS.check(array.size, str(path))
    odd = (array < 0) | (array >= height)
    if odd.any():
        place = tuple(int(at) for at in np.argwhere(odd)[0])
        raise InputError(
            f"{path}: {list(place)} is {array[place]}, expected row numbers from 0 to {height - 1}"
        )
    size = array.shape[1] if array.ndim == 2 else bag
    rows = array.reshape(-1).astype(np.int64)
    return Lookups(rows, np.arange(0, len(rows), size), path.name)


def of_text(path: str, height: int, tokenizer: str | None = None) -> Lookups:
    """Return the look-ups of a text: a bag for each line that has words, in its order."""
    from sparqsim.gather.tokens import rows_of_lines

    lines = read_text(path, "a text in UTF-8", INDEX_BYTES).split("\n")
    rows = [row for row in rows_of_lines(lines, tokenizer) if len(row)]
    if not rows:
        raise InputError(f"{path}: holds no words, expected a text")
    for number, line in enumerate(rows, 1):
        if line.max() >= height:
            raise InputError(
                f"{path}: the tokenizer gives row {line.max()} in bag {number}, expected row "
                f"numbers from 0 to {height - 1}: a tokenizer made for the table"
            )
    return _of_bags(rows, f"text {Path(path).name}")


def _of_bags(bags: list[Indices], source: str) -> Lookups:
    ends = np.cumsum([len(bag) for bag in bags])
    return Lookups(np.concatenate(bags), np.append(0, ends[:-1]), source)
