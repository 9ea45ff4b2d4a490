"""The tables of docs/recipes/*.md that say what was expected of recipes, and whether it holds."""

from __future__ import annotations

from itertools import pairwise
from statistics import mean, median
from typing import Any, NamedTuple

from accuracy_tables import markdown_table

Record = dict[str, Any]

#: How far p* may be above the least loss over p.
TOLERANCE = 0.01
#: What each further point has to gain.
POINT_GAIN_DB = 3.0
FOUR_BIT_ARRAY = "mac-4b4b"


class Claim(NamedTuple):
    """What was expected, of which recipe, what was measured, and whether it holds."""

    recipe: str
    expected: str
    found: str
    holds: bool


def claims_table(record: Record) -> list[str]:
    """Return what was expected of the recipes that were measured."""
    rows = [
        [f"`{each.recipe}`", each.expected, each.found, "yes" if each.holds else "**no**"]
        for each in claims_of(record)
    ]
    if not rows:
        return ["Nothing was measured of what was expected of the recipes."]
    return markdown_table(("recipe", "expected", "measured", "holds"), rows)


def claims_of(record: Record) -> list[Claim]:
    """Return every claim that a record has figures of."""
    return [*_of_rounding(record), *_of_losses(record), *_of_points(record)]


def _of_rounding(record: Record) -> list[Claim]:
    if "adaround" not in record.get("claims", {}):
        return []
    layers = record["claims"]["adaround"]["layers"].values()
    claims = []
    for key, scales in (("nearest_same_scales", "its own scales"), ("nearest", "`nearest`'s")):
        ratios = [each["learned"] / each[key] for each in layers]
        kept = sum(each <= 1 for each in ratios)
        found = f"{kept} of {len(ratios)} layers; ratio {median(ratios):.2f} (median), "
        expected = f"output error of every 4-bit layer no more than rounded to nearest at {scales}"
        claims.append(
            Claim("adaround", expected, found + f"{max(ratios):.2f} (worst)", kept == len(ratios))
        )
    return claims


def _of_losses(record: Record) -> list[Claim]:
    losses = record["recipes"].get("lapq", {}).get("losses")
    if not losses:
        return []
    least, start = min(losses["losses"]), losses["start_loss"]
    claims = [
        Claim(
            "lapq",
            f"calibration loss at p* no more than {TOLERANCE:.0%} above the least over p",
            f"{start:.3g} at p* = {losses['power']:.2f}; least {least:.3g}",
            start <= (1 + TOLERANCE) * least,
        )
    ]
    if "final_loss" in losses:
        final = losses["final_loss"]
        claims.append(
            Claim(
                "lapq",
                "final calibration loss no more than at p*",
                f"{final:.3g} after {losses['evaluations']} losses; {start:.3g}",
                final <= start,
            )
        )
    for pe in ("mac-4b8b", FOUR_BIT_ARRAY):
        own, other = (_right(record, recipe, pe) for recipe in ("lapq", "a4w4"))
        expected = f"on `{pe}`, right on at least as many pictures as `a4w4`"
        claims.append(Claim("lapq", expected, f"{own}; {other}", own >= other))
    return claims


def _of_points(record: Record) -> list[Claim]:
    figures = record.get("claims", {}).get("multipoint")
    if figures is None:
        return []
    four = _row(record, "a4w4", FOUR_BIT_ARRAY)["cycles"]
    one = figures["one_point_cycles"]
    levels = figures["weights_sqnr_db"]
    gains = [after - before for before, after in pairwise(levels)]
    errors = figures["layers"].values()
    better = sum(each["adaptive"] <= mean(each["random"]) for each in errors)
    ratio = mean(mean(each["random"]) / each["adaptive"] for each in errors)
    return [
        Claim(
            "multipoint",
            f"one point per channel: the cycles of `a4w4` on `{FOUR_BIT_ARRAY}`",
            f"{one:,}; {four:,}",
            one == four,
        ),
        Claim(
            "multipoint",
            f"each further point on all channels: {POINT_GAIN_DB:g} dB of the weights' SQNR",
            f"{', '.join(f'{each:.1f}' for each in levels)} dB with 1 to {len(levels)} points",
            min(gains) >= POINT_GAIN_DB,
        ),
        Claim(
            "multipoint",
            "extra points by error: output error of every 4-bit layer no more than of as many "
            "at random (mean of 20 draws, seed 0)",
            f"{better} of {len(errors)} layers; random / by error {ratio:.2f} (mean)",
            better == len(errors),
        ),
    ]


def _row(record: Record, recipe: str, pe: str) -> Record:
    found: Record = next(
        row for row in record["rows"] if (row["recipe"], row["pe"]) == (recipe, pe)
    )
    return found


def _right(record: Record, recipe: str, pe: str) -> int:
    return int(_row(record, recipe, pe)["top1"])
