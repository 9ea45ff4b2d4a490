"""What a reader must know of layers that stayed at 8 bits: where they ran, and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sparqsim.results.report import Report
from sparqsim.results.setting import HONEST

#: Where such layers ran, by `Report.kept`.
WHERE = {HONEST: "on each design's own circuit", "ideal": "as mac-8b8b under every design"}


def kept_layers(reports: Iterable[Report]) -> list[str]:
    """Return the names of the layers that stayed at 8 bits in some report."""
    names = (layer.name for report in reports for layer in report.layers if layer.kept_8bit)
    return list(dict.fromkeys(names))


#: What `--kept` has besides.
OTHERWISE = {
    HONEST: "--kept ideal: as mac-8b8b",
    "ideal": "--kept honest: on each design's own circuit",
}


def where_kept(reports: Sequence[Report]) -> str:
    """Return where the layers ran, in words that follow 'run'."""
    return WHERE[reports[0].kept]


def kept_modes(reports: Iterable[Report]) -> dict[str, str]:
    """Return how each design's circuit ran them, by design, where not as any other layer."""
    modes = {report.pe.spec: _modes(report) for report in reports if report.kept == HONEST}
    return {design: mode for design, mode in modes.items() if mode}


def _modes(report: Report) -> str:
    kept = [layer for layer in report.layers if layer.kept_8bit]
    own = report.pe.spec if report.pe.assignment is None else report.pe.assignment.default
    modes = dict.fromkeys(layer.kept_mode for layer in kept if layer.kept_mode)
    others = dict.fromkeys(
        f"as {layer.run_as}, since {own} does not say how its circuit runs 8-bit layers"
        for layer in kept
        if layer.run_as != own
    )
    return "; ".join([*modes, *others])
