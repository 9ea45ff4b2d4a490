"""What drivers, converters and adders of crossbars cost, where a source has been read."""

from __future__ import annotations

from sparqsim.results.action_costs import ActionCosts

#: Energy of a conversion by bits, pJ.
CONVERSION_PJ = {4: 0.79, 5: 0.99, 6: 1.20, 7: 1.42, 8: 1.67, 9: 1.97, 10: 2.38}
#: Of bits below those, a step as from 4 to 5 bits less for each.
ASSUMED_PJ = {3: 0.59, 2: 0.39, 1: 0.19}
ROW_DRIVE_PJ = 0.417
SHIFT_ADD_PJ = 0.021
SOURCE = "accelergy-library-plug-in @ba4e9da, isaac_adc.csv and its 1-bit DAC and 16-bit shift-add"
ASSUMED_HOW = "0.2 pJ less per bit, as from 5 to 4 bits"
LEFT_OUT = (
    "cells (no figure with a node was read), sample and hold, converters of more than 10 bits, "
    "drivers of more than one bit, buffers, control, writing cells"
)


def costs(counter: str, dac_bits: int) -> ActionCosts:
    """Return the energies of actions that `counter` counts."""
    conversions = {
        f"{counter}.adc_{bits}bit.conversions": each
        for bits, each in sorted((CONVERSION_PJ | ASSUMED_PJ).items())
    }
    drives = {f"{counter}.row_drives": ROW_DRIVE_PJ} if dac_bits == 1 else {}
    return ActionCosts(
        each_pj={**conversions, **drives, f"{counter}.shift_adds": SHIFT_ADD_PJ},
        node_nm=32,
        source=SOURCE,
        assumed=tuple(f"{counter}.adc_{bits}bit.conversions" for bits in sorted(ASSUMED_PJ)),
        assumed_how=ASSUMED_HOW,
        left_out=LEFT_OUT,
    )
