"""Tables of docs/how-to/trainers.md, from docs/trainers/digits.json.

python workloads/trainer_tables.py            # writes them
python workloads/trainer_tables.py --check    # exit code 1 if the page holds others
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from page_tables import ROOT, Pages, markdown_table

RECORD = ROOT / "docs" / "trainers" / "digits.json"
PAGE = ROOT / "docs" / "how-to" / "trainers.md"
SEEDS = (0, 1, 2)
#: METHOD:VALUE. Of `rounded` and `uniform` the bits of weights, of others the penalty's weight in
#: the loss.
SETTINGS = (
    "rounded:8",
    "rounded:5",
    "rounded:4",
    "rounded:3",
    "rounded:2",
    "uniform:2",
    "bsq:0.5",
    "dropbits:1",
    "slices:0",
    "slices:4",
)
TITLES = {
    "rounded": "rounding to uniform bits",
    "uniform": "uniform bits, learned",
    "bsq": "BSQ",
    "dropbits": "DropBits, a reconstruction",
    "slices": "bit-slice L1",
}
#: Methods that choose bits layer by layer.
BIT_LISTS = ("bsq", "dropbits")
WHOLE, SLICES_BEFORE = "rounded:8", "slices:0"
#: Right answers that count as equal: one picture per hundred.
EQUAL_SHARE = 0.01

Record = dict[str, Any]


def loaded() -> Record:
    """Return the record."""
    record: Record = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def row_key(setting: str, seed: int) -> str:
    """Return the name of a row."""
    return f"{setting} seed {seed}"


class Measured(NamedTuple):
    """A row of the record."""

    setting: str
    seed: int
    row: Record

    @property
    def method(self) -> str:
        """What trained it."""
        return self.setting.partition(":")[0]


def rows_of(record: Record, *methods: str) -> Iterator[Measured]:
    """Yield the rows of some methods, setting by setting, seed by seed."""
    for setting in SETTINGS:
        for seed in SEEDS:
            row = record["rows"].get(row_key(setting, seed))
            if row is not None and setting.partition(":")[0] in methods:
                yield Measured(setting, seed, row)


def mean_bits(record: Record, row: Record) -> float:
    """Return the bits of a weight with its sign, mean over the network's weights."""
    sizes = record["weights"]
    total = sum(sizes[name] * (bits + 1) for name, bits in row["magnitude_bits"].items())
    return total / sum(sizes.values())


def share_of_whole(record: Record, found: Measured, pe: str) -> str:
    """Return cycles over those at 8 bits of the same design and seed, '-' before these are
    measured.
    """
    whole = record["rows"].get(row_key(WHOLE, found.seed))
    return "-" if whole is None else f"{found.row['cycles'][pe] / whole['cycles'][pe]:.3f}"


def bits_table(record: Record) -> list[str]:
    """Return bits, answers and cycles of every network."""
    heads = (
        "weights",
        "seed",
        "bits of a weight, mean",
        "right",
        "agree",
        "`serial-w`, cycles",
        "of those at 8 bits",
        "`loom`, cycles",
        "of those at 8 bits",
        "CPU s",
    )
    rows = []
    for found in rows_of(record, "rounded", "uniform", *BIT_LISTS):
        row, pictures = found.row, record["answered_pictures"]
        cells = [f"`{found.setting}`", str(found.seed), f"{mean_bits(record, row):.2f}"]
        cells += [f"{row['right']} ({row['right'] / pictures:.1%})", f"{row['agree']}"]
        for pe in ("serial-w", "loom"):
            cells += [f"{row['cycles'][pe]:,}", share_of_whole(record, found, pe)]
        rows.append([*cells, f"{row['cpu_seconds']:.0f}"])
    return markdown_table(heads, rows)


class Claim(NamedTuple):
    """A list of bits beside the network of fewest uniform bits that answers as well, same seed.

    measured: whether there are any of that seed. other: None where none answers as well. bits,
    other_bits: means over weights, inf for no other.
    """

    found: Measured
    measured: bool
    other: Measured | None
    bits: float
    other_bits: float

    @property
    def holds(self) -> bool:
        """Whether the list has fewer bits."""
        return self.measured and self.bits < self.other_bits


def claims(record: Record, method: str) -> list[Claim]:
    """Return a claim for each list of bits; `method`: of the uniform networks."""
    slack = EQUAL_SHARE * record["answered_pictures"]
    made = []
    for found in rows_of(record, *BIT_LISTS):
        uniform = [other for other in rows_of(record, method) if other.seed == found.seed]
        equal = [other for other in uniform if other.row["right"] >= found.row["right"] - slack]
        best = min(equal, key=lambda other: mean_bits(record, other.row), default=None)
        bits = float("inf") if best is None else mean_bits(record, best.row)
        made.append(Claim(found, bool(uniform), best, mean_bits(record, found.row), bits))
    return made


def claims_table(record: Record) -> list[str]:
    """Return bits and cycles beside uniform ones at equal accuracy, rounded and learned."""
    heads = ["list", "seed", "right", "bits"]
    for kind in ("rounded", "learned"):
        heads += [f"uniform, {kind}", "right", "fewer bits", "`serial-w`, cycles over its"]
    rows = []
    for pair in zip(claims(record, "rounded"), claims(record, "uniform"), strict=True):
        found = pair[0].found
        cells = [f"`{found.setting}`", str(found.seed), f"{found.row['right']}"]
        cells.append(f"{pair[0].bits:.2f}")
        for claim in pair:
            cells += _beside(claim)
        rows.append(cells)
    return markdown_table(heads, rows)


def _beside(claim: Claim) -> list[str]:
    if not claim.measured:
        return ["-"] * 4
    if claim.other is None:
        return ["none answers as well", "-", "yes", "-"]
    ratio = claim.found.row["cycles"]["serial-w"] / claim.other.row["cycles"]["serial-w"]
    holds = "yes" if claim.holds else "**no**"
    other = claim.other
    return [f"{claim.other_bits:.0f} bits", f"{other.row['right']}", holds, f"{ratio:.3f}"]


def verdict(record: Record) -> list[str]:
    """Return in how many rows lists have fewer bits than uniform networks that answer as well."""
    said = []
    for method, words in (("rounded", "rounded"), ("uniform", "learned")):
        found = [claim for claim in claims(record, method) if claim.measured]
        failing = sum(not claim.holds for claim in found)
        said.append(
            f"Against uniform bits, {words}, the claim fails in {failing} of {len(found)} rows."
        )
    return [" ".join(said)]


def lists_table(record: Record) -> list[str]:
    """Return bits of weights, layer by layer."""
    found = list(rows_of(record, *BIT_LISTS))
    heads = ["layer", "weights", *(f"`{each.setting}`, seed {each.seed}" for each in found)]
    rows = [
        [f"`{name}`", f"{size:,}", *(str(each.row["magnitude_bits"][name] + 1) for each in found)]
        for name, size in record["weights"].items()
    ]
    return markdown_table(heads, rows)


def slices_table(record: Record) -> list[str]:
    """Return what crossbars need for weights with and without bit-slice L1."""
    heads = (
        "weights",
        "seed",
        "right",
        "agree",
        "largest column sum",
        "bits to read it",
        "bits, mean over layers",
        "cells that are 0",
        "CPU s",
    )
    rows = []
    for found in rows_of(record, "slices"):
        row, crossbars = found.row, found.row["crossbars"]
        cells = [f"`{found.setting}`", str(found.seed)]
        share = row["right"] / record["answered_pictures"]
        cells += [f"{row['right']} ({share:.1%})", str(row["agree"])]
        cells += [" / ".join(map(str, crossbars[key])) for key in ("worst", "adc_bits")]
        cells.append(" / ".join(f"{each:.2f}" for each in crossbars["mean_adc_bits"]))
        cells.append(" / ".join(f"{each:.1%}" for each in crossbars["zeros"]))
        rows.append([*cells, f"{row['cpu_seconds']:.0f}"])
    return markdown_table(heads, rows)


TABLES: dict[str, Callable[[Record], list[str]]] = {
    "bits": bits_table,
    "claims": claims_table,
    "verdict": verdict,
    "lists": lists_table,
    "slices": slices_table,
}

PAGES = Pages(lambda: [PAGE], lambda name: TABLES[name](loaded()))
rendered, write_tables = PAGES.rendered, PAGES.write


if __name__ == "__main__":
    PAGES.write_or_check()
