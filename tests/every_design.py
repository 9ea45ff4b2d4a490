"""Every shipped design with every combination of its keys, and those to which a statement
applies.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import product
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np

import sparqsim
from sparqsim.pe.contract import CHECKS, check_first_pairs, check_first_products
from sparqsim.pe.registry import designs


def every_spec() -> list[str]:
    """Return every shipped design with every combination of its keys:
    'sparq-5opt:rounding=trim'.
    """
    specs = []
    for name, design in designs().items():
        hints = get_type_hints(design)
        keys = [key.name for key in fields(design) if get_origin(hints[key.name]) is Literal]
        for values in product(*(get_args(hints[key]) for key in keys)):
            chosen = ",".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
            specs.append(f"{name}:{chosen}" if chosen else name)
    return specs


#: Checks of the contract that step 65,536 pairs or products each, and the others.
EXHAUSTIVE_CHECKS = {
    name: check
    for name, check in CHECKS.items()
    if check in {check_first_pairs, check_first_products}
}
QUICK_CHECKS = {name: check for name, check in CHECKS.items() if name not in EXHAUSTIVE_CHECKS}

SPECS = every_spec()
#: Those with more than one key off its default: the default run leaves them to `-m slow`.
COMBINED = frozenset(spec for spec in SPECS if "," in sparqsim.get_pe(spec).spec)
#: Designs that take int8 activations.
SIGNED = [spec for spec in SPECS if sparqsim.get_pe(spec).signed_activations]
UNSIGNED = [spec for spec in SPECS if spec not in SIGNED]
#: Designs that transform operands, and then multiply all of them.
TRANSFORMATIONS = [spec for spec in SPECS if not sparqsim.get_pe(spec).values_by_pair]
#: Designs that the array times, by their step cycles.
ARRAY_TIMED = [spec for spec in SPECS if sparqsim.get_pe(spec).runs_on == "systolic-array"]
#: Designs that count their parts, with the types of activations that they take.
COUNTED = [
    (spec, dtype)
    for spec in SPECS
    for dtype in (np.uint8, np.int8)
    if sparqsim.get_pe(spec).activation_states(np.zeros((1, 1, 2), np.uint8)) is not None
    and (dtype == np.uint8 or spec in SIGNED)
]
