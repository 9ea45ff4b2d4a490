"""Designs and areas as flat rows for CSV; results make their own (`flat_rows`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sparqsim.base.keys import key_choices
from sparqsim.pe import PEDesign, get_pe
from sparqsim.pe.registry import at_defaults
from sparqsim.rtl.accumulator import least_bits
from sparqsim.rtl.area import BASELINES, ArrayAreas

Record = dict[str, Any]


def of_designs(designs: Mapping[str, type[PEDesign]]) -> list[Record]:
    """Return a row per PE design, with its keys at their defaults."""
    return [
        {
            "pe": name,
            "lanes": default.lanes,
            "multipliers": default.multipliers,
            "cost": default.cost,
            "most_step_cycles": default.most_step_cycles,
            "signed_activations": default.signed_activations,
            "keys": "; ".join(
                f"{key}={accepted}" for key, (_, accepted) in key_choices(design).items()
            ),
        }
        for name, design in designs.items()
        for default in [at_defaults(design)]
    ]


def of_areas(areas: ArrayAreas, without_area: Mapping[str, str]) -> list[Record]:
    """Return a row per PE design: relative areas over the rows of one array, minimum, median and
    maximum.

    Parameters
    ----------
    areas : ArrayAreas
    without_area : mapping
        Designs that the table does not have, and why; each gets a row that says it.
    """
    key = {**asdict(areas.structure), "rows": areas.array.rows, "cols": areas.array.cols}
    del key["acc_bits"]
    rows = []
    for name in sorted(areas.rows[0]["designs"]):
        per_mac = {
            f"relative_area_per_mac_over_{base}": areas.relative_area_per_mac(name, base)
            for base in BASELINES
        }
        ranges = {
            "relative_pe_area": areas.relative_pe_area(name),
            **per_mac,
            "trim_unit_share": areas.trim_unit_share(name),
        }
        rows.append(
            {
                "pe": name,
                **key,
                "acc_bits": areas.acc_bits(name),
                "least_acc_bits": least_bits(get_pe(name)),
                **{
                    f"{what}_{end}": getattr(found, attribute)
                    for what, found in ranges.items()
                    for end, attribute in (("min", "low"), ("median", "middle"), ("max", "high"))
                },
                "kept_needs": areas.kept[name],
                "left_out": "",
            }
        )
    nothing = dict.fromkeys(rows[0])
    rows += [
        nothing | {"pe": name, **key, "left_out": reason} for name, reason in without_area.items()
    ]
    return rows
