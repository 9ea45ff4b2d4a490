"""What is said of clocks where none was asked for."""

from __future__ import annotations

from contextlib import suppress

from sparqsim.base.errors import InputError
from sparqsim.results.clock import SOURCE, TIMED
from sparqsim.results.comparison import Comparison
from sparqsim.rtl.timing import period, shipped_timing


def note_of_one_clock(comparison: Comparison) -> list[str]:
    """Return what is said where no clock was asked for: cycles are at one clock, whose period the
    slowest design sets; nothing where no design has a period.
    """
    timed = shipped_timing()["rows"][0]["pe"]
    periods: dict[str, float] = {}
    for name in comparison.order:
        # Designs from files are not looked up: that would run the file.
        if name.partition(":")[0] in timed:
            with suppress(InputError):
                periods[name] = period(name).period_ns
    if not periods or comparison.reports[comparison.baseline].array.coupling == "broadcast":
        return []
    slowest = max(periods, key=lambda name: periods[name])
    engines = [name for name in comparison.order if comparison.reports[name].pe.engine_model]
    whose = f"all but {', '.join(engines)}, which has none here" if engines else "all"
    note = (
        f"One clock for {whose}. The slowest, {slowest}, needs {periods[slowest]:.3f} ns by "
        f"{SOURCE} of {TIMED}; --clock own: each at its own."
    )
    return [note]
