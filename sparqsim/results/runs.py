"""What a report may say of which design ran a layer: what its own setting makes of the layer.

A report names the design of every layer, and whether the layer was kept at 8 bits; both follow from
the design or assignment, from `keep_8bit` and `kept`, and from what the trace marks.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from sparqsim.base.errors import shown
from sparqsim.pe.signs import is_by_magnitude
from sparqsim.results.layer_report import LayerReport
from sparqsim.results.setting import HONEST, Kept, PEInfo

#: What runs kept layers where a design's own circuit does not.
OTHERWISE_ON = "mac-8b8b"


def rule_of(pe: PEInfo, layer: str) -> str | None:
    """Return the design that a rule of an assignment gives a layer, None where no rule takes it."""
    rules = () if pe.assignment is None else pe.assignment.layers
    return next((rule.pe for rule in rules if fnmatchcase(layer, rule.match)), None)


def designs_of(pe: PEInfo, layer: LayerReport, kept: Kept) -> tuple[str, ...]:
    """Return the designs that can have run a layer, given whether it was kept."""
    own = pe.spec if pe.assignment is None else pe.assignment.default
    if not layer.kept_8bit:
        return (rule_of(pe, layer.name) or own,)
    return (own, OTHERWISE_ON) if kept == HONEST else (OTHERWISE_ON,)


def check_layers(pe: PEInfo, layers: Iterable[LayerReport], kept: Kept, *, keep_8bit: bool) -> None:
    """Raise ValueError for a layer that cannot be, or cannot have been run so."""
    for layer in layers:
        layer.check_possible()
        check_run(pe, layer, kept, keep_8bit=keep_8bit)


def check_run(pe: PEInfo, layer: LayerReport, kept: Kept, *, keep_8bit: bool) -> None:
    """Raise ValueError where a layer cannot have been run so under the report's setting."""
    where, ruled = f"layer {layer.name!r}:", rule_of(pe, layer.name)
    if layer.kept_8bit and not keep_8bit:
        raise ValueError(f"{where} kept_8bit=True, expected False, as keep_8bit of the report is")
    if layer.kept_8bit and ruled:
        raise ValueError(f"{where} kept_8bit=True, expected False: a rule gives it to {ruled}")
    if layer.kept_mode and not layer.kept_8bit:
        raise ValueError(
            f"{where} kept_mode={shown(layer.kept_mode)}, expected kept_8bit=True with it"
        )
    designs = designs_of(pe, layer, kept)
    by_sign = not layer.kept_8bit and is_by_magnitude(layer.run_as, designs[0])
    if layer.run_as not in designs and not by_sign:
        raise ValueError(
            f"{where} run_as={shown(layer.run_as)}, expected {' or '.join(dict.fromkeys(designs))}"
        )


def is_kept(pe: PEInfo, name: str, *, keep_8bit: bool, marked: bool) -> bool:
    """Return whether a layer is kept at 8 bits by an array of PEs, by what the trace marks."""
    return keep_8bit and marked and rule_of(pe, name) is None
