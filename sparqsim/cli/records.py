"""Designs and areas as flat rows for CSV; results make their own (`flat_rows`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparqsim.base.keys import key_choices
from sparqsim.pe import PEDesign
from sparqsim.pe.registry import at_defaults
from sparqsim.rtl import area

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


def of_areas(table: Mapping[str, Any], cols: int, without_area: Mapping[str, str]) -> list[Record]:
    """Return a row per PE design: relative areas over the table's rows, minimum, median and
    maximum.

    Parameters
    ----------
    table : mapping
        What `synthesis.measured_table` returns.
    cols : int
        Columns that share a trim unit.
    without_area : mapping
        Designs that the table does not have, and why; each gets a row that says it.
    """
    rows = []
    for name in table["rows"][0]["pe"]:
        ranges = {
            "relative_pe_area": area.relative_pe_area(name, cols=cols, table=table),
            **{
                f"relative_area_per_mac_over_{base}": area.relative_area_per_mac(
                    name, base, cols, table
                )
                for base in area.BASELINES
            },
            "trim_unit_share": area.trim_unit_share(name, cols, table),
        }
        rows.append(
            {
                "pe": name,
                "columns_per_trim_unit": cols,
                **{
                    f"{what}_{end}": getattr(found, attribute)
                    for what, found in ranges.items()
                    for end, attribute in (("min", "low"), ("median", "middle"), ("max", "high"))
                },
                "left_out": "",
            }
        )
    nothing = dict.fromkeys(rows[0])
    rows += [
        nothing | {"pe": name, "columns_per_trim_unit": cols, "left_out": reason}
        for name, reason in without_area.items()
    ]
    return rows
